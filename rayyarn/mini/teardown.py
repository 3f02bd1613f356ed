"""How a mini cluster goes: its daemons, what runs in its containers, its folder. Works on half of one too."""

from __future__ import annotations

import contextlib
import shutil
import time
from typing import TYPE_CHECKING, Any

from rayyarn.errors import MiniFailed
from rayyarn.mini import daemons, process, record
from rayyarn.steps import SILENT, Steps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rayyarn.steps import Reporter

# A NodeManager that is told to end kills its containers (250 ms after a TERM) and waits up to 6 s for them.
_NODE_GRACE = 12.0
_MASTER_GRACE = 5.0
_CONTAINER_GRACE = 2.0
# Tens of thousands of unpacked files a node: 19 s seen on a slow disk.
_FOLDER_LIMIT = 120.0


def demolish(folder: Path, *, keep_folder: bool = False, reporter: Reporter = SILENT) -> None:
    """Stop everything that belongs to ``folder`` and remove it (``keep_folder``: what is in it)."""
    halt(folder, reporter=reporter)
    with Steps(reporter) as steps, steps.step("the folder", limit=_FOLDER_LIMIT) as step:
        _remove(folder, keep_folder=keep_folder)
        step.result = str(folder)


def halt(folder: Path, *, reporter: Reporter = SILENT) -> None:
    """Stop everything that belongs to ``folder``.

    NodeManagers go first: one that lost its ResourceManager keeps asking for it and is deaf to TERM.
    """
    known = record.load(folder)
    started = known.daemons if known is not None and known.boot == process.boot_id() else ()
    nodes = [daemon.process for daemon in started if daemon.role.startswith("nm")]
    masters = [daemon.process for daemon in started if not daemon.role.startswith("nm")]
    with Steps(reporter) as steps:
        with steps.step("NodeManagers and their containers", limit=_NODE_GRACE) as step:
            killed = process.stop(nodes, _NODE_GRACE)
            step.result = f"{len(nodes)} stopped" + (f", {len(killed)} of them killed" if killed else "")
        with steps.step("the others", limit=_MASTER_GRACE):
            process.stop(masters, _MASTER_GRACE)
            _sweep(folder)


def drop_if_empty(folder: Path) -> None:
    """Remove the folder of a cluster that never was, and the one above it when it was the last."""
    for path in (folder, folder.parent):
        with contextlib.suppress(OSError):
            path.rmdir()


def _sweep(folder: Path) -> None:
    """End what no record names: a daemon started as `mini up` was killed, a container its NodeManager left."""
    for _ in range(5):  # a process may fork while it is looked for
        left = process.of_folder(folder, marker=daemons.MARKER)
        if not left:
            return
        process.stop(left, _CONTAINER_GRACE)
    pids = ", ".join(str(one.pid) for one in left)
    raise MiniFailed(f"processes of {folder} do not end: {pids}", hint=f"ps -o pid,stat,wchan,args -p {pids}")


def _remove(folder: Path, *, keep_folder: bool) -> None:
    end = time.monotonic() + _FOLDER_LIMIT
    while True:
        for entry in folder.iterdir() if folder.is_dir() else ():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, onerror=_make_writable)
            else:
                entry.unlink(missing_ok=True)
        left = list(folder.iterdir()) if folder.is_dir() else []
        if not left:
            break
        if time.monotonic() > end:
            raise MiniFailed(f"{left[0]} cannot be removed", hint=f"ls -la {left[0].parent}; rm -rf {folder}")
        time.sleep(0.1)
    if not keep_folder:
        drop_if_empty(folder)


def _make_writable(function: Callable[..., Any], path: str, _: object) -> None:
    """What a user's program made read-only is removed all the same; what cannot be is reported by the caller."""
    from pathlib import Path

    with contextlib.suppress(OSError):
        Path(path).parent.chmod(0o700)
        if function in (shutil.os.scandir, shutil.os.open, shutil.os.listdir):  # type: ignore[attr-defined]
            Path(path).chmod(0o700)
            shutil.rmtree(path, ignore_errors=True)
        else:
            function(path)
