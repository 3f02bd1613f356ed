"""``rayyarn env``: what an environment holds, what would break, what lies on the file system."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rayyarn_cli import options, output

if TYPE_CHECKING:
    from rayyarn.environment import Environment
    from rayyarn.inventory import Item


@click.group("env")
def command() -> None:
    """Pack, list, check and remove environments."""


@dataclass(frozen=True)
class Packed:
    """The answer of ``env pack``."""

    fingerprint: str
    location: str
    size: int
    made: bool


@dataclass(frozen=True)
class Checked:
    """The answer of ``env check``: an environment, what is wrong with it, and what to know of it."""

    environment: Environment
    problems: list[str]
    fingerprint: str | None

    def to_dict(self) -> dict[str, object]:
        """As the ``--json`` envelope carries it."""
        one = self.environment
        return {
            "location": one.location,
            "kind": one.kind,
            "python": one.python,
            "ray": one.ray,
            "pyspark": one.pyspark,
            "editable": [each.name for each in one.editable],
            "overwritten": list(one.overwritten),
            "remarks": list(one.remarks),
            "problems": self.problems,
            "fingerprint": self.fingerprint,
        }


@command.command("pack")
@click.argument("environment", required=False)
@click.option("-o", "--output", "target", metavar="FILE", help="Write a .tar.gz here instead of sending it.")
@click.option("--recheck", is_flag=True, help="Look at every file, and that what was sent is still there.")
@options.hadoop_conf
@output.options
def pack(
    out: output.Output, environment: str | None, target: str | None, recheck: bool, hadoop_conf: str | None
) -> None:
    """Pack ENVIRONMENT and send it where `rayyarn up` looks for it, unless it is there.

    Default: the environment that `rayyarn up` would take. Prints its fingerprint and where it is.
    """
    from rayyarn import archives, settings

    chosen = settings.pick(environment=environment, hadoop_conf=hadoop_conf)
    if target:
        done = archives.write(chosen["environment"], Path(target), reporter=out.reporter, recheck=recheck)
        answer = Packed(done.fingerprint, str(Path(target).absolute()), done.size, made=True)
    else:
        sent = archives.send(chosen["environment"], chosen["hadoop_conf"], reporter=out.reporter, recheck=recheck)
        answer = Packed(sent.fingerprint, sent.archive.uri, sent.archive.size, sent.archive.made)
    out.result(answer, text=f"{answer.fingerprint}\t{answer.location}")


@command.command("list")
@options.hadoop_conf
@output.options
def list_(out: output.Output, hadoop_conf: str | None) -> None:
    """List what rayyarn keeps for you on the default file system, newest first."""
    from rayyarn import inventory, settings

    found = inventory.survey(settings.pick(hadoop_conf=hadoop_conf)["hadoop_conf"])
    if not found:
        out.note("nothing is kept on the default file system")
    out.result(found, table=_table(found))


@command.command("prune")
@click.option(
    "--older-than",
    callback=options.written("duration", "7 d"),
    default="0",
    metavar="TIME",
    help="Only what is older than this, such as '7 d'.",
)
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@options.hadoop_conf
@output.options
def prune(out: output.Output, older_than: float, dry_run: bool, hadoop_conf: str | None) -> None:
    """Remove what no live cluster needs. An environment that a live cluster runs on is never removed."""
    from rayyarn import inventory, settings, units

    where = settings.pick(hadoop_conf=hadoop_conf)["hadoop_conf"]
    done = inventory.clear(where, older_than=older_than, dry_run=dry_run)
    verb = "would remove" if dry_run else "removed"
    out.note(f"{verb} {len(done.removed)}, kept {len(done.kept)}; {units.format_size(done.freed)} free again")
    out.result(done, table=_table(list(done.removed)))


@command.command("check")
@click.argument("environment", required=False)
@output.options
def check(out: output.Output, environment: str | None) -> None:
    """Say what is in ENVIRONMENT and what would break on a cluster. Exit code 2 when something would."""
    from rayyarn import archives, settings
    from rayyarn.errors import EnvironmentUnusable

    chosen = settings.pick(environment=environment)["environment"]
    found, problems, known = archives.check(chosen, note=out.note)
    answer = Checked(found, problems, known)
    for remark in found.remarks:
        out.note(remark)
    facts = {"location": found.location, "python": found.python, "ray": found.ray, "pyspark": found.pyspark}
    lines = [f"{name}\t{value or '-'}" for name, value in facts.items()]
    lines += [f"fingerprint\t{known or '-'}", *(f"problem\t{one}" for one in problems)]
    errors = [EnvironmentUnusable(one) for one in problems]
    out.result(answer, text="\n".join(lines), exit_code=2 if problems else 0, errors=errors)


def _table(items: list[Item]) -> output.Table | None:
    from rayyarn.units import format_duration, format_size

    rows: list[list[str | output.Cell]] = [
        [
            item.kind,
            output.Cell(item.fingerprint[:8], item.fingerprint),
            output.Cell(format_size(item.size), str(item.size)),
            output.Cell(format_duration(item.age), f"{item.age:.0f}"),
            ", ".join(item.used_by) or "-",
            item.uri,
        ]
        for item in items
    ]
    return output.Table(["KIND", "FINGERPRINT", "SIZE", "AGE", "USED BY", "WHERE"], rows) if rows else None
