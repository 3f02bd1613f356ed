"""``rayyarn status``: what runs, and why it is not ready."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from rayyarn.errors import Interrupted, UsageError
from rayyarn_cli import options, output

if TYPE_CHECKING:
    from rayyarn.state import ClusterStatus, NodeStatus
    from rayyarn.store import Kept

_WATCH_SECONDS = 2.0


@click.command("status")
@options.cluster_name()
@click.option("--watch", is_flag=True, help="Look again every 2 s, until Ctrl-C.")
@options.hadoop_conf
@output.options
def command(out: output.Output, name: str | None, watch: bool, hadoop_conf: str | None) -> None:
    """Show your clusters, or one of them in detail.

    With NAME: its nodes, their resources, and why it is not ready. Exit code 1: it failed, and YARN still knows why.
    Exit code 3: there is none.
    """
    from rayyarn import settings

    if watch and out.as_json:
        raise UsageError("--watch is for eyes; --json gives one answer", hint="rayyarn status --json")
    if name is None:  # all are meant, whatever RAYYARN_NAME says
        chosen = settings.pick(hadoop_conf=hadoop_conf)
    else:
        chosen = settings.pick(hadoop_conf=hadoop_conf, name=name)
    try:
        while True:
            _show(out, name, chosen["hadoop_conf"], clear=watch)
            if not watch:
                return
            time.sleep(_WATCH_SECONDS)
    except Interrupted:
        if not watch:
            raise


def _show(out: output.Output, name: str | None, hadoop_conf: str | None, *, clear: bool) -> None:
    from rayyarn import cluster
    from rayyarn.errors import ClusterFailed

    found = cluster.status(name, hadoop_conf=hadoop_conf)
    if clear:
        out.clear()
    if name is not None:
        (one,) = found.clusters
        failed = one.state == "failed"
        errors = [ClusterFailed(f"{name} failed: {one.why}")] if failed else []
        code = ClusterFailed.exit_code if failed else 0
        out.result(found, text=_details(out, one), table=_nodes(one), exit_code=code, errors=errors)
        return
    if not found.clusters:
        out.note("no clusters of yours on this YARN; this starts one: rayyarn up")
    rows = [_row(one) for one in found.clusters]
    headings = ["NAME", "STATE", "WORKERS", "QUEUE", "ENVIRONMENT", "AGE", "APPLICATION"]
    out.result(found, table=output.Table(headings, rows) if rows else None)


def _row(one: ClusterStatus) -> list[str | output.Cell]:
    from rayyarn.units import format_duration

    environment = one.environment or "-"
    return [
        one.name,
        one.state,
        f"{one.workers}/{one.wanted}",
        one.queue or "-",
        output.Cell(environment[:8], environment),
        output.Cell(format_duration(one.age), f"{one.age:.0f}"),
        one.application,
    ]


def _details(out: output.Output, one: ClusterStatus) -> str:
    """One fact a line: aligned for a person, key and value by a tab in a pipe."""
    from rayyarn.units import format_duration

    facts = {
        "name": one.name,
        "state": one.state,
        "why": one.why,
        "application": one.application,
        "queue": one.queue + ("" if one.queue_used is None else f", {one.queue_used:.0f}% used"),
        "beside": one.beside,
        "kept": _kept(one.kept),
        "workers": f"{one.workers} of {one.wanted}",
        "environment": one.environment,
        "age": format_duration(one.age),
        "idle": None if one.idle is None else "for " + format_duration(one.idle),
        "attached": ", ".join(one.drivers),
        "dashboard": one.dashboard,
        "jobs": ", ".join(f"{job.id} {job.state}: {job.shown}" for job in one.jobs),
        "connection file": one.connection_file and str(one.connection_file),
    }
    lines = [(key, value) for key, value in facts.items() if value]
    if out.answer.tty:
        return "\n".join(f"{key + ':':<16} {value}" for key, value in lines) + "\n"
    return "\n".join(f"{key}\t{value}" for key, value in lines)


def _kept(kept: Kept | None) -> str:
    """How its workers are kept beside a Spark application."""
    if kept is None:
        return ""
    if kept.over:
        return "that Spark application has ended; the workers stay"
    told = [f"{kept.did} {_ago(kept.at)} ago"] if kept.did else []
    told += [
        f"{host} without executors for {_ago(since)}" + (f", {kept.stays[host]}" if host in kept.stays else "")
        for host, since in kept.without.items()
    ]
    told += [f"{host} has executors and no worker: {why}" for host, why in kept.lacks.items()]
    told += [f"nobody can say where its executors are: {kept.trouble}"] if kept.trouble else []
    return "; ".join(told) or "a worker is where its executors are"


def _ago(moment: float) -> str:
    from rayyarn.units import format_duration

    return format_duration(max(0.0, time.time() - moment))


def _nodes(one: ClusterStatus) -> output.Table | None:
    beside = [node.executors is not None for node in one.nodes]
    headings = [
        "ROLE",
        "STATE",
        "HOST",
        "CPUS",
        "USED",
        "MEMORY",
        "OBJECTS",
        "UP",
        "RESTARTS",
        "FETCHED",
        "CACHED",
        *(["EXECUTORS"] if any(beside) else []),
        "CONTAINER",
        "LAST WORDS",
    ]
    return output.Table(headings, [_node(node) for node in one.nodes]) if one.nodes else None


def _node(node: NodeStatus) -> list[str | output.Cell]:
    return [
        node.role,
        node.state,
        node.host or "-",
        f"{node.cpus:g}" if node.cpus is not None else "-",
        _size(node.used or None),
        _size(node.memory),
        _size(node.object_store),
        _since(node.since),
        str(node.restarts),
        _size(node.localization.get("bytes_fetched")),
        _size(node.localization.get("bytes_cached")),
        *([] if node.executors is None else [str(node.executors)]),
        output.Cell(_tail(node.container), node.container or "-"),
        node.last_words or "-",
    ]


def _size(size: int | None) -> output.Cell:
    from rayyarn.units import format_size

    return output.Cell("-", "-") if size is None else output.Cell(format_size(size), str(size))


def _since(moment: float) -> output.Cell:
    """For how long; ``-`` before it began."""
    from rayyarn.units import format_duration

    seconds = max(0.0, time.time() - moment)
    return output.Cell(format_duration(seconds), f"{seconds:.0f}") if moment else output.Cell("-", "-")


def _tail(container: str | None) -> str:
    """``..._000003`` of a container's id: on one cluster only its end differs."""
    return f"..{container[-7:]}" if container else "-"
