"""Writes the generated parts of docs/reference, from the commands, settings and errors themselves.

``python -m rayyarn_cli.reference docs`` writes them; with ``--check`` it says which are out of date and ends with 1.
A page keeps its hand-written text: only what stands between ``<!-- generated -->`` and ``<!-- end -->`` is replaced.
"""

from __future__ import annotations

import inspect
import pkgutil
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

import rayyarn
from rayyarn import errors
from rayyarn.settings import ALL_SETTINGS
from rayyarn_cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BEGIN, END = "<!-- generated -->\n", "<!-- end -->\n"
_COMMON = {"as_json", "color", "quiet", "verbose", "debug", "help"}


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command by the words that call it: ``up``, ``mini up``."""

    def inside(group: click.Group, words: str) -> Iterator[tuple[str, click.Command]]:
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None  # noqa: S101 - the group listed it
            if isinstance(command, click.Group):
                yield from inside(command, f"{words}{name} ")
            elif not command.hidden:
                yield words + name, command

    return inside(cli, "")


def error_classes() -> list[type[errors.RayYarnError]]:
    """Every error with a code of its own: those of rayyarn/errors.py in their order, then those of single doors."""
    for module in pkgutil.walk_packages(rayyarn.__path__, "rayyarn."):
        if not module.name.startswith("rayyarn.container"):  # it imports what only containers have
            import_module(module.name)

    def below(kind: type[errors.RayYarnError]) -> Iterator[type[errors.RayYarnError]]:
        yield kind
        for child in kind.__subclasses__():
            yield from below(child)

    found = {kind.code: kind for kind in reversed(list(below(errors.RayYarnError))) if kind.__module__[:7] == "rayyarn"}
    order = {name: at for at, name in enumerate(vars(errors))}
    return sorted(found.values(), key=lambda kind: (order.get(kind.__name__, len(order)), kind.code))


def cli_page() -> str:
    """Each command with its arguments and its own options."""
    lines: list[str] = []
    for words, command in commands():
        arguments = [p.make_metavar(click.Context(command)) for p in command.params if isinstance(p, click.Argument)]
        lines += [f"## `rayyarn {' '.join([words, '[OPTIONS]', *arguments])}`", ""]
        lines += [inspect.cleandoc(command.help or ""), ""]
        own = [p for p in command.params if isinstance(p, click.Option) and p.name not in _COMMON]
        if own:
            lines += ["| option | |", "|---|---|"]
            for option in own:
                value = "" if option.is_flag else f" {option.make_metavar(click.Context(command))}"
                default = f" Default: {option.default}." if option.show_default else ""
                lines.append(f"| `{', '.join(option.opts)}{value}` | {_cell((option.help or '') + default)} |")
            lines.append("")
    return "\n".join(lines)


def settings_page() -> str:
    """Each setting with all of its names."""
    lines = ["| key | flag | variable | takes | default | |", "|---|---|---|---|---|---|"]
    for key, setting in ALL_SETTINGS.items():
        flag = "`NAME`" if key == "name" else f"`{setting.flag}`"
        default = "" if setting.show(setting.default) == "-" else f"`{setting.show(setting.default)}`"
        text = _cell(f"{setting.help} Example: `{setting.example}`.")
        lines.append(f"| `{key}` | {flag} | `{setting.variable}` | {setting.kind} | {default} | {text} |")
    return "\n".join(lines) + "\n"


def errors_page() -> str:
    """Each error code with its exit code."""
    lines = ["| error code | exit code | |", "|---|---|---|"]
    for kind in error_classes():
        meaning = (kind.__doc__ or "").splitlines()[0]
        anchor = f"[`{kind.code}`](../troubleshooting.md#{kind.code})"
        lines.append(f"| {anchor} | {kind.exit_code} | {_cell(meaning)} |")
    return "\n".join(lines) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "reference/cli.md": cli_page,
    "reference/configuration.md": settings_page,
    "reference/exit-codes.md": errors_page,
}


def filled(text: str, generated: str) -> str:
    """``text`` with its generated part replaced. Raises ValueError when it has no such part."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN.strip()} ... {END.strip()} in this page")
    return f"{before}{BEGIN}\n{generated.strip()}\n\n{END}{after}"


def main(argv: list[str]) -> int:
    """Write the pages under the folder ``argv[0]``, or only compare them with ``--check``."""
    folder, check = Path(argv[0]), "--check" in argv
    stale = []
    for name, make in PAGES.items():
        page = folder / name
        old = page.read_text(encoding="utf-8")
        new = filled(old, make())
        if new != old:
            stale.append(name)
            if not check:
                page.write_text(new, encoding="utf-8")
    verb = "out of date" if check else "written"
    sys.stderr.write("".join(f"{name}: {verb}\n" for name in stale))
    return 1 if stale and check else 0


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
