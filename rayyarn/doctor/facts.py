"""What several checks look at, each asked for once and at once: the configuration, YARN, its nodes, the environment."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rayyarn import archives, hadoop
from rayyarn.doctor import web
from rayyarn.doctor.running import Blocked, Fact, side_by_side
from rayyarn.rm import ResourceManager

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rayyarn.environment import Environment
    from rayyarn.fingerprint import Fingerprint
    from rayyarn.spec import ClusterSpec
    from rayyarn.yarn_report import Node, Queue

# One after the other they must end before the command's 10 s: a ResourceManager, what it knows, its nodes.
MANAGER_LIMIT, YARN_LIMIT, NODES_LIMIT = 3.5, 6.0, 8.5
ENVIRONMENT_LIMIT = 8.0
# Within those: for a daemon to answer. Healthy ones need milliseconds.
_ANSWER_LIMIT = 2.5
# A cluster is set up by groups of nodes: a sample finds the groups, and a thousand answers of 150 KB do not fit in 2 s.
_MOST_NODES = 32
# Ray and Spark in 728 MiB as .tar.gz are 1.27 GB on a node (measured).
_UNPACKED = 1.7
_ALL_STATES = ("RUNNING", "UNHEALTHY", "LOST", "DECOMMISSIONING")


@dataclass(frozen=True)
class Manager:
    """A ResourceManager. ``state``: active, standby, closed (lets nobody in), silent; ``said`` why."""

    address: str
    state: str
    said: str = ""
    version: str = ""
    skew: float | None = None


@dataclass(frozen=True)
class Visit:
    """A NodeManager that was called from here, and the configuration it runs with (empty: it does not tell)."""

    node: Node
    reached: bool
    conf: Mapping[str, str]


class Facts:
    """Begins to ask everything when it is made; each fact waits for those it is built on."""

    def __init__(self, spec: ClusterSpec, conf: str | None, started: float) -> None:
        self.spec = spec
        self.site = Fact("a Hadoop configuration", lambda: hadoop.find(conf), started + 2.0)
        self.managers = Fact("a ResourceManager that answers", self._ask_managers, started + MANAGER_LIMIT)
        self.active = Fact("a ResourceManager that answers", self._find_active, started + MANAGER_LIMIT)
        self.nodes = Fact("YARN's list of nodes", self._list_nodes, started + YARN_LIMIT)
        self.queues = Fact("YARN's list of queues", self._list_queues, started + YARN_LIMIT)
        self.manager_conf = Fact("the ResourceManager's settings", self._read_manager, started + YARN_LIMIT)
        self.visits = Fact("NodeManagers that answer", self._visit, started + NODES_LIMIT)
        self.environment = Fact("an environment", self._look_at_environment, started + ENVIRONMENT_LIMIT)
        self.size = Fact("the environment's size", self._measure, started + ENVIRONMENT_LIMIT)

    def running(self) -> list[Node]:
        """The NodeManagers that run. Raises Blocked when there are none."""
        found = [node for node in self.nodes.get() if node.state == "RUNNING"]
        if not found:
            raise Blocked("NodeManagers that run")
        return found

    def settings(self) -> list[tuple[str, Mapping[str, str]]]:
        """Host and settings of the NodeManagers that told theirs. Raises Blocked when none did."""
        found = [(visit.node.host, visit.conf) for visit in self.visits.get() if visit.conf]
        if not found:
            raise Blocked("the NodeManagers' settings")
        return found

    # --- how each is found -------------------------------------------------------------------------------------

    def _ask_managers(self) -> list[Manager]:
        site = self.site.get()
        user = "" if site.secure else f"?user.name={site.user}"
        answers = side_by_side(lambda address: _manager(address, user), site.rm_web, _ANSWER_LIMIT + 0.5)
        late = f"no answer within {_ANSWER_LIMIT:g} s"
        return [one or Manager(address, "silent", late) for address, one in zip(site.rm_web, answers, strict=True)]

    def _find_active(self) -> Manager:
        for one in self.managers.get():
            if one.state == "active":
                return one
        raise Blocked(self.managers.name)

    def _list_nodes(self) -> list[Node]:
        return self._rm().nodes(*_ALL_STATES)

    def _list_queues(self) -> list[Queue]:
        return self._rm().queues()

    def _read_manager(self) -> Mapping[str, str]:
        return web.conf(self.active.get().address, _ANSWER_LIMIT)

    def _rm(self) -> ResourceManager:
        return ResourceManager(self.site.get(), addresses=[self.active.get().address], limit=_ANSWER_LIMIT - 0.2)

    def _visit(self) -> list[Visit]:
        known = [node for node in self.running() if node.web]
        step = -(-len(known) // _MOST_NODES) or 1
        chosen = known[::step]  # from the whole list: neighbours in it are often alike
        scheme = "https" if self.site.get().get("yarn.http.policy") == "HTTPS_ONLY" else "http"
        confs = side_by_side(lambda node: web.conf(f"{scheme}://{node.web}", _ANSWER_LIMIT - 0.5), chosen, 2.3)
        return [Visit(node, found is not None, found or {}) for node, found in zip(chosen, confs, strict=True)]

    def _look_at_environment(self) -> tuple[Environment, list[str], Fingerprint | None]:
        return archives.check(self.spec.environment)

    def _measure(self) -> int:
        found, problems, _ = self.environment.get()
        if problems:
            raise Blocked("an environment that can be shipped")
        if found.kind == "remote":
            raise Blocked("the size of an archive on a file system")
        if found.kind == "archive":
            packed = 1.0 if found.location.endswith(".tar") else _UNPACKED
            return int(found.path.stat().st_size * packed)
        return _bytes_below(found.path)


def _manager(address: str, query: str) -> Manager:
    try:
        answer = web.get(f"{address}/ws/v1/cluster/info{query}", _ANSWER_LIMIT)
    except Exception as error:  # refused, unknown, timed out, not HTTP: all say it in their own words
        return Manager(address, "silent", str(error) or type(error).__name__)
    info = answer.document().get("clusterInfo") or {}
    version = info.get("hadoopVersion", "")
    # Without HA its haState is INITIALIZING for ever (3.5.0).
    if answer.standby or info.get("haState") == "STANDBY":
        return Manager(address, "standby", version=version, skew=answer.skew)
    if answer.status in (401, 403, 404):
        return Manager(address, "closed", f"answers {answer.status}: it lets nobody in over REST")
    if answer.status != 200 or not info:
        return Manager(address, "silent", f"answers {answer.status} and no cluster information")
    if info.get("state", "STARTED") != "STARTED":
        return Manager(address, "silent", f"is {info['state']}")
    return Manager(address, "active", version=version, skew=answer.skew)


def _bytes_below(folder: Path) -> int:
    total, waiting, until = 0, [str(folder)], time.monotonic() + ENVIRONMENT_LIMIT
    while waiting and time.monotonic() < until:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total
