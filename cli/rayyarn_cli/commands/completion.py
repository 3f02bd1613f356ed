"""``rayyarn completion``: let a shell finish what is typed."""

from __future__ import annotations

import click

from rayyarn_cli import output


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@output.options
def command(out: output.Output, shell: str) -> None:
    """Print the completion script of a shell.

    For bash: `eval "$(rayyarn completion bash)"` in ~/.bashrc. Names of clusters are completed from local files, so
    pressing Tab never waits for the cluster.
    """
    from click.shell_completion import get_completion_class

    from rayyarn_cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click.Choice above allows only the three that click has
    script = kind(cli, {}, "rayyarn", "_RAYYARN_COMPLETE").source()
    out.result({"shell": shell, "script": script}, text=script.rstrip())
