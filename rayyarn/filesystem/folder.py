"""A file system that is mounted here: viewfs over a folder, NFS, or a plain ``file:``. No JVM, no network."""
# ruff: noqa: D102 - FileSystem says what each of its methods does

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rayyarn.errors import StagingFailed
from rayyarn.filesystem.door import FileSystem, Stat, Upload, refused

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Folder(FileSystem):
    """The paths of ``root``, those below a mount point or all, as files below ``base``."""

    cheap = True

    def __init__(self, root: str, base: Path, point: str = "") -> None:
        """``point``: the mount point, which paths carry in front and ``base`` does not."""
        super().__init__(root)
        self._base, self._point = base, point

    def stats(self, paths: Iterable[str]) -> list[Stat | None]:
        return [self._stat(path) for path in paths]

    def read(self, path: str) -> bytes:
        try:
            return self._at(path).read_bytes()
        except PermissionError as error:
            raise _refused(path, error) from error

    def mkdirs(self, path: str, mode: int = 0o700) -> None:
        folder = self._at(path)
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        for one in reversed(missing):
            try:
                one.mkdir(mode, exist_ok=True)
            except OSError as error:
                raise _refused(path, error) from error
            one.chmod(mode)  # mkdir minds the umask

    def list(self, path: str) -> dict[str, Stat]:
        folder = self._at(path)
        if not folder.is_dir():
            return {}
        # Hadoop's local file system keeps checksums in hidden files beside what it writes.
        names = sorted(one.name for one in folder.iterdir() if one.suffix != ".crc")
        found = {name: self._stat(f"{path.rstrip('/')}/{name}") for name in names}
        return {name: status for name, status in found.items() if status is not None}

    def remove(self, path: str, *, recursive: bool = False) -> bool:
        here = self._at(path)
        try:
            if here.is_dir() and not here.is_symlink():
                shutil.rmtree(here) if recursive else here.rmdir()
            else:
                here.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _refused(path, error) from error
        _checksum(here).unlink(missing_ok=True)
        return True

    def upload(self, path: str, mode: int) -> Upload:
        try:
            return _FolderUpload(self._at(path), mode)
        except OSError as error:
            raise _refused(path, error) from error

    def rename(self, path: str, target: str, *, overwrite: bool) -> bool:
        here, there = self._at(path), self._at(target)
        try:
            if overwrite:
                here.replace(there)
            else:
                os.link(here, there)  # fails when there is one already, which a rename would not
                here.unlink()
        except FileExistsError:
            return False
        except OSError as error:
            if overwrite or error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                raise _refused(target, error) from error
            if there.exists():  # a file system without hard links: nearly as good
                return False
            here.rename(there)
        # A checksum that Hadoop left for an older file of this name would make it refuse the new one.
        _checksum(there).unlink(missing_ok=True)
        return True

    def _at(self, path: str) -> Path:
        return self._base / path.removeprefix(self._point).lstrip("/")

    def _stat(self, path: str) -> Stat | None:
        try:
            status = self._at(path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _refused(path, error) from error
        return Stat(
            status.st_size, status.st_mtime_ns // 1_000_000, stat.S_ISDIR(status.st_mode), status.st_mode & 0o7777
        )


class _FolderUpload(Upload):
    def __init__(self, path: Path, mode: int) -> None:
        self._path = path
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=1 << 20)
        self._mode = mode

    def write(self, data: Any) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            raise _refused(str(self._path), error) from error

    def finish(self) -> None:
        try:
            os.fchmod(self._file.fileno(), self._mode)
            self._file.close()
            # Whole seconds: older JVMs see no more of a file's time, and YARN refuses a file whose time differs.
            now = int(self._path.stat().st_mtime)
            os.utime(self._path, (now, now))
        except OSError as error:
            raise _refused(str(self._path), error) from error

    def abort(self) -> None:
        with suppress(OSError):  # a full disk refuses the last buffer again
            self._file.close()


def _checksum(path: Path) -> Path:
    return path.with_name(f".{path.name}.crc")


def _refused(path: str, error: OSError) -> StagingFailed:
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return StagingFailed(f"no space left for {path}", log=str(error), hint="rayyarn env prune")
    return refused(path, f"{reason}: {error.filename or path}")
