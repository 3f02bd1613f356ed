"""Which host shall get a worker and which worker may go, as a Spark application's executors come and go: decisions.

Nothing is asked and nothing is done here; time is handed in. ``container.beside`` has the hands.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True)
class Worker:
    """A container that was asked for. ``instance``: skein's name for it, ``container``: YARN's id, once it has one.

    ``host``: the one that its service is bound to; ``ready``: Ray has it as a node.
    """

    instance: str
    host: str
    container: str = ""
    ready: bool = False


class Keep:
    """The rules of one cluster, and for how long each of its hosts has been seen without executors."""

    def __init__(
        self, hosts: Iterable[str], *, per_host: int, least: int, most: int | None, grace: float, every: float
    ) -> None:
        """``hosts``: those that can get ``per_host`` workers. ``least`` and ``most``: how many workers in all.

        ``grace``: seconds without executors after which a host gives its workers back; ``every``: between two looks.
        """
        self.hosts = tuple(hosts)
        self._per_host, self._least, self._most, self._grace, self._every = per_host, least, most, grace, every
        self._known = {host.lower(): host for host in self.hosts}
        self._without: dict[str, float] = dict.fromkeys(self.hosts, 0.0)
        self._looked: float | None = None
        self.executors: dict[str, int] = {}
        self.strange: tuple[str, ...] = ()

    def saw(self, executors: Mapping[str, int], now: float) -> None:
        """Take note of where executors run ``now``. Time in which nobody could look does not count as without them."""
        passed = 0.0 if self._looked is None else min(now - self._looked, 2 * self._every)
        self._looked = now
        self.executors = {known: count for host, count in executors.items() if (known := self._known.get(host.lower()))}
        self.strange = tuple(sorted(host for host in executors if host.lower() not in self._known))
        for host in self.hosts:
            self._without[host] = 0.0 if host in self.executors else self._without[host] + passed

    def without(self, host: str) -> float:
        """For how many seconds ``host`` has been seen without executors."""
        return self._without[host]

    def grow(self, workers: Iterable[Worker]) -> dict[str, int]:
        """The hosts that shall have more workers than they have, with how many; those with most executors first."""
        there = Counter(worker.host for worker in workers)
        total, found = sum(there.values()), {}
        for host in sorted(self.executors, key=lambda host: (-self.executors[host], host)):
            missing = self._per_host - there[host]
            if missing > 0 and not self._too_many(total + missing):
                found[host] = self._per_host
                total += missing
        return found

    def refused(self, workers: Iterable[Worker]) -> tuple[str, ...]:
        """Hosts with executors that get no worker because there would be more than ``most``."""
        there, grown = Counter(worker.host for worker in workers), self.grow(workers)
        return tuple(sorted(host for host in self.executors if there[host] < self._per_host and host not in grown))

    def _too_many(self, count: int) -> bool:
        return self._most is not None and count > self._most

    def spare(self, workers: Iterable[Worker]) -> list[Worker]:
        """The workers whose host has been without executors for so long that they may go, the longest first."""
        over = [worker for worker in workers if worker.host in self._without and self._over(worker.host)]
        return sorted(over, key=lambda worker: (-self._without[worker.host], worker.host, worker.instance))

    def _over(self, host: str) -> bool:
        return host not in self.executors and self._without[host] >= self._grace

    def bound(self, worker: Worker, workers: Iterable[Worker]) -> str:
        """Why this one must stay although nobody needs it on its host: it is one of the last. Else nothing.

        In place of a ready one there must be ready ones.
        """
        others = [other for other in workers if other.instance != worker.instance]
        left = sum(other.ready or not worker.ready for other in others)
        return f"{self._least} of the workers always stay" if left < self._least else ""
