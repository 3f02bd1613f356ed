"""The default file system of a cluster, through the first door that opens: a mounted folder, WebHDFS, FsShell.

Only the standard library is used here: programs inside containers and inside the user's environment read and write
through the same doors.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rayyarn.filesystem.choice import Choice
from rayyarn.filesystem.door import DoorClosed, FileSystem, Stat, Upload
from rayyarn.filesystem.folder import Folder
from rayyarn.filesystem.fsshell import FsShell
from rayyarn.filesystem.mounts import Mounts, mount_table
from rayyarn.filesystem.webhdfs import WebHdfs, namenodes

if TYPE_CHECKING:
    from rayyarn.hadoop import Hadoop

__all__ = ["Choice", "DoorClosed", "FileSystem", "Stat", "Upload", "local", "open"]


def open(hadoop: Hadoop, root: str = "", *, jvm: bool = True) -> FileSystem:  # noqa: A001 - filesystem.open(hadoop) reads best
    """The file system ``root`` (default: the one ``fs.defaultFS`` names). Nothing is asked before the first use.

    ``jvm=False``: only through doors that start none, for a quick look. Raises DoorClosed when there are no such doors.
    """
    found = _open(hadoop, root, jvm=jvm)
    if not jvm and found.jvm:
        raise DoorClosed(f"{found.root} is reached through Hadoop's own client alone, which starts a JVM for each call")
    return found


def _open(hadoop: Hadoop, root: str, *, jvm: bool) -> FileSystem:
    root = (root or hadoop.default_fs).rstrip("/")
    scheme, authority = urlsplit(f"{root}/")[:2]
    shell = FsShell(root, hadoop)
    if scheme == "file":
        return local()
    if scheme == "viewfs":
        doors = {
            path: _mounted(hadoop, root, path, target, jvm=jvm)
            for path, target in mount_table(hadoop, authority).items()
        }
        # A table that is only partly understood is none: Hadoop itself resolves it in FsShell.
        known = {path: door for path, door in doors.items() if door is not None}
        return Mounts(root, known) if known and len(known) == len(doors) else shell
    if scheme == "hdfs" and not hadoop.secure and hadoop.get("dfs.webhdfs.enabled", "true") != "false":
        return Choice(root, [WebHdfs(root, namenodes(hadoop, authority), hadoop.user), *([shell] if jvm else [])])
    return shell


def local() -> FileSystem:
    """The files of this machine."""
    return Folder("file://", Path("/"))


def _mounted(hadoop: Hadoop, root: str, path: str, target: str, *, jvm: bool) -> FileSystem | None:
    parts = urlsplit(target)
    if parts.scheme == "file":
        return Folder(root, Path(parts.path), "" if path == "/" else path)
    if parts.scheme == "hdfs" and path == "/" and parts.path in ("", "/"):
        inner = _open(hadoop, f"hdfs://{parts.netloc}", jvm=jvm)
        inner.root = root
        return inner
    return None
