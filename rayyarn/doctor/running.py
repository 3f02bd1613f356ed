"""Checks side by side, each with its own deadline: what hangs holds up nothing else, and is itself a finding.

Daemon threads and not a pool: a pool waits at exit for its threads, and a name look-up cannot be interrupted.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from rayyarn.doctor.finding import NOTE, PROBLEM, Finding, of_error
from rayyarn.errors import RayYarnError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_T = TypeVar("_T")
_Q = TypeVar("_Q")


class Blocked(Exception):
    """A check cannot be made without something that was not found; the text says without what."""


class _Late(Exception):
    """The deadline is over."""


class Background(Generic[_T]):
    """``work``, begun at once in a thread of its own."""

    def __init__(self, work: Callable[[], _T]) -> None:
        self._work = work
        self._over = threading.Event()
        self._result: list[_T] = []
        self._error: Exception | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._result.append(self._work())
        except Exception as error:
            self._error = error
        self._over.set()

    def outcome(self, until: float) -> _T:
        """Its result, or the exception it ended with; _Late when it is not over at ``until`` (time.monotonic)."""
        if not self._over.wait(max(0.0, until - time.monotonic())):
            raise _Late
        if self._error is not None:
            raise self._error
        return self._result[0]


class Fact(Generic[_T]):
    """Something that several checks need, asked for once. ``name`` says what it is: "a Hadoop configuration"."""

    def __init__(self, name: str, find: Callable[[], _T], until: float) -> None:
        self.name, self.until = name, until
        self._background = Background(find)

    def get(self) -> _T:
        """The fact. Raises Blocked when it could not be found; why is told by the check that is about it."""
        try:
            return self.outcome()
        except Blocked:
            raise
        except Exception:
            raise Blocked(self.name) from None

    def outcome(self) -> _T:
        """The fact, or why there is none."""
        return self._background.outcome(self.until)


@dataclass(frozen=True)
class Check:
    """``look`` finds out about ``subject`` by ``until`` (time.monotonic); an overrun has the verdict ``late``."""

    id: str
    subject: str
    until: float
    look: Callable[[], Iterable[Finding]]
    late: str = PROBLEM


def run(checks: Sequence[Check], begun: float) -> list[Finding]:
    """The findings of all ``checks``, in their order; those that could not be made are told in one note at the end.

    ``begun`` (time.monotonic): since when whoever asked has been waiting.
    """
    started = [(check, Background(lambda check=check: list(check.look()))) for check in checks]  # type: ignore[misc]
    found: list[Finding] = []
    blocked: dict[str, list[str]] = {}
    for check, background in started:
        try:
            found += background.outcome(check.until)
        except _Late:
            found.append(_overrun(check, check.until - begun))
        except Blocked as lack:
            blocked.setdefault(str(lack), []).append(check.subject)
        except RayYarnError as error:
            found.append(of_error(check.id, check.subject, error))
        except Exception as bug:
            text = f"could not be looked at: {type(bug).__name__}: {bug}"
            found.append(Finding(check.id, check.subject, NOTE, text, "rayyarn's own fault: please report it"))
    for missing, subjects in blocked.items():
        text = f"without {missing}: {', '.join(subjects)}"
        found.append(Finding("not_looked_at", "not looked at", NOTE, text))
    return found


def _overrun(check: Check, seconds: float) -> Finding:
    text = f"no answer within {seconds:.1f} s"
    means = "whatever of rayyarn needs it will wait as well" if check.late == PROBLEM else ""
    return Finding(check.id, check.subject, check.late, text, means, "rayyarn doctor   # once more")


def side_by_side(ask: Callable[[_Q], _T], questions: Sequence[_Q], limit: float) -> list[_T | None]:
    """``ask`` of each question at once; None for what has not ended, or failed, within ``limit`` seconds."""
    until = time.monotonic() + limit
    asked = [Background(lambda question=question: ask(question)) for question in questions]  # type: ignore[misc]
    found: list[_T | None] = []
    for one in asked:
        try:
            found.append(one.outcome(until))
        except Exception:
            found.append(None)
    return found
