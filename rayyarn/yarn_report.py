"""What YARN reports of applications, nodes and queues: records, and how they are read from its answers (REST, JSON)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rayyarn import web_link

if TYPE_CHECKING:
    from collections.abc import Iterator

LIVE = ("NEW", "NEW_SAVING", "SUBMITTED", "ACCEPTED", "RUNNING")
_CONTAINER = re.compile(r"\bcontainer_[0-9a-z_]+")


@dataclass(frozen=True)
class App:
    """A YARN application as the ResourceManager reports it; times in milliseconds since 1970, ``progress`` 0 to 1."""

    id: str
    name: str
    user: str
    queue: str
    state: str
    final: str
    diagnostics: str
    tags: tuple[str, ...]
    started: int
    finished: int
    am: str | None
    progress: float = 0.0
    kind: str = ""  # SPARK, skein, MAPREDUCE, ...
    attempt: str = ""  # the current one's id
    log_aggregation: str = ""
    master: str = ""  # its container
    master_web: str = ""  # of that one's NodeManager
    page: str = ""  # its own web page, through YARN's web proxy

    @property
    def live(self) -> bool:
        """True while YARN may still run something for it."""
        return self.state in LIVE

    def tag(self, prefix: str) -> str | None:
        """What follows ``prefix`` in one of the application's tags."""
        return next((tag.removeprefix(prefix) for tag in self.tags if tag.startswith(prefix)), None)


@dataclass(frozen=True)
class Node:
    """A NodeManager: memory in MiB; ``web`` is host:port of its pages, ``health`` what it complains of."""

    host: str
    state: str
    memory: int
    memory_free: int
    cpus: int
    cpus_free: int
    web: str = ""
    health: str = ""
    gpus: int = 0
    rack: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Queue:
    """A queue; ``used`` in percent of its capacity, ``largest`` in MiB (0: as large as the cluster allows).

    ``submitters``: YARN's access lists ("users groups") of who may submit, of this queue and all above; None: not told.
    ``most_apps`` 0: no limit known.
    """

    name: str
    path: str
    state: str
    used: float
    largest: int
    leaf: bool
    apps: int = 0
    most_apps: int = 0
    submitters: tuple[str, ...] | None = None


def app_order(app_id: str) -> tuple[int, ...]:
    """Sort key of ``application_<start>_<number>``: numbers outgrow their four digits."""
    return tuple(int(part) for part in app_id.split("_")[1:])


def read_app(entry: dict[str, Any], pages: str) -> App:
    """An application; ``pages``: the address of YARN's web proxy."""
    am = entry.get("amRPCAddress") or ""
    return App(
        id=entry["id"],
        name=entry.get("name", ""),
        user=entry.get("user", ""),
        queue=entry.get("queue", ""),
        state=entry["state"],
        final=entry.get("finalStatus", ""),
        diagnostics=(entry.get("diagnostics") or "").strip(),
        tags=tuple(filter(None, entry.get("applicationTags", "").split(","))),
        started=int(entry.get("startedTime", 0)),
        finished=int(entry.get("finishedTime", 0)),
        am=am if am and not am.endswith((":-1", ":0")) else None,
        progress=float(entry.get("progress", 0.0)) / 100,
        kind=entry.get("applicationType", ""),
        attempt=entry.get("currentAppAttemptId") or "",
        log_aggregation=entry.get("logAggregationStatus", ""),
        master=master[0] if (master := _CONTAINER.search(entry.get("amContainerLogs") or "")) else "",
        master_web=entry.get("amHostHttpAddress") or "",
        page=web_link.moved(entry.get("trackingUrl") or "", pages),
    )


def read_node(entry: dict[str, Any]) -> Node:
    """A NodeManager."""
    used, free = int(entry.get("usedMemoryMB", 0)), int(entry.get("availMemoryMB", 0))
    cpus_used, cpus_free = int(entry.get("usedVirtualCores", 0)), int(entry.get("availableVirtualCores", 0))
    return Node(
        entry["nodeHostName"], entry["state"], used + free, free, cpus_used + cpus_free, cpus_free,
        web=entry.get("nodeHTTPAddress", ""), health=entry.get("healthReport", ""),
        gpus=_offered(entry, "yarn.io/gpu"), rack=entry.get("rack", ""), labels=tuple(entry.get("nodeLabels") or ()),
    )  # fmt: skip


def _offered(entry: dict[str, Any], resource: str) -> int:
    listed = (entry.get("totalResource") or {}).get("resourceInformations") or {}
    return sum(int(one.get("value", 0)) for one in listed.get("resourceInformation", []) if one["name"] == resource)


def read_queues(entry: dict[str, Any], parent: str, above: tuple[str, ...] | None = ()) -> Iterator[Queue]:
    """A queue below ``parent`` and all below it; ``above``: the access lists of those above."""
    name = str(entry.get("queueName", "root")).rsplit(".", 1)[-1]
    path = entry.get("queuePath") or (f"{parent}.{name}" if parent else name)
    below = entry.get("queues") or entry.get("childQueues") or {}
    children = below.get("queue", []) if isinstance(below, dict) else below
    # A leaf of 3.5.0 has the first, other schedulers and versions the second.
    largest = entry.get("maximumAllocation") or entry.get("queueMaximumAllocation")
    submitters = _submitters(entry, above)
    yield Queue(
        name=name,
        path=path,
        state=entry.get("state", "RUNNING"),
        used=float(entry.get("usedCapacity", 0.0)),
        largest=int(largest.get("memory", 0)) if isinstance(largest, dict) else 0,
        leaf=not children,
        apps=int(entry.get("numApplications", 0)),
        most_apps=int(entry.get("maxApplications", 0)),
        submitters=submitters,
    )
    for child in children:
        yield from read_queues(child, path, submitters)


def _submitters(entry: dict[str, Any], above: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Access lists are inherited: who may submit to a queue, or administer it, may do so in all below it."""
    listed = (entry.get("queueAcls") or {}).get("queueAcl")
    if above is None or not isinstance(listed, list):
        return None
    kinds = ("SUBMIT_APP", "SUBMIT_APPLICATIONS", "ADMINISTER_QUEUE")
    return (*above, *(one.get("accessControlList", "") for one in listed if one.get("accessType") in kinds))
