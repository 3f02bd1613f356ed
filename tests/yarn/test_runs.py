"""`run` on a real YARN, the limits of a cluster, and the wrapper for cron."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

from test_kills import children, wait
from test_up_and_down import SMALL

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Run, Yarn

ROOT = Path(__file__).parents[2]
ONE = ("--workers", "1", *SMALL)


def test_a_program_with_a_cluster_of_its_own(ry: Callable[..., Run], yarn: Yarn, prefix: Path, tmp_path: Path) -> None:
    program = "import os, ray, sys; ray.init(); print(int(ray.cluster_resources()['CPU'])); sys.exit(3)"
    log, document = tmp_path / "run.log", tmp_path / "run.json"
    done = ry(
        "run", "--environment", prefix, *ONE, "--log-file", log, "--json-file", document, "--", "python", "-c", program,
        timeout=300,
    )  # fmt: skip
    assert (done.rc, done.out) == (3, ""), done.err
    assert log.read_text().splitlines()[-1] == "1"
    assert len(done.err.splitlines()) == 1, "one line without a terminal"
    told = json.loads(document.read_text())
    assert (told["exit_code"], told["errors"]) == (3, [])
    assert (told["data"]["exit_code"], told["data"]["cluster"]) == (3, "ended")
    assert done.err.startswith(f"{told['data']['name']}: python ended with 3 after ")
    assert yarn.live() == {}


def test_a_killed_run_takes_its_cluster_along(ry: Callable[..., Run], yarn: Yarn, prefix: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    command = [Path(sys.executable).with_name("rayyarn"), "run", "--name", "r", "--environment", prefix, *ONE,
               "--", "sh", "-c", f"touch {begun}; exec sleep 300"]  # fmt: skip
    with subprocess.Popen(command, env=yarn.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        wait("the program", begun.exists, 240)
        sleeper = wait("sleep", lambda: children(run.pid, "sleep"), 10)[0]
        busy = ry("run", "--name", "r", "--environment", prefix, *ONE, "--", "true")
        assert (busy.rc, "r runs already" in busy.err) == (125, True)
        skipped = ry("run", "--name", "r", "--environment", prefix, *ONE, "--if-running", "skip", "--", "false")
        assert (skipped.rc, skipped.err.splitlines()[-1].endswith("skipped")) == (0, True)
        run.send_signal(signal.SIGKILL)
    wait("the program's end", lambda: not Path(f"/proc/{sleeper}").exists(), 10)
    wait("the cluster's end", lambda: yarn.live() == {}, 60)
    seen = ry("status", "r")
    assert (seen.rc, "nobody waited for this cluster" in seen.out) == (1, True), seen.out


def test_sigterm_ends_the_program_first_and_then_the_cluster(yarn: Yarn, prefix: Path, tmp_path: Path) -> None:
    begun, heard = tmp_path / "begun", tmp_path / "heard"
    script = f"trap 'touch {heard}; exit 9' TERM; touch {begun}; while :; do sleep 0.1; done"
    command = [
        Path(sys.executable).with_name("rayyarn"),
        "run",
        "--environment",
        prefix,
        *ONE,
        "--",
        "bash",
        "-c",
        script,
    ]
    with subprocess.Popen(command, env=yarn.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        wait("the program", begun.exists, 240)
        run.send_signal(signal.SIGTERM)
        _, said = run.communicate(timeout=90)
    assert (run.returncode, heard.exists()) == (9, True), said
    assert yarn.live() == {}


def test_limits_are_kept_inside_the_cluster(ry: Callable[..., Run], yarn: Yarn, prefix: Path) -> None:
    settings = ("--environment", prefix, *ONE)
    assert ry("up", "i", *settings, "--idle-timeout", "40 s", timeout=300).rc == 0
    program = """
        import ray, time
        ray.init()
        @ray.remote
        class Worker:
            def work(self, seconds):
                time.sleep(seconds)
        worker = Worker.remote()
        ray.get(worker.work.remote(45))
        print(time.time(), flush=True)
        time.sleep(120)
    """
    command = [Path(sys.executable).with_name("rayyarn"), "exec", "i", "--", "python", "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, env=yarn.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        worked = float(run.stdout.readline())
        assert len(yarn.live()) == 1, "an actor call longer than the limit is work"
        named = wait("the silent driver's name", lambda: ry("status", "i", "--json").data["clusters"][0]["drivers"], 20)
        assert named[0].split()[1] == "pid"
        wait("the cluster's end", lambda: yarn.live() == {}, 90)
        lasted = time.time() - worked
        run.kill()
    assert 35 < lasted < 70
    seen = ry("status", "i", "--json").data["clusters"][0]
    assert (seen["state"], seen["why"]) == ("stopped", "ended after 40s without work, its idle-timeout")


def test_a_lifetime_ends_also_a_cluster_that_comes_up(ry: Callable[..., Run], yarn: Yarn, prefix: Path) -> None:
    assert ry("up", "l", "--environment", prefix, *ONE, "--max-lifetime", "10 s", "--no-wait").rc == 0
    wait("the cluster's end", lambda: yarn.live() == {}, 120)
    seen = ry("status", "l")
    assert (seen.rc, "ended after 10s, its max-lifetime" in seen.out) == (1, True)


def test_the_wrapper_for_cron(yarn: Yarn, prefix: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "cron" / "nightly.sh", tmp_path)
    (tmp_path / "program.py").write_text("import ray; ray.init(); print('rows', 12)\n")
    (tmp_path / "rayyarn.yaml").write_text(
        f"name: nightly\nenvironment: {prefix}\nworkers: 1\n"
        "worker: {cpus: 1, memory: 1500 MiB}\nhead: {memory: 1 GiB}\n"
    )
    environ = {**yarn.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{yarn.environ['PATH']}"}
    done = subprocess.run([tmp_path / "nightly.sh"], env=environ, capture_output=True, text=True, timeout=300)
    (log,) = (tmp_path / "logs").glob("*.log")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), log.read_text()
    assert "rows 12" in log.read_text()
    failed = subprocess.run(
        [tmp_path / "nightly.sh"], env={**environ, "JOB_PROGRAM": "false"}, capture_output=True, text=True, timeout=300
    )
    said = "".join(log.read_text() for log in (tmp_path / "logs").glob("*.log"))
    assert (failed.returncode, failed.stderr.startswith("the program failed with 1: ")) == (1, True), said
