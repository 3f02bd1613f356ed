"""The edge's own raylet: who starts it, what it outlives and what it never does; a notebook's kernel as one of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_kills import children, wait
from test_up_and_down import SMALL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Yarn


@pytest.fixture(scope="module")
def cluster(yarn: Yarn, prefix: Path) -> Iterator[dict[str, Any]]:
    """Two workers, and nobody on the edge."""
    rayyarn = Path(sys.executable).with_name("rayyarn")
    up = [rayyarn, "up", "p", "--environment", prefix, "--workers", "2", *SMALL]
    subprocess.run(up, env=yarn.environ, check=True, timeout=300, capture_output=True)
    seen = subprocess.run([rayyarn, "status", "p", "--json"], env=yarn.environ, capture_output=True, check=True)
    yield json.loads(seen.stdout)["data"]["clusters"][0]
    subprocess.run([rayyarn, "down", "p"], env=yarn.environ, check=True, timeout=120, capture_output=True)


# With the path of rayyarn as $0.
SHELL = 'eval "$("$0" connect p --shell --quiet)"'


def unshared(command: list[Any]) -> list[Any]:
    """``command`` in a PID namespace of its own, where no raylet of a worker is to be seen: like a real edge."""
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare (util-linux) for a PID namespace")
    user = [] if os.getuid() == 0 else ["--user", "--map-current-user"]
    probe = subprocess.run(["unshare", *user, "--pid", "--fork", "--mount-proc", "true"], capture_output=True)
    if probe.returncode:
        pytest.skip(f"this machine allows no PID namespace: {probe.stderr.decode().strip()}")
    return ["unshare", *user, "--pid", "--fork", "--mount-proc", "--kill-child", *command]


PROGRAM = """
import os, ray, sys, rayyarn
cluster = rayyarn.connect("p")
cluster.ray()
me = ray.get_runtime_context().get_node_id()
mine = next(node for node in ray.nodes() if node["NodeID"] == me)
print(mine["NodeName"].split("-")[0], mine["Resources"].get("CPU", 0))
@ray.remote
def where():
    return os.environ["CONTAINER_ID"]
print(*sorted(set(ray.get([where.options(num_cpus=1).remote() for _ in range(4)]))), flush=True)
if "stay" in sys.argv:
    import time
    time.sleep(600)
