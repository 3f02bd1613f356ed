"""One transfer from Spark to Ray, as the program that asked for it sees it: exactly once, whatever fails on the way.

Every connection belongs to one attempt at one partition. A receiver hands its blocks on at once, so that this program
owns them, and says which attempts are complete: all that they sent is stored. Spark names the attempts that it
committed, one a partition, as the result of the job. What counts is what is in both: committed and complete, with equal
rows. All other blocks are dropped as soon as it is known that they do not count.
"""

from __future__ import annotations

import secrets
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rayyarn.errors import ExchangeFailed, RayYarnError
from rayyarn.exchange import spark_side, stations
from rayyarn.exchange.ends.receiver import BROKEN, LAST
from rayyarn.exchange.ends.telling import telling_line

if TYPE_CHECKING:
    from rayyarn.exchange.cargo import Cargo
    from rayyarn.exchange.progress import Progress

# A receiver died with blocks in it: everything is sent again, to the others.
_ROUNDS = 3
# The job is over: what is left to come are blocks on their way into the store.
_DRAIN_SECONDS = 660.0
# A stream that has ended by itself: its last item is on its way to us.
_END_SECONDS = 30.0


@dataclass(frozen=True)
class Block:
    """One block of the Dataset: its reference and what is known of it."""

    ref: Any
    rows: int
    size: int


@dataclass(frozen=True)
class Committed:
    """An attempt that Spark committed."""

    partition: int
    attempt: int
    rows: int
    station: int


@dataclass
class Received:
    """What one receiver has handed over so far; filled by a thread of its own."""

    node: str
    blocks: dict[tuple[int, int], dict[int, Block]] = field(default_factory=dict)
    complete: dict[tuple[int, int], int] = field(default_factory=dict)  # rows
    dropped: int = 0  # rows of attempts that broke off
    failure: BaseException | None = None

    def drop(self, key: tuple[int, int] | None = None) -> None:
        """Let go of the blocks of an attempt, or of all."""
        for one in [key] if key else list(self.blocks):
            self.dropped += sum(block.rows for block in self.blocks.pop(one, {}).values())


class Transfer:
    """All of a DataFrame into Ray's object store. ``run`` once."""

    def __init__(self, cargo: Cargo, progress: Progress, *, block_size: int, frame_limit: int) -> None:
        self._cargo, self._progress = cargo, progress
        self._block_size, self._frame_limit = block_size, frame_limit
        self.rounds = 0
        self.received_rows = 0
        self.schema = cargo.arrow_schema  # of the blocks

    def run(self) -> list[Block]:
        """The blocks, in the order of Spark's partitions. Raises ExchangeFailed with nothing left in the store."""
        bad: set[str] = set()
        while True:
            self.rounds += 1
            attempt = _Round(self._cargo, self._progress, stations.nodes(but=bad))
            try:
                blocks = attempt.run(self._block_size, self._frame_limit)
            except ExchangeFailed:
                dead = attempt.dead()
                if not dead or self.rounds == _ROUNDS:
                    raise
                bad |= dead
                stations.forget(dead)
                self._progress.restart()
            else:
                self.received_rows += attempt.received_rows()
                self.schema = attempt.schema or self.schema
                return blocks
            self.received_rows += attempt.received_rows()


