"""How the checks of the exchange are named and what they say; what Ray's stores hold before and after."""

from __future__ import annotations

import gc
import json
import time
from contextlib import suppress
from pathlib import Path

import ray

import rayyarn

ROWS, PARTS = 60_000, 6
CHECKS = {}


def check(function):
    CHECKS[function.__name__] = function
    return function


def say(check, /, **facts):
    print("@" + json.dumps({"check": check, **facts}), flush=True)


def store():
    """Objects and bytes in all of Ray's object stores."""
    from ray._private.internal_api import node_stats

    found = [
        node_stats(node["NodeManagerAddress"], node["NodeManagerPort"], False).store_stats
        for node in ray.nodes() if node["Alive"]
    ]  # fmt: skip
    return sum(one.num_local_objects for one in found), sum(one.object_store_bytes_used for one in found)


def settled(before, limit=20.0):
    """How many objects more than ``before`` are left when nothing more is freed."""
    until = time.monotonic() + limit
    while True:
        gc.collect()
        left = store()[0] - before[0]
        if left <= 0 or time.monotonic() > until:
            return max(left, 0)
        time.sleep(0.3)


def line(error):
    return f"{type(error).__name__}: {error}" + (f" | {error.log}" if getattr(error, "log", None) else "")


def receivers():
    """Process ids of this cluster's stations; another cluster may run on this machine."""
    application = rayyarn.connect().connection.application["id"].removeprefix("application_")
    ours = f"CONTAINER_ID=container_{application}_".encode()
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            station = entry.name.isdigit() and (entry / "cmdline").read_bytes().startswith(b"ray::Station")
            if station and ours in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found
