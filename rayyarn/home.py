"""The user's own folder, ``~/.rayyarn``: connection files, caches, locks. Everything in it can be thrown away.

RAYYARN_HOME moves it. All of it is readable by the user alone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO

from rayyarn.errors import HomeUnusable


def root() -> Path:
    """RAYYARN_HOME, else ``~/.rayyarn``; made with mode 0700 when it is not there."""
    return _folder(Path(os.environ.get("RAYYARN_HOME") or Path.home() / ".rayyarn"))


def cache() -> Path:
    """What is quick to make again: class paths, fingerprints, where archives were staged."""
    return _folder(root() / "cache")


def clusters(yarn_id: str) -> Path:
    """Connection files and secrets of the clusters on one YARN; there while there is one, made with its secrets."""
    return root() / "clusters" / yarn_id


def drop_if_empty(folder: Path) -> None:
    """Remove ``folder`` unless something is in it."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def write_private(path: Path, data: bytes) -> None:
    """Write ``path`` whole or not at all, readable by the user alone (0600)."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:  # mkstemp makes 0600
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def try_lock(handle: int) -> bool:
    """Take the lock on an open file or folder, unless another process has it; the kernel drops it with its process."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def hold(folder: Path) -> IO[bytes]:
    """Mark ``folder`` as in use until the returned file is closed or this process ends, however it ends."""
    lock = (folder / ".held").open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def abandoned(folder: Path) -> bool:
    """True when ``folder`` was held by a process that is gone."""
    try:
        with (folder / ".held").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # never held (yet), or held now
        return False
    return True


def _folder(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise HomeUnusable(
            f"rayyarn keeps connection files and caches in {path}, and cannot: {error.strerror}",
            hint="export RAYYARN_HOME=/a/folder/of/yours",
        ) from None
    return path
