"""Blocks that Spark may read: a lease keeps them in Ray's store, whatever becomes of the Dataset or the DataFrame.

A DataFrame is a plan and can be run at any time, also one that was made from it; so a lease ends only by ``release``,
with a ``until_here`` block, with the Spark application, or with this program.
"""

from __future__ import annotations

import contextlib
import io
import re
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rayyarn.errors import UsageError
from rayyarn.exchange import spark_side, stations

if TYPE_CHECKING:
    from collections.abc import Iterator

_WATCH_SECONDS = 2.0
_END_SECONDS = 10.0
_NAME = re.compile(r"rayyarn_blocks_([0-9a-f]{12})")
_lock = threading.Lock()
_open: dict[str, Lease] = {}


@dataclass
class Lease:
    """What one ``to_spark`` lends to one Spark session."""

    spark: Any
    blocks: list[Any]
    nodes: list[str]
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    @property
    def name(self) -> str:
        """How Spark's plans call it."""
        return f"rayyarn_blocks_{self.id}"

    def open(self, **what: Any) -> dict[str, tuple[str, int]]:
        """Lenders on the nodes; their addresses by node."""
        return stations.open_at(self.nodes, "lend", self.name, **what)

    def end(self) -> None:
        """Lend no more. Safe to repeat, and after ``ray.shutdown()``: what was lent went with it."""
        with _lock:
            _open.pop(self.id, None)
        with contextlib.suppress(Exception):  # the stations may be lost
            stations.ask([known.end.remote(self.name) for known in stations.there(self.nodes)], _END_SECONDS)
        self.blocks = []


def keep(lease: Lease) -> None:
    """Hold ``lease`` until it ends."""
    with _lock:
        watch = not _open
        _open[lease.id] = lease
    if watch:
        threading.Thread(target=_watch, name="rayyarn-leases", daemon=True).start()


def release(frame: Any) -> int:
    """End the leases that a DataFrame, or what it was made from, reads; how many there were."""
    with contextlib.redirect_stdout(io.StringIO()) as plan:
        frame.explain(True)
    found = [lease for known in sorted(set(_NAME.findall(plan.getvalue()))) if (lease := _open.get(known))]
    if not found and not _NAME.search(plan.getvalue()):
        raise UsageError("this DataFrame reads nothing from Ray", hint="df = rayyarn.to_spark(ds, spark)")
    for lease in found:
        lease.end()
    return len(found)


@contextlib.contextmanager
def until_here() -> Iterator[None]:
    """Leases that are made in the body end with it."""
    with _lock:
        before = set(_open)
    try:
        yield
    finally:
        with _lock:
            made = [lease for known, lease in _open.items() if known not in before]
        for lease in made:
            lease.end()


def _watch() -> None:
    """End the leases of Spark applications that have ended, for as long as there are leases.

    Only at the second look: who has just stopped Spark mostly leaves Ray next, or ends, and a call of ours that meets
    Ray's shutdown joins the cluster anew behind the program's back, or takes the process down.
    """
    ended: set[str] = set()
    while True:
        time.sleep(_WATCH_SECONDS)
        with _lock:
            leases = list(_open.values())
        if not leases:
            return
        stopped = [lease for lease in leases if spark_side.is_stopped(lease.spark)]
        for lease in stopped:
            if lease.id in ended:
                lease.end()
        ended = {lease.id for lease in stopped}
