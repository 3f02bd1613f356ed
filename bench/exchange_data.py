"""What the exchange's benchmarks move, and how they time it. CPU seconds are the machine's: keep it quiet."""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

ROWS = int(os.environ.get("BENCH_ROWS", "10000000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
COLUMNS = [
    "id", "cast(id % 1000 as int) k", "cast(pmod(hash(id), 7) as short) g",
    *(f"rand({number}) d{number}" for number in range(6)),
    "concat('user-', lpad(cast(id as string), 12, '0')) s", "concat('cat', cast(id % 37 as string)) c",
]  # fmt: skip
OURS = ("to_ray", "to_ray, path python", "to_spark")
_TICK = os.sysconf("SC_CLK_TCK")


def table(spark, partitions, rows=ROWS):
    """So many rows in so many partitions, in Spark's memory."""
    frame = spark.range(0, rows, 1, partitions).selectExpr(*COLUMNS).cache()
    frame.count()
    return frame


def measure(ways):
    """Medians of seconds and CPU seconds, the ways taking turns; one round before that does not count.

    A way that fails in that first round is left out, and standard error says why: files and peers are not ours.
    """
    seen = {}
    for number in range(ROUNDS + 1):
        for name in list(seen) if number else ways:
            os.sync()  # what one way has written is not written back while the next one is measured
            cpu, began = machine(), time.monotonic()
            try:
                kept = ways[name]()
            except Exception as error:
                if number or name in OURS:
                    raise
                print(f"{name}: left out: {type(error).__name__}: {error}"[:2000], file=sys.stderr, flush=True)
                continue
            one = (time.monotonic() - began, machine() - cpu)
            del kept
            print(f"round {number} of {ROUNDS}: {name}: {one[0]:.2f} s", file=sys.stderr, flush=True)
            time.sleep(1.0)
            seen.setdefault(name, [])
            if number:
                seen[name].append(one)
    return {name: [statistics.median(column) for column in zip(*runs, strict=True)] for name, runs in seen.items()}


def machine():
    """CPU seconds of this machine so far, of processes that ended too (proc(5): user, nice, system)."""
    user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / _TICK
