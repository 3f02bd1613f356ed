import signal
import threading

import pytest

from rayyarn.errors import NotReady
from rayyarn.steps import Reporter, Steps, signals_held


class Notes(Reporter):
    def __init__(self):
        self.heard = []

    def begin(self, title, limit):
        self.heard.append(("begin", title, limit))

    def update(self, title, detail):
        self.heard.append(("update", title, detail))

    def done(self, title, detail, seconds):
        self.heard.append(("done", title, detail))

    def failed(self, title, detail, seconds):
        self.heard.append(("failed", title, detail))


def test_a_step_is_told_from_begin_to_end_and_timed():
    notes = Notes()
    with Steps(notes) as steps, steps.step("head", limit=5) as step:
        step.update("starting")
        step.update("starting")
        step.result = "ready"
    assert notes.heard == [("begin", "head", 5), ("update", "head", "starting"), ("done", "head", "ready")]
    ((title, start, end),) = steps.timeline
    assert title == "head"
    assert 0 <= start <= end


def test_a_failure_undoes_in_reverse_and_stays_the_error():
    undone, notes = [], Notes()
    with pytest.raises(RuntimeError, match="first"), Steps(notes) as steps:
        with steps.step("one"):
            steps.undo("one", lambda: undone.append("one"))
        steps.undo("two", lambda: 1 / 0)  # must neither hide the error nor stop the others
        steps.undo("three", lambda: undone.append("three"))
        with steps.step("four"):
            raise RuntimeError("first")
    assert undone == ["three", "one"]
    assert ("failed", "undo: two", "division by zero") in notes.heard
    assert ("failed", "four", "") in notes.heard


def test_success_and_keep_undo_nothing():
    undone = []
    with Steps() as steps:
        steps.undo("x", lambda: undone.append("x"))
    with pytest.raises(RuntimeError), Steps(keep=True) as steps:
        steps.undo("x", lambda: undone.append("x"))
        raise RuntimeError
    assert undone == []


def test_a_keyboard_interrupt_undoes_too():
    undone = []
    with pytest.raises(KeyboardInterrupt), Steps() as steps:
        steps.undo("x", lambda: undone.append("x"))
        raise KeyboardInterrupt
    assert undone == ["x"]


def test_a_wait_ends_with_what_was_found():
    answers = iter([None, 0, "found"])
    with Steps() as steps, steps.step("x", limit=5) as step:
        assert step.wait(lambda: next(answers), every=0) == "found"


def test_a_wait_ends_at_its_limit_and_says_what_was_seen_last():
    with (
        pytest.raises(NotReady, match=r"waited 0 s for workers; last seen: 1 of 2") as raised,
        Steps() as steps,
        steps.step("workers", limit=0.05) as step,
    ):
        step.update("1 of 2")
        step.wait(lambda: None, every=0.01, hint="look")
    assert raised.value.hint == "look"
    assert raised.value.exit_code == 4


def test_signals_cannot_disturb_an_undo():
    before = signal.getsignal(signal.SIGTERM)
    with signals_held():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_undo_in_a_thread_works_without_the_signals():
    undone = []

    def work():
        with pytest.raises(RuntimeError), Steps() as steps:
            steps.undo("x", lambda: undone.append("x"))
            raise RuntimeError

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(5)
    assert undone == ["x"]
