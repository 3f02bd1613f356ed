"""Keeps workers where a Spark application runs executors: the head's hands for what ``container.keep`` decides.

The head does it because it is there for as long as the cluster is; nothing has to stay on the edge. Which hosts can get
a worker is fixed at submit: skein places all containers of a service alike, so there is a service for each of them,
``worker<n>`` for the n-th, many with no instances at first.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rayyarn import store
from rayyarn.container.executors import Executors
from rayyarn.container.keep import Keep, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rayyarn.container.gcs import Gcs
    from rayyarn.container.post import Post

# Seconds between two looks, less with a short grace. Each costs Spark's driver and the ResourceManager three requests.
_EVERY = 15.0
# A supervisor that was told to stop needs seconds; one that hangs is ended by YARN.
_LEAVE = 60.0
_ACTIVE = ("WAITING", "REQUESTED", "RUNNING")
# Ray's words for every use (NodeManager::HandleDrainRaylet, seen with ray 2.60), and what they mean.
_NOT_IDLE = "no longer idle"
_IN_USE = "in use: a task, an actor, a program or the first copy of an object is there"
_JITTER = 5.0  # a moment that moves by less was not meant to move


class Beside:
    """The workers of one cluster. Call ``beat`` about once a second."""

    def __init__(
        self,
        post: Post,
        keep: Keep,
        executors: Executors,
        *,
        every: float = _EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._post, self._keep, self._executors = post, keep, executors
        self._every, self._clock, self._next = every, clock, clock()
        self._kept = store.Kept()
        self._published: store.Kept | None = None
        self._awaited: set[str] = set()  # hosts for which a worker was asked that Ray has not seen yet
        self._leaving: dict[str, float] = {}  # instances that were told to stop, when

    @classmethod
    def told(cls, told: Mapping[str, Any], post: Post) -> Beside:
        """As ``rayyarn.plan`` tells the head."""
        every = max(1.0, min(_EVERY, told["grace"] / 4))
        keep = Keep(
            told["hosts"], per_host=told["per_host"], least=told["least"], most=told["most"], grace=told["grace"],
            every=every,
        )  # fmt: skip
        return cls(post, keep, Executors(told["app"], told["rm"], told["user"]), every=every)

    def beat(self, gcs: Gcs, nodes: list[dict[str, Any]]) -> int | None:
        """Look when it is time, and do what follows. How many workers there shall be from now on; None: as before.

        ``nodes``: as ``Gcs.nodes`` gives them. Nothing is changed while nobody can say where the executors are.
        """
        if self._kept.over:
            return None
        if self._clock() >= self._next:
            self._next = self._clock() + self._every
            self._executors.ask()
        answer = self._executors.answer()
        if answer is None:
            return None
        if answer.over:
            self._tell(store.Kept(self._kept.did, self._kept.at, over=True))
            return None
        if answer.trouble:
            self._tell(replace(self._kept, trouble=answer.trouble))
            return None
        containers = self._post.containers()
        if containers is None:
            return None
        self._keep.saw(answer.hosts, self._clock())
        return self._act(gcs, nodes, self._there(containers, nodes))

    def _there(self, containers: list[dict[str, Any]], nodes: list[dict[str, Any]]) -> list[Worker]:
        """The workers that there are or shall be; not those on their way out."""
        alive = {node["name"] for node in nodes if node["alive"]}
        found = {}
        for one in containers:
            number = one["service"].partition("_")[0].removeprefix("worker")
            if number.isdigit() and one["state"] in _ACTIVE:
                name, host, container = one["service"], self._keep.hosts[int(number) - 1], one["container"] or ""
                found[name] = Worker(name, host, container, ready=container in alive)
        for name, since in list(self._leaving.items()):
            if name not in found:
                del self._leaving[name]
            elif self._clock() - since > _LEAVE:
                self._post.kill(name)
        return [worker for name, worker in found.items() if name not in self._leaving]

    def _act(self, gcs: Gcs, nodes: list[dict[str, Any]], workers: list[Worker]) -> int:
        kept = self._arrived(workers)
        for host, count in self._keep.grow(workers).items():
            service = f"worker{self._keep.hosts.index(host) + 1}"
            if self._post.scale(service, count):
                logging.info("beside: %s has executors: asked for %d workers there", host, count)
                self._awaited.add(host)
                missing = count - sum(worker.host == host for worker in workers)
                workers = workers + [Worker(f"{service}_new{number}", host) for number in range(missing)]
        stays = {}
        for worker in self._keep.spare(workers):
            why = self._keep.bound(worker, workers) or self._let_go(gcs, nodes, worker)
            if why:
                stays[worker.host] = why
                continue
            workers = [other for other in workers if other is not worker]
            self._awaited.discard(worker.host)
            kept = replace(kept, did=f"{worker.host} gave a worker back", at=time.time())
            logging.info("beside: no executors on %s: its worker %s was let go", worker.host, worker.instance)
        self._tell(replace(kept, trouble="", stays=stays, without=self._without(workers), lacks=self._lacks(workers)))
        return len(workers)

    def _arrived(self, workers: list[Worker]) -> store.Kept:
        """What is told, with the workers that came since the last look."""
        for host in sorted(self._awaited):
            theirs = [worker for worker in workers if worker.host == host]
            if theirs and all(worker.ready for worker in theirs):
                self._awaited.discard(host)
                self._kept = replace(self._kept, did=f"{host} got a worker", at=time.time())
                logging.info("beside: %s got a worker", host)
        return self._kept

    def _let_go(self, gcs: Gcs, nodes: list[dict[str, Any]], worker: Worker) -> str:
        """Have the worker end; why it does not, or nothing."""
        for node in nodes:
            if node["alive"] and node["name"] == worker.container:
                refused = gcs.drain(node["node_id"], "no executors of the Spark application on its host")
                if refused is not None:
                    return _IN_USE if _NOT_IDLE in refused else f"Ray keeps it: {refused}"
        key = store.ALIVE + worker.container
        there = self._post.keys(store.ALIVE)
        # A supervisor that is told to stop ends with 0, which is no failure; one that has not spoken yet hears nothing.
        by_word = there is not None and bool(worker.container) and key in there
        if there is None or not (self._post.forget(key) if by_word else self._post.kill(worker.instance)):
            return "the application master does not answer"
        self._leaving[worker.instance] = self._clock()
        return ""

    def _without(self, workers: list[Worker]) -> dict[str, float]:
        """Since when hosts with workers have had no executors."""
        found = {}
        for host in sorted({worker.host for worker in workers} - self._keep.executors.keys()):
            since = time.time() - self._keep.without(host)
            before = self._kept.without.get(host, 0.0)
            found[host] = before if abs(since - before) < _JITTER else since
        return found

    def _lacks(self, workers: list[Worker]) -> dict[str, str]:
        found = dict.fromkeys(self._keep.strange, "not among the hosts of `up`: it came to YARN later, or is too small")
        found |= dict.fromkeys(self._keep.refused(workers), "max-workers is reached")
        for worker in workers:
            if worker.host in self._keep.executors and not worker.ready:
                found[worker.host] = "its worker starts" if worker.container else "YARN has not given its worker yet"
        return found

    def _tell(self, kept: store.Kept) -> None:
        """Publish what has changed, and log it."""
        before = self._kept
        if kept.trouble != before.trouble:
            logging.warning("beside: %s", kept.trouble or "the executors can be seen again")
        if kept.over:
            logging.info("beside: the Spark application has ended; the workers stay where they are")
        for now, then in ((kept.stays, before.stays), (kept.lacks, before.lacks)):
            for host, why in now.items():
                if then.get(host) != why:
                    logging.info("beside: %s: %s", host, why)
        if kept != self._published and self._post.publish(store.KEPT, kept.to_json()):
            self._published = kept
        self._kept = kept
