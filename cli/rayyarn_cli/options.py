"""Arguments and options that several commands share, and those made from the spec's own fields."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from rayyarn.setting import Setting

hadoop_conf = click.option(
    "--hadoop-conf", metavar="DIR", help="Hadoop's client configuration folder. Default: HADOOP_CONF_DIR and so on."
)


def known_clusters(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names for the shell to complete, from local connection files only: it must never wait for a network."""
    home = Path(os.environ.get("RAYYARN_HOME") or Path.home() / ".rayyarn")
    names = {file.stem for file in home.glob("clusters/*/*.json")}
    return sorted(name for name in names if name.startswith(incomplete))


def cluster_name(*, required: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The NAME argument of a command that is about one cluster."""
    return click.argument("name", required=required, shell_complete=known_clusters)


def all_settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """A flag for every setting but ``name``; their values arrive by keyword, as text, None where not given.

    Nothing is parsed here: settings.resolve knows all sources, and tells of all problems together.
    """
    from rayyarn.settings import ALL_SETTINGS

    @functools.wraps(function)
    def command(*args: Any, **given: Any) -> Any:
        return function(*args, **{key: None if value == () else value for key, value in given.items()})

    wrapped: Callable[..., Any] = command
    for setting in reversed(list(ALL_SETTINGS.values())):
        if setting.key != "name":
            add = click.option(
                setting.flag,
                setting.keyword,
                multiple=setting.many,
                metavar=_METAVARS[setting.kind],
                is_flag=setting.kind == "flag",
                default=None,
                help=setting.help + (" Repeatable." if setting.many else _default(setting)),
            )
            wrapped = add(wrapped)
    return wrapped


_METAVARS = {
    "str": "TEXT", "path": "PATH", "paths": "PATH", "files": "PATH,...", "int": "N", "size": "SIZE", "duration": "TIME",
    "mapping": "NAME=VALUE", "names": "NAME,...", "flag": None,
}  # fmt: skip


def _default(setting: Setting) -> str:
    return "" if setting.default is None or setting.kind == "flag" else f" Default: {setting.show(setting.default)}."


def written(kind: str, example: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """The callback of an option whose value is written as a setting of that ``kind``: a size, a duration, pairs."""

    def read(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        from rayyarn.setting import Setting

        if value is None:
            return None
        try:
            return Setting("", kind, "", example, None).read(value)
        except ValueError as problem:
            raise click.BadParameter(str(problem), context, parameter) from None

    return read


class ProgramCommand(click.Command):
    """A command that ends with its program's exit code, so that a failure of our own needs one apart."""

    own_failure = 125  # as docker run, env and timeout do; 126 and 127 are the shell's
