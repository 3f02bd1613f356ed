"""Spark to Ray and back against Parquet, RayDP and what the JVM alone needs, with goals: `make bench-exchange`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

from stack import HERE, Stack

JVM, PYTHON = "JVM alone, Arrow made and counted", "to_ray, path python"
# Ways, and what each is set against.
AGAINST = {
    PYTHON: "to_ray", "Parquet, local disk, to Ray": "to_ray", "Parquet, HDFS, to Ray": "to_ray",
    "Parquet, local disk, to Spark": "to_spark", "Parquet, HDFS, to Spark": "to_spark",
}  # fmt: skip
_MB_OF_4_BLOCKS = 4 * (64 << 20) / 1e6


def main() -> None:
    with Stack("16GiB", environment="bench", hdfs=True) as stack, tempfile.TemporaryDirectory(
        prefix="rayyarn-bench-", dir="/var/tmp"
    ) as folder:  # fmt: skip
        stack.rayyarn(
            "up", "b", "--environment", stack.prefix, "--workers", "2", "--worker-memory", "9GiB", "--worker-cpus", "1",
            "--worker-object-store", "4GiB", "--head-memory", "2GiB",
        )  # fmt: skip
        program = [str(HERE / "exchange_program.py"), folder]
        seen = told([stack.program(), "exec", "b", "--", "python", *program], stack.environ)
    report(seen)
    report_raydp(beside_raydp())


def told(command: list[str], environ: dict[str, str]) -> dict:
    """What a program says in its line of JSON; what it says of its progress is shown as it comes."""
    done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stdout}")
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("@"))[1:])


def beside_raydp() -> dict:
    """RayDP in an environment of its own, when the mini cluster has gone."""
    build = [sys.executable, HERE.parent / "envs" / "build.py", "raydp"]
    prefix = subprocess.run(build, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    path = f"{prefix}/bin:{os.environ['PATH']}"
    environ = {**os.environ, "PYTHONPATH": str(HERE.parent), "PATH": path}
    return told([f"{prefix}/bin/python", str(HERE / "exchange_raydp.py")], environ)


def report(seen: dict) -> None:
    size, ways = seen["gigabytes"], seen["ways"]
    title(size)
    for name, (seconds, cpu) in ways.items():
        row(name, size, seconds, cpu, ratio(ways, name))
    print("\n| memory above the start, at the most, MB | Spark's Python worker | station | this program |")
    print("|---|---|---|---|")
    for what, most in seen["memory"].items():
        print(f"| {what} | {' | '.join(f'{value:.0f}' for value in most.values())} |")
    title(seen["tasks"]["4"][0])
    for count, (moved, (seconds, cpu)) in seen["tasks"].items():
        row(f"to_ray, tasks at once: {count}", moved, seconds, cpu, "")
    print("\n| goal | measured | |\n|---|---|---|")
    for text, value, limit in goals(seen):
        met = value >= -limit if limit < 0 else value <= limit
        print(f"| {text} | {value:.2f} | {'met' if met else 'missed'} |")


def goals(seen: dict) -> list[tuple[str, float, float]]:
    """What was promised, what was measured, and the limit: at the most, or, when negative, at the least."""
    ways, memory = seen["ways"], seen["memory"]
    (ray_s, ray_cpu), (spark_s, spark_cpu) = ways["to_ray"], ways["to_spark"]
    (disk_s, disk_cpu), (home_s, home_cpu) = ways["Parquet, local disk, to Ray"], ways["Parquet, local disk, to Spark"]
    (_, (_, cpu_1)), (_, (_, cpu_4)) = seen["tasks"]["1"], seen["tasks"]["4"]
    per_gb = cpu_4 / seen["tasks"]["4"][0] / (cpu_1 / seen["tasks"]["1"][0])
    worker, station, own = (max(one[kind] for one in memory.values()) for kind in memory["to_ray"])
    growth = memory["to_ray"]["this program"] - memory["to_ray, a quarter of it"]["this program"]
    count, seconds = seen["assemble"]
    return [
        ("to_ray is 3 times as fast as Parquet on the local disk", disk_s / ray_s, -3),
        ("and takes at most 0.5 of its CPU", ray_cpu / disk_cpu, 0.5),
        ("to_ray takes at most 1.6 of the CPU of the JVM alone", ray_cpu / ways[JVM][1], 1.6),
        ("to_ray is 1.6 times as fast as through mapInArrow", ways[PYTHON][0] / ray_s, -1.6),
        ("to_spark is 2 times as fast as Parquet on the local disk", home_s / spark_s, -2),
        ("and takes at most 0.45 of its CPU", spark_cpu / home_cpu, 0.45),
        ("CPU seconds a GB of 4 tasks at once: at most 1.2 of those of 1 task", per_gb, 1.2),
        ("Spark's Python worker, MB above its start: at most 150", worker, 150),
        ("the program that asks, MB above its start: at most 50", own, 50),
        ("and the same for four times the bytes, MB more: at most 10", growth, 10),
        ("a station, MB above its start: at most 4 blocks, 268", station, _MB_OF_4_BLOCKS),
        (f"seconds from {count} blocks in the store to a Dataset: at most 0.3", seconds, 0.3),
    ]


def report_raydp(seen: dict) -> None:
    size, ways = seen["gigabytes"], seen["ways"]
    title(size, f", on {seen['versions']}")
    for name, (seconds, cpu) in ways.items():
        row(name, size, seconds, cpu, "" if name == "to_ray" else against(ways[name], ways["to_ray"], "to_ray"))


def title(size: float, what: str = "") -> None:
    rounds = os.environ.get("BENCH_ROUNDS", "3")
    print(f"\n| {size:.2f} GB of Arrow, medians of {rounds}{what} | s | GB/s | CPU-s/GB | |\n|---|---|---|---|---|")


def row(name: str, size: float, seconds: float, cpu: float, note: str) -> None:
    print(f"| {name} | {seconds:.2f} | {size / seconds:.2f} | {cpu / size:.1f} | {note} |")


def ratio(ways: dict, name: str) -> str:
    """What it is in terms of ours; of ours, in terms of the floor."""
    if name == "to_ray":
        return f"{ways[name][1] / ways[JVM][1]:.2f} x the JVM's CPU"
    return against(ways[name], ways[AGAINST[name]], AGAINST[name]) if name in AGAINST else ""


def against(way: list[float], ours: list[float], name: str) -> str:
    return f"{way[0] / ours[0]:.1f} x {name}, {way[1] / ours[1]:.1f} x its CPU"


if __name__ == "__main__":
    main()
