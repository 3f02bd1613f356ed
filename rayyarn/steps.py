"""Steps that say what they wait for and until when, and that undo what they made.

``Steps`` is how everything that takes time or makes something is run: ``with Steps(reporter) as steps``. A failure
or a signal inside undoes, in reverse order, what was registered with ``steps.undo``; leaving normally keeps it.
"""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from rayyarn.errors import NotReady

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Reporter:
    """Hears what goes on. This one is deaf; the command line and notebooks have others.

    A step is known by its ``title``: ``begin`` once, ``update`` any number of times, then ``done`` or ``failed``.
    """

    def begin(self, title: str, limit: float | None) -> None:
        """A step starts and may take ``limit`` seconds."""

    def update(self, title: str, detail: str) -> None:
        """What the step sees or awaits now: ``2 of 4 workers``, ``310 of 728 MiB``."""

    def done(self, title: str, detail: str, seconds: float) -> None:
        """The step is over; ``detail`` is its result in a few words."""

    def failed(self, title: str, detail: str, seconds: float) -> None:
        """The step did not end well; the error follows as an exception."""

    def note(self, text: str) -> None:
        """A sentence for the person, outside any step (a warning, a choice made for him)."""


SILENT = Reporter()


class Step:
    """A running step: tell it what is seen, and at the end its result."""

    def __init__(self, title: str, limit: float | None, reporter: Reporter) -> None:
        self.title, self.limit = title, limit
        self._reporter = reporter
        self._started = time.monotonic()
        self.seen = ""
        self.result = ""

    def update(self, detail: str) -> None:
        """Say what is seen now; repeated sentences are said once."""
        if detail != self.seen:
            self.seen = detail
            self._reporter.update(self.title, detail)

    @property
    def seconds(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self._started

    @property
    def last_seen(self) -> str:
        """What was last seen, for the end of a sentence; nothing when nothing was."""
        return f"; last seen: {self.seen}" if self.seen else ""

    def wait(self, probe: Callable[[], Any], *, every: float = 0.1, hint: str | None = None) -> Any:
        """Call ``probe`` until it returns something true, and return that.

        Raises NotReady, with what was last seen, when the step's limit is over.
        """
        while True:
            found = probe()
            if found:
                return found
            if self.limit is not None and self.seconds > self.limit:
                raise NotReady(f"waited {self.limit:.0f} s for {self.title}{self.last_seen}", hint=hint)
            time.sleep(every)


class Steps:
    """A run of steps with their undos, and a timeline of what took how long."""

    def __init__(self, reporter: Reporter = SILENT, *, keep: bool = False) -> None:
        self.reporter = reporter
        self.timeline: list[tuple[str, float, float]] = []  # title, start and end in seconds since the first step
        self.keep = keep
        self._undos: list[tuple[str, Callable[[], object]]] = []
        self._zero = time.monotonic()

    @contextmanager
    def step(self, title: str, *, limit: float | None = None) -> Iterator[Step]:
        """Run the body as the step ``title``, reported, timed, with ``limit`` seconds for its waits."""
        step = Step(title, limit, self.reporter)
        start = time.monotonic() - self._zero
        self.reporter.begin(title, limit)
        try:
            yield step
        except BaseException:
            self.reporter.failed(title, step.seen, step.seconds)
            raise
        finally:
            self.timeline.append((title, start, time.monotonic() - self._zero))
        self.reporter.done(title, step.result, step.seconds)

    def undo(self, title: str, action: Callable[[], object]) -> None:
        """Remember how to take back what was just made. ``action`` must work twice and must have its own limit."""
        self._undos.append((title, action))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and not self.keep:
            with signals_held():
                self._unwind()

    def _unwind(self) -> None:
        while self._undos:
            title, action = self._undos.pop()
            self.reporter.begin(f"undo: {title}", None)
            started = time.monotonic()
            try:
                action()
            except Exception as problem:  # the first failure is the one to tell; this one is a remark
                self.reporter.failed(f"undo: {title}", str(problem), time.monotonic() - started)
            else:
                self.reporter.done(f"undo: {title}", "", time.monotonic() - started)


@contextmanager
def signals_held() -> Iterator[None]:
    """Let an undo finish: a second Ctrl-C or SIGTERM must not leave half of it behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # A handler and not SIG_IGN: programs that the undo starts would inherit that, and could not be ended.
    held = {signum: signal.signal(signum, _hear_nothing) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for signum, handler in held.items():
            signal.signal(signum, handler)


def _hear_nothing(signum: int, frame: object) -> None:
    pass
