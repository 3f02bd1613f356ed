"""A conda prefix as a ``.tar.gz`` stream: conda-pack's file selection and prefix handling, a tar and gzip of our own.

Nothing is written beside the sink: no temporary copy. How it compares with conda-pack's default is in bench/RESULTS.md.
"""

from __future__ import annotations

import codecs
import errno
import grp
import os
import pwd
import stat
import tarfile
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from rayyarn.errors import EnvironmentUnusable
from rayyarn.gzip_stream import BLOCK, GzipStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from rayyarn.environment import Environment


def pack(environment: Environment, sink: BinaryIO, progress: Callable[[int, int], None] | None = None) -> int:
    """Write the prefix of ``environment`` to ``sink`` as .tar.gz and return the bytes before compression.

    ``progress(done, total)`` is called with bytes before compression. Files that pip, or a hand, changed after conda
    linked them are taken from the prefix, the rest as conda-pack does. Raises EnvironmentUnusable when a file cannot
    be read; errors of ``sink`` pass through.
    """
    from conda_pack.core import CondaPackException, Packer

    try:
        files = select(environment)
    except CondaPackException as error:
        raise EnvironmentUnusable(
            f"conda-pack refuses {environment.location}: {str(error).splitlines()[0]}", hint="rayyarn env check"
        ) from error
    total = sum(_size(file.source) for file in files)
    history = environment.path / "conda-meta" / "history"
    with GzipStream(sink) as stream:
        tar = _Tar(stream, history.stat().st_mtime if history.exists() else 0)
        packer = Packer(environment.location, tar)
        for file in files:
            try:
                _add(packer, tar, file)
            except PermissionError as error:
                raise EnvironmentUnusable(
                    f"{error.filename} cannot be read: {error.strerror}", hint=f"ls -l {error.filename}"
                ) from error
            if progress is not None:
                progress(min(tar.done, total), total)  # tar headers are not in the total
        packer.finish()
        tar.close()
    if progress is not None:
        progress(total, total)
    return tar.done


def _add(packer: Any, tar: _Tar, file: Any) -> None:
    """As ``Packer.add``, which gives every text that pip installed a line in conda-unpack.

    Only those with the prefix in them need it, and only those need a second look.
    """
    if file.file_mode != "unknown" or not stat.S_ISREG((status := os.lstat(file.source)).st_mode):
        packer.add(file)
    elif status.st_size > BLOCK and _is_binary(file.source):
        tar.put_file(file.target, status, file.source)
    elif os.fsencode(packer.prefix) in (data := _read(file.source, status.st_size, whole=True)):
        packer.add(file)
    else:
        tar.put(file.target, status, data)


def _is_binary(path: str) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(_read(path, BLOCK))
    except UnicodeDecodeError:
        return True
    return False


def select(environment: Environment) -> list[Any]:
    """The files to pack, as conda-pack's ``File`` objects.

    conda-pack reads a conda package's files from the package cache, so it would ship what conda once installed even
    where pip or a person has changed it since. Here a cached copy is only taken when it is what lies in the prefix.
    """
    from conda_pack.core import CondaEnv

    env = CondaEnv.from_prefix(
        environment.location, on_missing_cache="ignore", ignore_editable_packages=True, ignore_missing_files=True
    )
    left_out = set(environment.left_out)
    return [_from_prefix(file, str(environment.path)) for file in env.files if file.target not in left_out]


def _from_prefix(file: Any, prefix: str) -> Any:
    from conda_pack.core import File

    here = f"{prefix}/{file.target}"
    if not file.is_conda or file.source == here:
        return file
    if file.prefix_placeholder is None:
        return File(here, file.target, is_conda=True, prefix_placeholder=None, file_mode=file.file_mode)
    if Path(here).is_symlink() or not _is_linked_copy(file, Path(here), prefix):
        return File(here, file.target, is_conda=True, prefix_placeholder=None, file_mode="unknown")
    return file


def _is_linked_copy(file: Any, here: Path, prefix: str) -> bool:
    """True when ``here`` is the cached file with its placeholder filled in, as conda does when it links."""
    from conda_pack.prefixes import replace_prefix

    try:
        cached, present = Path(file.source).read_bytes(), here.read_bytes()
        return bool(replace_prefix(cached, file.file_mode, file.prefix_placeholder, prefix) == present)
    except (OSError, ValueError):
        return False


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0  # reading it will say what is wrong


# What conda-pack writes each time: with the time of the prefix, equal prefixes give equal bytes.
_MADE_ANEW = ("bin/conda-unpack", "bin/conda_unpack_progress.py")


