"""`rayyarn status NAME` of a cluster of 1,000 workers: YARN, the master and the head are real, the workers are told.

The master's store gets what as many supervisors would have put there, and what the head and `up` would have of them.
"""

from __future__ import annotations

import json
import os
import pty
import statistics
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from stack import Stack, table

from rayyarn import access, hadoop, register, store
from rayyarn.rm import ResourceManager

if TYPE_CHECKING:
    from rayyarn.skein_am import AppMaster

WORKERS, ROUNDS, GOAL = 1000, 7, 2.0
NAME, CONTAINER = "k", "container_1700000000000_0001_01_"


def main() -> None:
    with Stack() as stack:
        up = ["up", NAME, "--environment", stack.prefix, "--workers", "0", "--head-memory", "1500 MiB"]
        stack.rayyarn(*up)
        site = hadoop.find(stack.environ["HADOOP_CONF_DIR"])
        app = register.find(ResourceManager(site), NAME)
        assert app is not None
        with access.master(site, NAME, app, limit=60) as master:
            size = fill(master)
            (seen,) = json.loads(stack.rayyarn("status", NAME, "--json"))["data"]["clusters"]
            assert (seen["state"], seen["workers"], len(seen["nodes"])) == ("ready", WORKERS, WORKERS + 1)
            assert all(node["in_ray"] for node in seen["nodes"])
            ways = {
                "status NAME, into a pipe": lambda: stack.rayyarn("status", NAME),
                "on a terminal of 120 columns": lambda: on_terminal(stack, "status", NAME),
                "--json": lambda: stack.rayyarn("status", NAME, "--json"),
                "status, of all clusters": lambda: stack.rayyarn("status"),
            }
            medians = {way: statistics.median(timed(action) for _ in range(ROUNDS)) for way, action in ways.items()}
            for kind in (store.NODE, store.ALIVE):
                master.remove(f"{kind}{CONTAINER}")  # or `down` would wait for them
    verdict = f"under {GOAL:g} s: {'met' if max(medians.values()) < GOAL else 'missed'}"
    notes = [f"{size / 2**20:.1f} MiB in the store; {verdict}", *[""] * (len(medians) - 1)]
    rows = [(way, seconds, note) for (way, seconds), note in zip(medians.items(), notes, strict=True)]
    table(f"{WORKERS} workers, medians of {ROUNDS}", rows)


def fill(master: AppMaster) -> int:
    """Put the nodes into the store; how many bytes it holds then."""
    keys = master.read()
    head = next(store.NodeState.from_json(value) for key, value in keys.items() if key.startswith(store.NODE))
    (in_ray,) = json.loads(keys[store.RAY])
    document = json.loads(keys[store.CONNECTION])
    alive = [in_ray]
    for number in range(WORKERS):
        container = f"{CONTAINER}{number:06d}"
        host, ip = f"node{number:04d}.dc1.example.com", f"10.0.{number // 250}.{number % 250 + 1}"
        node = replace(head, container=container, service=f"worker_{number}", role="worker", host=host, ip=ip)
        master.write(store.NODE + container, node.to_json())
        master.write(store.ALIVE + container, b"")
        alive.append({**in_ray, "name": container, "node_id": f"{number:056x}"})
        document["nodes"].append({**document["nodes"][0], "role": "worker", "host": host, "container": container})
    master.write(store.RAY, json.dumps(alive).encode())
    master.write(store.CONNECTION, json.dumps(document, indent=2).encode())
    master.write(store.WANTED, json.dumps({"workers": WORKERS, "min_workers": WORKERS}).encode())
    return sum(len(key) + len(value) for key, value in master.read().items())


def on_terminal(stack: Stack, *words: str) -> None:
    """Run the command as a person sees it."""
    ours, theirs = pty.openpty()
    environ = {**stack.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen([stack.program(), *words], env=environ, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while data := os.read(ours, 1 << 16):
            shown += data
    except OSError:  # EIO: the other side is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    assert shown.count(b"worker") >= WORKERS


def timed(action: object) -> float:
    started = time.monotonic()
    action()  # type: ignore[operator]
    return time.monotonic() - started


if __name__ == "__main__":
    main()
