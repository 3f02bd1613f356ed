"""What a supervisor still does when its container is killed: YARN leaves it 250 ms between TERM and KILL."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from rayyarn.container import processes
from rayyarn.units import format_size

if TYPE_CHECKING:
    from rayyarn.container.post import Post

# The NodeManager looks every 3 s and adds up a moment before we do.
_NEARLY_ALL = 0.95


def drop_everything_on_signals() -> None:
    """From now on TERM and INT end all that was started here."""
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, _drop_everything)


def say_why_first(post: Post) -> None:
    """On the head: on TERM say before that why the application ends, when it is for want of memory."""
    signal.signal(signal.SIGTERM, partial(_say_why_and_drop, post))


def _say_why_and_drop(post: Post, signum: int, frame: object) -> NoReturn:
    """On the head: Skein ends the application with the head's container, and says nothing of why YARN killed it."""
    used, most = processes.resident(), post.state.memory
    if used > most * _NEARLY_ALL:
        # In the words of the NodeManager, which `rayyarn.diagnose` knows.
        told = f"{format_size(used)} of {format_size(most)} physical memory used"
        post.end("FAILED", f"the Ray head was killed by its NodeManager: {told}")
    _drop_everything(signum, frame)


def _drop_everything(signum: int, _: object) -> NoReturn:
    """The NodeManager kills us 250 ms after this signal, and would leave what is in other process groups."""
    processes.kill_all()
    os._exit(128 + signum)
