"""Workers on the hosts of a Spark application's executors, on a real YARN of three nodes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import on_own_mini

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Yarn

SPARK = """
import sys
from pyspark.sql import SparkSession
brief = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
spark = (SparkSession.builder.master("yarn").appName("etl")
    .config("spark.executor.instances", 1).config("spark.executor.cores", 1).config("spark.executor.memory", "512m")
    .config("spark.yarn.am.memory", "512m").config("spark.ui.enabled", sys.argv[1]).config("spark.ui.port", 0)
    .config("spark.ui.showConsoleProgress", False).config("spark.executor.extraJavaOptions", brief)
    .config("spark.dynamicAllocation.enabled", False).getOrCreate())
assert spark.range(1000).selectExpr("sum(id)").first()[0] == 499500
print(spark.sparkContext.applicationId, flush=True)
sys.stdin.readline()
spark.stop()
"""
NEAR = """
import json, warnings
import rayyarn
cluster = rayyarn.connect()
small = dict(executor_instances=1, executor_memory="512m", executor_memoryOverhead="256m", yarn_am_memory="512m",
             yarn_am_memoryOverhead="256m", ui_enabled=False, ui_showConsoleProgress=False)
with warnings.catch_warnings(record=True) as told:
    large = {**small, "executor_memory": "3g", "scheduler_maxRegisteredResourcesWaitingTime": "2s"}
    cluster.spark("far", near_ray=True, **large).stop()
spark = cluster.spark("near", near_ray=True, **small)
spark.range(10).count()
print(json.dumps([[str(one.message) for one in told], cluster.near(spark)]))
spark.stop()
"""
SIZES = ["--head-memory", "1 GiB", "--worker-cpus", "1"]


@pytest.fixture(scope="module")
def three(yarn: Yarn, prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """A command line on a YARN of three nodes of 5 GiB, with an environment chosen."""
    with on_own_mini(yarn, prefix, tmp_path_factory.mktemp("three"), nodes=3, memory="5GiB") as ry:
        yield ry


@pytest.fixture
def etl(three: Any, prefix: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A Spark application ``etl`` with one executor; its id."""
    command = [prefix / "bin" / "python", "-c", SPARK, getattr(request, "param", "true")]
    program = subprocess.Popen(command, env=three.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert program.stdin is not None
    assert program.stdout is not None
    try:
        yield program.stdout.readline().strip()
    finally:
        program.communicate(timeout=60)


def places(three: Any, name: str) -> list[tuple[str, str, int]]:
    (one,) = three("status", name)["data"]["clusters"]
    return [(node["role"], node["host"], node["executors"]) for node in one["nodes"]]


def test_the_worker_goes_where_the_executor_is_and_a_full_host_is_named(three: Any, etl: str) -> None:
    up = three("up", "x", "--beside", "etl", "--worker-memory", "2 GiB", *SIZES)
    assert (up["rc"], up["data"]["workers"]) == (0, 1), up["err"]
    (head, worker) = places(three, "x")
    assert (worker[0], worker[2]) == ("worker", 1)
    assert (head[0], head[2]) == ("head", 0)  # two other hosts had room for it
    assert three("status", "x")["data"]["clusters"][0]["beside"] == etl
    assert not three("up", "x", "--beside", etl, "--worker-memory", "2 GiB", *SIZES)["data"]["changed"]
    other = three("up", "x", "--worker-memory", "2 GiB", *SIZES)
    assert (other["rc"], other["errors"][0]["code"]) == (1, "cluster_differs")
    assert f"beside: - here, {etl} running" in other["errors"][0]["message"]

    full = ["--beside", etl, "--worker-memory", "2560 MiB", *SIZES, "--ready-timeout", "30s"]
    refused = three("up", "y", *full)
    assert (refused["rc"], refused["errors"][0]["code"]) == (4, "not_ready")
    assert f"{worker[1]}: 2.5 GiB asked, " in refused["errors"][0]["message"]
    assert " too little" in refused["errors"][0]["message"]
    assert [one["name"] for one in three("status")["data"]["clusters"]] == ["x"]

    spread = three("up", "y", *full[:-2], "--beside-or-anywhere")
    assert spread["rc"] == 0, spread["err"]
    elsewhere = next(host for role, host, _ in places(three, "y") if role == "worker")
    assert elsewhere != worker[1]
    assert f"workers elsewhere than asked for: on {elsewhere}" in spread["data"]["remarks"]
    for name in ("x", "y"):
        assert three("down", name)["rc"] == 0


@pytest.mark.parametrize("etl", ["false"], indirect=True)
def test_an_application_without_a_page_is_found_as_well_and_hosts_can_be_named(three: Any, etl: str) -> None:
    up = three("up", "z", "--beside", etl, "--worker-memory", "1 GiB", *SIZES, "--no-wait")
    assert up["rc"] == 0, up["err"]
    up = three("up", "z", "--beside", etl, "--worker-memory", "1 GiB", *SIZES)
    assert up["rc"] == 0, up["err"]
    (_, worker) = places(three, "z")
    assert worker[2] == 1
    program = [Path(sys.executable).with_name("rayyarn"), "exec", "z", "--", "python", "-c", NEAR]
    done = subprocess.run(program, env=three.environ, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    ((told,), near) = json.loads(done.stdout.splitlines()[-1])
    assert told.startswith("YARN has given far no executor yet, and with near_ray it gives them on these hosts only: ")
    assert f"{worker[1]} (" in told
    assert near == {worker[1]: {"executors": 1, "workers": 1}}
    unknown = three("up", "w", "--hosts", f"{worker[1]},nowhere", *SIZES)
    assert (unknown["rc"], unknown["errors"][0]["code"]) == (1, "hosts_unusable")
    assert three("down", "z")["rc"] == 0
