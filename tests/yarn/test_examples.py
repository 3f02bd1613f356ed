"""The examples, as a person runs them: `rayyarn exec` on a cluster with the environment that envs/demo.yaml makes."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Yarn

ROOT = Path(__file__).parents[2]
RAYYARN = Path(sys.executable).with_name("rayyarn")


@dataclass(frozen=True)
class Seen:
    """What came of an example."""

    out: str
    report: dict[str, Any]
    workers: set[str]  # host and container of each Ray worker, as YARN has them


@pytest.fixture(scope="module")
def seen(yarn: Yarn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Seen]]:
    """Both examples, on one cluster. What Ray Data keeps on a cluster goes with it: then nothing may be left."""
    build = [sys.executable, ROOT / "envs" / "build.py", "demo"]
    prefix = subprocess.run(build, stdout=subprocess.PIPE, text=True, timeout=900, check=True).stdout.strip()
    # More than half of a node for each worker: they are on different hosts.
    half = [] if yarn.mini is None else ["--worker-memory", f"{int(yarn.mini.memory * 0.55) >> 20} MiB"]
    sizes = ["--workers", "2", "--worker-cpus", "1", "--head-memory", "3 GiB", *half]
    folder, before = tmp_path_factory.mktemp("reports"), yarn.watch.snapshot()
    command(yarn, "up", "e", "--environment", prefix, *sizes, limit=300)
    try:
        (cluster,) = json.loads(command(yarn, "status", "e", "--json"))["data"]["clusters"]
        workers = {f"{node['host']} {node['container']}" for node in cluster["nodes"] if node["role"] == "worker"}
        found = {}
        for example in (["timeseries_automl.py"], ["flights.py", "--stop-spark"]):
            report = folder / f"{example[0]}.json"
            program = ["python", ROOT / "examples" / example[0], *example[1:], "--report", report]
            out = command(yarn, "exec", "e", "--", *program, limit=400)
            found[example[0]] = Seen(out, json.loads(report.read_text()), workers)
    finally:
        command(yarn, "down", "e", limit=120)
    assert yarn.watch.settle(before) == []
    yield found


def command(yarn: Yarn, *words: str | Path, limit: float = 60) -> str:
    """The stdout of a rayyarn command that must not fail."""
    done = subprocess.run([RAYYARN, *words], env=yarn.environ, capture_output=True, text=True, timeout=limit)
    assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def executor_of(where: str, application: str) -> bool:
    return f" container_{application.removeprefix('application_')}_" in where


@pytest.mark.timeout(1200)  # the first test waits for both programs
def test_a_search_over_models_for_a_time_series(seen: dict[str, Seen]) -> None:
    example = seen["timeseries_automl.py"]
    report, workers = example.report, example.workers
    assert report["months"] == 502  # March 1958 to December 2001 are 526, and the first 24 have too few before them
    assert len(report["trials"]) == 6
    assert {trial["where"] for trial in report["trials"]} == workers
    assert report["forecast_in"] in workers
    assert executor_of(report["features_in"], report["spark"])
    assert [year[:2] for year in report["years"]] == [[str(year), 12] for year in range(1997, 2002)]
    assert report["forecast"] == 60
    assert report["error"] < 0.9 * report["naive"] < 0.9  # parts per million of about 365
    assert report["best"] == min(report["trials"], key=lambda trial: trial["error"])["choice"]
    for place in (*workers, report["features_in"], f"{report['naive']:.3f}"):
        assert place in example.out
    assert "less than the naive forecast" in example.out


def test_a_year_of_flights_with_spark_stopped_while_ray_learns(yarn: Yarn, seen: dict[str, Seen]) -> None:
    example = seen["flights.py"]
    report, workers = example.report, example.workers
    promised = runpy.run_path(str(ROOT / "examples" / "demo.py"))
    assert (report["joined"], report["checksum"]) == (promised["JOINED"], promised["CHECKSUM"])
    assert sum(report["read_in"].values()) == sum(report["scored_in"].values()) == promised["JOINED"]
    assert set(report["scored_in"]) == workers
    assert all(executor_of(where, report["spark"]) for where in report["read_in"])
    assert report["error"] < report["error_by_hour"] < report["error_of_mean"]
    assert len(report["table"]) == 16
    for place in (*workers, *report["read_in"], report["checksum"], "335,220 rows"):
        assert place in example.out

    first, second = (yarn.get(f"apps/{report[key]}")["app"] for key in ("spark", "summed_up_by"))
    learnt = sum(report["seconds"][station] for station in ("tuned", "trained", "predicted"))
    assert first["finalStatus"] == second["finalStatus"] == "SUCCEEDED"
    assert second["startedTime"] - first["finishedTime"] > 0.8 * learnt * 1000