class _Tar:
    """What conda-pack's Packer needs of an archive, in GNU's format, which takes names of any length.

    tarfile itself would need as long for its headers as all files need to be read.
    """

    def __init__(self, sink: GzipStream, made_at: float) -> None:
        self._sink, self._made_at = sink, made_at
        self._seen: dict[tuple[int, int], str] = {}
        self.done = 0

    def add(self, source: str, target: str) -> None:
        """A file, a link or a folder as it is; a second name of a file as a hard link."""
        status = os.lstat(source)
        if not stat.S_ISREG(status.st_mode):
            kind = tarfile.SYMTYPE if stat.S_ISLNK(status.st_mode) else tarfile.DIRTYPE
            link = str(Path(source).readlink()) if kind == tarfile.SYMTYPE else ""
            self._write(_header(target, 0, status, kind, link))
        elif status.st_nlink > 1 and (first := self._first(target, status)) != target:
            self._write(_header(target, 0, status, tarfile.LNKTYPE, first))
        elif target in _MADE_ANEW:
            self.put(target, status, _read(source, status.st_size, whole=True), int(self._made_at))
        else:
            self.put_file(target, status, source)

    def add_bytes(self, source: str, data: bytes, target: str) -> None:
        """``data`` under the mode and times of ``source``."""
        self.put(target, os.lstat(source), data)

    def put(self, target: str, status: os.stat_result, data: bytes, mtime: int | None = None) -> None:
        """A file with ``data`` in it."""
        self._write(_regular(target, len(data), status, int(status.st_mtime) if mtime is None else mtime))
        self._write(data)
        self._fill(len(data))

    def put_file(self, target: str, status: os.stat_result, source: str) -> None:
        """A file as it lies at ``source``; a large one is read where it is compressed."""
        size = status.st_size
        if size <= BLOCK:
            self.put(target, status, _read(source, size, whole=True))
            return
        self._write(_regular(target, size, status, int(status.st_mtime)))
        _read(source, 1)  # so that what may not be read is said by name
        for start in range(0, size, BLOCK):
            self._sink.write_later(partial(_read, source, min(BLOCK, size - start), start, whole=True))
        self.done += size
        self._fill(size)

    def close(self) -> None:
        """Two empty blocks end a tar."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))

    def _first(self, target: str, status: os.stat_result) -> str:
        """The name under which this file went in first."""
        return self._seen.setdefault((status.st_dev, status.st_ino), target)

    def _fill(self, size: int) -> None:
        if rest := size % tarfile.BLOCKSIZE:
            self._write(bytes(tarfile.BLOCKSIZE - rest))

    def _write(self, data: bytes) -> None:
        self._sink.write(data)
        self.done += len(data)


def _regular(target: str, size: int, status: os.stat_result, mtime: int) -> bytes:
    """The header of a file: one made before, with another name, size and time (tar(5): their places, the checksum)."""
    name = os.fsencode(target)
    if len(name) > tarfile.LENGTH_NAME or size >= 8**11:
        return _header(target, size, status, tarfile.REGTYPE, "", mtime)
    like, owed = _template(status.st_mode, status.st_uid, status.st_gid)
    numbers = b"%011o\0%011o\0" % (size, mtime)
    checksum = b"%06o\0 " % (owed + sum(name) + sum(numbers))
    return b"".join((name.ljust(100, b"\0"), like[100:124], numbers, checksum, like[156:]))


@cache
def _template(mode: int, user: int, group: int) -> tuple[bytes, int]:
    """A header without name, size, time and checksum, and what the rest of it adds to the checksum."""
    info = _owned("", mode, user, group)
    made = info.tobuf(tarfile.GNU_FORMAT)
    return made, sum(made[100:124]) + 8 * ord(" ") + sum(made[156:])


def _header(target: str, size: int, status: os.stat_result, kind: bytes, link: str, mtime: int | None = None) -> bytes:
    info = _owned(target, status.st_mode, status.st_uid, status.st_gid)
    info.size, info.type, info.linkname = size, kind, link
    info.mtime = int(status.st_mtime) if mtime is None else mtime
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _owned(target: str, mode: int, user: int, group: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(target)
    info.mode, info.uid, info.gid = stat.S_IMODE(mode), user, group
    with suppress(KeyError):  # an owner without a name
        info.uname = pwd.getpwuid(user).pw_name
    with suppress(KeyError):
        info.gname = grp.getgrgid(group).gr_name
    return info


def _read(path: str, size: int, start: int = 0, *, whole: bool = False) -> bytes:
    """``size`` bytes from ``start``, or fewer; with ``whole`` OSError when there are fewer."""
    handle = os.open(path, os.O_RDONLY)
    try:
        data = os.pread(handle, size, start)
        while len(data) < size and (more := os.pread(handle, size - len(data), start + len(data))):
            data += more  # one call reads up to 2 GiB
    finally:
        os.close(handle)
    if whole and len(data) < size:
        raise OSError(errno.EIO, "became shorter while it was read", path)
    return data
