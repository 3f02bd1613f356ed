"""How long a cluster may live: its lifetime, and how long it may be idle. Decided here, inside the cluster."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rayyarn import store
from rayyarn.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from rayyarn.container.activity import Activity

# How often Ray's nodes are asked what they do: an idle time is minutes, and each question wakes every worker process.
_LOOK = 5.0


class Limits:
    """``idle`` and ``lifetime`` in seconds, 0 for none. ``activity`` knows what Ray does."""

    def __init__(
        self, idle: float, lifetime: float, activity: Activity, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._idle, self._lifetime, self._activity, self._clock = idle, lifetime, activity, clock
        self._born = clock()
        self._busy = clock()  # when work was seen last; a new cluster is given the whole time
        self._next = clock()
        self.state = store.Idle()

    def over(self, nodes: list[dict[str, Any]], *, usable: bool, jobs: bool = False) -> tuple[str, str] | None:
        """YARN's final status and the reason, when a limit is reached. ``nodes``: as ``Gcs.nodes`` gives them.

        A cluster that is not ``usable`` yet cannot be idle, however long its workers take to come. ``jobs``: programs
        run beside the head, and whoever submitted one waits for it.
        """
        now = self._clock()
        if not usable:
            self._busy = now
        if self._lifetime and now - self._born >= self._lifetime:
            return "FAILED", f"ended after {format_duration(self._lifetime)}, its max-lifetime"
        if not self._idle or not usable or now < self._next:
            return None
        self._next = now + _LOOK
        seen = self._activity.look([node for node in nodes if node["alive"]])
        if seen.busy or jobs:
            self._busy = now
            self.state = store.Idle(drivers=seen.drivers)
            return None
        since = time.time() - (now - self._busy) if self.state.since is None else self.state.since
        self.state = store.Idle(since=since, drivers=seen.drivers)
        if now - self._busy >= self._idle:
            return "SUCCEEDED", f"ended after {format_duration(self._idle)} without work, {store.IDLE_TIMEOUT}"
        return None
