"""Owning processes, tried on real ones: in a process of its own, as `end_all` ends all that is below the caller."""

import subprocess
import sys
import textwrap

import pytest

BEGIN = """
import os, subprocess, sys, time
from pathlib import Path
from rayyarn import prctl
from rayyarn.container import processes
prctl.adopt_orphans()
log = Path("log")
def below(count):
    until = time.monotonic() + 10
    while len(processes.descendants()) != count and time.monotonic() < until:
        time.sleep(0.02)
    return len(processes.descendants())
"""
CASES = {
    "an orphan stays below us, and is ended": """
        processes.start(["sh", "-c", "setsid sleep 60 & exit 0"], os.environ, log)
        assert below(1) == 1, processes.descendants()
        assert list(processes.descendants().values()) == ["sleep"]
        processes.end_all(1.0)
        assert processes.descendants() == {}
    """,
    "who does not listen is killed": """
        processes.start(["sh", "-c", "trap '' TERM; touch up; while true; do sleep 0.05; done"], os.environ, log)
        while not Path("up").exists():
            time.sleep(0.02)
        started = time.monotonic()
        processes.end_all(0.3)
        assert processes.descendants() == {}
        assert 0.3 <= time.monotonic() - started < 5
    """,
    "kill_all leaves nobody": """
        for _ in range(3):
            processes.start(["sh", "-c", "sleep 60 & sleep 60"], os.environ, log)
        assert below(9) == 9
        processes.kill_all()
        assert below(0) == 0
    """,
    "zombies are reaped, but not the one whose status is wanted": """
        kept = processes.start(["sh", "-c", "exit 5"], os.environ, log)
        processes.start(["sh", "-c", "(sleep 0.05; exit 3) & exit 0"], os.environ, log)
        time.sleep(0.4)
        processes.reap(but={kept.pid})
        ours = map(int, Path("/proc/self/task", str(os.getpid()), "children").read_text().split())
        zombies = [pid for pid in ours if " Z " in Path(f"/proc/{pid}/stat").read_text()]
        assert zombies == [kept.pid], zombies
        assert kept.wait() == 5
    """,
    "output goes to the log, input is empty": """
        assert processes.start(["sh", "-c", "cat; echo out; echo err >&2"], os.environ, log).wait() == 0
        assert log.read_text() == "out\\nerr\\n"
    """,
    "whoever is started dies with us": """
        child = processes.start(["sleep", "60"], os.environ, log)
        print(child.pid, flush=True)
        os.kill(os.getpid(), 9)
    """,
}


@pytest.mark.parametrize("case", CASES)
def test_processes(case, tmp_path):
    program = BEGIN + textwrap.dedent(CASES[case])
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    if case == "whoever is started dies with us":
        assert done.returncode == -9
        gone = subprocess.run(["ps", "-o", "stat=", "-p", done.stdout.strip()], capture_output=True, text=True)
        assert gone.stdout.strip()[:1] in ("", "Z")
    else:
        assert done.returncode == 0, done.stderr
