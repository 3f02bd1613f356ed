"""How a command answers: the result on stdout, the conversation on stderr, and both as one JSON envelope.

A command asks for an ``Output`` with ``@output.options`` (or ``@output.program_options`` when its stdout belongs to
the program it runs), calls one library function and hands the result to ``Output.result``. Nothing else prints.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from rayyarn.errors import RayYarnError, UsageError
from rayyarn.steps import SILENT, Reporter
from rayyarn_cli import grid
from rayyarn_cli.progress import Progress
from rayyarn_cli.terminal import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

SCHEMA = 1  # of the envelope; a key that goes away or changes its meaning raises it


class Cell(NamedTuple):
    """A table cell that is short on a terminal and whole in a pipe: an application's id, a fingerprint."""

    short: str
    whole: str


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows under headings: aligned without lines on a terminal, tab-separated without headings in a pipe."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]


class Output:
    """The two streams of one command, and how this user wants them."""

    def __init__(
        self,
        command: str,
        *,
        as_json: bool = False,
        json_file: str | None = None,
        color: str = "auto",
        quiet: bool = False,
        verbose: bool = False,
        debug: bool = False,
    ) -> None:
        self.command, self.as_json, self.json_file = command, as_json, json_file
        self.quiet, self.verbose, self.debug = quiet, verbose, debug
        self.answer = Stream(sys.stdout, color)
        self.talk = Stream(sys.stderr, color, patient=True)
        self.exit_code = 0
        self.reporter: Reporter = SILENT if quiet else Progress(self.talk)

    def result(
        self,
        data: object,
        *,
        text: str | None = None,
        table: Table | None = None,
        exit_code: int = 0,
        errors: Iterable[RayYarnError] = (),
    ) -> None:
        """Give the answer: ``data`` in the envelope, or ``text`` and ``table`` for people. Ends with ``exit_code``."""
        self.close()
        self.exit_code = exit_code
        if self.as_json or self.json_file:
            self._envelope(plain(data), exit_code, list(errors))
        if self.as_json:
            return
        if text:
            self.answer.line(text)
        if table is not None:
            self._table(table)

    def clear(self) -> None:
        """Make room for the next of several answers: a clear screen on a terminal, a fresh line in a pipe."""
        self.answer.line("\x1b[H\x1b[2J" if self.answer.tty else "")

    def note(self, text: str) -> None:
        """A sentence on stderr, unless --quiet."""
        self.reporter.note(text)

    def confirm(self, question: str, *, otherwise: str) -> None:
        """Ask a person yes or no; raises UsageError with ``otherwise`` as its hint when nobody can be asked."""
        if self.as_json or not (sys.stdin and sys.stdin.isatty() and self.talk.tty):
            raise UsageError(f"{question} Nobody is here to be asked", hint=otherwise)
        if not click.confirm(question, err=True):
            raise UsageError("nothing was done, as you said no")

    def wants(self, question: str, *, otherwise: bool) -> bool:
        """Ask a person yes or no; ``otherwise`` is Enter's answer, and the one when nobody can be asked."""
        self.close()
        if self.as_json or not (sys.stdin and sys.stdin.isatty() and self.talk.tty):
            return otherwise
        return click.confirm(question, default=otherwise, err=True)

    def failure(self, error: RayYarnError, exit_code: int | None = None) -> int:
        """Tell of an error on stderr, in the envelope also when that was asked for, and return the exit code."""
        self.close()
        code = error.exit_code if exit_code is None else exit_code
        if self.as_json or self.json_file:
            self._envelope(None, code, [error])
        if self.debug:
            self.talk.line("".join(traceback.format_exception(error)).rstrip())
        if not self.as_json:
            self.talk.line(f"{self.talk.paint('error:', 'red')} {error.message}")
            if error.log:
                self.talk.line(f"{self.talk.paint('log:', 'yellow')} {error.log}")
            if error.hint:
                self.talk.line(f"{self.talk.paint('try:', 'bold')} {error.hint}")
        return code

    def close(self) -> None:
        """End a moving line, so that what follows starts on a fresh one."""
        if isinstance(self.reporter, Progress):
            self.reporter.close()

    def _envelope(self, data: object, exit_code: int, errors: list[RayYarnError]) -> None:
        document = {
            "schema": SCHEMA,
            "command": self.command,
            "status": "error" if exit_code else "success",
            "exit_code": exit_code,
            "data": data,
            "errors": [error.to_dict() for error in errors],
        }
        text = json.dumps(document, indent=2)
        if self.json_file is None:
            self.answer.line(text)
            return
        from rayyarn import home

        try:
            home.write_private(Path(self.json_file), text.encode() + b"\n")
        except OSError as problem:  # the run is over: its exit code counts more than this file
            self.talk.line(f"warning: {self.json_file} was not written: {problem.strerror}")

    def _table(self, table: Table) -> None:
        if not self.answer.tty:
            whole = ("\t".join(cell.whole if isinstance(cell, Cell) else cell for cell in row) for row in table.rows)
            self.answer.write("".join(f"{row}\n" for row in whole))
            return
        rows = [[cell.short if isinstance(cell, Cell) else cell for cell in row] for row in table.rows]
        heading, *shown = grid.lines([table.columns, *rows], shutil.get_terminal_size().columns)
        self.answer.write("\n".join([self.answer.paint(heading, "bold"), *shown, ""]))


