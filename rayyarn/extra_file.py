"""Small files that travel with a cluster: a model, a YAML file, a keystore. How they are named, and what cannot be one.

As with spark-submit's ``--files``: ``models/base.pt`` is ``base.pt`` in each container's folder,
``models/base.pt#model`` is ``model`` there.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from rayyarn.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# All files of this machine together, as for code: whatever is larger lies better on the cluster's file system already.
LARGEST = 200 << 20
# Plain names only: they become names in a folder, parts of a URI, and fragments in comma-separated lists of Spark's.
_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.+=@-]*")
# What rayyarn, Skein, Spark and the NodeManager have in the same folder.
_TAKEN = re.compile(
    r"\.{1,2}|environment|runtime\.zip|code\d*|token|variables\.json|connection\.json|jobs|r\d+|t"
    r"|\.skein.*|\.rayyarn.*|rayyarn-.*|__.*|launch_container\.sh|container_tokens|default_container_executor.*"
    r"|\.?container_.*|pyspark\.zip|py4j-.*\.zip|metastore_db|tmp"
)


@dataclass(frozen=True)
class ExtraFile:
    """One file: its name in the containers, and where it is; ``path`` is None for one on another file system."""

    name: str
    source: str

    @property
    def path(self) -> Path | None:
        """The file on this machine."""
        if self.source.startswith("file:"):
            return Path(unquote(urlsplit(self.source).path))
        return None if "://" in self.source else Path(self.source)


def parse(text: str) -> ExtraFile:
    """``PATH``, ``URI``, ``PATH#NAME`` or ``URI#NAME``."""
    before, mark, name = text.rpartition("#")
    source = before if mark else text
    return ExtraFile(name if mark else source.rstrip("/").rsplit("/", 1)[-1], source)


def problems(texts: Sequence[str]) -> Iterator[str]:
    """Why these cannot be sent along: a sentence for each reason, without asking another machine."""
    files = [parse(text) for text in texts]
    for one in files:
        if sentence := _name_problem(one.name) or _source_problem(one):
            yield f"{one.source}: {sentence}"
    for name, count in Counter(one.name for one in files).items():
        if count > 1:
            yield f"{count} files are called {name!r}; give one another name, as in {_first(files, name)}#other"
    for source, count in Counter(one.source for one in files).items():
        names = {one.name for one in files if one.source == source}
        if len(names) > 1:  # Spark takes the first of them only
            yield f"{source}: it is given {count} times; one name for one file"
    sizes = {one.source: size for one in files if (size := _size(one)) is not None}
    if sum(sizes.values()) > LARGEST:
        largest = max(sizes, key=lambda source: sizes[source])
        yield (
            f"they hold {format_size(sum(sizes.values()))}, and may hold {format_size(LARGEST)} together; put "
            f"{largest} ({format_size(sizes[largest])}) on the cluster's file system and name it there: hdfs:///..."
        )


def _name_problem(name: str) -> str | None:
    if not _NAME.fullmatch(name):
        allowed = "letters, digits and any of _.+=@-"
        return f"the name {name!r} in the containers may have {allowed}; give it another: PATH#NAME"
    if _TAKEN.fullmatch(name):
        return f"the containers have a {name!r} already; give it another name: PATH#NAME"
    return None


def _source_problem(one: ExtraFile) -> str | None:
    path = one.path
    if path is None:
        return "a URI with a comma or a space is none for Spark" if re.search(r"[\s,]", one.source) else None
    if os.path.isdir(path):  # noqa: PTH112 - unlike Path's, it does not raise for a folder that may not be entered
        return "it is a folder, and only files travel; zip it, or send code with --code"
    if not os.path.isfile(path):  # noqa: PTH113
        return "it is not a file" if os.path.lexists(path) else "it is not there"
    return None if os.access(path, os.R_OK) else "it cannot be read"


def _size(one: ExtraFile) -> int | None:
    path = one.path
    return path.stat().st_size if path is not None and os.path.isfile(path) else None  # noqa: PTH113


def _first(files: list[ExtraFile], name: str) -> str:
    return next(one.source for one in files if one.name == name)
