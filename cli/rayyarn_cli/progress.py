"""Steps as a person sees them: a moving line on a terminal, few plain lines in a log file."""

from __future__ import annotations

import shutil
import threading
import time
from typing import TYPE_CHECKING

from rayyarn.steps import Reporter

if TYPE_CHECKING:
    from rayyarn_cli.terminal import Stream

LONG = 3.0  # a wait is worth a line of its own in a log file from here on, seconds
AGAIN = 30.0  # and another one so often
_FRAMES = {True: "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", False: "|/-\\"}


class _Running:
    """One step between its begin and its end."""

    def __init__(self, title: str, limit: float | None) -> None:
        self.title, self.limit, self.seen = title, limit, ""
        self.started = time.monotonic()
        self.spoke_after = 0.0  # seconds after the start when a log file last heard of it; 0: never

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def sentence(self) -> str:
        """``head: ACCEPTED in 'adhoc'`` and how long this may take."""
        text = f"{self.title}: {self.seen}" if self.seen else self.title
        return f"{text} (waiting up to {self.limit:.0f}s)" if self.limit else text


class Progress(Reporter):
    """Tells of steps on one stream. Safe to call from several threads; owns one thread while a step runs."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._steps: dict[str, _Running] = {}
        self._lock = threading.RLock()
        self._idle = threading.Event()
        self._ticker: threading.Thread | None = None
        self._drawn = False

    def begin(self, title: str, limit: float | None) -> None:
        """A step starts."""
        with self._lock:
            self._steps[title] = _Running(title, limit)
            if self._ticker is None:
                self._idle.clear()
                self._ticker = threading.Thread(target=self._tick, args=(self._idle,), name="progress", daemon=True)
                self._ticker.start()

    def update(self, title: str, detail: str) -> None:
        """What the step sees now; shown at the next tick."""
        with self._lock:
            if title in self._steps:
                self._steps[title].seen = detail

    def done(self, title: str, detail: str, seconds: float) -> None:
        """A tick, the result, the seconds."""
        self._end(title, detail, seconds, fine=True)

    def failed(self, title: str, detail: str, seconds: float) -> None:
        """A cross, what was last seen, the seconds."""
        self._end(title, detail, seconds, fine=False)

    def note(self, text: str) -> None:
        """A sentence of its own line."""
        with self._lock:
            self._wipe()
            self._stream.line(text)

    def close(self) -> None:
        """Forget running steps and leave no half line behind."""
        with self._lock:
            self._steps.clear()
            self._rest()
            self._wipe()

    def _end(self, title: str, detail: str, seconds: float, *, fine: bool) -> None:
        text = f"{title}: {detail}" if detail else title
        padded = f"{text:<58}" if self._stream.tty else text
        with self._lock:
            self._steps.pop(title, None)
            self._wipe()
            spent = self._stream.paint(f"{seconds:.1f}s", "dim")
            self._stream.line(f"  {self._stream.mark(fine)} {padded}  {spent}")
            if not self._steps:
                self._rest()

    def _rest(self) -> None:
        self._idle.set()
        self._ticker = None

    def _tick(self, idle: threading.Event) -> None:
        frame = 0
        while not idle.wait(0.1 if self._stream.moves else 0.5):
            with self._lock:
                if idle.is_set() or not self._steps:
                    return
                frame += 1
                if self._stream.moves:
                    self._draw(frame)
                else:
                    self._tell()

    def _draw(self, frame: int) -> None:
        step = list(self._steps.values())[-1]
        frames = _FRAMES[self._stream.unicode]
        text = f"  {frames[frame % len(frames)]} {step.seconds:.0f}s {step.sentence()}"
        self._stream.write("\r\x1b[2K" + text[: shutil.get_terminal_size().columns - 1])
        self._drawn = True

    def _tell(self) -> None:
        for step in self._steps.values():
            due = step.spoke_after + AGAIN if step.spoke_after else LONG
            if step.seconds >= due:
                after = f", {step.seconds:.0f}s so far" if step.spoke_after else ""
                step.spoke_after = step.seconds
                self._stream.line(f"  .. {step.sentence()}{after}")

    def _wipe(self) -> None:
        if self._drawn:
            self._stream.write("\r\x1b[2K")
            self._drawn = False
