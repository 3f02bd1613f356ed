"""Which commands there are, and the module of each, known without importing any of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

# The help line is the first sentence of the command's docstring; a contract test holds them equal.
COMMANDS = {
    "up": "Bring a cluster up and wait until it is usable.",
    "down": "Stop a cluster and remove all it left behind.",
    "status": "Show your clusters, or one of them in detail.",
    "logs": "Show what a cluster's containers wrote, Ray's own log files included.",
    "exec": "Run a program here with a cluster's connection in its environment.",
    "submit": "Run a program inside the cluster, beside its head, and show what it writes.",
    "jobs": "List the jobs of a cluster, or stop one.",
    "dashboard": "Start Ray's dashboard beside a cluster's head, and print its address.",
    "connect": "See that a cluster can be used from here, and connect a shell or Spark's submit to it.",
    "run": "Bring a cluster up, run a program with it, and always take it down.",
    "doctor": "Look at this machine, its Hadoop and its YARN, and say what would go wrong.",
    "env": "Pack, list, check and remove environments.",
    "mini": "Run a real small Hadoop on this machine.",
    "config": "Show every setting, its value and where it comes from.",
    "completion": "Print the completion script of a shell.",
}


class LazyGroup(click.Group):
    """A group whose commands live in ``rayyarn_cli.commands.<name>``, each as an object named ``command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names, in the order a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"rayyarn_cli.commands.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - a contract test calls this for each name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list in ``--help``, without importing what it lists."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: Sequence[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown name is answered with the nearest one."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, 1)
            raise click.UsageError(f"no command {args[0]!r}" + (f"; did you mean {near[0]!r}?" if near else ""), ctx)
        return super().resolve_command(ctx, list(args))
