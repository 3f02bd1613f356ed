"""What the two output streams can show: colour, marks, a moving line. Everything that is styled goes through here.

click ignores NO_COLOR, so the decision is made once, by these rules, first match wins:
``--color always|never``, NO_COLOR, FORCE_COLOR, TERM=dumb, and then whether the stream is a terminal.
"""

from __future__ import annotations

import os
import select
from typing import TextIO

_STYLES = {"bold": "1", "red": "1;31", "green": "32", "yellow": "33", "dim": "2"}


class Stream:
    """stdout or stderr, with what it can show. A reader that went away makes ``line`` a no-op on stderr."""

    def __init__(self, file: TextIO, color: str = "auto", *, patient: bool = False) -> None:
        self.file = file
        self.patient = patient  # losing the reader of the conversation must not undo the work it is about
        self.tty = file.isatty()
        self.color = wants_color(color, tty=self.tty)
        self.moves = self.tty and os.environ.get("TERM", "") not in ("", "dumb")
        self.unicode = (file.encoding or "").lower().replace("-", "") in ("utf8", "utf8sig")

    def paint(self, text: str, style: str) -> str:
        """``text`` in one of five styles, or as it is when this stream has no colour."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.color and text else text

    def mark(self, fine: bool) -> str:
        """A tick or a cross, in letters where the stream is not UTF-8."""
        if fine:
            return self.paint("✓" if self.unicode else "ok", "green")
        return self.paint("✗" if self.unicode else "failed", "red")

    def write(self, text: str) -> None:
        """Write and flush, so that a reader that is gone is known here and not at exit."""
        try:
            self.file.write(text)
            self.file.flush()
        except UnicodeEncodeError:
            self.file.write(text.encode("ascii", "backslashreplace").decode())
            self.file.flush()
        except OSError:  # EPIPE: `2>&1 | head`; EIO: the terminal was closed
            if not self.patient:
                raise

    def line(self, text: str) -> None:
        """One line, whole, whatever its length: paths and ids are to be copied."""
        self.write(text + "\n")


def wants_color(choice: str, *, tty: bool) -> bool:
    """The colour decision for one stream."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return tty and os.environ.get("TERM", "") != "dumb"


def reader_gone(file: TextIO) -> bool:
    """True when the other end of a pipe was closed: told apart from a broken connection to the cluster."""
    try:
        poll = select.poll()
        poll.register(file.fileno(), select.POLLOUT)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False
