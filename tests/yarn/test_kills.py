"""SIGKILL of each process in turn: what must go is gone within 30 seconds, what must heal heals by itself."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_up_and_down import SMALL

from rayyarn.mini import cluster as mini_cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Run, Yarn

GONE = 30.0  # seconds that anything of a dead cluster may live on
HEALED = 90.0  # a new container, Ray's start, and on a loaded machine one more of each


@pytest.fixture
def here(yarn: Yarn) -> Yarn:
    """A YARN whose processes are on this machine."""
    if yarn.mini is None:
        pytest.skip("needs the processes of a mini cluster: there is nothing to kill from here")
    return yarn


@pytest.fixture
def up(ry: Callable[..., Run], here: Yarn, prefix: Path) -> Iterator[dict[str, Any]]:
    """A cluster of two workers, taken down when the test has not ended it."""
    done = ry("up", "k", "--environment", prefix, "--workers", "2", *SMALL, timeout=300)
    assert done.rc == 0, done.err
    yield status(ry)
    ry("down", "k")


def status(ry: Callable[..., Run]) -> dict[str, Any]:
    """The one cluster there is."""
    done = ry("status", "k", "--json")
    assert done.rc in (0, 1), done.err  # 1: it failed
    return done.data["clusters"][0]


def processes(container: str) -> dict[int, str]:
    """The processes of a container: pid and command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"CONTAINER_ID={container}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def kill(container: str, word: str) -> None:
    """SIGKILL the one process of ``container`` whose command line has ``word``."""
    found = [pid for pid, command in processes(container).items() if word in command]
    assert found, f"no {word} in {container}: {processes(container)}"
    os.kill(min(found), signal.SIGKILL)


def wait(what: str, probe: Callable[[], Any], limit: float) -> Any:
    end = time.monotonic() + limit
    while True:
        found = probe()
        if found:
            return found
        assert time.monotonic() < end, f"not within {limit:.0f} s: {what}"
        time.sleep(0.3)


def all_gone(yarn: Yarn, cluster: dict[str, Any]) -> bool:
    application = yarn.get(f"apps/{cluster['application']}")["app"]
    return application["state"] in ("FAILED", "KILLED", "FINISHED") and not any(
        processes(node["container"]) for node in cluster["nodes"]
    )


def node(cluster: dict[str, Any], role: str) -> dict[str, Any]:
    return next(one for one in cluster["nodes"] if one["role"] == role)


def master(cluster: dict[str, Any]) -> str:
    return f"container_{cluster['application'].removeprefix('application_')}_01_000001"


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("rayyarn.container.supervisor", "head"),
        ("gcs_server", "the Ray head was lost"),
        ("raylet/raylet", "the Ray head was lost"),
    ],
)
def test_a_lost_head_ends_the_application(
    ry: Callable[..., Run], here: Yarn, up: dict[str, Any], word: str, says: str
) -> None:
    kill(node(up, "head")["container"], word)
    wait("the application is over and its processes are gone", lambda: all_gone(here, up), GONE)
    seen = ry("status", "k", "--json")
    assert seen.data["clusters"][0]["state"] == "failed"
    assert says in seen.data["clusters"][0]["why"]
    assert len(seen.data["clusters"][0]["why"].splitlines()) == 1
    assert ry("exec", "k", "--", "true").rc == 125


GLUTTON = """
import ray, time
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as At
ray.init(log_to_driver=False)
head = next(node["NodeID"] for node in ray.nodes() if "node:__internal_head__" in node["Resources"])
@ray.remote(num_cpus=0, max_retries=0)
def eat():
    eaten = b"x" * (900 << 20)
    time.sleep(60)
ray.get(eat.options(scheduling_strategy=At(head, soft=False)).remote())
"""


def test_a_head_killed_for_its_memory_says_so(ry: Callable[..., Run], here: Yarn, up: dict[str, Any]) -> None:
    ry("exec", "k", "--", "timeout", "-s", "KILL", "60", "python", "-c", GLUTTON)
    wait("the application is over and its processes are gone", lambda: all_gone(here, up), GONE)
    seen = ry("status", "k", "--json").data["clusters"][0]
    assert seen["state"] == "failed"
    assert "the Ray head was killed by its NodeManager: " in seen["why"]
    assert seen["why"].endswith("of 1 GiB physical memory used")


