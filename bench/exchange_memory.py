"""What the processes of a transfer have of memory while it runs."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

# By process id, when it was first seen: what a process keeps after one way counts in the next one too.
_START = {}
KINDS = {"Spark's Python worker": b"pyspark.daemon", "station": b"ray::Station"}
OWN = "this program"


def watched(act):
    """MB above the first look at the most, while ``act`` runs: private memory of each kind of process."""
    most, over = dict.fromkeys([*KINDS, OWN], 0.0), threading.Event()

    def look():
        while not over.wait(0.05):
            for kind, entry in [*processes(KINDS), (OWN, Path("/proc/self"))]:
                with suppress(OSError, ValueError, IndexError):
                    words = (entry / "statm").read_text().split()
                    mine = (int(words[1]) - int(words[2])) * 4096 / 1e6  # without shared pages: the store's
                    most[kind] = max(most[kind], mine - _START.setdefault(entry.name, mine))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        act()
    finally:
        over.set()
        thread.join()
    return most


def processes(kinds):
    """The processes of this machine that are of a kind (name -> a word of the command line): kind, folder in /proc."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                line = (entry / "cmdline").read_bytes()
                kind = next((kind for kind, word in kinds.items() if word in line), None)
                if kind:
                    yield kind, entry
