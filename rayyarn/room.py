"""Whether YARN has room for containers that it has not given yet, in a sentence for who waits for them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rayyarn.errors import RayYarnError
from rayyarn.sizing import MIB
from rayyarn.units import format_size

if TYPE_CHECKING:
    from rayyarn.rm import ResourceManager
    from rayyarn.spec import ClusterSpec
    from rayyarn.yarn_report import Node, Queue

_FRESH = 2.0  # seconds: what was asked is good for so long, however often somebody looks


class Room:
    """The nodes and queues of a YARN, for one cluster's containers."""

    def __init__(self, rm: ResourceManager, spec: ClusterSpec) -> None:
        self._rm, self._spec = rm, spec
        self._nodes: list[Node] = []
        self._queues: list[Queue] = []
        self._asked = float("-inf")

    def queue(self, path: str) -> str:
        """``, 98% used`` for the queue ``path``; empty when nothing is known of it."""
        self._ask()
        return next((f", {queue.used:.0f}% used" for queue in self._queues if path in (queue.path, queue.name)), "")

    def missing(self, service: str, count: int, queue: str) -> str:
        """Why ``count`` containers of ``service`` (head or worker) are not there yet."""
        self._ask()
        memory = (self._spec.head if service == "head" else self._spec.worker).memory
        text = f"YARN has not given {count} container{'s' if count > 1 else ''} of {format_size(memory)} yet"
        if not self._nodes:
            return text
        freest = max(self._nodes, key=lambda node: node.memory_free)
        return (
            f"{text}: the most that is free on a node is {format_size(freest.memory_free * MIB)} ({freest.host}), "
            f"queue {queue!r}{self.queue(queue)}"
        )

    def on(self, hosts: list[str], queue: str) -> str:
        """Why workers that are bound to ``hosts``, one an entry, are not there yet: which host lacks how much."""
        self._ask()
        nodes = {node.host: node for node in self._nodes}
        found = []
        for host in dict.fromkeys(hosts):
            needed = self._spec.worker.memory * hosts.count(host)
            free = nodes[host].memory_free * MIB if host in nodes else 0
            there = f"{format_size(free)} free" if host in nodes else "it does not run any more"
            lacks = f", {format_size(needed - free)} too little" if host in nodes and needed > free else ""
            found.append(f"{host}: {format_size(needed)} asked, {there}{lacks}")
        count = f"{len(hosts)} container{'s' if len(hosts) > 1 else ''}"
        return f"YARN has not given {count} yet: {'; '.join(found)}; queue {queue!r}{self.queue(queue)}"

    def _ask(self) -> None:
        if time.monotonic() - self._asked < _FRESH:
            return
        try:
            self._nodes, self._queues = self._rm.nodes(), self._rm.queues()
        except RayYarnError:  # a remark is not worth an error; the wait itself says when YARN is away
            self._nodes, self._queues = [], []
        self._asked = time.monotonic()


def room_on(rm: ResourceManager, hosts: list[str]) -> str:
    """What is free on ``hosts`` now: ``n1 (512 MiB free), n2 (gone)``."""
    free = {node.host: f"{format_size(node.memory_free * MIB)} free" for node in rm.nodes()}
    return ", ".join(f"{host} ({free.get(host, 'gone')})" for host in hosts)
