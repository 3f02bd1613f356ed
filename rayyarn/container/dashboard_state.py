"""What the supervisor and the gate of the dashboard tell each other: two small files in a folder of theirs (0700).

The gate says that somebody wants the dashboard, by touching a file; the supervisor says how far it is, in another.
Neither waits for the other, and neither is harmed when the other dies.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rayyarn import home

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class DashboardState:
    """``state``: off, starting, on or refused; ``port``: where it listens on loopback; ``why``: a sentence."""

    state: str = "off"
    port: int = 0
    why: str = ""


class Board:
    """The two files in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._state, self._wish = folder / "state.json", folder / "wanted"

    def tell(self, state: DashboardState) -> None:
        """Let the gate know."""
        home.write_private(self._state, json.dumps(asdict(state)).encode())

    def told(self) -> DashboardState:
        """What the supervisor said last."""
        try:
            return DashboardState(**json.loads(self._state.read_bytes()))
        except (OSError, ValueError, TypeError):
            return DashboardState()

    def want(self) -> None:
        """Somebody who may asks for the dashboard."""
        with suppress(OSError):  # a full disk: the answer is then that of a dashboard that is off
            self._wish.touch(mode=0o600)

    def wanted(self) -> float:
        """Seconds since it was asked for last; infinite when never."""
        try:
            return max(0.0, time.time() - self._wish.stat().st_mtime)
        except OSError:
            return float("inf")
