"""What is known of a mini cluster: the record in its folder, and the lock on it."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rayyarn import home
from rayyarn.errors import NotReady
from rayyarn.mini.address import Block
from rayyarn.mini.conf import Shape
from rayyarn.mini.daemons import Daemon
from rayyarn.mini.process import Process, boot_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rayyarn.steps import Reporter

_SCHEMA = 1
_FILE = "record.json"
_LOCK_LIMIT = 300.0  # longer than any `mini up`


@dataclass(frozen=True)
class MiniCluster:
    """A mini cluster as the library hands it out."""

    name: str
    folder: str
    conf_dir: str
    rm_web: str  # host:port
    default_fs: str
    nodes: tuple[str, ...]  # the NodeManagers' addresses, which are their host names
    memory: int  # bytes per node
    cpus: int  # vcores per node
    hdfs: bool
    pids: dict[str, int]
    changed: bool = False  # True when this call brought it up, or a part of it


@dataclass(frozen=True)
class Record:
    """What the folder's record holds. ``whole``: it was brought up to the end; ``stopped``: a `down` kept its files."""

    name: str
    shape: Shape
    daemons: tuple[Daemon, ...]
    boot: str
    whole: bool
    stopped: bool = False

    @property
    def alive(self) -> bool:
        """True when it can be used: brought up, and its ResourceManager lives."""
        return self.whole and any(daemon.role == "rm" and self.lives(daemon) for daemon in self.daemons)

    def lives(self, daemon: Daemon) -> bool:
        """True when ``daemon`` was started since this boot and still runs."""
        return self.boot == boot_id() and daemon.alive

    def cluster(self, *, changed: bool) -> MiniCluster:
        """The public view."""
        shape = self.shape
        return MiniCluster(
            name=self.name,
            folder=str(shape.folder),
            conf_dir=str(shape.folder / "conf"),
            rm_web=f"{shape.block.master}:8088",
            default_fs=shape.default_fs,
            nodes=tuple(shape.block.node(index) for index in range(shape.nodes)),
            memory=shape.memory,
            cpus=shape.cpus,
            hdfs=shape.hdfs,
            pids={daemon.role: daemon.process.pid for daemon in self.daemons},
            changed=changed,
        )


def base() -> Path:
    """The folder of all mini clusters of this user. Not made here: looking must leave no trace."""
    return (Path(os.environ.get("RAYYARN_HOME") or Path.home() / ".rayyarn") / "mini").resolve()


def folder_of(name: str) -> Path:
    """The folder of one cluster."""
    return base() / name


def names() -> list[str]:
    """All clusters that have a folder."""
    where = base()
    return sorted(entry.name for entry in os.scandir(where) if entry.is_dir()) if where.is_dir() else []


def save(record: Record) -> None:
    """Write the record, whole or not at all."""
    document = {"schema": _SCHEMA, **asdict(record)}
    text = json.dumps(document, default=str, indent=1)
    home.write_private(record.shape.folder / _FILE, text.encode())


def load(folder: Path) -> Record | None:
    """The record in ``folder``; None when there is none that can be read: then the folder is debris."""
    try:
        found = json.loads((folder / _FILE).read_text())
        shape = found["shape"]
        block = Block(**shape.pop("block"))
        where, jars = Path(shape.pop("folder")), Path(shape.pop("jars"))
        daemons = tuple(
            Daemon(one["role"], one["host"], Process(**one["process"]), Path(one["log"])) for one in found["daemons"]
        )
        made = Shape(folder=where, block=block, jars=jars, **shape)
        stopped = found.get("stopped", False)  # an older record's cluster was never stopped
        return Record(found["name"], made, daemons, found["boot"], found["whole"], stopped)
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def locked(folder: Path, reporter: Reporter) -> Iterator[None]:
    """Hold ``folder`` for one command, making it when it is not there. The body may remove it.

    The folder itself is what is locked, so that no lock file stays behind.
    """
    end = time.monotonic() + _LOCK_LIMIT
    told = False
    while True:
        handle = _opened(folder)
        try:
            if handle is not None and home.try_lock(handle) and _same(handle, folder):
                yield
                return
        finally:
            if handle is not None:
                os.close(handle)
        if not told and handle is not None:
            reporter.note(f"another command is working on the mini cluster {folder.name!r}: waiting for it")
            told = True
        if time.monotonic() > end:
            raise NotReady(f"waited {_LOCK_LIMIT:.0f} s for another command that works on {folder}")
        time.sleep(0.1)


def _opened(folder: Path) -> int | None:
    """A handle of the folder, made if need be; None when a `down` removed it, or the one above, at this moment."""
    try:
        home.root()
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None


def _same(handle: int, folder: Path) -> bool:
    """False when the last holder of the lock removed the folder while we waited."""
    try:
        return os.path.samestat(os.fstat(handle), folder.stat())
    except FileNotFoundError:
        return False
