"""What only a process of its own shows: signals, a closed pipe, a terminal."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# A command line whose library takes its time: it makes a file, says so, waits, and undoes the file.
PROGRAM = """
import sys, time, types
from pathlib import Path
import rayyarn
from rayyarn.steps import Steps
from types import SimpleNamespace

def up(spec, *, reporter, **_):
    made = Path("made")
    with Steps(reporter) as steps:
        with steps.step("make") as step:
            made.touch()
            steps.undo("make", made.unlink)
            step.result = "there"
        with steps.step("head", limit=60) as step:
            step.update("ACCEPTED in 'etl'")
            Path("waiting").touch()
            try:
                step.wait(lambda: Path("go").exists())
            except Exception:  # a careless handler below must not swallow a signal
                step.wait(lambda: False)
    return SimpleNamespace(name="demo", address="a:1", connection_file=None, changed=True, state="ready", remarks=(),
                           timeline=(), to_dict=dict)

fake = types.ModuleType("rayyarn.cluster")
fake.up = up
sys.modules["rayyarn.cluster"] = rayyarn.cluster = fake
from rayyarn_cli.main import main
main()
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


def environ(folder, **more):
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return kept | {"HOME": str(folder), "PYTHONUTF8": "1"} | more


def start(folder, *argv, **more):
    more.setdefault("stdout", subprocess.PIPE)
    more.setdefault("stderr", subprocess.PIPE)
    command = [sys.executable, "program.py", *argv]
    return subprocess.Popen(command, cwd=folder, env=environ(folder), text=True, **more)


def until(probe, limit=20):
    deadline = time.monotonic() + limit
    while not probe():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_undoes_and_ends_with_its_code(folder, signum, code):
    # Under nohup these tests would hand on that SIGHUP is ignored.
    process = start(folder, "up", "demo", preexec_fn=lambda: signal.signal(signum, signal.SIG_DFL))
    until((folder / "waiting").exists)
    assert (folder / "made").exists()
    process.send_signal(signum)
    out, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert not (folder / "made").exists()
    assert out == ""
    assert "undo: make" in err
    assert err.endswith(f"error: interrupted by signal {int(signum)}\n")
    assert "Traceback" not in err


def test_an_interruption_in_json(folder):
    process = start(folder, "up", "--json")
    until((folder / "waiting").exists)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 143
    assert '"code": "interrupted"' in out
    assert '"exit_code": 143' in out


def test_a_signal_that_the_caller_ignores_stays_ignored(folder):
    """nohup: SIGHUP must not end what it was started with."""
    process = start(folder, "up", "demo", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    until((folder / "waiting").exists)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert process.poll() is None
    (folder / "go").touch()
    process.communicate(timeout=20)
    assert process.returncode == 0


@pytest.mark.parametrize("argv", [["config"], ["--help"], ["config", "--json"]])
def test_a_reader_that_goes_away_is_no_failure(folder, argv):
    read, write = os.pipe()
    os.close(read)
    process = start(folder, *argv, stdout=write)
    os.close(write)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")


def test_losing_the_reader_of_the_conversation_does_not_undo_the_work(folder):
    read, write = os.pipe()
    os.close(read)
    process = start(folder, "up", "demo", stderr=write)
    os.close(write)
    until((folder / "waiting").exists)
    (folder / "go").touch()
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "demo\ta:1\t-\n")
    assert (folder / "made").exists()


@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_closed_stream_is_no_failure(folder, closed):
    (folder / "go").touch()
    line = f"exec {sys.executable} program.py up demo {closed}>&-"
    done = subprocess.run(
        ["sh", "-c", line], cwd=folder, env=environ(folder), capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "made").exists()


def test_many_signals_are_one(folder):
    """An impatient Ctrl-C, Ctrl-C and a SIGTERM after it: one undo, and the first one's exit code."""
    process = start(folder, "up", "demo")
    until((folder / "waiting").exists)
    for signum in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        process.send_signal(signum)
        time.sleep(0.002)
    _, err = process.communicate(timeout=20)
    assert process.returncode in (130, 143)  # two that arrive together have no order
    assert not (folder / "made").exists()
    assert "Traceback" not in err


def on_terminal(folder, *argv, act=lambda: None, **more):
    """Run on a terminal of its own; all that it showed."""
    ours, theirs = pty.openpty()
    variables = environ(folder, **{"TERM": "xterm"} | more)
    command = [sys.executable, "program.py", *argv]
    process = subprocess.Popen(command, cwd=folder, env=variables, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + 20
    try:
        while time.monotonic() < deadline:
            act()
            if select.select([ours], [], [], 0.05)[0]:
                try:
                    shown += os.read(ours, 65536)
                except OSError:  # EIO: the other side is closed
                    break
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return shown.decode()


def test_a_terminal_shows_what_is_awaited_and_ticks(folder):
    began = []

    def act():
        if (folder / "waiting").exists():
            began.append(time.monotonic())
            if began[-1] - began[0] > 0.5:
                (folder / "go").touch()

    shown = on_terminal(folder, "up", "demo", act=act)
    assert "head: ACCEPTED in 'etl' (waiting up to 60s)" in shown
    assert "✓" in shown
    assert "make: there" in shown
    assert shown.rstrip().splitlines()[-1] == "rayyarn exec demo -- python your_program.py"
    assert "\r\x1b[2K" in shown  # the moving line is wiped


def test_no_color_and_a_dumb_terminal(folder):
    (folder / "go").touch()
    assert "\x1b[32m" in on_terminal(folder, "up")
    assert "\x1b[32m" not in on_terminal(folder, "up", NO_COLOR="1")
    shown = on_terminal(folder, "up", TERM="dumb")
    assert "\x1b" not in shown
    assert "make: there" in shown


def test_marks_are_ascii_where_the_locale_is(folder):
    (folder / "go").touch()
    shown = on_terminal(folder, "up", PYTHONUTF8="0", LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="ascii")
    assert "✓" not in shown
    assert "ok" in shown


def test_tables_have_headings_on_a_terminal_only(folder):
    shown = on_terminal(folder, "config", NO_COLOR="1")
    assert shown.split()[:3] == ["SETTING", "VALUE", "ORIGIN"]
    assert "\x1b" not in shown
    piped = subprocess.run(
        [sys.executable, "program.py", "config"], cwd=folder, env=environ(folder), capture_output=True, text=True
    )
    assert piped.stdout.startswith("name\tdefault\tdefault\n")


def test_names_are_completed_from_local_files(folder):
    for name in ("nightly", "noon", "demo"):
        file = Path(folder, ".rayyarn/clusters/yarn", f"{name}.json")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    variables = environ(folder, _RAYYARN_COMPLETE="bash_complete", COMP_WORDS="rayyarn down n", COMP_CWORD="2")
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=folder, env=variables, capture_output=True, text=True, timeout=20
    )
    assert done.stdout.split() == ["plain,nightly", "plain,noon"]
