"""``rayyarn doctor``: what this edge and this YARN can and cannot do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rayyarn_cli import options, output

if TYPE_CHECKING:
    from rayyarn.doctor import DoctorResult, Finding


@click.command("doctor")
@click.option("--queue", metavar="TEXT", help="The YARN queue to ask about. Default: as in `rayyarn up`.")
@click.option("--environment", metavar="PATH", help="The environment to look at. Default: as in `rayyarn up`.")
@click.option("--probe", is_flag=True, help="Start a small container, and try the ways between it and this machine.")
@options.hadoop_conf
@output.options
def command(
    out: output.Output, queue: str | None, environment: str | None, probe: bool, hadoop_conf: str | None
) -> None:
    """Look at this machine, its Hadoop and its YARN, and say what would go wrong.

    Takes under 10 s, changes nothing and starts no JVM, unless you ask for --probe: that takes a container of 512 MiB
    for some seconds, and leaves nothing. For everything that is not in order: what it means for
    rayyarn, and one line that mends it. Sizes are judged by the settings that `rayyarn up` would take. Exit code 1
    when there is a problem; notes are only good to know.
    """
    from rayyarn import doctor, settings
    from rayyarn.errors import Unfit

    given = {"queue": queue, "environment": environment, "hadoop_conf": hadoop_conf}
    chosen = settings.resolve(given, spoken="flag")
    found = doctor.examine(chosen.spec, hadoop_conf=chosen.hadoop_conf, probe=probe, reporter=out.reporter)
    errors = [Unfit(f"{one.subject}: {one.text}", hint=one.fix or None) for one in found.problems]
    code = Unfit.exit_code if errors else 0
    if out.answer.tty:
        out.result(found, text=_screen(out, found), exit_code=code, errors=errors)
    else:
        rows = [[one.id, one.verdict, one.text, one.means, one.fix] for one in found.findings]
        out.result(found, table=output.Table([], rows), exit_code=code, errors=errors)
    out.note(_summary(found))


def _screen(out: output.Output, found: DoctorResult) -> str:
    """One line a finding, and below those that are not in order what they mean and what to type."""
    width = max(len(one.subject) for one in found.findings)
    lines = []
    for one in found.findings:
        lines.append(f"{_mark(out, one)} {one.subject:<{width}}  {one.text}")
        lines += [f"    {one.means}"] if one.means else []
        lines += [f"    {out.answer.paint('try:', 'bold')} {one.fix}"] if one.fix else []
    return "\n".join(lines)


def _mark(out: output.Output, one: Finding) -> str:
    return out.answer.paint("!", "yellow") if one.verdict == "note" else out.answer.mark(one.verdict == "ok")


def _summary(found: DoctorResult) -> str:
    """``1 problem, 2 notes; looked at 23 things in 0.4 s``."""
    counts = {"problem": len(found.problems), "note": len(found.notes)}
    parts = [f"{count} {word}{'s' if count > 1 else ''}" for word, count in counts.items() if count]
    return f"{', '.join(parts) or 'all is well'}; {len(found.findings)} findings in {found.seconds:.1f} s"
