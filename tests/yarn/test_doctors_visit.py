"""The doctor on a real YARN: nothing is wrong with it, and it says so in time, without a JVM and without a trace."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_kills import wait

# What may be worth a note on a machine that runs the tests.
HONEST = {"java", "open_files", "processes", "shared_memory", "proxies", "room", "environment", "node_cache"}
# Whatever size the nodes have, these fit.
SMALL = {"RAYYARN_HEAD_MEMORY": "1 GiB", "RAYYARN_WORKER_MEMORY": "1 GiB", "RAYYARN_WORKER_CPUS": "1"}


def test_nothing_is_wrong_with_a_real_yarn(yarn, ry, prefix):
    done = ry("doctor", "--environment", prefix, "--json", env=SMALL)
    assert done.data["seconds"] < 10  # of its own: on a busy machine Python alone may need seconds to start
    found = {one["id"]: one for one in done.data["findings"]}
    assert [one for one in found.values() if one["verdict"] == "problem"] == []
    assert done.rc == 0
    assert "not_looked_at" not in found, found["not_looked_at"]["text"]
    assert "is active (Hadoop " in found["resource_manager"]["text"]
    if yarn.mini:
        assert {one["id"] for one in found.values() if one["verdict"] == "note"} <= HONEST
        assert found["nodes"]["text"].startswith("2 running: ")
        assert found["virtual_memory"]["text"] == "not checked"
        assert "a container over its size is killed" in found["physical_memory"]["text"]
        assert "10 GiB on every node, the environment takes about " in found["node_cache"]["text"]


def test_what_cannot_run_there_is_a_problem(yarn, ry, prefix):
    done = ry("doctor", "--environment", prefix, "--queue", "nosuch", env={**SMALL, "RAYYARN_WORKER_MEMORY": "9 TiB"})
    assert done.rc == 1
    problems = [line.split("\t") for line in done.out.splitlines() if line.split("\t")[1] == "problem"]
    assert [row[0] for row in problems] == ["queue", "largest_container"]
    assert problems[0][2].startswith("no queue named 'nosuch'; YARN has: ")
    assert "worker.memory: 9 TiB asked" in problems[1][2]


def test_a_container_calls_this_machine_and_is_called(yarn, ry, prefix):
    done = ry("doctor", "--probe", "--environment", prefix, "--json", env=SMALL)
    assert done.rc == 0, done.out
    found = {one["id"]: one for one in done.data["findings"]}
    assert found["way_there"]["text"].endswith("a port that the kernel chose, answers")
    assert found["way_back"]["text"].startswith("a container on ")
    assert yarn.live() == {}
    if yarn.mini:
        assert [path.name for path in Path(yarn.mini.folder).rglob(".skein/application_*")] == []


def test_a_probe_whose_doctor_is_killed_ends_by_itself(yarn, ry, prefix):
    if not yarn.mini:
        pytest.skip("looks for what it staged")
    command = [Path(sys.executable).with_name("rayyarn"), "doctor", "--probe", "--environment", prefix]
    with subprocess.Popen(command, env={**yarn.environ, **SMALL}, stderr=subprocess.PIPE) as program:
        (app,) = wait("the probe is in YARN", yarn.live, 60)
        program.send_signal(signal.SIGKILL)
    wait("it is gone", lambda: not yarn.live(), 60)
    (ended,) = [one for one in yarn.get("apps?applicationTypes=skein")["apps"]["app"] if one["id"] == app]
    assert ended["state"] == "FINISHED"
    assert ry("status").rc == 0  # sweeps what the killed one left on the edge
    assert [path.name for path in Path(yarn.mini.folder).rglob(f".skein/{app}")] == []