def test_a_lost_master_ends_the_application(ry: Callable[..., Run], here: Yarn, up: dict[str, Any]) -> None:
    kill(master(up), "java")
    wait("the application is over and its processes are gone", lambda: all_gone(here, up), GONE)
    assert status(ry)["state"] == "failed"  # and its folders are swept: the leftovers fixture looks


def test_a_lost_supervisor_of_a_worker_is_replaced(ry: Callable[..., Run], up: dict[str, Any]) -> None:
    lost = node(up, "worker")["container"]
    kill(lost, "rayyarn.container.supervisor")
    wait("its processes are gone", lambda: not processes(lost), GONE)
    wait("two workers again, without the lost one", lambda: lost not in str(ready(ry) or lost), HEALED)
    assert works(ry)
    token = _token(up)
    said = ry("logs", "k", "--node", lost)
    assert "\traylet.out\t" in said.out, said.err
    number = said.out.split("\t", 1)[0]
    errors = ry("logs", "k", "--errors").out
    assert any(line.startswith(f"yarn\t{number}\t") for line in errors.splitlines()), errors
    assert ry("down", "k").rc == 0
    collected = ry("logs", "k")
    assert collected.rc == 0, collected.err
    files = {tuple(line.split("\t")[:2]) for line in collected.out.splitlines()}
    assert {(number, "raylet.out"), (number, "worker.log"), ("head", "gcs_server.out")} <= files
    assert ("master", "application.master.log") in files
    assert token not in said.out + errors + collected.out


def _token(cluster: dict[str, Any]) -> str:
    document = Path(cluster["connection_file"])
    return (document.parent / json.loads(document.read_text())["secrets"]["token"]).read_text()


@pytest.mark.parametrize("word", ["raylet/raylet", "rayyarn.container.ray_start"])
def test_a_lost_raylet_of_a_worker_starts_again(ry: Callable[..., Run], up: dict[str, Any], word: str) -> None:
    lost = node(up, "worker")["container"]
    kill(lost, word)
    healed = wait("a restart", lambda: ready(ry, restarts=1), HEALED)
    assert lost in {one["container"] for one in healed["nodes"]}
    assert works(ry)


def test_a_lost_ray_worker_process_is_rays_own_affair(ry: Callable[..., Run], up: dict[str, Any]) -> None:
    program = (
        "import os, signal, ray, pathlib; ray.init()\n"
        "@ray.remote(max_retries=2)\n"
        "def f(mark):\n"
        "    if not os.path.exists(mark):\n"
        "        open(mark, 'w').close(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return 7\n"
        "print(ray.get(f.remote(os.environ['MARK_FILE'])))\n"
    )
    mark = Path(os.environ.get("TMPDIR", "/var/tmp"), f"rayyarn-kill-{os.getpid()}")
    try:
        done = ry("exec", "k", "--", "python", "-c", program, env={"MARK_FILE": str(mark)}, timeout=180)
    finally:
        mark.unlink(missing_ok=True)
    assert done.out.splitlines()[-1] == "7", done.err
    assert status(ry)["state"] == "ready"


@pytest.mark.parametrize("beside_the_master", [True, False])
def test_a_lost_nodemanager(ry: Callable[..., Run], here: Yarn, up: dict[str, Any], beside_the_master: bool) -> None:
    assert here.mini is not None
    host = here.get(f"apps/{up['application']}")["app"]["amRPCAddress"].rpartition(":")[0]
    if not beside_the_master:
        host = next(one for one in here.mini.nodes if one != host)
    there = [one["container"] for one in up["nodes"] if one["host"] == host]
    fatal = beside_the_master or node(up, "head")["host"] == host
    os.kill(here.mini.pids[f"nm{here.mini.nodes.index(host) + 1}"], signal.SIGKILL)
    try:
        wait("its containers' processes are gone", lambda: not any(map(processes, there)), GONE + 10)  # + expiry
        if fatal:
            wait("the application is over and its processes are gone", lambda: all_gone(here, up), GONE)
        else:
            wait("two workers again", lambda: ready(ry), HEALED)
            assert works(ry)
    finally:
        ry("down", "k")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAYYARN_HOME", str(Path(here.mini.folder).parents[1]))
            mended = mini_cluster.up(here.mini.name)
        here.mini.pids.update(mended.pids)


