"""One view of a cluster, joined from what YARN, the supervisors and Ray say: pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from rayyarn import register, store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rayyarn.yarn_report import App


@dataclass(frozen=True)
class NodeStatus:
    """A container of the cluster. Memory in bytes, times in seconds since 1970."""

    role: str
    host: str
    ip: str
    container: str
    state: str
    cpus: float
    gpus: float
    memory: int
    object_store: int
    restarts: int
    since: float
    in_ray: bool
    localization: dict[str, int]
    last_words: str
    used: int = 0  # of its memory, as YARN counts it; 0 when it has not said yet
    executors: int | None = None  # of the Spark application that the cluster is beside, on this host

    def summary(self) -> dict[str, Any]:
        """What the connection document says of the node: that which does not change."""
        keys = ("role", "host", "ip", "container", "cpus", "gpus", "memory", "object_store")
        return {key: getattr(self, key) for key in keys}


@dataclass(frozen=True)
class ClusterStatus:
    """A cluster: ``state`` is starting, ready, degraded, stopping or failed; ``age`` in seconds."""

    name: str
    state: str
    why: str
    application: str
    queue: str
    workers: int
    wanted: int
    environment: str
    age: float
    address: str | None
    nodes: tuple[NodeStatus, ...]
    connection_file: str | None
    idle: float | None = None  # seconds without work, on a cluster with an idle-timeout
    beside: str | None = None  # the Spark application that its workers were placed beside
    kept: store.Kept | None = None  # how they are kept there, on a cluster with keep-beside
    drivers: tuple[str, ...] = ()  # programs that are attached to it, as ``host pid``, on such a cluster
    queue_used: float | None = None  # percent of its queue's capacity that is taken; when YARN was asked
    jobs: tuple[store.Job, ...] = ()  # those that run beside the head, or wait for room there
    dashboard: str | None = None  # its address, through YARN's proxy

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` shows it."""
        return asdict(self)


def join(
    app: App, seen: Mapping[str, bytes] | None, *, now: float, connection_file: str | None = None
) -> ClusterStatus:
    """The cluster as ``app`` and the keys of its store (None: the master was not asked or does not answer) tell it."""
    keys = seen or {}
    nodes = _nodes(keys)
    ready = sum(node.role == "worker" and node.state == "ready" for node in nodes)
    wanted = json.loads(keys[store.WANTED]) if store.WANTED in keys else {}
    state, why = _verdict(app, keys, nodes, ready, wanted, asked=seen is not None)
    idle = store.Idle.from_json(keys[store.IDLE]) if store.IDLE in keys else store.Idle()
    return ClusterStatus(
        name=register.name_of(app),
        state=state,
        why=why,
        application=app.id,
        queue=app.queue,
        workers=ready,
        wanted=wanted.get("workers", register.workers_of(app)),
        environment=register.fingerprint_of(app) or "",
        age=max(0.0, (now if app.live else app.finished / 1000) - app.started / 1000),
        address=keys[store.HEAD].decode() if store.HEAD in keys else None,
        nodes=nodes,
        connection_file=connection_file,
        idle=max(0.0, now - idle.since) if idle.since is not None else None,
        drivers=idle.drivers,
        jobs=tuple(job for job in store.jobs(keys) if not job.over),
        beside=register.beside_of(app),
        kept=store.Kept.from_json(keys[store.KEPT]) if store.KEPT in keys else None,
        dashboard=_dashboard(app) if store.DASHBOARD in keys else None,
    )


def _dashboard(app: App) -> str | None:
    """Where a browser finds it. YARN's pages believe a name without Kerberos, and ignore it with it."""
    if not app.page:
        return None
    return f"{app.page.rstrip('/')}/pages/{store.DASHBOARD_ROUTE}/?{urlencode({'user.name': app.user})}"


def with_executors(seen: ClusterStatus, executors: Mapping[str, int]) -> ClusterStatus:
    """The same, each node with how many of ``executors`` (by host) run on its host."""
    return replace(seen, nodes=tuple(replace(node, executors=executors.get(node.host, 0)) for node in seen.nodes))


def brief(app: App, *, now: float, connection_file: str | None = None) -> ClusterStatus:
    """The cluster as YARN alone tells it, without its nodes: for lists."""
    wanted = register.workers_of(app)
    ready = store.ready_workers(app.progress, wanted)
    seen = join(app, None, now=now, connection_file=connection_file)
    if app.state != "RUNNING" or ready is None or register.KEPT in app.tags:
        return replace(seen, wanted=wanted, why=seen.why if app.state != "RUNNING" else "")
    return replace(seen, state="ready" if ready >= wanted else "degraded", why="", workers=ready, wanted=wanted)


def _nodes(keys: Mapping[str, bytes]) -> tuple[NodeStatus, ...]:
    alive = {node["name"] for node in json.loads(keys.get(store.RAY, b"[]")) if node["alive"]}
    states = [store.NodeState.from_json(value) for key, value in keys.items() if key.startswith(store.NODE)]
    return tuple(
        NodeStatus(
            role=node.role,
            host=node.host,
            ip=node.ip,
            container=node.container,
            state=node.state,
            cpus=node.cpus,
            gpus=node.gpus,
            memory=node.memory,
            object_store=node.object_store,
            restarts=node.restarts,
            since=node.since,
            in_ray=node.container in alive,
            localization=node.localization,
            last_words=node.last_words,
            used=node.used,
        )
        for node in sorted(states, key=lambda node: (node.role != "head", node.service))
    )


def _verdict(
    app: App,
    keys: Mapping[str, bytes],
    nodes: tuple[NodeStatus, ...],
    ready: int,
    wanted: dict[str, int],
    *,
    asked: bool,
) -> tuple[str, str]:
    if not app.live:
        return ("stopped", app.diagnostics) if app.final == "SUCCEEDED" else ("failed", app.diagnostics or app.state)
    if app.state != "RUNNING" or app.am is None:
        return "starting", f"{app.state} in queue {app.queue!r}" if app.state != "RUNNING" else "the master starts"
    if not asked:
        return "starting", "the application master does not answer"
    head = next((node for node in nodes if node.role == "head"), None)
    if head is None:
        return "starting", "the head's container is not there yet, or unpacks its environment"
    if head.state in ("stopping", "stopped"):
        return "stopping", head.last_words
    if head.state != "ready":
        return "starting", head.last_words or f"the head is {head.state}"
    missing = wanted.get("workers", 0) - ready
    why = f"{ready} of {wanted.get('workers', 0)} workers"
    words = next((f"; {node.host}: {node.last_words}" for node in nodes if node.last_words), "")
    if missing <= 0:
        return "ready", ""
    if ready >= wanted.get("min_workers", 0) or store.CONNECTION in keys:
        return "degraded", why + words
    return "starting", why + words
