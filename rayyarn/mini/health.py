"""How a mini cluster is: which daemons live, which nodes run, what the dead said last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rayyarn.mini import probe, record

if TYPE_CHECKING:
    from rayyarn.mini.record import MiniCluster


@dataclass(frozen=True)
class DaemonStatus:
    """One daemon now; ``last_words`` is the telling line of its log when it is dead."""

    role: str
    host: str
    pid: int
    alive: bool
    last_words: str
    log: str


@dataclass(frozen=True)
class MiniStatus:
    """One mini cluster now.

    ``state``: ``running`` · ``stopped`` (its files are kept) · ``damaged`` (a daemon died or its node is not RUNNING) ·
    ``unfinished`` (a `mini up` is at work, or was killed).
    """

    name: str
    state: str
    cluster: MiniCluster | None
    daemons: tuple[DaemonStatus, ...]
    nodes_running: int


@dataclass(frozen=True)
class MiniStatuses:
    """The mini clusters that were asked for."""

    clusters: tuple[MiniStatus, ...]


def look(name: str) -> MiniStatus:
    """What one cluster's record, processes and ResourceManager say together."""
    known = record.load(record.folder_of(name))
    if known is None:
        return MiniStatus(name, "unfinished", None, (), 0)
    daemons = tuple(
        DaemonStatus(
            role=daemon.role,
            host=daemon.host,
            pid=daemon.process.pid,
            alive=known.lives(daemon),
            last_words="" if known.stopped or known.lives(daemon) else daemon.last_words,
            log=str(daemon.log),
        )
        for daemon in known.daemons
    )
    seen = len(probe.running_nodes(known.shape) or []) if known.alive else 0
    well = all(daemon.alive for daemon in daemons) and seen == known.shape.nodes
    unwell = "stopped" if known.stopped else "damaged"
    state = "unfinished" if not known.whole else "running" if well else unwell
    return MiniStatus(name, state, known.cluster(changed=False), daemons, seen)