@pytest.mark.parametrize("step", ["environment", "skein's driver", "submit", "the application master", "the head"])
def test_a_killed_up_leaves_nothing(ry: Callable[..., Run], here: Yarn, prefix: Path, step: str) -> None:
    before = here.live()
    command = [Path(sys.executable).with_name("rayyarn"), "up", "k", "--environment", prefix, "--workers", "1", *SMALL]
    with subprocess.Popen(command, env=here.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as up:
        assert up.stderr is not None
        for line in up.stderr:
            if step in line and "waiting" not in line:
                break
        up.kill()
    wait("YARN runs nothing of it", lambda: here.live().keys() <= before.keys(), GONE + 15)
    assert ry("status", "--json").data["clusters"] == []


def test_an_up_killed_while_it_packs_leaves_nothing(
    ry: Callable[..., Run], here: Yarn, prefix: Path, tmp_path: Path
) -> None:
    another = tmp_path / "another"
    subprocess.run(["cp", "-a", prefix, another], check=True)
    (another / "new").write_text("an environment that nobody has packed yet")
    command = [Path(sys.executable).with_name("rayyarn"), "up", "k", "--environment", another, "--workers", "1", *SMALL]
    with subprocess.Popen(command, env=here.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as up:
        wait("a half-written archive", lambda: parts(here), 60)
        up.kill()
    assert parts(here)
    assert ry("status", "--json").data["clusters"] == []
    assert parts(here) == []
    shutil.rmtree(another)


def parts(here: Yarn) -> list[Path]:
    """Archives that somebody began to write on the default file system."""
    assert here.mini is not None
    return list(Path(here.mini.folder).rglob(".rayyarn/envs/.*.part-*"))


def test_a_killed_driver_fails_the_up(ry: Callable[..., Run], here: Yarn, prefix: Path) -> None:
    command = [Path(sys.executable).with_name("rayyarn"), "up", "k", "--environment", prefix, "--workers", "1", *SMALL]
    with subprocess.Popen(command, env=here.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as up:
        jvm = wait("the driver's JVM", lambda: children(up.pid, "com.anaconda.skein.Driver"), 30)
        os.kill(jvm[0], signal.SIGKILL)
        _, said = up.communicate(timeout=90)
    assert up.returncode == 1, said
    assert "error: skein's driver (a JVM) ended with -9" in said
    assert ry("status", "--json").data["clusters"] == []


def children(pid: int, word: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == pid and word in (entry / "cmdline").read_text():
                    found.append(int(entry.name))
    return found


def ready(ry: Callable[..., Run], restarts: int | None = None) -> dict[str, Any] | None:
    cluster = status(ry)
    workers = [one for one in cluster["nodes"] if one["role"] == "worker"]
    if cluster["state"] != "ready" or sum(one["in_ray"] and one["state"] == "ready" for one in workers) != 2:
        return None
    return cluster if restarts is None or sum(one["restarts"] for one in workers) >= restarts else None


def works(ry: Callable[..., Run]) -> bool:
    """Both workers run a task."""
    program = (
        "import os, time, ray; ray.init()\n"
        "@ray.remote(num_cpus=1)\n"
        "def f():\n"
        "    time.sleep(1); return os.environ['CONTAINER_ID']\n"
        "print(len(set(ray.get([f.remote() for _ in range(6)]))))\n"
    )
    done = ry("exec", "k", "--", "python", "-c", program, timeout=180)
    assert done.out.splitlines()[-1] == "2", done.err
    return True
