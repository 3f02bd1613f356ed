"""``rayyarn logs``: what a cluster's containers wrote, while it runs and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rayyarn_cli import options, output

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rayyarn.logs import Line


@click.command("logs")
@options.cluster_name()
@click.option("--node", metavar="WHICH", help="Only of head, worker-N, master, a container's id, or a host.")
@click.option("--job", metavar="JOB", help="Only what this job wrote, see `rayyarn jobs`.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written, until the cluster is over.")
@click.option("--errors", is_flag=True, help="Only the lines that tell of an error, each with its trace.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Only the last N lines of each file.")
@options.hadoop_conf
@output.options
def command(
    out: output.Output,
    name: str | None,
    node: str | None,
    job: str | None,
    follow: bool,
    errors: bool,
    tail: int | None,
    hadoop_conf: str | None,
) -> None:
    """Show what a cluster's containers wrote, Ray's own log files included.

    A cluster that runs is read from its nodes, without a JVM; one that is over as YARN has collected its logs. On a
    terminal each file has a heading; in a pipe each line begins with node and file, tab-separated.
    """
    from rayyarn import logs, settings
    from rayyarn.errors import UsageError

    if follow and out.as_json:
        raise UsageError("--follow has no end that one JSON document could wait for", hint="rayyarn logs --json")
    chosen = settings.pick(name=name, hadoop_conf=hadoop_conf)
    found = logs.read(
        chosen["name"], node=node, job=job, follow=follow, errors=errors, tail=tail,
        hadoop_conf=chosen["hadoop_conf"], reporter=out.reporter,
    )  # fmt: skip
    about = {"cluster": found.cluster, "application": found.application, "source": found.source}
    if out.as_json:
        out.result({**about, "lines": list(found.lines)})
        return
    if not _print(out, found.lines) and errors:
        out.note(f"no errors in the logs of {found.cluster} ({found.application})")
    out.result(about)


def _print(out: output.Output, lines: Iterable[Line]) -> int:
    """Print them as they come; how many there were."""
    heading, count = None, 0
    for count, line in enumerate(lines, 1):  # noqa: B007 - the last number is the answer
        if not out.answer.tty:
            out.answer.line(f"{line.node}\t{line.file}\t{line.text}")
            continue
        if heading != (line.node, line.file):
            out.close()
            title = out.answer.paint(f"==> {line.node} {line.file} <==", "bold")
            out.answer.line(title if heading is None else f"\n{title}")
            heading = (line.node, line.file)
        out.answer.line(line.text)
    return count
