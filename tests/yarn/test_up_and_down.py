"""Clusters by name: up, again, from elsewhere, at the same time, interrupted, down."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Run, Yarn

SMALL = ("--head-memory", "1 GiB", "--worker-memory", "1500 MiB", "--worker-cpus", "1")


def test_a_whole_life(ry: Callable[..., Run], yarn: Yarn, prefix: Path, tmp_path: Path) -> None:
    settings = ("--environment", prefix, "--workers", "2", *SMALL)
    up = ry("up", "a", *settings, timeout=300)
    assert up.rc == 0, up.err
    name, address, file = up.out.rstrip("\n").split("\t")
    assert name == "a"
    assert re.fullmatch(r"127\.\d+\.\d+\.\d+:\d+", address)
    document = json.loads(Path(file).read_text())
    assert oct(Path(file).stat().st_mode & 0o777) == "0o600"
    assert "rayyarn exec a" in up.err.splitlines()[-1]

    listed = ry("status", "--json").data["clusters"]
    assert [(one["name"], one["state"], one["workers"], one["wanted"]) for one in listed] == [("a", "ready", 2, 2)]
    application = listed[0]["application"]
    attempt = f"appattempt_{application.removeprefix('application_')}_000001"
    in_yarn = yarn.get(f"apps/{application}/appattempts/{attempt}/containers")["container"]
    assert {node["container"] for node in document["nodes"]} < {one["containerId"] for one in in_yarn}

    again = ry("up", "a", *settings, "--json")
    assert (again.rc, again.data["changed"], again.data["application"]) == (0, False, application)

    other = ry("up", "a", *settings, "--workers", "1")
    assert other.rc == 1
    assert "workers: 1 here, 2 running" in other.err

    elsewhere = {"HOME": str(tmp_path), "RAYYARN_HOME": str(tmp_path / "ry")}
    assert ry("status", "a", "--json", env=elsewhere).data["clusters"][0]["state"] == "ready"
    joined = ry("up", "a", *settings, "--json", env=elsewhere)
    assert (joined.rc, joined.data["changed"], joined.data["address"]) == (0, False, address)
    token = (Path(file).parent / document["secrets"]["token"]).read_bytes()
    down = ry("down", "a", env=elsewhere)
    assert down.rc == 0, down.err
    if yarn.mini is not None:
        end = time.monotonic() + 30
        while (told := holding(token, Path(yarn.mini.folder))) and time.monotonic() < end:
            time.sleep(0.5)
        assert not told, "the token outlived its cluster"

    assert ry("status", "a").rc == 3
    assert not Path(file).exists()  # swept: the other edge could not remove it
    nothing = ry("down", "a")
    assert (nothing.rc, nothing.out) == (0, "")
    assert "a is not running: nothing to stop" in nothing.err
    ended = yarn.get(f"apps/{application}")["app"]
    assert ended["finalStatus"] == "SUCCEEDED"
    # The second when all containers had ended before we could say so: whoever comes first.
    assert ended["diagnostics"] in ("stopped by `rayyarn down`", "Application completed successfully.")


def holding(secret: bytes, folder: Path) -> list[Path]:
    """The files below ``folder`` that hold ``secret``; large ones are archives and jars, and are left out."""
    found = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if (
                path.is_file()
                and not path.is_symlink()
                and path.stat().st_size < 1 << 20
                and secret in path.read_bytes()
            ):
                found.append(path)
    return found


def test_more_than_any_node_has(ry: Callable[..., Run], yarn: Yarn, prefix: Path) -> None:
    before = yarn.get("metrics")["clusterMetrics"]["appsSubmitted"]
    started = time.monotonic()
    refused = ry("up", "c", "--environment", prefix, "--worker-memory", "900GiB")
    assert time.monotonic() - started < 10
    assert refused.rc == 1
    assert re.search(r"worker\.memory: 900 GiB asked, and the largest node \(127\.[\d.]+\) has [\d.]+ GiB", refused.err)
    assert yarn.get("metrics")["clusterMetrics"]["appsSubmitted"] == before


def test_no_such_queue(ry: Callable[..., Run], prefix: Path) -> None:
    refused = ry("up", "c", "--environment", prefix, "--queue", "nope")
    assert refused.rc == 1
    assert "no queue named 'nope'; YARN has: " in refused.err


def test_a_dry_run_changes_nothing(ry: Callable[..., Run], yarn: Yarn, prefix: Path) -> None:
    before = yarn.get("metrics")["clusterMetrics"]["appsSubmitted"]
    shown = ry("up", "c", "--environment", prefix, "--dry-run", "--env-vars", "PASSWORD=hunter2")
    assert shown.rc == 0, shown.err
    assert "hunter2" not in shown.out + shown.err
    assert "rayyarn.container.supervisor" in shown.out
    assert yarn.get("metrics")["clusterMetrics"]["appsSubmitted"] == before


def test_five_at_once_are_one(ry: Callable[..., Run], prefix: Path) -> None:
    settings = ("--environment", prefix, "--workers", "1", *SMALL, "--json")
    with ThreadPoolExecutor(5) as pool:
        runs = list(pool.map(lambda _: ry("up", "x", *settings, timeout=400), range(5)))
    assert [run.rc for run in runs] == [0] * 5, "\n".join(run.err for run in runs)
    assert len({run.data["application"] for run in runs}) == 1
    assert sum(run.data["changed"] for run in runs) == 1
    assert ry("down", "--all", "--yes").rc == 0


def test_without_waiting_then_joining(ry: Callable[..., Run], prefix: Path) -> None:
    settings = ("--environment", prefix, "--workers", "1", *SMALL, "--json")
    first = ry("up", "n", *settings, "--no-wait")
    assert (first.rc, first.data["state"]) == (0, "starting")
    second = ry("up", "n", *settings, timeout=300)
    assert (second.rc, second.data["state"]) == (0, "ready"), second.err
    assert second.data["application"] == first.data["application"]
    assert ry("down", "n").rc == 0


def test_a_cluster_that_nobody_waited_for_can_be_used(ry: Callable[..., Run], prefix: Path) -> None:
    assert ry("up", "n", "--environment", prefix, "--workers", "1", *SMALL, "--no-wait").rc == 0
    early = ry("exec", "n", "--", "true")
    assert (early.rc, "n is still starting" in early.err) == (125, True), early.err
    until = time.monotonic() + 180
    while ry("status", "n", "--json").data["clusters"][0]["state"] != "ready" and time.monotonic() < until:
        time.sleep(1)
    program = "import os, ray; ray.init(); print(int(ray.cluster_resources()['CPU']), os.environ['RAYYARN_NAME'])"
    used = ry("exec", "n", "--", "python", "-c", program)
    assert used.out.split() == ["1", "n"], used.err
    assert ry("down", "n").rc == 0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", ["skein's driver", "the application master", "the head", "the workers"])
def test_interrupted(yarn: Yarn, prefix: Path, step: str, signum: int, ry: Callable[..., Run]) -> None:
    command = [Path(sys.executable).with_name("rayyarn"), "up", "i", "--environment", prefix, "--workers", "1", *SMALL]
    with subprocess.Popen(
        [*command, "-v"], env=yarn.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        said = _read_until(process, _before(step))
        if step == "the application master":
            time.sleep(1.5)  # a NodeManager that is told to kill what it still fetches leaves its own token file behind
        process.send_signal(signum)
        out, err = process.communicate(timeout=90)
    assert process.returncode == 128 + signum, said + err
    assert out == ""
    assert ry("status", "--json").data["clusters"] == []


def _before(step: str) -> str:
    """What is said when the step before ``step`` ends: without a terminal a step is told of when it is over."""
    order = ["environment", "skein's driver", "submit", "the application master", "the head", "the workers"]
    return order[order.index(step) - 1]


def _read_until(process: subprocess.Popen[str], text: str) -> str:
    said = ""
    assert process.stderr is not None
    os.set_blocking(process.stderr.fileno(), True)
    for line in process.stderr:
        said += line
        if text in line and "waiting" not in line:
            return said
    pytest.fail(f"it ended before {text!r}: {said}")
