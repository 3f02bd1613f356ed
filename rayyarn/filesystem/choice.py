"""Several doors to one file system: the first that opens is kept."""
# ruff: noqa: D102 - FileSystem says what each of its methods does

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from rayyarn.errors import StagingFailed
from rayyarn.filesystem.door import DoorClosed, FileSystem, Stat, Upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_T = TypeVar("_T")


class Choice(FileSystem):
    """Tries ``doors`` in order; one that says DoorClosed is not tried again."""

    def __init__(self, root: str, doors: list[FileSystem]) -> None:
        super().__init__(root)
        self._doors = doors

    @property
    def jvm(self) -> bool:
        return self._doors[0].jvm  # the one in use now

    def stats(self, paths: Iterable[str]) -> list[Stat | None]:
        asked = list(paths)
        return self._first(lambda door: door.stats(asked))

    def read(self, path: str) -> bytes:
        return self._first(lambda door: door.read(path))

    def mkdirs(self, path: str, mode: int = 0o700) -> None:
        self._first(lambda door: door.mkdirs(path, mode))

    def list(self, path: str) -> dict[str, Stat]:
        return self._first(lambda door: door.list(path))

    def remove(self, path: str, *, recursive: bool = False) -> bool:
        return self._first(lambda door: door.remove(path, recursive=recursive))

    def upload(self, path: str, mode: int) -> Upload:
        return self._first(lambda door: door.upload(path, mode))

    def rename(self, path: str, target: str, *, overwrite: bool) -> bool:
        return self._first(lambda door: door.rename(path, target, overwrite=overwrite))

    def _first(self, action: Callable[[FileSystem], _T]) -> _T:
        while True:
            try:
                return action(self._doors[0])
            except DoorClosed as error:
                if len(self._doors) == 1:
                    raise StagingFailed(f"{self.root} cannot be reached", log=error.message) from error
                del self._doors[0]
