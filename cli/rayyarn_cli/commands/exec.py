"""``rayyarn exec``: run a program of the user's with the connection at hand."""

from __future__ import annotations

import click

from rayyarn_cli import options, output


@click.command("exec", cls=options.ProgramCommand)
@options.cluster_name(required=True)
@click.argument("cmd", nargs=-1, required=True, type=click.UNPROCESSED)
@options.hadoop_conf
@output.program_options
def command(out: output.Output, name: str, cmd: tuple[str, ...], hadoop_conf: str | None) -> None:
    """Run a program here with a cluster's connection in its environment.

    `rayyarn exec NAME -- CMD`: stdout, stdin and the exit code are CMD's. A failure of rayyarn itself ends with 125;
    126 and 127 mean, as in a shell, that CMD cannot be run or was not found.
    """
    from rayyarn import program, settings

    chosen = settings.pick(name=name, hadoop_conf=hadoop_conf)
    code = program.run(chosen["name"], list(cmd), hadoop_conf=chosen["hadoop_conf"], reporter=out.reporter)
    out.result({"cluster": chosen["name"], "program": list(cmd)}, exit_code=code)
