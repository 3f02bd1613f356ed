"""The object store's pages in an actor of ours, which the NodeManager counts as its memory. Travels by value: stdlib.

A block that is stored or read stays mapped, so the actor seems to have as much memory as the store has; Ray's processes
that spill and restore seem so too, and together they were over the container's limit in the first seconds of spilling
(5 GB through a store of 0.9 GB: 3.8 GB of 3.5 GB, killed). Letting go costs a page fault for each page that is used
again, 2 CPU seconds a GB, so a share of the store is kept: Ray writes where it has just freed.
"""

from __future__ import annotations

import ctypes
import re
import threading
from pathlib import Path

# How often to look, and what an actor keeps: this share of the store, which has 0.3 of the container by default.
_LOOK = 64 << 20
_LEAST = 256 << 20
_SHARE = 4
_MADV_DONTNEED = 4  # of a shared mapping: the pages stay where they are, this process alone lets go of them
# A shared mapping of a file that Ray removes at once, in the words of proc(5):
# 7f12a0000000-7f12a4000000 rw-s 00000000 00:19 77    /dev/shm/plasmaAbCdEf (deleted)
_STORE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) \S\S\Ss .*/plasma\w+(?: \(deleted\))?$", re.MULTILINE)


class Pages:
    """Looks, after so much was touched, at what this process has of the store, and lets go of it when it is much."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._touched = 0  # since the last look
        self._most = 0  # that it can have since it let go

    def touched(self, size: int) -> None:
        """So many bytes of the store were written or read by this process."""
        with self._lock:
            self._touched += size
            if self._touched < _LOOK:
                return
            self._most, self._touched = self._most + self._touched, 0
            kept = min(self._most, shared(Path("/proc/self/status").read_text()))
            if kept <= _LEAST:
                return
            store = ranges(Path("/proc/self/maps").read_text())
            if kept <= sum(end - start for start, end in store) // _SHARE:
                return
            self._most = 0
        let_go(store)


def shared(status: str) -> float:
    """Bytes of shared memory that count as this process's; infinite where the kernel (before 4.5) does not tell."""
    found = re.search(r"^RssShmem:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) << 10 if found else float("inf")


def let_go(store: list[tuple[int, int]]) -> None:
    """Let go of these pages in this process; whoever uses them here has them again at once."""
    advise = ctypes.CDLL(None).madvise
    for start, end in store:
        advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)


def ranges(maps: str) -> list[tuple[int, int]]:
    """Where the store is mapped, in the words of /proc/self/maps."""
    return [(int(found[1], 16), int(found[2], 16)) for found in _STORE.finditer(maps)]
