"""``rayyarn connect``: the connection, for programs that rayyarn does not start."""

from __future__ import annotations

from pathlib import Path

import click

from rayyarn_cli import options, output


@click.command("connect")
@options.cluster_name()
@click.option("--shell", is_flag=True, help='Print variables for this shell: eval "$(rayyarn connect NAME --shell)".')
@click.option(
    "--spark-conf", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="Write settings for spark-submit --properties-file FILE, in client and in cluster mode.",
)  # fmt: skip
@options.hadoop_conf
@output.options
def command(
    out: output.Output, name: str | None, shell: bool, spark_conf: Path | None, hadoop_conf: str | None
) -> None:
    """See that a cluster can be used from here, and connect a shell or Spark's submit to it.

    Prints one line: name, address, connection file. With --shell it prints `export` lines instead, after which Python
    and `spark-submit` work as under `rayyarn exec`; Ray's token is named by its file, never printed.
    """
    from rayyarn import handover, settings

    chosen = settings.pick(name=name, hadoop_conf=hadoop_conf)
    found = handover.give(chosen["name"], spark_conf=spark_conf, hadoop_conf=chosen["hadoop_conf"])
    for remark in found.remarks:
        out.note(remark)
    if found.spark_conf:
        out.note(f"for Spark:      spark-submit --properties-file {found.spark_conf} program.py")
    if not shell:
        if not found.spark_conf:
            out.note(f"a program:      rayyarn exec {found.name} -- python program.py")
            out.note(f'this shell:     eval "$(rayyarn connect {found.name} --shell)"')
            out.note(f"spark-submit:   rayyarn connect {found.name} --spark-conf FILE")
            out.note(f'from Python:    rayyarn.connect("{found.name}")')
        out.result(found, table=output.Table(
            ["NAME", "ADDRESS", "CONNECTION FILE"], [(found.name, found.address, found.connection_file)]
        ))  # fmt: skip
        return
    out.result(found, text=found.exports())
