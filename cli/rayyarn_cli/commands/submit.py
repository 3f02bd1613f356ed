"""``rayyarn submit``: run a program inside the cluster."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import click

from rayyarn_cli import options, output, signals

if TYPE_CHECKING:
    from rayyarn.jobs import Jobs
    from rayyarn.store import Job

# Of a job that never ran: stopped as if it had heard SIGTERM, or not started, which is our failure.
_NEVER_RAN = {"stopped": 143, "failed": 125}


@click.command("submit", cls=options.ProgramCommand)
@options.cluster_name(required=True)
@click.argument("cmd", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--working-dir", metavar="DIR", help="Send this folder along; CMD starts in its copy.")
@click.option(
    "--env-vars",
    callback=options.written("mapping", "LEVEL=3"),
    multiple=True,
    metavar="NAME=VALUE",
    help="A variable for CMD; its value is never shown. Repeatable.",
)
@click.option(
    "--memory",
    callback=options.written("size", "1 GiB"),
    metavar="SIZE",
    help="Memory to hold free for CMD beside the head. Default: 512 MiB, or what a small head has.",
)
@click.option("--no-wait", is_flag=True, help="Print the job's id and return at once.")
@options.hadoop_conf
@output.program_options
def command(
    out: output.Output,
    name: str,
    cmd: tuple[str, ...],
    working_dir: str | None,
    env_vars: dict[str, str],
    memory: int | None,
    no_wait: bool,
    hadoop_conf: str | None,
) -> None:
    """Run a program inside the cluster, beside its head, and show what it writes.

    `rayyarn submit NAME -- CMD`: CMD is a script of this machine (`train.py --epochs 3`), which is sent along, or any
    command of the environment. The exit code is CMD's; a failure of rayyarn itself ends with 125. It goes on when this
    machine does not; Ctrl-C asks whether to stop it.
    """
    from rayyarn import jobs, settings

    chosen = settings.pick(name=name, hadoop_conf=hadoop_conf)
    there = jobs.Jobs(chosen["name"], hadoop_conf=chosen["hadoop_conf"])
    job = there.submit(
        cmd,
        working_dir=working_dir,
        env_vars=env_vars,
        memory=memory,
    )
    if no_wait:
        out.result(job, text=job.id)
        return
    out.note(f"{job.id} in {there.name}: {job.shown}")
    ended = _follow(out, there, job)
    if ended.why:
        out.note(f"{job.id} {ended.state}: {ended.why}")
    out.result(ended, exit_code=_NEVER_RAN[ended.state] if ended.code is None else ended.code)


def _follow(out: output.Output, there: Jobs, job: Job) -> Job:
    """Show the job's output until it is over. Ctrl-C and SIGTERM stop it, a person is asked first; SIGHUP does not."""
    try:
        return there.follow(job.id, _show, reporter=out.reporter)
    except KeyboardInterrupt as signalled:
        if _stop(out, job, getattr(signalled, "signum", signal.SIGINT)):
            ended = there.stop(job.id)
            out.note(f"{job.id} {ended.state}: {ended.why}")
        else:
            out.note(f"{job.id} goes on: rayyarn jobs {there.name}")
        raise


def _stop(out: output.Output, job: Job, signum: int) -> bool:
    if signum == signal.SIGHUP:  # a terminal that was closed; the job need not mind
        return False
    signals.listen()  # a second one, while he is asked, is an answer too
    try:
        return out.wants(f"Stop {job.id}? It goes on otherwise", otherwise=True)
    except KeyboardInterrupt:
        return True


def _show(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