class _Round:
    """One try with all partitions."""

    def __init__(self, cargo: Cargo, progress: Progress, nodes: list[str]) -> None:
        self._cargo, self._progress = cargo, progress
        self._nodes = nodes
        self._got: list[Received] = []
        self._stations: list[Any] = []
        self._name = f"transfer-{uuid.uuid4().hex}"
        self._drains: list[threading.Thread] = []
        self._over = False
        self.schema: Any = None  # that came with the blocks, if any did

    def run(self, block_size: int, frame_limit: int) -> list[Block]:
        """The accepted blocks; whatever else came is dropped."""
        secret = secrets.token_bytes(32)
        try:
            with spark_side.job(self._cargo.spark) as job:
                addresses = stations.open_at(
                    self._nodes, "receive", self._name, secret=secret, fields=self._cargo.fields,
                    framed_schema=self._cargo.framed_schema, block_size=block_size, frame_limit=frame_limit,
                )  # fmt: skip
                self._got, self._stations = [Received(node) for node in addresses], stations.there(addresses)
                self._drain(job)
                with self._progress.shown(self._got):
                    committed = self._send(list(addresses.values()), secret, job)
            self._ask_schema()
            self._join()
            return self._accepted(committed)
        except BaseException:
            self._over = True
            for got in self._got:  # not left to the garbage collector: a traceback may hold on to all of this
                got.drop()
            raise
        finally:
            self._over = True
            stations.end(self._name, self._stations)

    def dead(self) -> set[str]:
        """The nodes without a receiver, or whose receiver died; none when a store is full: so would the others be."""
        if not self._stations:
            return set(self._nodes)
        if any(_is_full(got.failure) for got in self._got):
            return set()
        return {got.node for got in self._got if got.failure is not None}

    def received_rows(self) -> int:
        """Rows that arrived, those of attempts that did not count included."""
        kept = sum(block.rows for got in self._got for blocks in got.blocks.values() for block in blocks.values())
        return kept + sum(got.dropped for got in self._got)

    def _send(self, addresses: list[tuple[str, int]], secret: bytes, job: spark_side.Job) -> list[Committed]:
        try:
            with spark_side.interruptible(job):
                return [Committed(row[0], row[1], row[2], row[4]) for row in self._cargo.send(addresses, secret)]
        except RayYarnError:
            raise
        except Exception as error:
            self._ask_who_died()
            raise self._why(error) from error

    def _ask_who_died(self) -> None:
        """Spark gives a partition up within a second; Ray may take longer to say that a node is gone."""
        calls = [station.takes.remote(self._name) for station in self._stations]
        for call, got, drain in zip(calls, self._got, self._drains, strict=True):
            try:
                (takes,) = stations.ask([call])
            except ExchangeFailed as error:
                got.failure = got.failure or error
            else:
                if not takes:
                    drain.join(_END_SECONDS)

    def _why(self, error: Exception) -> ExchangeFailed:
        failed = [got for got in self._got if got.failure is not None]
        full = next((got for got in failed if _is_full(got.failure)), None)
        if full is not None and full.failure is not None:
            return ExchangeFailed(
                f"Ray's object store on the node {full.node[:8]} is full, and there is no room on its disk to spill to",
                log=telling_line(full.failure),
                hint="rayyarn up NAME --worker-object-store SIZE   # more memory for objects, or free the nodes' disks",
            )
        cause = failed[0].failure if failed else None
        why = f"Ray's receiver died: {telling_line(cause)}" if cause is not None else telling_line(error)
        return ExchangeFailed("the data did not get from Spark to Ray", log=why)

    def _drain(self, job: spark_side.Job) -> None:
        for station, got in zip(self._stations, self._got, strict=True):
            blocks = station.blocks.options(num_returns="streaming").remote(self._name)
            thread = threading.Thread(target=self._collect, args=(blocks, got, job), daemon=True)
            thread.start()
            self._drains.append(thread)

    def _ask_schema(self) -> None:
        """What Spark's Python saw, time zones included; a station that died is none to ask."""
        if not self._cargo.framed_schema:
            return
        import pyarrow as pa

        alive = [one for one, got in zip(self._stations, self._got, strict=True) if got.failure is None]
        found = next(filter(None, stations.ask([one.sent_schema.remote(self._name) for one in alive])), None)
        self.schema = pa.ipc.read_schema(pa.py_buffer(found)) if found else None

    def _join(self) -> None:
        """Let the receivers end, and take what they still hold."""
        stations.end(self._name, self._stations)  # one that is dead by now has said so in its stream of blocks
        until = time.monotonic() + _DRAIN_SECONDS
        for thread in self._drains:
            thread.join(max(0.0, until - time.monotonic()))
        if any(thread.is_alive() for thread in self._drains):
            raise ExchangeFailed(f"Ray's object store has not taken the last blocks within {_DRAIN_SECONDS:.0f} s")

    def _accepted(self, committed: list[Committed]) -> list[Block]:
        blocks: list[Block] = []
        for one in sorted(committed, key=lambda one: one.partition):
            if not one.rows and one.station < 0:
                continue  # an empty partition
            got, key = self._got[one.station], (one.partition, one.attempt)
            if got.failure is not None:
                raise ExchangeFailed(
                    f"the Ray node {got.node[:8]} lost blocks it had taken", log=telling_line(got.failure)
                )  # another round mends it
            mine = got.blocks.get(key, {})
            rows = sum(block.rows for block in mine.values())
            if not got.complete.get(key) == one.rows == rows:
                raise ExchangeFailed(
                    f"partition {one.partition}: Spark sent {one.rows} rows, {rows} are in Ray's object store"
                )
            blocks += [mine[number] for number in sorted(mine)]
        return blocks

    def _collect(self, generator: Any, got: Received, job: spark_side.Job) -> None:
        """Take what a receiver yields, in a thread of its own."""
        import ray

        block = None
        try:
            for reference in generator:
                partition, attempt, number, rows, size, complete = ray.get(reference)
                key = (partition, attempt)
                got.complete |= {(one, tried): sent for one, tried, sent in complete}
                if number == LAST:
                    return
                if number == BROKEN:
                    got.drop(key)
                else:
                    block = next(generator)
                    got.blocks.setdefault(key, {})[number] = Block(block, rows, size)
            if block is not None:
                ray.get(block)  # what Ray could not store is an error in its place
            raise ExchangeFailed("the stream of blocks ended before its time")
        except BaseException as failure:
            if self._over:
                return
            got.failure = failure
            if got.complete or _is_full(failure):  # Spark would work on for nothing
                job.cancel()


def _is_full(failure: BaseException | None) -> bool:
    from ray.exceptions import ObjectStoreFullError, OutOfDiskError

    return isinstance(failure, (ObjectStoreFullError, OutOfDiskError))
