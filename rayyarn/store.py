"""What edge and containers tell each other through the ApplicationMaster's key-value store.

Nothing secret is ever put there: skein's web page prints it. Keys of a container vanish with the container.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ALIVE = "alive/"  # alive/<container>: written once; a supervisor whose key is gone stops Ray and ends
NODE = "node/"  # node/<container>: NodeState as JSON
HEAD = "head"  # host:port of the GCS, from the moment it listens and has refused a stranger
RAY = "ray"  # Ray's own list of nodes as JSON, from the head
LEASE = "lease/count"  # a number that `up` keeps raising until it confirms the cluster
CONFIRMED = "lease/confirmed"  # present when the cluster may live without an `up` that waits for it
WANTED = "wanted"  # {"workers": n, "min_workers": m} as JSON, from the head
IDLE = "idle"  # Idle as JSON, from the head, on a cluster with an idle-timeout
KEPT = "kept"  # Kept as JSON, from the head, on a cluster that keeps beside a Spark application
CONNECTION = "connection"  # the connection document, for the containers
DASHBOARD = "dashboard"  # present when the application's page has the link to the dashboard
JOB = "job/"  # job/<id>/asked and job/<id>/stop by who wants it, job/<id>/now by the head; Job as JSON

# The master's name for the dashboard: what it is called below its own pages.
DASHBOARD_ROUTE = "ray"

# In the diagnostics of a cluster that ended because nothing ran on it.
IDLE_TIMEOUT = "its idle-timeout"

# An unconfirmed cluster whose lease has not moved for so long ends itself. `up` raises the number every second; a
# suspended or partitioned edge may be silent for some seconds, and a killed one should not cost the queue a minute.
LEASE_SECONDS = 15.0


@dataclass(frozen=True)
class NodeState:
    """What a supervisor says of its node. Memory in bytes, times in seconds since 1970."""

    container: str
    service: str
    role: str
    host: str
    ip: str
    state: str = "starting"  # starting, waiting, ready, restarting, stopping, stopped
    cpus: float = 0
    gpus: float = 0
    memory: int = 0
    object_store: int = 0
    used: int = 0  # of ``memory``, as YARN counts it; told when it has changed by much, not each time
    restarts: int = 0
    since: float = 0
    node_id: str = ""
    localization: dict[str, int] = field(default_factory=dict)
    last_words: str = ""

    def to_json(self) -> bytes:
        """The value of the node's key."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, value: bytes) -> NodeState:
        """Read the value of a node's key; fields that this version does not know are dropped."""
        return cls(**_known(cls, value))


@dataclass(frozen=True)
class Idle:
    """Since when nothing has run, in seconds since 1970 (None: something runs), and which programs are attached."""

    since: float | None = None
    drivers: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        """The value of the key."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, value: bytes) -> Idle:
        """Read the value of the key."""
        found = json.loads(value)
        return cls(found["since"], tuple(found["drivers"]))


@dataclass(frozen=True)
class Kept:
    """How the workers are kept beside a Spark application. Times in seconds since 1970.

    ``did``: what was done last, ``at`` which moment. ``without``: hosts with a worker and no executors, since when;
    ``stays``: why one of those keeps its worker all the same; ``lacks``: why a host with executors has no worker.
    ``trouble``: why nothing is known of the executors at the moment; ``over``: the Spark application has ended.
    """

    did: str = ""
    at: float = 0
    without: dict[str, float] = field(default_factory=dict)
    stays: dict[str, str] = field(default_factory=dict)
    lacks: dict[str, str] = field(default_factory=dict)
    trouble: str = ""
    over: bool = False

    def to_json(self) -> bytes:
        """The value of the key."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, value: bytes) -> Kept:
        """Read the value of the key; fields that this version does not know are dropped."""
        return cls(**_known(cls, value))


@dataclass(frozen=True)
class Job:
    """A program that runs beside the head. Memory in bytes, times in seconds since 1970.

    ``memory``: what it is given room for. ``folder``: where what was sent along lies on the default file system; empty
    without any. ``code``: its exit code once it is over, 128 + n after signal n.
    """

    id: str
    command: tuple[str, ...]
    memory: int
    asked: float
    folder: str = ""
    state: str = "pending"  # then running; at last succeeded, failed or stopped
    started: float = 0
    ended: float = 0
    code: int | None = None
    why: str = ""

    @property
    def over(self) -> bool:
        """True when it will not run any more."""
        return self.state not in ("pending", "running")

    @property
    def shown(self) -> str:
        """The command as a shell would take it."""
        return shlex.join(self.command)

    @property
    def log(self) -> str:
        """The name of its log file, in the head's log folder."""
        return f"{self.id}.log"

    def to_json(self) -> bytes:
        """The value of its keys."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, value: bytes) -> Job:
        """Read the value of one of its keys; fields that this version does not know are dropped."""
        found = _known(cls, value)
        return cls(**{**found, "command": tuple(found["command"])})


def _known(cls: type[NodeState | Kept | Job], value: bytes) -> dict[str, Any]:
    """The fields of ``cls`` that ``value`` has: a newer version may say more."""
    names = {f.name for f in fields(cls)}
    return {key: item for key, item in json.loads(value).items() if key in names}


def jobs(keys: Mapping[str, bytes]) -> list[Job]:
    """All jobs that ``keys`` tell of, as they are now, the first asked for first."""
    found = {}
    for word in ("asked", "now"):  # the head's word is the later one
        for key, value in keys.items():
            if key.startswith(JOB) and key.endswith(f"/{word}"):
                job = Job.from_json(value)
                found[job.id] = job
    return sorted(found.values(), key=lambda job: (job.asked, job.id))


def job_key(job_id: str, word: str) -> str:
    """The key of what is said of a job: ``asked``, ``stop`` or ``now``."""
    return f"{JOB}{job_id}/{word}"


def progress(ready: int, wanted: int) -> float:
    """The application's progress in YARN for ``ready`` of ``wanted`` workers of a usable cluster.

    It lets ``rayyarn status`` list clusters from YARN's register alone. The lower half is Skein's: it says 0.1.
    """
    return 0.5 + 0.5 * min(1.0, ready / wanted if wanted else 1.0)


def ready_workers(share: float, wanted: int) -> int | None:
    """The ``ready`` of ``progress``; None while the cluster is not usable."""
    return round((share - 0.5) * 2 * wanted) if share >= 0.5 else None


def parse_localization(counters: str) -> dict[str, int]:
    """YARN's LOCALIZATION_COUNTERS: bytes and files fetched and taken from the cache, and milliseconds.

    Order as in hadoop-yarn-server-nodemanager, ContainerImpl.localizationCountersAsString.
    """
    names = ("bytes_fetched", "bytes_cached", "files_fetched", "files_cached", "milliseconds")
    try:
        return dict(zip(names, map(int, counters.split(",")), strict=True))
    except ValueError:
        return {}
