"""The ``rayyarn`` command: finds the subcommand, and turns whatever ends it into an exit code.

Nothing but click is imported before a subcommand is known, so that ``--help`` and completion answer at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from rayyarn import __version__
from rayyarn.errors import Interrupted, RayYarnError, UsageError
from rayyarn_cli.lazy import LazyGroup
from rayyarn_cli.signals import deaf, listen
from rayyarn_cli.terminal import reader_gone

if TYPE_CHECKING:
    from rayyarn_cli.output import Output


@click.group(cls=LazyGroup, no_args_is_help=False, invoke_without_command=True)
@click.version_option(__version__, "--version", prog_name="rayyarn", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Ray next to Spark, on the YARN cluster you already have."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)


def main() -> NoReturn:
    """Run the command line and exit: 0 to 4, 130, 143, or a program's own code. See docs/reference/exit-codes.md."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller (`>&-`)
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - lives to the end
    code = run(sys.argv[1:])
    deaf()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
        if reader_gone(stream):  # or Python says so once more while it exits, with 120
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def run(argv: list[str]) -> int:
    """The exit code of ``rayyarn *argv``, everything said and undone."""
    listen()
    _complete()
    session: dict[str, Any] = {}
    try:
        with cli.make_context("rayyarn", list(argv), obj=session) as context:
            cli.invoke(context)
        return session["out"].exit_code if "out" in session else 0
    except click.exceptions.Exit as end:  # --help and --version
        return end.exit_code
    except click.ClickException as problem:
        return _misused(problem, argv, session)
    except (KeyboardInterrupt, click.Abort) as stop:
        return _output(argv, session).failure(Interrupted(getattr(stop, "signum", signal.SIGINT)))
    except RayYarnError as error:
        return _output(argv, session).failure(error, session.get("own_failure"))
    except Exception as bug:
        if isinstance(bug, BrokenPipeError) and reader_gone(sys.stdout):
            return 0  # `rayyarn status | head -1` got what it wanted
        return _output(argv, session).failure(_unexpected(bug), session.get("own_failure"))


def _unexpected(bug: Exception) -> RayYarnError:
    error = RayYarnError(f"unexpected {type(bug).__name__}: {bug}", hint="the same command with --debug")
    error.__cause__ = bug
    return error


def _misused(problem: click.ClickException, argv: list[str], session: dict[str, Any]) -> int:
    context = getattr(problem, "ctx", None)
    if type(problem).__name__ == "NoArgsIsHelpError":  # `rayyarn mini`: its help is the answer to that
        click.echo(problem.format_message(), err=True)
        return 2
    path = context.command_path if context else "rayyarn"
    error = UsageError(problem.format_message().rstrip("."), hint=f"{path} --help")
    out = session.get("out") or _output(argv, session, path.partition(" ")[2])
    return out.failure(error, getattr(context.command if context else None, "own_failure", None))


def _output(argv: list[str], session: dict[str, Any], command: str | None = None) -> Output:
    from rayyarn_cli import output

    return session.get("out") or output.from_argv(command if command is not None else " ".join(argv[:1]), argv)


def _complete() -> None:
    """Answer a shell that asks what may follow, and exit."""
    instruction = os.environ.get("_RAYYARN_COMPLETE")
    if instruction:
        from click.shell_completion import shell_complete

        sys.exit(shell_complete(cli, {}, "rayyarn", "_RAYYARN_COMPLETE", instruction))
