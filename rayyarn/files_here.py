"""A cluster's extra files on the machine where a program runs, whichever that is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rayyarn import filesystem, fingerprint, hadoop, home
from rayyarn.connection import FILES_FOLDER
from rayyarn.errors import ConnectionUnusable, RayYarnError
from rayyarn.extra_file import ExtraFile
from rayyarn.units import format_size

if TYPE_CHECKING:
    from rayyarn.connection import Connection

# What is fetched is held in memory once; a larger one was never a file to send along.
_LARGEST = 1 << 30


def folder(found: Connection) -> Path | None:
    """The folder with the files, for FILES_FOLDER; None when the cluster has none.

    On an edge it holds the bytes that the nodes have: a link to the original while that is what was sent, else a copy.
    Files that were named by a URI are fetched when they are asked for by name (``place``), not here.
    """
    if not found.files:
        return None
    for entry in found.files:
        if entry["modified"] is not None:
            place(found, entry["name"])
    return _folder(found)


def place(found: Connection, name: str) -> Path:
    """Where the file ``name`` is on this machine; it is put there when it must. Raises ConnectionUnusable."""
    entry = next((one for one in found.files if one["name"] == name), None)
    if entry is None:
        there = ", ".join(one["name"] for one in found.files) or "none"
        raise ConnectionUnusable(
            f"the cluster {found.name} has no file {name!r}; it has: {there}",
            hint=f"rayyarn up {found.name} --files ...   # they are told when it comes up",
        )
    if "CONTAINER_ID" in os.environ:
        inside = Path(os.environ.get(FILES_FOLDER, ""), name)
        if inside.is_file():
            return inside.absolute()
    here = _folder(found) / name
    original = _original(entry)
    if here.is_file() and not here.is_symlink():
        return here  # a copy of what was sent
    if original is None:
        home.write_private(here, _fetched(found, entry))
    elif not here.is_symlink() or here.readlink() != original:
        link = here.with_name(f".{name}.{os.getpid()}")  # put there whole: other programs use the folder
        link.unlink(missing_ok=True)
        link.symlink_to(original)
        link.replace(here)
    return here


def changed(found: Connection) -> list[str]:
    """The files whose originals on this machine have other bytes than what was sent."""
    names = []
    for entry in found.files:
        path = _source(entry)
        if path is not None and path.is_file() and _original(entry) is None:
            try:
                if str(fingerprint.of_archive(path)) != entry["fingerprint"]:
                    names.append(entry["name"])
            except OSError:
                continue  # not readable is not known to be another one
    return names


def _folder(found: Connection) -> Path:
    where = found.secret("token").parent / "files"
    where.mkdir(mode=0o700, exist_ok=True)
    return where


def _source(entry: dict[str, Any]) -> Path | None:
    """Where the original was on the machine that sent it; None for one that was named by a URI."""
    return None if entry["modified"] is None else ExtraFile(entry["name"], entry["source"]).path


def _original(entry: dict[str, Any]) -> Path | None:
    """The file that was sent, when it is on this machine and untouched since."""
    path = _source(entry)
    if path is None or not path.is_file():
        return None
    status = path.stat()
    return path if (status.st_size, status.st_mtime) == (entry["size"], entry["modified"]) else None


def _fetched(found: Connection, entry: dict[str, Any]) -> bytes:
    uri = str(entry["uri"])
    if entry["size"] > _LARGEST:
        raise ConnectionUnusable(
            f"{uri} holds {format_size(entry['size'])}, too much to be fetched to this machine",
            hint=f"hdfs dfs -get {uri} .   # or read it where it is",
        )
    scheme, authority, path = urlsplit(uri)[:3]
    try:
        return filesystem.open(hadoop.find(found.conf_dir), f"{scheme}://{authority}").read(path)
    except (RayYarnError, FileNotFoundError) as error:
        raise ConnectionUnusable(
            f"{entry['name']} of the cluster {found.name} cannot be fetched from {uri}: {error}",
            hint=f"hdfs dfs -ls {uri}",
        ) from error
