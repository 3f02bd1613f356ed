"""Put-if-absent: a content-named file is sent once, never overwritten, and found again without asking.

YARN takes a file's size and time as a part of it: overwriting one under a running application fails its containers.
So names carry content ids, bytes go to another name first, and what exists is left alone.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayyarn import home
from rayyarn.errors import NotReady, StagingFailed
from rayyarn.memo import Memo
from rayyarn.steps import SILENT, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

    from rayyarn.filesystem import FileSystem, Stat
    from rayyarn.hadoop import Hadoop

KINDS = ("envs", "code", "files", "runtime", "spark")
_MEMO = "staged"
# Half-written files of others are left alone for so long: their writer may be on another machine.
_PART_AGE_MS = 24 * 3600 * 1000


def folder(hadoop: Hadoop, kind: str) -> str:
    """Where staged files of ``kind`` (one of ``KINDS``) lie."""
    return f"{hadoop.home}/.rayyarn/{kind}"


@dataclass(frozen=True)
class Staged:
    """A file on the default file system, as YARN and Spark name it. ``made``: this call wrote it."""

    uri: str
    path: str
    size: int
    mtime_ms: int
    visibility: str  # "private" or "public"
    made: bool = False


def ensure(
    fs: FileSystem,
    path: str,
    write: Callable[[BinaryIO], object],
    *,
    mode: int = 0o600,
    limit: float = 1800.0,
    step: Step | None = None,
    recheck: bool = False,
) -> Staged:
    """The file ``path``, made by ``write(sink)`` if it is not there.

    What was seen before is believed where looking is dear (``recheck`` looks all the same). Of several calls for one
    file on this machine one writes, the others wait up to ``limit`` seconds and take it. Raises StagingFailed, and
    whatever ``write`` raises; nothing half-written stays.
    """
    known = None if recheck or fs.cheap else cached(fs, path)
    found = known or _present(fs, path)
    if found:
        return found
    with _lock(fs.uri(path), limit, step or Step("stage", limit, SILENT)):
        found = _present(fs, path)
        if found:
            return found
        folder = path.rsplit("/", 1)[0]
        fs.mkdirs(folder, 0o700)
        sweep(fs, folder)
        with fs.create(path, mode) as sink:
            write(sink)
        made = _present(fs, path, made=True)
    if made is None:
        raise StagingFailed(f"{fs.uri(path)} was written and is not there", hint=f"hdfs dfs -ls {fs.uri(folder)}")
    return made


def existing(fs: FileSystem, path: str) -> Staged:
    """A file that somebody else put there. Raises StagingFailed when it is missing."""
    found = _present(fs, path)
    if found is None:
        raise StagingFailed(f"{fs.uri(path)} is not there", hint=f"hdfs dfs -ls {fs.uri(path.rsplit('/', 1)[0])}")
    return found


def foreseen(fs: FileSystem, path: str) -> Staged:
    """What ``ensure`` would return, with nothing written: size and time are 0 for what is not there yet."""
    return existing(fs, path) if fs.stat(path) is not None else Staged(fs.uri(path), path, 0, 0, "private")


def cached(fs: FileSystem, path: str) -> Staged | None:
    """What is remembered of ``path``, without asking the file system."""
    known = Memo(_MEMO).get(fs.uri(path))
    return Staged(**known) if isinstance(known, dict) else None


def forget(uri: str) -> None:
    """YARN says that ``uri`` is not there: the next ``ensure`` looks for itself."""
    Memo(_MEMO).forget(uri)


def visibility(status: Stat, parents: Iterable[Stat | None]) -> str:
    """``public`` when everybody may read the file and enter all folders above it, else ``private``.

    Spark's own rule (ClientDistributedCacheManager): with the same answer Ray and Spark share one unpacked copy.
    """
    entered = all(one is not None and one.mode & 0o001 for one in parents)
    return "public" if status.mode & 0o004 and entered else "private"


def sweep(fs: FileSystem, folder: str) -> list[str]:
    """Remove what killed writers left in ``folder``: ours when the process is gone, others' after a day."""
    gone = []
    for name, status in fs.list(folder).items():
        host, pid = _writer(name)
        if host is None:
            continue
        dead = host == socket.gethostname() and not Path(f"/proc/{pid}").exists()
        if dead or time.time() * 1000 - status.mtime_ms > _PART_AGE_MS:
            fs.remove(f"{folder}/{name}")
            gone.append(name)
    return gone


def _writer(name: str) -> tuple[str | None, str]:
    """Host and process of an unfinished file (see ``door.part_name``); (None, "") for any other."""
    marker = name.rfind(".part-")
    parts = name[marker + 6 :].rsplit("-", 2) if name.startswith(".") and marker > 0 else []
    return (parts[0], parts[1]) if len(parts) == 3 else (None, "")


def _present(fs: FileSystem, path: str, *, made: bool = False) -> Staged | None:
    parts = path.strip("/").split("/")[:-1]
    parents = ["/", *("/" + "/".join(parts[: count + 1]) for count in range(len(parts)))]
    status, *above = fs.stats([path, *parents])
    if status is None or status.is_dir:
        return None
    known: dict[str, Any] = {"uri": fs.uri(path), "path": path, "size": status.size, "mtime_ms": status.mtime_ms}
    staged = Staged(**known, visibility=visibility(status, above), made=made)
    if not fs.cheap:
        Memo(_MEMO).put(staged.uri, {**known, "visibility": staged.visibility})
    return staged


@contextmanager
def _lock(uri: str, limit: float, step: Step) -> Iterator[None]:
    """One writer a file on this machine. The kernel drops the lock with its process, however that dies."""
    folder = home.cache() / "locks"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / hashlib.blake2b(uri.encode(), digest_size=12).hexdigest()
    deadline = time.monotonic() + limit
    with path.open("a+") as file:
        while not home.try_lock(file.fileno()):
            if time.monotonic() > deadline:
                raise NotReady(
                    f"waited {limit:.0f} s for process {_holder(path)}, which makes {uri}",
                    hint=f"ps -fp {_holder(path)}",
                )
            step.update(f"process {_holder(path)} on this machine makes the same file; waiting for it")
            time.sleep(0.1)
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield


def _holder(path: Path) -> str:
    try:
        return path.read_text() or "?"
    except OSError:
        return "?"
