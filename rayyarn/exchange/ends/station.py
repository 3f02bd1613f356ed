"""The actor on a Ray node: a place for receivers and lenders, one a transfer or lease. Travels by value.

It outlives them: a process that has imported pyarrow and touched the object store's pages takes the next transfer at
once, a new one needs seconds of a busy machine. It listens on the network only while it has one of them.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

from rayyarn.exchange.ends.lender import Lender
from rayyarn.exchange.ends.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator


class Station:
    """Receivers and lenders by the name of their transfer or lease.

    What a block leaves is kept for the next one, until no transfer has come for ``keep_seconds``. Else it goes back to
    the kernel all the time, which clears each page before it hands it out again: up to 1 CPU second a GB.
    """

    keep_seconds = 300

    def __init__(self) -> None:
        self._here: dict[str, Any] = {}
        self._rest = threading.Timer(0, _give_back)
        if "pyarrow" not in sys.modules:  # its allocator reads this once
            os.environ.setdefault("MIMALLOC_PURGE_DELAY", str(self.keep_seconds * 1000))

    def host(self) -> str:
        """The name of its machine: YARN's, by which Spark knows it too, else its own."""
        return os.environ.get("NM_HOST") or socket.gethostname()

    def receive(self, name: str, **what: Any) -> tuple[str, int]:
        """A new receiver's address."""
        self._rest.cancel()
        self._here[name] = made = Receiver(**what)
        return made.address()

    def lend(self, name: str, **what: Any) -> tuple[str, int]:
        """A new lender's address."""
        self._here[name] = made = Lender(**what)
        return made.address()

    def blocks(self, name: str) -> Iterator[Any]:
        """What a receiver yields, until ``end``."""
        yield from self._here[name].blocks()

    def sent_schema(self, name: str) -> bytes:
        """The schema that came to a receiver."""
        return bytes(self._here[name].sent_schema())

    def takes(self, name: str) -> bool:
        """Whether a receiver has not ended."""
        return name in self._here and bool(self._here[name].takes())

    def end(self, name: str) -> None:
        """The transfer or lease is over. Safe to repeat."""
        ended = self._here.pop(name, None)
        if ended is not None:
            ended.end()
        self._rest.cancel()
        self._rest = threading.Timer(self.keep_seconds, _give_back)
        self._rest.daemon = True
        self._rest.start()


def _give_back() -> None:
    """Give back to the kernel what Arrow's allocator keeps."""
    import pyarrow as pa

    pa.allocate_buffer(64)  # the allocator hears a thread only when it has come to it before
    pa.default_memory_pool().release_unused()
