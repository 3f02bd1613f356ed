"""Programs inside the cluster, on a real YARN: submit, jobs and logs, and what a head does with a greedy one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_kills import wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Run, Yarn

RAYYARN = Path(sys.executable).with_name("rayyarn")
BOTH = """
import os, sys
import helper
import ray, rayyarn

with rayyarn.connect() as cluster:
    cluster.ray()
    where = ray.get(ray.remote(lambda: os.environ["CONTAINER_ID"]).remote())
    assert where != os.environ["CONTAINER_ID"], "the head takes no tasks"
    spark = cluster.spark("inside", executor_instances=1, executor_memory="512m", yarn_am_memory="512m",
                          driver_memory="512m", ui_enabled=False, ui_showConsoleProgress=False)
    dataset = cluster.to_ray(spark.range(1000))
    total = sum(row["id"] for row in dataset.iter_rows())
    back = cluster.to_spark(dataset, spark).selectExpr("sum(id)").first()[0]
    print("RESULT", total, back, helper.LEVEL, os.environ["LEVEL"], sys.argv[1:], flush=True)
    spark.stop()
"""


@pytest.fixture(scope="module")
def cluster(yarn: Yarn, prefix: Path) -> Iterator[str]:
    """A head with room for a Spark driver, and a worker."""
    sizes = ["--head-memory", "3 GiB", "--workers", "1", "--worker-memory", "2 GiB", "--worker-cpus", "1"]
    up = [RAYYARN, "up", "j", "--environment", prefix, *sizes]
    subprocess.run(up, env=yarn.environ, check=True, timeout=300, capture_output=True)
    yield "j"
    subprocess.run([RAYYARN, "down", "j"], env=yarn.environ, check=True, timeout=120, capture_output=True)


def jobs(ry: Callable[..., Run]) -> list[dict[str, Any]]:
    found = ry("jobs", "j", "--json")
    assert found.rc == 0, found.err
    listed: list[dict[str, Any]] = found.data["jobs"]  # type: ignore[index]
    return listed


@pytest.fixture(scope="module")
def both(cluster: str, yarn: Yarn, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A program with both, run once: Ray Data keeps actors of its own in the cluster from then on."""
    folder = tmp_path_factory.mktemp("both")
    (folder / "both.py").write_text(BOTH)
    (folder / "helper.py").write_text("LEVEL = 'sent'")
    words = ["--memory", "1500 MiB", "--env-vars", "LEVEL=3", "--working-dir", folder, "--json-file", folder / "a"]
    command = [RAYYARN, "submit", cluster, *words, "--", "both.py", "--epochs", "3"]
    done = subprocess.run(command, env=yarn.environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr + done.stdout
    return {"out": done.stdout, **json.loads((folder / "a").read_text())["data"]}


def test_a_script_and_its_folder_use_ray_and_spark_from_inside(
    both: dict[str, Any], ry: Callable[..., Run], yarn: Yarn
) -> None:
    assert "RESULT 499500 499500 sent 3 ['--epochs', '3']" in both["out"]
    assert (both["state"], both["code"]) == ("succeeded", 0)
    assert both["id"] in [job["id"] for job in jobs(ry)]
    if yarn.mini is not None:  # what was sent along is gone from the file system
        assert not list(Path(yarn.mini.folder).rglob(f"jobs/{both['id']}"))


def test_its_code_is_ours_and_its_words_stay_in_the_logs(ry: Callable[..., Run], cluster: str) -> None:
    done = ry("submit", cluster, "--", "python", "-c", "print('said'); raise SystemExit(7)")
    assert (done.rc, done.out) == (7, "said\n"), done.err
    job = jobs(ry)[-1]
    assert (job["state"], job["code"], job["why"]) == ("failed", 7, "ended with 7")
    logs = ry("logs", cluster, "--job", job["id"])
    assert logs.out == f"head\t{job['id']}.log\tsaid\n"
    assert ry("logs", cluster, "--job", "job-none").rc == 3


def test_a_job_goes_on_without_us_until_it_is_stopped(ry: Callable[..., Run], cluster: str) -> None:
    done = ry("submit", cluster, "--no-wait", "--", "python", "-c", "import time; print('up'); time.sleep(600)")
    job_id = done.out.strip()
    wait("the job runs", lambda: jobs(ry)[-1]["state"] == "running", 30)
    (seen,) = ry("status", cluster, "--json").data["clusters"]  # type: ignore[index]
    assert [(job["id"], job["state"]) for job in seen["jobs"]] == [(job_id, "running")]
    stopped = ry("jobs", cluster, "--stop", job_id)
    assert (stopped.rc, stopped.out.split("\t")[:3]) == (0, [job_id, "stopped", "143"])


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)]
)
def test_a_signal_stops_it_and_who_is_gone_leaves_it_running(
    ry: Callable[..., Run], cluster: str, yarn: Yarn, signum: int, code: int
) -> None:
    command = [RAYYARN, "submit", cluster, "--", "python", "-c", "import time; print('up'); time.sleep(600)"]
    with subprocess.Popen(
        command, env=yarn.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # under nohup it would stay ignored
    ) as program:  # fmt: skip
        assert program.stdout is not None
        assert program.stdout.readline() == b"up\n"
        os.kill(program.pid, signum)
        program.communicate(timeout=60)
    assert program.returncode == code
    job = jobs(ry)[-1]
    if signum in (signal.SIGHUP, signal.SIGKILL):
        assert job["state"] == "running"
        assert ry("jobs", cluster, "--stop", job["id"]).rc == 0
    else:
        assert (job["state"], job["why"]) == ("stopped", "stopped by `rayyarn jobs --stop`")


def test_a_greedy_job_ends_and_the_cluster_does_not(ry: Callable[..., Run], cluster: str) -> None:
    large = ry("submit", cluster, "--memory", "3 GiB", "--", "true")
    assert (large.rc, "cannot run beside the head of j" in large.err) == (125, True)
    eats = "x = []\nimport time\nwhile True:\n    x.append(bytearray(b'x' * (20 << 20)))\n    time.sleep(0.2)"
    done = ry("submit", cluster, "--", "python", "-c", eats)
    assert done.rc == 143, done.err
    assert "of the 512 MiB asked for, and the head's container was full" in done.err
    (seen,) = ry("status", cluster, "--json").data["clusters"]  # type: ignore[index]
    assert (seen["state"], [node["restarts"] for node in seen["nodes"]]) == ("ready", [0, 0])


def test_a_cluster_that_ends_takes_its_jobs_along(
    ry: Callable[..., Run], yarn: Yarn, prefix: Path, cluster: str
) -> None:
    """The last test of this file: the cluster is gone after it."""
    command = [RAYYARN, "submit", cluster, "--", "python", "-c", "import time; print('up'); time.sleep(600)"]
    with subprocess.Popen(
        command, env=yarn.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # under nohup it would stay ignored
    ) as program:  # fmt: skip
        assert program.stdout is not None
        assert program.stdout.readline() == b"up\n"
        assert ry("down", cluster).rc == 0
        _, err = program.communicate(timeout=60)
    assert program.returncode == 125
    assert b"the cluster j ended while job-" in err
    gone = ry("jobs", cluster)
    assert (gone.rc, "no cluster named 'j' runs" in gone.err) == (3, True)
