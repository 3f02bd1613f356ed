"""Code layers: the user's own code in motion, apart from the environment, so that an edit costs kilobytes.

A layer is a small ``.tar.gz`` that YARN unpacks beside the environment. Equal code gives equal bytes, whoever makes
it, wherever the checkout lies.
"""

from __future__ import annotations

import gzip
import os
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from rayyarn import fingerprint
from rayyarn.editable import CodeTree
from rayyarn.errors import EnvironmentUnusable
from rayyarn.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rayyarn.editable import Editable
    from rayyarn.fingerprint import Fingerprint

# Code is small; whatever is larger is data, and belongs on the cluster's file system.
LARGEST = 200 << 20
_LEFT_OUT = {
    ".git", ".hg", ".svn", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".nox", ".eggs",
    ".ipynb_checkpoints", ".hypothesis", ".idea", ".vscode", "node_modules", ".DS_Store",
}  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """Something small that travels beside the environment.

    ``python_paths`` are relative to the unpacked layer and belong on PYTHONPATH, in this order; empty when the layer
    is a zip that goes on PYTHONPATH itself.
    """

    fingerprint: Fingerprint
    name: str  # of the file it is staged as
    size: int  # bytes before compression
    python_paths: tuple[str, ...]
    writer: Callable[[BinaryIO], None]

    def write(self, sink: BinaryIO) -> None:
        """Write the layer's bytes."""
        self.writer(sink)


def code_layer(editable: Iterable[Editable] = (), code: Sequence[str | Path] = ()) -> Layer | None:
    """The layer that holds the code of ``editable`` installs and of the folders or files ``code``; None without any.

    A folder given as ``code`` is put on the path; one that is a package itself (it has an ``__init__.py``) is imported
    by its name. Raises EnvironmentUnusable when something is missing or all of it exceeds 200 MiB.
    """
    groups = [("code" if i == 0 else f"code{i + 1}", [_given(Path(one))]) for i, one in enumerate(code)]
    groups += [(one.name, list(one.trees)) for one in editable]
    if not groups:
        return None
    files: dict[str, Path] = {}
    paths: list[str] = []
    for name, trees in groups:
        for number, tree in enumerate(trees):
            # Folders that are on sys.path one by one stay apart; packages of one install lie side by side.
            top = f"{name}/{number}" if not tree.target and len(trees) > 1 else name
            if top not in paths:
                paths.append(top)
            files.update(_members(tree, top))
    return _layer(files, tuple(paths))


def of_folder(source: Path) -> Layer:
    """The files of a folder, or one file, as they lie there: the working folder of a job. Raises as ``code_layer``."""
    return _layer(
        {str(path.relative_to(source)): path for path in _walk(source)} if source.is_dir() else {source.name: source},
        (),
    )


def _layer(files: dict[str, Path], paths: tuple[str, ...]) -> Layer:
    size = sum(path.stat().st_size for path in files.values())
    if size > LARGEST:
        raise _too_large(files, size)
    known = fingerprint.of_tree(files.items())
    return Layer(known, f"{known}.tar.gz", size, paths, lambda sink: _write(files, sink))


def _given(path: Path) -> CodeTree:
    path = path.expanduser().absolute()
    if not path.exists():
        raise EnvironmentUnusable(f"the code {path} does not exist", hint=f"ls {path.parent}")
    return CodeTree(path, path.name if (path / "__init__.py").is_file() else path.stem if path.is_file() else "")


def _members(tree: CodeTree, top: str) -> Iterator[tuple[str, Path]]:
    if tree.source.is_file():
        yield f"{top}/{tree.target.replace('.', '/')}{tree.source.suffix}", tree.source
        return
    base = f"{top}/{tree.target.replace('.', '/')}".rstrip("/")
    for path in _walk(tree.source):
        yield f"{base}/{path.relative_to(tree.source)}", path


def _walk(root: Path) -> Iterator[Path]:
    """Regular files below ``root``, links followed once, without caches, repositories and nested environments."""
    seen: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        nested = folder != str(root) and ("pyvenv.cfg" in files or "conda-meta" in folders)
        if real in seen or nested:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        for name in files:
            path = Path(folder, name)
            if name not in _LEFT_OUT and path.suffix != ".pyc" and path.is_file():
                yield path


def _too_large(files: dict[str, Path], size: int) -> EnvironmentUnusable:
    sums: dict[Path, int] = {}
    for path in files.values():
        sums[path.parent] = sums.get(path.parent, 0) + path.stat().st_size
    worst = max(sums, key=lambda folder: sums[folder])
    return EnvironmentUnusable(
        f"the code to send along holds {format_size(size)}, and a code layer may hold {format_size(LARGEST)}; "
        f"{worst} alone holds {format_size(sums[worst])}",
        hint=f"hdfs dfs -put {worst} .   # data belongs on the cluster's file system, not beside the code",
    )


def _write(files: dict[str, Path], sink: BinaryIO) -> None:
    """A .tar.gz of ``files`` with fixed times and owners: equal code, equal bytes."""
    with (
        gzip.GzipFile(filename="", fileobj=sink, mode="wb", compresslevel=6, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, path in sorted(files.items()):
            data = path.read_bytes()  # at once: a file that grows meanwhile must not break the tar
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), 315532800  # 1980, as in the runtime archive
            member.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            tar.addfile(member, BytesIO(data))
