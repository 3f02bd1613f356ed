"""A cluster's extra files on their way to the containers.

Small ones, which may be secrets, travel as the cluster's token does: with the application alone, and gone with it.
Larger ones are staged under a name made of their content, so that an unchanged model is sent once. YARN is asked to
keep neither: each node deletes its copy with the application.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from rayyarn import extra_file, filesystem, fingerprint, stage
from rayyarn.errors import StagingFailed
from rayyarn.extra_file import ExtraFile
from rayyarn.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from rayyarn.filesystem import FileSystem
    from rayyarn.fingerprint import Fingerprint
    from rayyarn.hadoop import Hadoop
    from rayyarn.stage import Staged
    from rayyarn.steps import Steps

# Up to so many bytes a file is quick to send again with each cluster; keys and configurations are smaller.
SMALL = 1 << 20
_LIMIT = 900.0


@dataclass(frozen=True)
class SentFile:
    """One file. ``modified`` (seconds since 1970) is that of the original, None for one on another file system."""

    name: str
    source: str
    size: int
    modified: float | None
    fingerprint: Fingerprint
    staged: Staged | None

    @property
    def small(self) -> bool:
        """True when it travels with the application."""
        return self.staged is None

    def entry(self, uri: str) -> dict[str, Any]:
        """As the connection document has it; ``uri``: where it lies for Spark and for other machines."""
        known = {"name": self.name, "uri": uri, "fingerprint": str(self.fingerprint), "size": self.size}
        return {**known, "source": self.source, "modified": self.modified}


def send(
    site: Hadoop, fs: FileSystem, files: Sequence[str], *, steps: Steps, recheck: bool = False
) -> tuple[SentFile, ...]:
    """The files of a spec, the larger ones staged. Raises StagingFailed."""
    if not files:
        return ()
    with steps.step("files", limit=_LIMIT) as step:

        def large(where: str, known: Fingerprint, one: ExtraFile, path: Path) -> Staged:
            step.update(f"{one.name} ({format_size(path.stat().st_size)})")
            return stage.ensure(fs, where, _copier(path, known), limit=_LIMIT, step=step, recheck=recheck)

        found = tuple(_sent(site, one, large) for one in map(extra_file.parse, files))
        made = [one.name for one in found if one.staged is not None and one.staged.made]
        step.result = ", ".join(one.name for one in found) + (f"; {', '.join(made)} sent to {fs.root}" if made else "")
    return found


def foresee(site: Hadoop, fs: FileSystem, files: Sequence[str]) -> tuple[SentFile, ...]:
    """What ``send`` would return, with nothing sent."""
    return tuple(_sent(site, one, lambda where, *_: stage.foreseen(fs, where)) for one in map(extra_file.parse, files))


def keep(files: Iterable[SentFile], folder: Path) -> None:
    """Copy the small ones into ``folder`` (0700, 0600), each under its name, from where they are submitted.

    Raises StagingFailed when one is not any more what it was.
    """
    for one in files:
        if one.small:
            folder.mkdir(mode=0o700, exist_ok=True)
            path = ExtraFile(one.name, one.source).path
            assert path is not None  # noqa: S101 - what is elsewhere is staged
            handle = os.open(folder / one.name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as sink:
                _copier(path, one.fingerprint)(sink)


def _sent(site: Hadoop, one: ExtraFile, large: Callable[[str, Fingerprint, ExtraFile, Path], Staged]) -> SentFile:
    """``large``: what becomes of a large one, by its place, what it holds, its name and where it is here."""
    path = one.path
    if path is None:
        staged = _elsewhere(site, one.source)
        known = fingerprint.of_text(f"{staged.uri} {staged.size} {staged.mtime_ms}")
        return SentFile(one.name, one.source, staged.size, None, known, staged)
    try:
        status = path.stat()
        known = fingerprint.of_archive(path)
    except OSError as error:
        raise StagingFailed(f"{path} cannot be read: {error.strerror}", hint=f"ls -l {path}") from None
    where = f"{stage.folder(site, 'files')}/{known}.{one.name}"
    put = large(where, known, one, path) if status.st_size > SMALL else None
    return SentFile(one.name, one.source, status.st_size, status.st_mtime, known, put)


def _elsewhere(site: Hadoop, uri: str) -> Staged:
    scheme, authority, path = urlsplit(uri)[:3]
    return stage.existing(filesystem.open(site, f"{scheme}://{authority}" if authority else ""), path)


def _copier(path: Path, known: Fingerprint) -> Callable[[BinaryIO], None]:
    def write_to(sink: BinaryIO) -> None:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                sink.write(block)
        # A name made of its content must not lie.
        if fingerprint.of_archive(path) != known:
            raise StagingFailed(f"{path} changed while it was sent; nothing was left behind", hint="run this again")

    return write_to