"""


def test_an_edge_of_its_own(yarn: Yarn, cluster: dict[str, Any], tmp_path: Path) -> None:
    """Three ways to a raylet on the edge: by exec, by connect, by `ray.init` in a shell; and all leave none behind."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    rayyarn = Path(sys.executable).with_name("rayyarn")
    shell = {**yarn.environ, "RAY_AUTH_TOKEN": "of another cluster"}  # which Ray prefers to the file that we name
    plain = "import ray; ray.init(); print(ray.get_runtime_context().gcs_address)"
    done = subprocess.run(
        unshared([rayyarn, "exec", "p", "--", "python", "-c", plain]),
        env=shell, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip() == cluster["address"], done.stderr
    done = subprocess.run(
        unshared([rayyarn, "exec", "p", "--", "python", program]),
        env=shell, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.splitlines()[0] == "edge 0", done.stderr
    script = f"{SHELL}; python -c '{plain}'; ps -e -o comm="
    done = subprocess.run(
        unshared(["bash", "-c", script, rayyarn]), env=shell, capture_output=True, text=True, timeout=120
    )
    said, *left = done.stdout.split()
    assert said == cluster["address"], done.stderr
    assert set(left) <= {"bash", "ps", "unshare"}, done.stdout


@pytest.fixture
def alone(yarn: Yarn, cluster: dict[str, Any]) -> dict[str, str]:
    """The environment of a program that imports rayyarn and was not started by `exec`."""
    rayyarn = Path(sys.executable).with_name("rayyarn")
    path = subprocess.run([rayyarn, "exec", "p", "--", "printenv", "PYTHONPATH"], env=yarn.environ, capture_output=True)
    return {**yarn.environ, "PYTHONPATH": path.stdout.decode().strip()}


def test_a_wrong_token_is_told_at_once(
    alone: dict[str, str], cluster: dict[str, Any], prefix: Path, tmp_path: Path
) -> None:
    document = Path(cluster["connection_file"])
    shutil.copytree(document.parent, tmp_path / "copy")
    path = tmp_path / "copy" / document.name
    (path.parent / json.loads(path.read_text())["secrets"]["token"]).write_text("0" * 64)
    program = f"import rayyarn, time; s = time.time()\ntry: rayyarn.connect({str(path)!r}).ray()\n" \
              "except rayyarn.RayYarnError as e: print(e.code, int(time.time() - s), e)"  # fmt: skip
    done = subprocess.run(
        unshared([prefix / "bin" / "python", "-c", program]), env=alone, capture_output=True, text=True, timeout=120
    )
    code, seconds, sentence = done.stdout.strip().split(" ", 2)
    assert (code, sentence.startswith("the cluster refuses the token in ")) == ("connection_unusable", True), (
        done.stderr
    )
    assert int(seconds) < 15  # two starts of Python on busy cores; Ray itself would try for more than 20 s


@pytest.mark.parametrize("killed", ["program", "exec"])
def test_a_killed_program_leaves_no_raylet(alone: dict[str, str], prefix: Path, tmp_path: Path, killed: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    rayyarn = Path(sys.executable).with_name("rayyarn")
    command = f"'{prefix}/bin/python'" if killed == "program" else f"'{rayyarn}' exec p -- python"
    # The shell is the namespace's first process: the namespace itself must not be what cleans up.
    script = f"{command} '{program}' stay & pid=$!; echo $pid; wait $pid; sleep 12; echo LEFT; ps -e -o comm=; exit 0"
    with subprocess.Popen(
        unshared(["bash", "-c", script]), env=alone, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        first = shell.stdout.readline()
        assert first.strip() == "edge 0", first + (shell.stderr.read() if shell.stderr else "")
        shell.stdout.readline()
        target = wait(f"the {killed}", lambda: _deep(shell.pid, str(program)), 10)
        os.kill(target, signal.SIGKILL)
        out, said = shell.communicate(timeout=60)
    # Before it, a driver prints what Ray tells all drivers: the end of another program's node, on a busy machine.
    _, _, left = out.partition("LEFT\n")
    assert "ps" in left.split(), out
    assert "raylet" not in left.split(), left
    assert set(left.split()) <= {"bash", "ps", "unshare"}, left + said


def test_a_notebook_connects_is_interrupted_starts_again_and_dies(
    alone: dict[str, str], prefix: Path, cluster: dict[str, Any]
) -> None:
    driver = Path(__file__).with_name("notebook_kernel.py")
    done = subprocess.run(
        unshared([sys.executable, driver, prefix / "bin" / "python", "p"]),
        env=alone, capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    workers = {node["container"] for node in cluster["nodes"] if node["role"] == "worker"}
    for moment in ("first", "again"):
        assert (seen[moment]["status"], seen[moment]["raylets"]) == ("ok", 1), seen
        assert set(seen[moment]["said"]) <= workers
        assert seen[moment]["said"]
    assert seen["interrupted"] == {"error": "KeyboardInterrupt", "raylets": 1}  # the cell, not the raylet
    assert (seen["after"]["status"], seen["after"]["said"]) == ("ok", ["42", "True"])
    assert seen["dead"] == {"raylets": 0}


def _deep(pid: int, word: str) -> int | None:
    for child in children(pid, ""):
        if word in Path(f"/proc/{child}/cmdline").read_text() and "bash" not in Path(f"/proc/{child}/comm").read_text():
            return child
        found = _deep(child, word)
        if found:
            return found
    return None
