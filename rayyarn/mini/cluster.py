"""The mini cluster from outside: bring it up, take it down, look at it, use it."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rayyarn import hadoop, home
from rayyarn.errors import ClusterDiffers, ClusterNotFound, MiniFailed, RayYarnError, SpecError, UsageError
from rayyarn.hadoop import find_java
from rayyarn.mini import address, bringup, health, jars, machine, record, teardown
from rayyarn.mini.conf import Shape
from rayyarn.mini.health import DaemonStatus, MiniStatus, MiniStatuses
from rayyarn.mini.record import MiniCluster
from rayyarn.steps import SILENT, Steps
from rayyarn.units import format_size, parse_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rayyarn.hadoop import Java
    from rayyarn.mini.record import Record
    from rayyarn.steps import Reporter

__all__ = [
    "DaemonStatus",
    "MiniCluster",
    "MiniDown",
    "MiniStatus",
    "MiniStatuses",
    "down",
    "environ",
    "running",
    "status",
    "up",
]

JAVA = 17  # Hadoop 3.5's server classes
_NAME = re.compile(r"[a-z][a-z0-9-]{0,38}")
_MOST_NODES = 64
_LEAST_MEMORY = 512 << 20
# It goes into class paths, comma separated lists and unquoted shell words of Hadoop's own making.
_UNFIT = re.compile(r"[^A-Za-z0-9_./+@%=-]")


@dataclass(frozen=True)
class MiniDown:
    """What `down` did. ``files``: the folder that was kept, None when it was removed."""

    name: str
    changed: bool
    files: str | None = None


def up(
    name: str = "default",
    *,
    nodes: int = 2,
    memory: int | str | None = None,
    cpus: int | None = None,
    hdfs: bool = False,
    reporter: Reporter = SILENT,
) -> MiniCluster:
    """Bring a mini cluster up and wait until all its nodes are RUNNING; a running one is left as it is.

    ``memory`` (bytes, or text such as ``6 GiB``) and ``cpus`` (vcores) are per node; None: what fits the machine.
    Daemons that died, did not outlive a reboot or were stopped are started again on the same files.
    Raises SpecError, JavaNotFound, ClusterDiffers (it exists with other settings), NotReady, and MiniFailed when a
    daemon died: everything is undone, and ``log`` is its last word.
    """
    folder = _folder(name)
    user = _user()
    size = _checked(nodes, memory, cpus)
    with _on_disk(folder), record.locked(folder, reporter):
        try:
            return _up(name, folder, user, nodes, size, cpus, hdfs, reporter)
        finally:
            teardown.drop_if_empty(folder)


def _up(
    name: str,
    folder: Path,
    user: str,
    nodes: int,
    memory: int | None,
    cpus: int | None,
    hdfs: bool,
    reporter: Reporter,
) -> MiniCluster:
    known = record.load(folder)
    kept = known if known is not None and known.whole else None
    if kept is not None:
        _check_same(kept, nodes, memory, cpus, hdfs)
        if all(kept.lives(daemon) for daemon in kept.daemons):
            return kept.cluster(changed=False)
    with Steps(reporter) as steps:
        java = _java(steps)
        with steps.step("Hadoop jars", limit=jars.FETCH_LIMIT) as step:
            where = jars.ensure(step)
            step.result = f"{len(jars.pinned())} jars in {where}"
        if kept is not None:
            return bringup.mend(kept, where, java, steps).cluster(changed=True)
        if any(folder.iterdir()):
            with steps.step("debris of an earlier mini cluster"):
                teardown.demolish(folder, keep_folder=True)
        with address.reserved(os.getuid(), str(folder), nodes, hdfs=hdfs) as block:
            total = machine.total_memory()
            shape = Shape(
                folder=folder,
                block=block,
                nodes=nodes,
                memory=memory or machine.node_memory(nodes, total),
                cpus=cpus or machine.node_cpus(),
                hdfs=hdfs,
                user=user,
                jars=where,
            )
            return bringup.build(name, shape, java, steps).cluster(changed=True)


def down(name: str = "default", *, keep_files: bool = False, reporter: Reporter = SILENT) -> MiniDown:
    """Stop a mini cluster with everything that runs on it and remove its folder. None there: nothing to do.

    ``keep_files``: leave the folder to the next ``up``, with what was sent to the default file system and unpacked on
    the nodes. One that was never brought up to the end has nothing worth it, and is removed.
    """
    folder = _folder(name)
    if not folder.is_dir():
        return MiniDown(name, changed=False)
    with record.locked(folder, reporter):
        known = record.load(folder)
        kept = known if keep_files and known is not None and known.whole else None
        changed = any(folder.iterdir())  # else another `down` was here while we waited
        yarn_id = _yarn_id(folder)
        if kept is None:
            teardown.demolish(folder, reporter=reporter)
        else:
            changed = not kept.stopped
            teardown.halt(folder, reporter=reporter)
            record.save(replace(kept, stopped=True))
        if yarn_id:  # what this edge remembers of clusters on a YARN that is gone, with their secrets
            shutil.rmtree(home.clusters(yarn_id), ignore_errors=True)
    return MiniDown(name, changed=changed, files=str(folder) if kept is not None else None)


def _yarn_id(folder: Path) -> str | None:
    with contextlib.suppress(RayYarnError):  # half a cluster may have no configuration
        return hadoop.find(folder / "conf").yarn_id
    return None


def status(name: str | None = None) -> MiniStatuses:
    """All mini clusters of this user, or the one called ``name`` (ClusterNotFound when there is none)."""
    if name is not None and not _folder(name).is_dir():
        raise _absent(name)
    return MiniStatuses(tuple(health.look(one) for one in (record.names() if name is None else [name])))


def environ(name: str = "default") -> dict[str, str]:
    """The variables that make a shell or a program use the mini cluster ``name``.

    HADOOP_CONF_DIR and YARN_CONF_DIR, and PATH with the cluster's ``yarn``, ``hdfs`` and ``hadoop`` first.
    """
    known = record.load(_folder(name))
    if known is None or not known.alive:
        raise _absent(name)
    folder = known.shape.folder
    others = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part != str(folder / "bin")]
    conf = str(folder / "conf")
    return {
        "HADOOP_CONF_DIR": conf,
        "YARN_CONF_DIR": conf,  # one left over from another cluster would win in some programs
        "PATH": os.pathsep.join([str(folder / "bin"), *others]),
    }


def running() -> list[MiniCluster]:
    """Mini clusters whose ResourceManager lives: a few small files are read, nothing is asked."""
    found = [record.load(record.folder_of(name)) for name in record.names()]
    return [known.cluster(changed=False) for known in found if known is not None and known.alive]


def _java(steps: Steps) -> Java:
    with steps.step("Java") as step:
        java = find_java(at_least=JAVA)
        step.result = f"{java.major}, {java.home}"
    return java


def _folder(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a name for a mini cluster: small letters, digits and dashes, a letter first, at most 39",
            hint="rayyarn mini up --name test-1",
        )
    folder = record.folder_of(name)
    unfit = _UNFIT.search(str(folder))
    if unfit:
        raise UsageError(
            f"Hadoop cannot work in {folder}: its scripts do not quote {unfit[0]!r}",
            hint="export RAYYARN_HOME=/var/tmp/$USER-rayyarn   # any folder with plain letters",
        )
    return folder


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise UsageError(
            f"user id {os.getuid()} has no name on this machine, and Hadoop takes its user from there",
            hint=f"echo me:x:{os.getuid()}:{os.getgid()}::$HOME:/bin/sh >> /etc/passwd   # in a container's image",
        ) from None


def _checked(nodes: int, memory: int | str | None, cpus: int | None) -> int | None:
    """The memory in bytes; raises SpecError with all that is wrong."""
    problems, size = [], None
    try:
        size = None if memory is None else parse_size(memory)
    except ValueError as error:
        problems.append(f"memory: {error}")
    if not 1 <= nodes <= _MOST_NODES:
        problems.append(f"nodes is {nodes}; from 1 to {_MOST_NODES} NodeManagers can be started")
    if size is not None and size < _LEAST_MEMORY:
        problems.append(f"memory is {format_size(size)} per node; no application fits below 512 MiB")
    if cpus is not None and cpus < 1:
        problems.append(f"cpus is {cpus} per node; a node needs at least 1")
    if problems:
        raise SpecError(problems, hint="rayyarn mini up --nodes 2 --memory 6GiB --cpus 8")
    return size


def _check_same(known: Record, nodes: int, memory: int | None, cpus: int | None, hdfs: bool) -> None:
    shape = known.shape
    differing = []
    if nodes != shape.nodes:
        differing.append(f"nodes (has {shape.nodes}, asked for {nodes})")
    if memory is not None and memory >> 20 != shape.memory >> 20:
        differing.append(f"memory (has {format_size(shape.memory)}, asked for {format_size(memory)})")
    if cpus is not None and cpus != shape.cpus:
        differing.append(f"cpus (has {shape.cpus}, asked for {cpus})")
    if hdfs != shape.hdfs:
        differing.append(f"hdfs (has {str(shape.hdfs).lower()}, asked for {str(hdfs).lower()})")
    if differing:
        raise ClusterDiffers(
            f"the mini cluster {known.name!r} has other settings: {', '.join(differing)}",
            hint=f"rayyarn mini down --name {known.name}   # or another --name beside it",
        )


def _absent(name: str) -> ClusterNotFound:
    return ClusterNotFound(
        f"no mini cluster named {name!r} runs here",
        hint="rayyarn mini up" + ("" if name == "default" else f" --name {name}"),
    )


@contextlib.contextmanager
def _on_disk(folder: Path) -> Iterator[None]:
    """Turn what the file system refuses (disk full, no rights) into one sentence."""
    try:
        yield
    except OSError as error:
        raise MiniFailed(
            f"the mini cluster cannot live in {folder}: {error.strerror or error}",
            hint="df -h ~   # or set RAYYARN_HOME to a folder on another disk",
        ) from error
