"""viewfs: a table of mount points, each a file system of its own.

Facts: Hadoop 3.5.0 "ViewFs Guide" (ViewFs.html): ``fs.viewfs.mounttable.<table>.link./path``, ``.linkFallback``,
``.linkMergeSlash``; without an authority the table is named ``default``.
"""
# ruff: noqa: D102 - FileSystem says what each of its methods does

from __future__ import annotations

from typing import TYPE_CHECKING

from rayyarn.errors import StagingFailed
from rayyarn.filesystem.door import FileSystem, Stat, Upload

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rayyarn.hadoop import Hadoop


class Mounts(FileSystem):
    """Sends each path to the file system of its longest mount point."""

    def __init__(self, root: str, doors: Mapping[str, FileSystem]) -> None:
        super().__init__(root)
        self._doors = doors
        self.cheap = all(door.cheap for door in doors.values())

    @property
    def jvm(self) -> bool:
        return any(door.jvm for door in self._doors.values())

    def stats(self, paths: Iterable[str]) -> list[Stat | None]:
        return [self._door(path).stats([path])[0] for path in paths]

    def read(self, path: str) -> bytes:
        return self._door(path).read(path)

    def mkdirs(self, path: str, mode: int = 0o700) -> None:
        self._door(path).mkdirs(path, mode)

    def list(self, path: str) -> dict[str, Stat]:
        return self._door(path).list(path)

    def remove(self, path: str, *, recursive: bool = False) -> bool:
        return self._door(path).remove(path, recursive=recursive)

    def upload(self, path: str, mode: int) -> Upload:
        return self._door(path).upload(path, mode)

    def rename(self, path: str, target: str, *, overwrite: bool) -> bool:
        return self._door(path).rename(path, target, overwrite=overwrite)

    def _door(self, path: str) -> FileSystem:
        points = [point for point in self._doors if point == "/" or path == point or path.startswith(f"{point}/")]
        if not points:
            raise StagingFailed(f"{self.root} has no mount point for {path}", hint=f"hdfs dfs -ls {self.root}/")
        return self._doors[max(points, key=len)]


def mount_table(hadoop: Hadoop, authority: str) -> dict[str, str]:
    """Target by mount point; ``/`` is the fallback for all other paths."""
    start = f"fs.viewfs.mounttable.{authority or hadoop.get('fs.viewfs.mounttable.default.name.key') or 'default'}."
    found = {}
    for key in hadoop.properties:
        kind = key.removeprefix(start) if key.startswith(start) else ""
        if kind in ("linkFallback", "linkMergeSlash"):
            found["/"] = hadoop.get(key)
        elif kind.startswith("link./"):
            found[kind.removeprefix("link.").rstrip("/") or "/"] = hadoop.get(key)
        elif kind.startswith(("linkNfly", "linkRegex", "linkMerge.")):
            found[kind] = "nfly:"  # nothing we understand: the whole table goes through FsShell
    return found
