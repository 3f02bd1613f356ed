"""Signals as exceptions, so that every undo on the way up runs."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signalled(KeyboardInterrupt):
    """A signal, as an exception that no ``except Exception`` on the way up to the undos can swallow."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def listen() -> None:
    """Let SIGINT, SIGTERM or SIGHUP raise, once; one that the caller ignores (nohup) stays ignored."""
    heard = [signum for signum in _ENDING if signal.getsignal(signum) is not signal.SIG_IGN]

    def stop(signum: int, _frame: FrameType | None) -> None:
        for other in heard:  # the undos have begun; not SIG_IGN, which programs started by an undo would inherit
            signal.signal(other, lambda *_: None)
        raise Signalled(signum)

    for signum in heard:
        signal.signal(signum, stop)


def deaf() -> None:
    """Hear nothing any more: Python's own exit would put back the handlers that kill, and with them the exit code."""
    for signum in _ENDING:
        signal.signal(signum, signal.SIG_IGN)
