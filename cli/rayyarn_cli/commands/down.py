"""``rayyarn down``: stop a cluster."""

from __future__ import annotations

import click

from rayyarn_cli import options, output


@click.command("down")
@options.cluster_name()
@click.option("--all", "everything", is_flag=True, help="Stop all clusters of yours on this YARN.")
@click.option("--yes", is_flag=True, help="With --all: do not ask.")
@options.hadoop_conf
@output.options
def command(out: output.Output, name: str | None, everything: bool, yes: bool, hadoop_conf: str | None) -> None:
    """Stop a cluster and remove all it left behind.

    Safe to repeat: when nothing runs under that name, it says so and ends with 0. It returns when YARN says that the
    application is gone. Without NAME it takes the name that `rayyarn up` would take.
    """
    from rayyarn import cluster, settings
    from rayyarn.errors import UsageError

    if everything and name:
        raise UsageError(f"either {name} or --all, not both", hint=f"rayyarn down {name}")
    if everything and not yes:
        out.confirm("Stop all your clusters?", otherwise="rayyarn down --all --yes")
    chosen = settings.pick(name=name, hadoop_conf=hadoop_conf)
    wanted = None if everything else chosen["name"]
    result = cluster.down(wanted, everything=everything, hadoop_conf=chosen["hadoop_conf"], reporter=out.reporter)
    if not result.changed:
        out.note(
            "no cluster is running: nothing to stop" if everything else f"{wanted} is not running: nothing to stop"
        )
    out.result(result, table=output.Table(["NAME", "APPLICATION"], [(s.name, s.application) for s in result.stopped]))
