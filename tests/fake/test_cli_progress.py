"""Steps in a log file: few lines, and a sign of life during long waits."""

import io
import re
import threading
import time

import pytest
from rayyarn_cli import progress
from rayyarn_cli.terminal import Stream

from rayyarn.errors import RayYarnError
from rayyarn.steps import Steps


class File(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return False


@pytest.fixture
def file(monkeypatch):
    monkeypatch.setattr(progress, "LONG", 0.6)
    monkeypatch.setattr(progress, "AGAIN", 1.0)
    return File()


def lines(file):
    """What was printed; a quick step takes 0.0 s, and on a busy machine more."""
    return [re.sub(r"  0\.\ds$", "  0.0s", line) for line in file.getvalue().splitlines()]


def test_a_quick_step_is_one_line(file):
    with Steps(progress.Progress(Stream(file))) as steps, steps.step("environment", limit=60) as step:
        step.result = "9f31c0a2 already on HDFS"
    assert lines(file) == ["  ✓ environment: 9f31c0a2 already on HDFS  0.0s"]


def test_a_long_wait_is_told_at_its_start_and_again_while_it_lasts(file):
    with Steps(progress.Progress(Stream(file))) as steps, steps.step("head", limit=60) as step:
        step.update("ACCEPTED in 'adhoc'")
        deadline = time.monotonic() + 20
        while len(lines(file)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        step.result = "ready"
    told = lines(file)
    assert told[0] == "  .. head: ACCEPTED in 'adhoc' (waiting up to 60s)"
    assert told[1].startswith("  .. head: ACCEPTED in 'adhoc' (waiting up to 60s), ")
    assert told[1].endswith("s so far")
    assert told[-1].startswith("  ✓ head: ready")


def test_a_failed_step_is_crossed_with_what_was_seen_last(file):
    with pytest.raises(RayYarnError), Steps(progress.Progress(Stream(file))) as steps, steps.step("workers") as step:
        step.update("1 of 2")
        raise RayYarnError("no")
    assert lines(file) == ["  ✗ workers: 1 of 2  0.0s"]


def tickers():
    return [thread for thread in threading.enumerate() if thread.name == "progress"]


def until_none_is_left():
    deadline = time.monotonic() + 5
    while tickers():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_no_thread_outlives_its_step(file):
    until_none_is_left()
    reporter = progress.Progress(Stream(file))
    for _ in range(3):
        with Steps(reporter) as steps, steps.step("x"):
            assert tickers()
        until_none_is_left()


def test_steps_in_several_threads_do_not_mix_their_lines(file):
    reporter = progress.Progress(Stream(file))

    def work(number):
        with Steps(reporter) as steps, steps.step(f"step {number}") as step:
            step.result = "fine"

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(lines(file)) == sorted(f"  ✓ step {number}: fine  0.0s" for number in range(20))


def test_letters_where_the_stream_is_not_utf8(file):
    file.encoding = "ascii"
    with Steps(progress.Progress(Stream(file))) as steps, steps.step("environment"):
        pass
    assert lines(file) == ["  ok environment  0.0s"]
