"""``rayyarn dashboard``: Ray's dashboard in a browser."""

from __future__ import annotations

import click

from rayyarn_cli import options, output


@click.command("dashboard")
@options.cluster_name()
@options.hadoop_conf
@output.options
def command(out: output.Output, name: str | None, hadoop_conf: str | None) -> None:
    """Start Ray's dashboard beside a cluster's head, and print its address.

    The address leads through YARN's web proxy and is for you and YARN's admins. The dashboard ends when nobody has
    looked at it for 15 minutes; the address stays, and starts it again.
    """
    from rayyarn import dashboard, settings

    chosen = settings.pick(name=name, hadoop_conf=hadoop_conf)
    found = dashboard.find(chosen["name"], hadoop_conf=chosen["hadoop_conf"], reporter=out.reporter)
    out.result(found, text=found.url)
