"""``rayyarn up``: bring a cluster up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rayyarn_cli import options, output

if TYPE_CHECKING:
    from rayyarn.up_result import UpResult


@click.command("up")
@options.cluster_name()
@click.option("--file", "file", metavar="FILE", help="Read settings from FILE instead of ./rayyarn.yaml.")
@click.option("--no-wait", is_flag=True, help="Return when YARN has taken the application.")
@click.option("--keep", is_flag=True, help="When it fails, leave what was made, to look at it.")
@click.option("--dry-run", is_flag=True, help="Print what would be submitted, secrets hidden, and change nothing.")
@click.option("--recheck", is_flag=True, help="Look at every file of the environment, and that its archive is there.")
@options.all_settings
@output.options
def command(
    out: output.Output,
    name: str | None,
    file: str | None,
    no_wait: bool,
    keep: bool,
    dry_run: bool,
    recheck: bool,
    **given: Any,
) -> None:
    """Bring a cluster up and wait until it is usable.

    Safe to repeat: a cluster of that NAME with the same settings is left as it is, one that still starts is waited
    for, and one with other settings is an error that names them. Prints one line: name, address, connection file.
    """
    from rayyarn import cluster, settings

    chosen = settings.resolve({"name": name, **given}, file=file, spoken="flag")
    result = cluster.up(
        chosen.spec,
        hadoop_conf=chosen.hadoop_conf,
        wait=not no_wait,
        keep=keep,
        dry_run=dry_run,
        recheck=recheck,
        connection_file=chosen.connection_file,
        reporter=out.reporter,
    )
    for remark in result.remarks:
        out.note(remark)
    if dry_run:
        out.result(result, text=_document(result.plan))
        return
    if out.verbose:
        for title, start, end in result.timeline:
            out.note(f"  {start:6.2f}s  {end - start:6.2f}s  {title}")
    out.result(result, text="\t".join([result.name, result.address or "-", str(result.connection_file or "-")]))
    _farewell(out, result, waited=not no_wait)


def _farewell(out: output.Output, result: UpResult, *, waited: bool) -> None:
    """What happened in one sentence, and the line to paste next, which comes last."""
    if not waited and result.state != "ready":
        out.note(
            f"{result.name} is {result.state}; the same `up` without --no-wait waits for it, this shows how far it is:"
        )
        out.note(f"rayyarn status {result.name}")
        return
    up = "is up" if result.changed else "is already up"
    out.note(f"{result.name} {up}{' with fewer workers than asked for' if result.state == 'degraded' else ''}")
    out.note(f"rayyarn exec {result.name} -- python your_program.py")


def _document(plan: object) -> str:
    """The plan as YAML, its scripts as blocks that can be read."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    return yaml.dump(output.plain(plan), Dumper=Dumper, sort_keys=False, width=10_000).rstrip()
