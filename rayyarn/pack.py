"""A conda prefix as a ``.tar.gz`` stream: conda-pack's file selection and prefix handling, ISA-L's gzip.

Level 1 of ISA-L takes 8 to 11 s where conda-pack's default takes 51 s for 1.3 GB, at 4 % more bytes (measured on two
cores). Nothing is written beside the sink: no temporary copy.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from rayyarn.errors import EnvironmentUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rayyarn.environment import Environment


def pack(environment: Environment, sink: BinaryIO, progress: Callable[[int, int], None] | None = None) -> int:
    """Write the prefix of ``environment`` to ``sink`` as .tar.gz and return the bytes before compression.

    ``progress(done, total)`` is called with bytes before compression. Files that pip, or a hand, changed after conda
    linked them are taken from the prefix, the rest as conda-pack does. Raises EnvironmentUnusable when a file cannot
    be read; errors of ``sink`` pass through.
    """
    from conda_pack.core import CondaPackException, Packer
    from conda_pack.formats import TarArchive

    try:
        files = select(environment)
    except CondaPackException as error:
        raise EnvironmentUnusable(
            f"conda-pack refuses {environment.location}: {str(error).splitlines()[0]}", hint="rayyarn env check"
        ) from error
    total = sum(_size(file.source) for file in files)
    history = environment.path / "conda-meta" / "history"
    mtime = history.stat().st_mtime if history.exists() else 0
    with _gzip(sink) as compressed:
        counted = _Counted(compressed, total, progress)
        with TarArchive(counted, "", mode="w", mtime=mtime) as archive:
            packer = Packer(environment.location, archive)
            for file in files:
                try:
                    packer.add(file)
                except PermissionError as error:
                    raise EnvironmentUnusable(
                        f"{error.filename} cannot be read: {error.strerror}", hint=f"ls -l {error.filename}"
                    ) from error
            packer.finish()
    return counted.done


def select(environment: Environment) -> list[Any]:
    """The files to pack, as conda-pack's ``File`` objects.

    conda-pack reads a conda package's files from the package cache, so it would ship what conda once installed even
    where pip or a person has changed it since. Here a cached copy is only taken when it is what lies in the prefix.
    """
    from conda_pack.core import CondaEnv

    prefix = environment.path
    env = CondaEnv.from_prefix(
        environment.location, on_missing_cache="ignore", ignore_editable_packages=True, ignore_missing_files=True
    )
    left_out = set(environment.left_out)
    return [_from_prefix(file, prefix) for file in env.files if file.target not in left_out]


def _from_prefix(file: Any, prefix: Path) -> Any:
    from conda_pack.core import File

    here = prefix / file.target
    if not file.is_conda or file.source == str(here):
        return file
    if file.prefix_placeholder is None:
        return File(str(here), file.target, is_conda=True, prefix_placeholder=None, file_mode=file.file_mode)
    if here.is_symlink() or not _is_linked_copy(file, here, str(prefix)):
        return File(str(here), file.target, is_conda=True, prefix_placeholder=None, file_mode="unknown")
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
        return Path(path).lstat().st_size
    except OSError:
        return 0  # reading it will say what is wrong


class _Counted:
    """A sink that knows how much went through it: tarfile asks for tell(), which a threaded gzip stream lacks."""

    def __init__(self, sink: IO[bytes], total: int, progress: Callable[[int, int], None] | None) -> None:
        self._sink, self._total, self._progress = sink, total, progress
        self.done = 0

    def write(self, data: bytes) -> int:
        self._sink.write(data)
        self.done += len(data)
        if self._progress is not None:
            self._progress(min(self.done, self._total), self._total)  # tar headers are not in the total
        return len(data)

    def tell(self) -> int:
        return self.done


@contextmanager
def _gzip(sink: BinaryIO) -> Iterator[IO[bytes]]:
    try:
        from isal import igzip_threaded
    except ImportError:
        # Where isal has no wheel: three to four times slower, the same format.
        import gzip

        with gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=1, mtime=0) as stream:
            yield cast("IO[bytes]", stream)
        return
    with igzip_threaded.open(sink, "wb", compresslevel=1, threads=1, block_size=1 << 20) as threaded:
        yield threaded
