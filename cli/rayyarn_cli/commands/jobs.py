"""``rayyarn jobs``: the programs inside a cluster."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from rayyarn_cli import options, output

if TYPE_CHECKING:
    from rayyarn.store import Job


@click.command("jobs")
@options.cluster_name(required=True)
@click.option("--stop", "wanted", metavar="JOB", help="End this job, and return when it is over.")
@options.hadoop_conf
@output.options
def command(out: output.Output, name: str, wanted: str | None, hadoop_conf: str | None) -> None:
    """List the jobs of a cluster, or stop one.

    Those that are over are listed too, the last hundred. A job's output: `rayyarn logs NAME --job JOB`.
    """
    from rayyarn import jobs, settings

    chosen = settings.pick(name=name, hadoop_conf=hadoop_conf)
    there = jobs.Jobs(chosen["name"], hadoop_conf=chosen["hadoop_conf"])
    if wanted is not None:
        ended = there.stop(wanted)
        out.result(ended, table=_table([ended]))
        return
    found = there.list()
    if not found.jobs:
        out.note(f"no jobs in {found.cluster}; this starts one: rayyarn submit {found.cluster} -- python --version")
    out.result(found, table=_table(found.jobs) if found.jobs else None)


def _table(jobs: list[Job] | tuple[Job, ...]) -> output.Table:
    return output.Table(["JOB", "STATE", "CODE", "AGE", "TOOK", "COMMAND", "WHY"], [_row(job) for job in jobs])


def _row(job: Job) -> list[str | output.Cell]:
    from rayyarn.units import format_duration

    now = time.time()
    took = (job.ended or now) - job.started if job.started else None
    return [
        job.id,
        job.state,
        "-" if job.code is None else str(job.code),
        output.Cell(format_duration(max(0.0, now - job.asked)), f"{now - job.asked:.0f}"),
        "-" if took is None else output.Cell(format_duration(max(0.0, took)), f"{took:.0f}"),
        job.shown,
        job.why or "-",
    ]
