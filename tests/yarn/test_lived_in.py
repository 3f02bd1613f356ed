"""An environment as they are after a year, with nothing of ours inside, on both hosts: editable, overwritten by pip."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Run, Yarn

PROGRAM = """
import os, sys, time, ray
ray.init(log_to_driver=False)
@ray.remote(num_cpus=1)
def see():
    import greeting, setuptools
    time.sleep(1)
    return os.environ["NM_HOST"], sys.version.split()[0], setuptools.__version__, os.path.dirname(greeting.__file__)
seen = set(ray.get([see.remote() for _ in range(8)]))
for host, python, setuptools, place in sorted(seen):
    print(host, python, setuptools, "/code/" in place)
"""


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_it_runs_on_both_hosts(ry: Callable[..., Run], yarn: Yarn, version: str) -> None:
    script = Path(__file__).parents[2] / "envs" / "build.py"
    command = [sys.executable, script, "lived-in", "--python", version]
    made = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if made.returncode:
        pytest.skip(f"no Python {version} on this machine to make an environment of: {made.stderr.strip()[-200:]}")
    prefix = made.stdout.strip()
    # More than half of a node, so that the two workers cannot be on one.
    half = [] if yarn.mini is None else ["--worker-memory", f"{int(yarn.mini.memory * 0.55) >> 20} MiB"]
    up = ry("up", "y", "--environment", prefix, "--workers", "2", "--worker-cpus", "1", *half, timeout=400)
    assert up.rc == 0, up.err
    try:
        done = ry("exec", "y", "--", "python", "-c", PROGRAM, timeout=180)
    finally:
        assert ry("down", "y").rc == 0
    assert done.rc == 0, done.err
    lines = [line.split() for line in done.out.splitlines()]
    assert len({line[0] for line in lines}) == 2
    assert {(line[2], line[3]) for line in lines} == {("80.9.0", "True")}
    assert all(line[1].startswith(version) for line in lines)
