"""Spark to Ray and back, against Parquet on the local disk and against what the JVM alone needs: `make bench-exchange`.

HDFS and RayDP are not beside it yet.
"""

from __future__ import annotations

import json
import os
import tempfile

from stack import HERE, Stack


def main() -> None:
    with Stack("16GiB") as stack, tempfile.TemporaryDirectory(prefix="rayyarn-bench-", dir="/var/tmp") as folder:
        stack.rayyarn(
            "up", "b", "--environment", stack.prefix, "--workers", "2", "--worker-memory", "9GiB", "--worker-cpus", "1",
            "--worker-object-store", "4GiB", "--head-memory", "2GiB",
        )  # fmt: skip
        said = stack.rayyarn("exec", "b", "--", "python", str(HERE / "exchange_program.py"), folder)
    report(json.loads(next(line for line in said.splitlines() if line.startswith("@"))[1:]))


def report(seen: dict) -> None:
    size, ways = seen["gigabytes"], seen["ways"]
    rounds = os.environ.get("BENCH_ROUNDS", "3")
    print(f"\n| {size:.2f} GB of Arrow, medians of {rounds} | s | GB/s | CPU-s/GB | |\n|---|---|---|---|---|")
    for name, (seconds, cpu) in ways.items():
        print(f"| {name} | {seconds:.2f} | {size / seconds:.2f} | {cpu / size:.1f} | {ratio(name, ways)} |")
    print("\n| memory above the start, at the most | MB |\n|---|---|")
    for kind, most in seen["memory"].items():
        print(f"| {kind} | {most:.0f} |")
    blocks, seconds = seen["assemble"]
    print(f"\nA Dataset of {blocks} blocks that are in the store is made in {seconds:.2f} s.")


def ratio(name: str, ways: dict) -> str:
    """What it is in terms of ours."""

    def against(other: str) -> str:
        (seconds, cpu), (mine, own) = ways[name], ways[other]
        return f"{seconds / mine:.1f} x {other}, {cpu / own:.1f} x its CPU"

    if name == "to_ray":
        return f"{ways[name][1] / ways['JVM alone, Arrow made and counted'][1]:.2f} x the JVM's CPU"
    ours = {"to_ray, path python": "to_ray", "Parquet, local disk, to Ray": "to_ray",
            "Parquet, local disk, to Spark": "to_spark"}  # fmt: skip
    return against(ours[name]) if name in ours else ""


if __name__ == "__main__":
    main()
