"""Packing one environment: ours, and conda-pack's default, in turn. conda-pack runs as the program that users run."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from stack import HERE, table

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))


def main() -> None:
    build = [sys.executable, HERE.parent / "envs" / "build.py", "test"]
    prefix = subprocess.run(build, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    tools = Path(sys.executable).parent
    seconds: dict[str, list[float]] = {"rayyarn env pack": [], "conda-pack": []}
    sizes = {}
    with tempfile.TemporaryDirectory(prefix="rayyarn-bench-", dir="/var/tmp") as folder:
        for _ in range(ROUNDS):
            for name, command in {
                "rayyarn env pack": [tools / "rayyarn", "env", "pack", prefix, "--output"],
                "conda-pack": [tools / "conda-pack", "--quiet", "--force", "-p", prefix, "-o"],
            }.items():
                target = Path(folder, f"{name.split()[0]}.tar.gz")
                target.unlink(missing_ok=True)
                started = time.monotonic()
                subprocess.run([*map(str, command), str(target)], check=True, capture_output=True)
                seconds[name].append(time.monotonic() - started)
                sizes[name] = target.stat().st_size
    median = {name: statistics.median(values) for name, values in seconds.items()}
    table(
        f"medians of {ROUNDS}",
        [
            ("rayyarn env pack", median["rayyarn env pack"], f"{sizes['rayyarn env pack'] >> 20} MiB"),
            (
                "conda-pack, default", median["conda-pack"],
                f"{sizes['conda-pack'] >> 20} MiB, {median['conda-pack'] / median['rayyarn env pack']:.1f} x rayyarn",
            ),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
