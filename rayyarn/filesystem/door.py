"""What every way to a file system can do, and the words for what goes wrong there."""

from __future__ import annotations

import io
import os
import secrets
import socket
from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from rayyarn.errors import RayYarnError, StagingFailed
from rayyarn.steps import signals_held

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class DoorClosed(RayYarnError):
    """A way to the file system that does not work here; another may."""

    code = "door_closed"


@dataclass(frozen=True)
class Stat:
    """A file or folder: size in bytes, modification time in milliseconds since 1970, permission bits."""

    size: int
    mtime_ms: int
    is_dir: bool
    mode: int


class FileSystem(ABC):
    """Files by absolute path on one file system. Failures are StagingFailed with cause and hint."""

    cheap = False  # True when a stat costs microseconds, so that nobody needs to remember its answer

    def __init__(self, root: str) -> None:
        self.root = root  # scheme and authority: "hdfs://nn:8020"

    @property
    def jvm(self) -> bool:
        """True when every call starts a JVM, so that nobody calls without need."""
        return False

    def uri(self, path: str) -> str:
        """The full name of ``path`` for YARN and Spark."""
        return f"{self.root}{path}"

    @abstractmethod
    def stats(self, paths: Iterable[str]) -> list[Stat | None]:
        """One ``stat`` per path at the price of one; None for what is not there."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """The bytes of a small file. Raises FileNotFoundError when it is not there."""

    @abstractmethod
    def mkdirs(self, path: str, mode: int = 0o700) -> None:
        """Make the folder ``path`` and its parents with ``mode``; those that exist keep theirs."""

    @abstractmethod
    def list(self, path: str) -> dict[str, Stat]:
        """What lies in the folder ``path``, by name; empty when there is no such folder."""

    @abstractmethod
    def remove(self, path: str, *, recursive: bool = False) -> bool:
        """Remove ``path``; False when it was not there."""

    @abstractmethod
    def upload(self, path: str, mode: int) -> Upload:
        """Begin a new file at exactly ``path``."""

    @abstractmethod
    def rename(self, path: str, target: str, *, overwrite: bool) -> bool:
        """Move ``path`` to ``target`` in one step; False when ``target`` exists and may not be replaced."""

    def stat(self, path: str) -> Stat | None:
        """What ``path`` is; None when it is not there."""
        return self.stats([path])[0]

    def write(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """Make ``path`` hold ``data``, whole or not at all; an older file is replaced."""
        with self.create(path, mode, overwrite=True) as sink:
            sink.write(data)

    @contextmanager
    def create(self, path: str, mode: int = 0o600, *, overwrite: bool = False) -> Iterator[BinaryIO]:
        """A sink for the bytes of ``path``. The file appears when the body ends well, and not at all otherwise.

        When somebody else made ``path`` meanwhile, his file stays and ours is dropped (unless ``overwrite``).
        """
        part = part_name(path)
        upload = self.upload(part, mode)
        try:
            yield cast("BinaryIO", upload)
            upload.finish()
            if not self.rename(part, path, overwrite=overwrite):
                self.remove(part)
        except BaseException:
            with signals_held():  # a second Ctrl-C must not leave hundreds of megabytes behind
                upload.abort()
                with suppress(Exception):  # the first failure is the one to tell; the next `ensure` sweeps
                    self.remove(part)
            raise


class Upload(io.RawIOBase):
    """A file that is being written. Only ``write`` is for its users."""

    def write(self, data: Any) -> int:
        """Send ``data``, all of it."""
        raise NotImplementedError

    def finish(self) -> None:
        """All bytes were written: close, and be sure that they arrived."""
        raise NotImplementedError

    def abort(self) -> None:
        """Stop writing; whatever arrived is removed by the caller. Must not raise."""
        raise NotImplementedError


def part_name(path: str) -> str:
    """A name beside ``path`` for its unfinished bytes; says which process writes it."""
    folder, name = path.rsplit("/", 1)
    return f"{folder}/.{name}.part-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def refused(path: str, reason: str, *, user: str = "") -> StagingFailed:
    """The sentence for a file system's ``reason`` to refuse ``path``."""
    if ("Permission denied" in reason or "AccessControl" in reason) and user and path.startswith(f"/user/{user}"):
        return StagingFailed(
            f"the home folder /user/{user} is not there, or not yours",
            log=reason,
            hint=f"hdfs dfs -mkdir /user/{user} && hdfs dfs -chown {user} /user/{user}   # as the HDFS administrator",
        )
    if "minReplication" in reason:
        return StagingFailed(
            f"no DataNode could take {path}: all are full, or out of reach", log=reason, hint="hdfs dfsadmin -report"
        )
    if "No space left" in reason or "not enough space" in reason.lower():
        return StagingFailed(f"no space left for {path}", log=reason, hint="rayyarn env prune   # removes old archives")
    if "quota" in reason.lower():
        return StagingFailed(f"your quota does not allow {path}", log=reason, hint="rayyarn env prune")
    if "safe mode" in reason.lower():
        return StagingFailed(
            f"HDFS is in safe mode and takes no {path}", log=reason, hint="hdfs dfsadmin -safemode get"
        )
    return StagingFailed(f"the file system refuses {path}", log=reason, hint=f"hdfs dfs -ls {path.rsplit('/', 1)[0]}")
