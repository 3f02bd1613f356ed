"""Content ids. Equal content gives an equal id, so whatever bears one is never packed, sent or unpacked twice.

A prefix is known by a full walk over (path, size, mtime, mode) of its files: 0.1 to 0.3 s for 12,000 files on a local
disk, seconds on a network home. There the cheap id over package records tells whether the last walk still holds.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rayyarn.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Raise this when pack.py writes other bytes for the same prefix: archives made before are then not taken any more.
PACK_FORMAT = 2
SLOW_WALK = 2.0
# A walk may have been slow once because nothing was cached yet; try again after an hour.
_SLOW_HOLDS = 3600.0
# What conda-pack leaves out of an archive at the top of a prefix (conda_pack/core.py, load_files); __pycache__ is made
# by merely importing.
_NOT_PACKED = {"pkgs", "envs", "conda-bld", ".conda_lock", "users", "conda-recipes", ".index", ".unionfs", ".nonadmin"}
_DIGITS = 20


class Fingerprint(str):
    """A content id: hexadecimal digits. People see ``short``."""

    __slots__ = ()

    @property
    def short(self) -> str:
        """The first 8 digits."""
        return self[:8]


def of(prefix: Path, *, recheck: bool = False, note: Callable[[str], None] | None = None) -> Fingerprint:
    """The content id of the environment at ``prefix``.

    When the last full walk took more than 2 s, within the last hour, the package records alone are compared (said
    through ``note``); ``recheck`` walks all the same.
    """
    memo = Memo("walks")
    known = memo.get(str(prefix)) or {}
    slow = known.get("seconds", 0.0) > SLOW_WALK and time.time() - known.get("at", 0.0) < _SLOW_HOLDS
    if slow and not recheck and known.get("cheap") == _cheap(prefix):
        if note is not None:
            note(
                f"{prefix} was compared by its package records only: walking all of it took "
                f"{known['seconds']:.1f} s (--recheck walks it)"
            )
        return Fingerprint(known["full"])
    started = time.monotonic()
    full = _walk(prefix)
    seconds = time.monotonic() - started
    if seconds > SLOW_WALK or known:
        memo.put(str(prefix), {"seconds": seconds, "at": time.time(), "cheap": _cheap(prefix), "full": full})
    return full


def of_archive(path: Path) -> Fingerprint:
    """The content id of a ready archive: a hash of its bytes (about 1 s per GB), remembered."""
    status = path.stat()
    key = f"{path} {status.st_size} {status.st_mtime_ns} {status.st_ino}"
    memo = Memo("contents")
    known = memo.get(key)
    if known is None:
        with path.open("rb") as file:
            known = hashlib.file_digest(file, _new).hexdigest()[:_DIGITS]
        memo.put(key, known)
    return Fingerprint(known)


def of_tree(files: Iterable[tuple[str, Path]], salt: str = "") -> Fingerprint:
    """The content id of ``files``, pairs of the name to travel under and the place on disk.

    Names, execute bits and bytes count, times do not: two checkouts of one commit are equal. The bytes are read again
    only when a size or a time has changed. ``salt`` stands for whatever else decides on the result.
    """
    found = sorted(files)
    quick = _new()
    quick.update(f"{salt}\n".encode())
    for name, path in found:
        status = path.stat()
        quick.update(f"{name}\0{path}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ino}\n".encode())
    memo = Memo("trees")
    known = memo.get(quick.hexdigest())
    if known is None:
        content = _new()
        content.update(f"{salt}\n".encode())
        for name, path in found:
            data = path.read_bytes()
            content.update(f"{name}\0{path.stat().st_mode & 0o100:o}\0{len(data)}\n".encode())
            content.update(data)
        known = content.hexdigest()[:_DIGITS]
        memo.put(quick.hexdigest(), known)
    return Fingerprint(known)


def of_text(text: str) -> Fingerprint:
    """An id for what can only be named: an archive that stays where it is."""
    return Fingerprint(hashlib.blake2b(text.encode(), digest_size=20).hexdigest()[:_DIGITS])


def _new() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=20)


def _walk(prefix: Path) -> Fingerprint:
    hashed = _new()
    hashed.update(f"pack {PACK_FORMAT} conda-pack {_conda_pack()}\n".encode())
    folders = [""]
    while folders:
        folder = folders.pop()
        for entry in sorted(os.scandir(prefix / folder), key=lambda one: one.name):
            name = folder + entry.name
            if entry.name == "__pycache__" or (not folder and name in _NOT_PACKED):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(name + "/")
                continue
            status = entry.stat(follow_symlinks=False)
            link = Path(entry.path).readlink() if stat.S_ISLNK(status.st_mode) else ""
            hashed.update(
                f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_mode:o}\0{link}\n".encode(
                    errors="surrogateescape"
                )
            )
    return Fingerprint(hashed.hexdigest()[:_DIGITS])


def _cheap(prefix: Path) -> str:
    """An id over conda's and pip's records: 0.05 s anywhere, blind to files edited by hand."""
    hashed = _new()
    paths = sorted([*prefix.glob("conda-meta/*"), *prefix.glob("lib/python3.*/site-packages/*.dist-info/RECORD")])
    for path in [*paths, *sorted(prefix.glob("lib/python3.*/site-packages"))]:
        try:
            status = path.stat()
        except OSError:
            continue
        size = 0 if path.is_dir() else status.st_size
        hashed.update(f"{path.relative_to(prefix)}\0{size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape"))
    hashed.update(f"{PACK_FORMAT} {_conda_pack()}".encode())
    return hashed.hexdigest()


def comparable() -> bool:
    """False where fingerprints come out otherwise because nothing can be packed here (no conda-pack)."""
    return _conda_pack() != "none"


def _conda_pack() -> str:
    from importlib.metadata import PackageNotFoundError, version  # 0.01 s that `status` would pay

    # Inside a container or a program started by `exec` there is no conda-pack, and nothing is packed either.
    try:
        return version("conda-pack")
    except PackageNotFoundError:
        return "none"
