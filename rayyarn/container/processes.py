"""Owning processes: every one that a supervisor starts, and all that those start, ends with it.

Linux only: prctl(2) and /proc.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rayyarn import prctl

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence


def start(
    command: Sequence[str],
    environ: Mapping[str, str],
    log: Path,
    *,
    new_session: bool = False,
    told: bool = False,
    folder: Path | None = None,
    keep: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start ``command`` so that the kernel kills it when the calling thread ends. Call it from the main thread.

    ``told``: it reads from us; else its input is empty. ``folder``: where it starts; ours by default. ``keep``:
    descriptors that it inherits.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            list(command), env=dict(environ), cwd=folder, stdin=subprocess.PIPE if told else subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=new_session, pass_fds=keep,
            preexec_fn=partial(prctl.end_with_parent, signal.SIGKILL),
        )  # fmt: skip


def descendants(pid: int | None = None) -> dict[int, str]:
    """Process ids below ``pid`` (default: this process) with their short names; zombies are left out."""
    parents: dict[int, tuple[int, str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                text = (entry / "stat").read_text()
                name = text[text.index("(") + 1 : text.rindex(")")]
                state, parent = text[text.rindex(")") + 2 :].split()[:2]
                if state != "Z":
                    parents[int(entry.name)] = (int(parent), name)
    found: dict[int, str] = {}
    wanted = {os.getpid() if pid is None else pid}
    while wanted:
        wanted = {child for child, (parent, _) in parents.items() if parent in wanted and child not in found}
        found.update({child: parents[child][1] for child in wanted})
    return found


def of_session(session: int) -> list[int]:
    """The processes of the session that ``session`` began, also when that one has ended; zombies are left out."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                state, _, _, its = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                if state != "Z" and int(its) == session:
                    found.append(int(entry.name))
    return found


def resident(pids: Iterable[int] | None = None) -> int:
    """Bytes that ``pids`` have in memory, shared pages counted for each: as YARN counts.

    Default: this process and all below it.
    """
    page, pages = os.sysconf("SC_PAGESIZE"), 0
    for pid in [os.getpid(), *descendants()] if pids is None else pids:
        with contextlib.suppress(OSError, ValueError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * page


def lives(pid: int) -> bool:
    """True while the process ``pid`` runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def reap(but: Container[int | None] = ()) -> None:
    """Collect adopted children that ended, so that none stays a zombie; those of ``but`` have who waits for them."""
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in map(int, children.read_text().split()):
            if pid not in but:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)


def end_all(grace: float) -> None:
    """Ask every descendant to end, then kill those that have not after ``grace`` seconds. Returns when all are gone."""
    deadline = time.monotonic() + grace
    asked: set[int] = set()
    while True:
        below = descendants()
        if not below:
            return
        late = time.monotonic() > deadline
        for pid in below:
            if late or pid not in asked:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
                asked.add(pid)
        if time.monotonic() > deadline + 5:  # in uninterruptible sleep: the kernel will finish what was signalled
            return
        time.sleep(0.05)
        reap()


def kill_all() -> None:
    """Kill every descendant now; twice, for those that were forking meanwhile. Safe in a signal handler."""
    for _ in range(3):
        below = descendants()
        if not below:
            return
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
