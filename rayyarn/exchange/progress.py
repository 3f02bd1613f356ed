"""A line that says how far a transfer is, for a person at a terminal or a notebook; nothing for anybody else."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rayyarn.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rayyarn.exchange.transfer import Received

_EVERY = 0.5


class Progress:
    """``show``: True, False, or None to show it where somebody looks."""

    def __init__(self, show: bool | None) -> None:
        self._show = _somebody_looks() if show is None else show
        self._note = ""

    def restart(self) -> None:
        """A receiver was lost, and everything is sent again."""
        self._note = " (again: a Ray node was lost)"

    @contextmanager
    def shown(self, got: list[Received]) -> Iterator[None]:
        """Show how ``got`` fills while the body runs."""
        if not self._show:
            yield
            return
        over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(got, over), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _watch(self, got: list[Received], over: threading.Event) -> None:
        began = time.monotonic()
        ended = False
        while not ended:
            ended = over.wait(_EVERY)
            blocks = [block for one in got for some in list(one.blocks.values()) for block in list(some.values())]
            rows, size = sum(block.rows for block in blocks), sum(block.size for block in blocks)
            seconds = max(time.monotonic() - began, 1e-3)
            line = (
                f"Spark to Ray: {rows:,} rows, {format_size(size)}, "
                f"{rows / seconds:,.0f} rows/s, {format_size(size / seconds)}/s{self._note}"
            )
            sys.stderr.write(f"\r{line:<79}" + ("\n" if ended else ""))
            sys.stderr.flush()


def _somebody_looks() -> bool:
    return "ipykernel" in sys.modules or sys.stderr.isatty()