def plain(value: Any) -> Any:
    """``value`` in JSON's own types: ``to_dict()`` first, then dataclass fields; paths become text."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in a JSON answer")


def from_argv(command: str, argv: Sequence[str]) -> Output:
    """The Output for a failure that came before the command line was understood: its plain words are taken."""
    words = list(argv[: argv.index("--")] if "--" in argv else argv)
    values: dict[str, str] = {}
    for name in ("--color", "--json-file"):
        for at, word in enumerate(words):
            if word == name and at + 1 < len(words):
                values[name] = words[at + 1]
            elif word.startswith(name + "="):
                values[name] = word.split("=", 1)[1]
    color = values.get("--color", "auto")
    return Output(
        command,
        as_json="--json" in words,
        json_file=values.get("--json-file"),
        color=color if color in ("auto", "always", "never") else "auto",
        debug="--debug" in words,
    )


def _opened(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn the common options into the ``Output`` that ``function`` gets as its first argument."""

    @click.pass_context
    @functools.wraps(function)
    def command(context: click.Context, /, *args: Any, **given: Any) -> Any:
        names = ("as_json", "json_file", "color", "quiet", "verbose", "debug")
        common: Mapping[str, Any] = {name: given.pop(name) for name in names if name in given}
        out = Output(context.command_path.partition(" ")[2], **common)
        if isinstance(context.obj, dict):
            context.obj["out"] = out  # main() ends with its exit code, and tells of failures through it
            context.obj["own_failure"] = getattr(context.command, "own_failure", None)
        if out.json_file and not os.access(Path(out.json_file).absolute().parent, os.W_OK):
            raise UsageError(f"--json-file {out.json_file}: no folder there that you may write to")
        return function(out, *args, **given)

    return command


def _talk_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(
        [
            click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colour."),
            click.option("-q", "--quiet", is_flag=True, help="Say nothing on stderr but errors."),
            click.option("-v", "--verbose", is_flag=True, help="Say more, such as what took how long."),
            click.option("--debug", is_flag=True, help="Show the traceback of an error."),
        ]
    ):
        function = option(function)
    return function


def options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--json --color --quiet --verbose --debug``; the command's first argument is its Output."""
    json_option = click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document on stdout.")
    return json_option(_talk_options(_opened(function)))


def program_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """As ``options``, for a command whose stdout and exit code are its program's: ``--json-file PATH`` instead."""
    json_option = click.option(
        "--json-file", metavar="PATH", help="Write one JSON document about the run here; stdout is the program's."
    )
    return json_option(_talk_options(_opened(function)))
