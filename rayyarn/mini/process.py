"""Processes as the kernel knows them: a pid with its start time is one process for ever, a pid alone is not."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PROC = Path("/proc")
_TICK = 0.05


@dataclass(frozen=True, order=True)
class Process:
    """One process: its pid, and its start in clock ticks since boot (field 22 of /proc/PID/stat, proc(5))."""

    pid: int
    start: int

    @staticmethod
    def of(pid: int) -> Process | None:
        """The process that has this pid now; None when there is none or it is a zombie."""
        found = _stat(pid)
        return None if found is None else Process(pid, int(found[19]))

    @property
    def alive(self) -> bool:
        """True while this very process runs."""
        with contextlib.suppress(ChildProcessError):  # not ours to reap: then init does it
            os.waitpid(self.pid, os.WNOHANG)
        return Process.of(self.pid) == self

    def signal(self, signum: int) -> None:
        """Send ``signum``, unless the process is gone or the pid is somebody else's by now."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signum)


def boot_id() -> str:
    """A name for this boot of the machine: recorded processes of another boot are all gone."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def stop(processes: Iterable[Process], grace: float) -> list[Process]:
    """TERM, up to ``grace`` seconds to end, then KILL. Returns those that needed the KILL."""
    left = list(processes)
    for process in left:
        process.signal(signal.SIGTERM)
    left = wait_gone(left, grace)
    for process in left:
        process.signal(signal.SIGKILL)
    wait_gone(left, 5.0)
    return left


def wait_gone(processes: Iterable[Process], limit: float) -> list[Process]:
    """Wait until all of them ended, ``limit`` seconds at most; returns those that did not."""
    end = time.monotonic() + limit
    left = [process for process in processes if process.alive]
    while left and time.monotonic() < end:
        time.sleep(_TICK)
        left = [process for process in left if process.alive]
    return left


def of_folder(folder: Path, *, marker: str) -> list[Process]:
    """Daemons and containers of the mini cluster in ``folder``, whoever started them.

    A daemon carries ``marker=folder`` in its environment. A container has its LOCAL_DIRS below the folder, or works in
    an application's folder there: Ray writes its titles over the environment, so the second sign is needed. Shells
    that took `rayyarn mini env`, or a person looking around in the folder, show neither or have a terminal.
    """
    found = []
    for entry in os.scandir(PROC):
        if entry.name.isdigit() and int(entry.name) != os.getpid() and _belongs(Path(entry.path), folder, marker):
            process = Process.of(int(entry.name))
            if process is not None:
                found.append(process)
    return found


def _belongs(proc: Path, folder: Path, marker: str) -> bool:
    try:
        environ = (proc / "environ").read_bytes()
        cwd = (proc / "cwd").readlink()
    except OSError:  # gone, or another user's
        return False
    signs = (f"{marker}={folder}\0".encode(), f"LOCAL_DIRS={folder}/nodes/".encode())
    if any(environ.startswith(sign) or b"\0" + sign in environ for sign in signs):
        return True
    inside = cwd.is_relative_to(folder / "nodes") and "appcache" in cwd.parts
    return inside and not _has_terminal(int(proc.name))


def _has_terminal(pid: int) -> bool:
    found = _stat(pid)
    return found is not None and found[4] != "0"


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third (state) on; None when the process is gone or a zombie."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (OSError, UnicodeDecodeError):
        return None
    fields = text.rpartition(")")[2].split()  # the second field, the name, may hold anything
    return None if not fields or fields[0] in "ZX" else fields
