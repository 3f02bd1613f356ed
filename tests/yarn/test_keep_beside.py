"""Workers that follow a Spark application's executors from host to host, on a real YARN of three nodes.

An executor is so large that a node that has one and a worker cannot take a second: the next one goes elsewhere.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import on_own_mini

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Yarn

GRACE = 8.0  # seconds; it is looked for every 2
SPARK = """
import sys
from pyspark.sql import SparkSession
brief = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
spark = (SparkSession.builder.master("yarn").appName("etl")
    .config("spark.executor.instances", 1).config("spark.executor.cores", 1).config("spark.executor.memory", "3200m")
    .config("spark.yarn.am.memory", "512m").config("spark.ui.port", 0).config("spark.ui.showConsoleProgress", False)
    .config("spark.executor.extraJavaOptions", brief).config("spark.dynamicAllocation.enabled", False).getOrCreate())
context = spark.sparkContext._jsc.sc()
none = getattr(getattr(spark._jvm.scala.collection.immutable, "Map$"), "MODULE$").empty()
spark.range(10).count()
print(spark.sparkContext.applicationId, flush=True)
for line in sys.stdin:
    word, _, executor = line.strip().partition(" ")
    done = context.requestTotalExecutors(2, 0, none) if word == "more" else context.killExecutor(executor)
    print(word, done, flush=True)
spark.stop()
"""
# Holds the worker of the host that it is told: with an actor, then with an object alone, then not at all.
HOLDER = """
import sys, numpy, ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
ray.init(log_to_driver=False)

@ray.remote(num_cpus=0)
class Actor:
    def block(self):
        return numpy.zeros(1 << 20)

def alive():
    return {node["NodeManagerAddress"]: node["NodeID"] for node in ray.nodes() if node["Alive"]}

where = NodeAffinitySchedulingStrategy(alive()[sys.argv[1]], soft=False)
actor = Actor.options(scheduling_strategy=where).remote()
block = actor.block.remote()
ray.wait([block], fetch_local=False)
print("held", flush=True)
sys.stdin.readline()
ray.kill(actor)
print("an object", flush=True)
sys.stdin.readline()
assert ray.get(block).shape == (1 << 20,)
del block
print("free", flush=True)
sys.stdin.readline()
print(sys.argv[1] in alive(), flush=True)
"""


class Program:
    """One that is told a line at a time, and answers each with one."""

    def __init__(self, command: list[Any], environ: dict[str, str]) -> None:
        self.process = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, line: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.hear()

    def end(self) -> None:
        if self.process.returncode is None:
            self.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def three(yarn: Yarn, prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """A command line on a YARN of three nodes of 8 GiB."""
    with on_own_mini(yarn, prefix, tmp_path_factory.mktemp("keep"), nodes=3, memory="8GiB") as ry:
        yield ry


@pytest.fixture
def etl(three: Any, prefix: Path) -> Iterator[Program]:
    """A Spark application that does as it is told."""
    program = Program([prefix / "bin" / "python", "-c", SPARK], three.environ)
    try:
        yield program
    finally:
        program.end()


def see(three: Any, wanted: Callable[[Any], bool], limit: float) -> Any:
    """The cluster once it is as ``wanted``, and what was seen last when it is not in time."""
    end = time.monotonic() + limit
    while True:
        (one,) = three("status", "k")["data"]["clusters"]
        if wanted(one):
            return one
        if time.monotonic() > end:
            pytest.fail(f"not as it should be after {limit} s: {json.dumps(one, indent=1)}")
        time.sleep(1)


def workers(one: Any) -> set[str]:
    """The hosts of its workers."""
    return {node["host"] for node in one["nodes"] if node["role"] == "worker" and node["in_ray"]}


def test_workers_follow_the_executors_and_one_in_use_stays(three: Any, etl: Program) -> None:
    rayyarn = Path(sys.executable).with_name("rayyarn")

    def text(*words: str) -> str:
        command = [rayyarn, *words]
        return subprocess.run(command, env=three.environ, capture_output=True, text=True, timeout=60).stdout

    app = etl.hear()
    up = [
        "up", "k", "--beside", "etl", "--keep-beside", "--keep-beside-grace", f"{GRACE:.0f}s",
        "--worker-memory", "1536 MiB", "--worker-cpus", "1", "--head-memory", "1 GiB",
    ]  # fmt: skip
    first = three(*up)
    assert (first["rc"], first["data"]["workers"]) == (0, 1), first["err"]
    (old,) = workers(see(three, lambda one: one["beside"] == app and one["kept"] is not None, 20))

    assert etl.ask("more") == "more True"
    # Ray knows a worker a moment before its supervisor has said that it is ready.
    two = see(three, lambda one: len(workers(one)) == 2 and one["state"] == "ready", 90)
    (new,) = workers(two) - {old}
    assert {node["host"]: node["executors"] for node in two["nodes"] if node["role"] == "worker"} == {old: 1, new: 1}
    told = see(three, lambda one: one["kept"]["did"] == f"{new} got a worker", 10)
    assert (told["state"], told["workers"], told["wanted"]) == ("ready", 2, 2)

    holder = Program([rayyarn, "exec", "k", "--", "python", "-c", HOLDER, old], three.environ)
    try:
        assert holder.hear() == "held"
        assert etl.ask("kill 1") == "kill True"
        busy = see(three, lambda one: old in one["kept"]["stays"], 60)
        assert busy["kept"]["stays"][old].startswith("in use: ")
        assert holder.ask("") == "an object"
        time.sleep(2 * GRACE)
        held = see(three, lambda one: old in one["kept"]["stays"], 10)
        assert workers(held) == {old, new}
        assert holder.ask("") == "free"
        left = see(three, lambda one: workers(one) == {new} and one["state"] == "ready", 60)
        assert (left["wanted"], left["kept"]["did"]) == (1, f"{old} gave a worker back")
        assert holder.ask("") == "False"
    finally:
        holder.end()
    assert not three(*up)["data"]["changed"]  # there are fewer than at first, and all that are wanted

    assert etl.ask("kill 2") == "kill True"
    last = see(three, lambda one: new in one["kept"]["stays"], 60)
    assert last["kept"]["stays"][new] == "1 of the workers always stay"
    etl.end()
    over = see(three, lambda one: one["kept"]["over"], 60)
    assert workers(over) == {new}
    assert "kept\tthat Spark application has ended; the workers stay" in text("status", "k")
    said = text("logs", "k", "--node", "head")
    assert f"beside: {new} got a worker" in said
    assert f"beside: no executors on {old}: its worker " in said
    assert "Ray failed" not in text("logs", "k")
    assert three("down", "k")["rc"] == 0
