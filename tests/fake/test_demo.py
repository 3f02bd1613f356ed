"""`make demo` fails unless its result is right, and takes down what it started, whatever happens."""

import copy
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

APP, SPARK = "application_17_0001", "application_17_0002"
WORKERS = [f"container_17_0001_01_00000{number}" for number in (3, 4)]


@pytest.fixture
def demo():
    spec = importlib.util.spec_from_file_location("demo_under_test", EXAMPLES / "demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def report(demo):
    half = demo.JOINED // 2
    return {
        "spark": SPARK,
        "joined": demo.JOINED,
        "read_in": {f"127.9.9.{n} container_17_0002_01_00000{n}": half for n in (2, 3)},
        "scored_in": {f"127.9.9.{n} {worker}": half for n, worker in enumerate(WORKERS, 2)},
        "checksum": demo.CHECKSUM,
        "error": 37.1, "error_by_hour": 38.5, "error_of_mean": 39.1,
    }  # fmt: skip


@pytest.fixture
def check(demo, monkeypatch):
    nodes = [{"role": "head", "container": "container_17_0001_01_000002"}]
    nodes += [{"role": "worker", "container": worker} for worker in WORKERS]
    status = {"clusters": [{"application": APP, "nodes": nodes}]}
    monkeypatch.setattr(demo.Demo, "ask", lambda self, *words: copy.deepcopy(status))

    def run(report, listed=("container_17_0001_01_000001", "container_17_0001_01_000002", *WORKERS)):
        monkeypatch.setattr(demo, "containers", lambda *_: set(listed))
        demo.check(demo.Demo(), report)

    return run


def test_a_right_result_is_accepted(check, report):
    check(report)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"joined": 335_219}, "335,219 joined rows, not 335,220"),
        ({"checksum": "0"}, "checksum is 0"),
        ({"error": 40.0}, "the model is off by 40.0 minutes, an average by 38.5"),
        ({"scored_in": {f"127.9.9.2 {WORKERS[0]}": 335_220}}, "Ray scored in"),
        ({"scored_in": {f"h {WORKERS[0]}": 335_000, f"h {WORKERS[1]}": 0}}, "not every row"),
        ({"read_in": {f"127.9.9.2 {WORKERS[0]}": 335_220}}, f"not all of them executors of {SPARK}"),
        ({"read_in": {}}, "the flights were read in []"),
    ],
)
def test_a_wrong_result_fails(demo, check, report, change, said):
    with pytest.raises(demo.Failed) as failure:
        check({**report, **change})
    assert said in str(failure.value)


def test_a_worker_that_yarn_does_not_list_fails(demo, check, report):
    with pytest.raises(demo.Failed, match="YARN lists"):
        check(report, listed=[f"container_17_0001_01_00000{n}" for n in (1, 2, 3)])


# Stands for envs/build.py and for rayyarn: it notes what it is asked, and one command takes its time.
FAKE = """\
#!{python}
import json, os, sys, time
words = sys.argv[1:]
with open(os.environ["CALLS"], "a") as file:
    file.write(" ".join(words[:2]) + "\\n")
if "--json" in words:
    print(json.dumps({{"data": {{"clusters": []}} if "status" in words else {{"HADOOP_CONF_DIR": "/x"}}}}))
elif words[0] == os.environ["SLOW"]:
    time.sleep(60)
elif words[0] == os.environ["FAILS"]:
    sys.exit(7)
"""


def start(tmp_path, slow="", fails=""):
    """The demo with a fake `rayyarn` and a fake envs/build.py."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "examples").mkdir()
    (tmp_path / "envs").mkdir()
    (tmp_path / "examples" / "demo.py").write_text((EXAMPLES / "demo.py").read_text())
    (tmp_path / "envs" / "build.py").write_text("print('/prefix')")
    program = tmp_path / "bin" / "rayyarn"
    program.write_text(FAKE.format(python=sys.executable))
    program.chmod(0o755)
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    calls = tmp_path / "calls"
    calls.touch()
    process = subprocess.Popen(
        [tmp_path / "bin" / "python", tmp_path / "examples" / "demo.py"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CALLS": str(calls), "SLOW": slow, "FAILS": fails},
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, calls


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_demo_takes_everything_down(tmp_path, signum, code):
    process, calls = start(tmp_path, slow="exec")
    until = time.monotonic() + 20
    while "exec demo" not in calls.read_text() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signum)
    process.communicate(timeout=20)
    assert process.returncode == code
    assert calls.read_text().splitlines()[-3:] == ["exec demo", "down demo", "mini down"]


@pytest.mark.parametrize("command", ["up", "exec"])
def test_a_demo_that_fails_takes_everything_down(tmp_path, command):
    process, calls = start(tmp_path, fails=command)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert f"error: `rayyarn {command} demo" in out
    assert calls.read_text().splitlines()[-2:] == ["down demo", "mini down"]
