"""New lines of a running cluster's logs, as its nodes write them."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from rayyarn.errors import RayYarnError, YarnUnreachable
from rayyarn.logs import container, text
from rayyarn.logs.node_pages import NodePages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rayyarn.hadoop import Hadoop
    from rayyarn.rm import ResourceManager
    from rayyarn.yarn_report import App

_EVERY = 1.0  # seconds between two looks at the files
_CONTAINERS_EVERY = 5.0  # and at which containers there are

_Line = tuple[str, str, str]  # node, file, text


def follow(
    site: Hadoop, rm: ResourceManager, app: App, name: str, *, node: str | None, only: str | None, first: int
) -> Iterator[_Line]:
    """The last ``first`` lines of each file, then what comes, until the application is over."""
    pages, seen = NodePages(site), _Seen(first, only)
    there: list[container.Container] = []
    look = 0.0
    while True:
        if time.monotonic() >= look:
            look = time.monotonic() + _CONTAINERS_EVERY
            try:
                now = rm.live(app.id)
            except YarnUnreachable:  # it restarts, or another takes over
                now = app
            if now is None:
                return
            with contextlib.suppress(RayYarnError):  # a replacement has not begun yet: those of before are kept
                there = container.choose(container.of_live(site, rm, now, name), node, name)
        for one in there:
            with contextlib.suppress(RayYarnError):  # a node in trouble: asked again at the next look
                yield from seen.news(pages, one)
        seen.begun = True
        time.sleep(_EVERY)


class Tail:
    """One file of one container as it grows."""

    def __init__(self, pages: NodePages, one: container.Container, file: str) -> None:
        self._pages, self._container, self._file, self._length = pages, one, file, 0

    def news(self) -> bytes:
        """What has come since the last call."""
        length = self._pages.files(self._container).get(self._file, 0)
        if length == self._length:
            return b""
        self._length, data = self._pages.since(self._container, self._file, self._length, length)
        return data


class _Seen:
    """How far each file was read, and the line at its end that is not whole yet."""

    def __init__(self, first: int, only: str | None) -> None:
        self._first, self._only = first, only
        self._lengths: dict[tuple[str, str], int] = {}
        self._open: dict[tuple[str, str], bytes] = {}
        self.begun = False

    def news(self, pages: NodePages, one: container.Container) -> Iterator[_Line]:
        files = pages.files(one)
        for file in text.logs(files, self._only):
            key, length = (one.id, file), files[file]
            if key not in self._lengths and not self.begun:
                now, data = pages.tail(one, file, length, self._first)
                lines = data.splitlines(keepends=True)
                whole = sum(line.endswith(b"\n") for line in lines)
                data = b"".join(lines[max(0, whole - self._first) :])
            elif length != self._lengths.get(key, 0):
                now, data = pages.since(one, file, self._lengths.get(key, 0), length)
            else:
                continue
            self._lengths[key] = now
            *lines, self._open[key] = (self._open.get(key, b"") + data).split(b"\n")
            yield from ((one.node, file, line.decode(errors="replace")) for line in lines)
