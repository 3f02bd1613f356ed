"""``rayyarn run``: a cluster for one program, for cron and CI."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rayyarn_cli import options, output

if TYPE_CHECKING:
    from rayyarn.batch import BatchResult


@click.command("run", cls=options.ProgramCommand)
@click.argument("cmd", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("-f", "--file", "file", metavar="FILE", help="Read settings from FILE instead of ./rayyarn.yaml.")
@click.option("--name", metavar="NAME", help="The cluster's name. Default: the file's, else a new one for each run.")
@click.option(
    "--if-running",
    type=click.Choice(["fail", "skip", "wait", "reuse"]),
    default="fail",
    show_default=True,
    help="What to do when a cluster of that name is there.",
)
@click.option(
    "--wait-limit",
    callback=options.written("duration", "10 min"),
    default="1 h",
    show_default=True,
    metavar="TIME",
    help="How long `wait` may take.",
)
@click.option("--keep-on-failure", is_flag=True, help="When CMD fails, leave the cluster for inspection.")
@click.option("--log-file", metavar="FILE", help="Add both outputs of CMD to FILE instead of showing them.")
@options.all_settings
@output.program_options
def command(
    out: output.Output,
    cmd: tuple[str, ...],
    file: str | None,
    name: str | None,
    if_running: Any,
    wait_limit: float,
    keep_on_failure: bool,
    log_file: str | None,
    **given: Any,
) -> None:
    """Bring a cluster up, run a program with it, and always take it down.

    `rayyarn run [-f SPEC] -- CMD`: the exit code is CMD's; a failure of rayyarn itself ends with 125. Without a
    terminal it says one line when all is well. When this machine dies, the cluster ends by itself within seconds.
    """
    from dataclasses import replace

    from rayyarn import batch, settings
    from rayyarn.steps import SILENT

    chosen = settings.resolve({"name": name, **given}, file=file, spoken="flag")
    spec = chosen.spec
    if chosen.origins["name"] == settings.DEFAULT:
        spec = replace(spec, name=f"run-{secrets.token_hex(3)}")
    result = batch.run(
        spec,
        cmd,
        if_running=if_running,
        wait_limit=wait_limit,
        keep_on_failure=keep_on_failure,
        log=Path(log_file) if log_file else None,
        hadoop_conf=chosen.hadoop_conf,
        reporter=out.reporter if out.talk.tty or out.verbose else SILENT,
    )
    out.result(result, exit_code=result.exit_code or 0)
    if not out.quiet:
        out.talk.line(_sentence(result))


def _sentence(result: BatchResult) -> str:
    from rayyarn.units import format_duration

    took = format_duration(result.seconds)
    if result.exit_code is None:
        return f"{result.name} runs already ({result.application}): skipped"
    fate = "" if result.cluster == "ended" else f"; the cluster is there: rayyarn down {result.name}"
    return f"{result.name}: {result.program[0]} ended with {result.exit_code} after {took}{fate}"
