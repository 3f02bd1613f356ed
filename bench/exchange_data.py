"""What the exchange's benchmarks move, and how they time it. CPU seconds are the machine's: keep it quiet."""

from __future__ import annotations

import os
import statistics
import sys
import time
from contextlib import suppress
from pathlib import Path

import exchange_memory

ROWS = int(os.environ.get("BENCH_ROWS", "10000000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
WARM = 2  # in the second round some ways still take twice what they take later
COLUMNS = [
    "id", "cast(id % 1000 as int) k", "cast(pmod(hash(id), 7) as short) g",
    *(f"rand({number}) d{number}" for number in range(6)),
    "concat('user-', lpad(cast(id as string), 12, '0')) s", "concat('cat', cast(id % 37 as string)) c",
]  # fmt: skip
OURS = ("to_ray", "to_ray, path python", "to_spark")
KINDS = {
    "executor": b"YarnCoarseGrainedExecutorBackend", "Spark's driver": b"org.apache.spark.deploy.SparkSubmit",
    **exchange_memory.KINDS, "raylet": b"/raylet/raylet",
}  # fmt: skip
_TICK = os.sysconf("SC_CLK_TCK")


def table(spark, partitions, rows=ROWS):
    """So many rows in so many partitions, in Spark's memory."""
    frame = spark.range(0, rows, 1, partitions).selectExpr(*COLUMNS).cache()
    frame.count()
    return frame


def measure(ways):
    """Medians of seconds and CPU seconds, the ways taking turns; rounds 0 and below do not count.

    A way that fails in the first one is left out, and standard error says why: files and peers are not ours.
    """
    seen, shares = {}, {}
    for number in range(1 - WARM, ROUNDS + 1):
        for name in list(seen or ways):
            os.sync()  # what one way has written is not written back while the next one is measured
            before, cpu, began = by_kind(), machine(), time.monotonic()
            try:
                kept = ways[name]()
            except Exception as error:
                if number > 1 - WARM or name in OURS:
                    raise
                print(f"{name}: left out: {type(error).__name__}: {error}"[:2000], file=sys.stderr, flush=True)
                continue
            one = (time.monotonic() - began, machine() - cpu)
            share = {kind: value - before[kind] for kind, value in by_kind().items()}
            share["the rest"] = one[1] - sum(share.values())
            del kept
            print(f"round {number} of {ROUNDS}: {name}: {one[0]:.2f} s", file=sys.stderr, flush=True)
            time.sleep(1.0)
            seen.setdefault(name, [])
            if number > 0:
                seen[name].append(one)
                shares.setdefault(name, []).append(share)
    for name, those in shares.items():
        text = ", ".join(f"{kind} {statistics.median(one[kind] for one in those):.2f}" for kind in those[0])
        print(f"CPU seconds of {name}: {text}", file=sys.stderr, flush=True)
    return {name: [statistics.median(column) for column in zip(*runs, strict=True)] for name, runs in seen.items()}


def by_kind():
    """CPU seconds so far of each kind of process; Python workers that ended count with their daemon."""
    found = dict.fromkeys(KINDS, 0.0)
    for kind, entry in exchange_memory.processes(KINDS):
        with suppress(OSError, ValueError, IndexError):
            times = (entry / "stat").read_text().rpartition(")")[2].split()[11:15]
            found[kind] += sum(map(int, times[: 4 if kind == "Spark's Python worker" else 2])) / _TICK
    return found


def machine():
    """CPU seconds of this machine so far, of processes that ended too (proc(5): user, nice, system)."""
    user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / _TICK
