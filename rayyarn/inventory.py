"""What we keep on the default file system, what of it is in use, and what can go."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rayyarn import filesystem, hadoop, register, stage
from rayyarn.rm import ResourceManager

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rayyarn.filesystem import FileSystem
    from rayyarn.hadoop import Hadoop

KINDS = {"envs": "environment", "code": "code", "files": "file", "runtime": "runtime", "spark": "spark"}


@dataclass(frozen=True)
class Item:
    """A staged file. ``used_by`` names live clusters that run on it (known for environments)."""

    kind: str
    fingerprint: str
    uri: str
    path: str
    size: int
    age: float  # seconds since it was made
    used_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pruned:
    """What ``prune`` removed and what it left, and the bytes that are free again."""

    removed: tuple[Item, ...]
    kept: tuple[Item, ...]

    @property
    def freed(self) -> int:
        """Bytes, before replication."""
        return sum(item.size for item in self.removed)

    def to_dict(self) -> dict[str, object]:
        """As the ``--json`` envelope carries it."""
        return {"removed": list(self.removed), "kept": list(self.kept), "freed": self.freed}


def survey(conf: str | None = None) -> list[Item]:
    """All staged files of this user on the default file system, with the clusters that use them."""
    site = hadoop.find(conf)
    return items(site, filesystem.open(site), in_use(ResourceManager(site)))


def clear(conf: str | None = None, *, older_than: float = 0.0, dry_run: bool = False) -> Pruned:
    """``prune`` on this user's files, with the clusters that YARN knows now. Raises YarnUnreachable without YARN."""
    site = hadoop.find(conf)
    used = in_use(ResourceManager(site))  # before looking at files: what is not known to be unused is not removed
    return prune(site, filesystem.open(site), used, older_than=older_than, dry_run=dry_run)


def items(site: Hadoop, fs: FileSystem, in_use: dict[str, tuple[str, ...]] | None = None) -> list[Item]:
    """All staged files, newest first. ``in_use``: cluster names by environment fingerprint, see ``in_use``."""
    found = []
    now = time.time()
    for name, kind in KINDS.items():
        where = stage.folder(site, name)
        for file, status in fs.list(where).items():
            if file.startswith(".") or status.is_dir:
                continue
            known = file.split(".", 1)[0].removeprefix("rayyarn-runtime-")
            path = f"{where}/{file}"
            users = (in_use or {}).get(known, ()) if kind == "environment" else ()
            age = max(0.0, now - status.mtime_ms / 1000)
            found.append(Item(kind, known, fs.uri(path), path, status.size, age, users))
    return sorted(found, key=lambda item: item.age)


def in_use(rm: ResourceManager) -> dict[str, tuple[str, ...]]:
    """Names of live clusters by the fingerprint of their environment, from the tags of their applications."""
    found: dict[str, tuple[str, ...]] = {}
    for app in rm.apps(tag=register.TAG):
        known = register.fingerprint_of(app)
        if known:
            found[known] = (*found.get(known, ()), register.name_of(app))
    return found


def prune(
    site: Hadoop,
    fs: FileSystem,
    used: dict[str, tuple[str, ...]],
    *,
    older_than: float = 0.0,
    keep: Iterable[str] = (),
    dry_run: bool = False,
) -> Pruned:
    """Remove staged files that are older than ``older_than`` seconds and that no live cluster can need.

    An environment in ``used``, or whose fingerprint begins with one of ``keep``, stays. While any cluster lives, all
    code, files, runtime and Spark's jars stay: a replaced container fetches them again. Unfinished files of dead
    writers go.
    """
    kept, removed = [], []
    spared = tuple(keep)
    for item in items(site, fs, used):
        needed = bool(item.used_by) if item.kind == "environment" else bool(used)
        if needed or item.age < older_than or (spared and item.fingerprint.startswith(spared)):
            kept.append(item)
            continue
        if not dry_run:
            fs.remove(item.path)
            stage.forget(item.uri)
        removed.append(item)
    if not dry_run:
        for name in KINDS:
            stage.sweep(fs, stage.folder(site, name))
    return Pruned(tuple(removed), tuple(kept))
