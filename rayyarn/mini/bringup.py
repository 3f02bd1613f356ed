"""How a mini cluster comes up: its folder, its daemons in parallel, the wait until every node is RUNNING."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rayyarn.errors import MiniFailed, NotReady
from rayyarn.mini import conf, daemons, probe, record, shims, teardown
from rayyarn.mini.process import boot_id, stop
from rayyarn.mini.record import Record

if TYPE_CHECKING:
    from pathlib import Path

    from rayyarn.hadoop import Java
    from rayyarn.mini.conf import Shape
    from rayyarn.mini.daemons import Daemon
    from rayyarn.steps import Step, Steps

# 9 to 18 s on two cores; a busy CI machine or a first start from a cold disk takes several times that.
READY_LIMIT = 180.0
_FORMAT_LIMIT = 90.0


def build(name: str, shape: Shape, java: Java, steps: Steps) -> Record:
    """Make the folder, start everything, wait. A failure or a signal takes it all back."""
    steps.undo(f"mini cluster {name}", lambda: teardown.demolish(shape.folder))
    _write(shape, java)
    known = Record(name, shape, (), boot_id(), whole=False)
    record.save(known)
    title = f"ResourceManager and {shape.nodes} NodeManager{'s' * (shape.nodes > 1)}"
    with steps.step(title + (", NameNode and DataNode" if shape.hdfs else ""), limit=READY_LIMIT) as step:
        for role in daemons.roles(shape):
            if role == "nn":  # the others boot meanwhile
                _format(shape, java, step)
            known = _start(known, role, java)
        _wait(known, step)
        _make_folders(shape)
        step.result = f"{shape.block.master}:8088, {shape.nodes} nodes"
    known = replace(known, whole=True)
    record.save(known)
    return known


def mend(known: Record, jars: Path, java: Java, steps: Steps) -> Record:
    """Start again what died or was stopped, on the files that are there. A failure stops what this started, no more."""
    dead = [daemon for daemon in known.daemons if not known.lives(daemon)]
    if len(dead) == len(known.daemons):  # after a reboot or a `down`, and perhaps an upgrade
        known = replace(known, shape=replace(known.shape, jars=jars), boot=boot_id(), stopped=False)
        _write(known.shape, java)
    roles = ", ".join(daemon.role for daemon in dead)
    with steps.step(f"{roles} again", limit=READY_LIMIT) as step:
        since = {daemon.host: time.time() for daemon in dead if daemon.role.startswith("nm")}
        for daemon in dead:
            before = known
            left = tuple(one for one in known.daemons if one.role != daemon.role)
            known = _start(replace(known, daemons=left), daemon.role, java)
            steps.undo(daemon.role, partial(_unstart, known, before))
        _wait(known, step, since)
        step.result = f"{known.shape.nodes} nodes"
    return known


def _start(known: Record, role: str, java: Java) -> Record:
    """Start one daemon and write it down before the next one starts."""
    order = daemons.roles(known.shape)
    started = (*known.daemons, daemons.start(role, known.shape, java))
    known = replace(known, daemons=tuple(sorted(started, key=lambda daemon: order.index(daemon.role))))
    record.save(known)
    return known


def _unstart(known: Record, before: Record) -> None:
    stop([daemon.process for daemon in known.daemons if daemon not in before.daemons], grace=5.0)
    record.save(before)


def _write(shape: Shape, java: Java) -> None:
    folder = shape.folder
    for name in ("bin", "logs", "scratch", "conf", "conf-shell", "conf-master"):
        (folder / name).mkdir(mode=0o700, exist_ok=True)
    for name in ("hdfs", "datanode", "static"):
        (folder / "conf-master" / "webapps" / name).mkdir(parents=True, exist_ok=True)
    for index in range(shape.nodes):
        (folder / f"conf-nm{index + 1}").mkdir(mode=0o700, exist_ok=True)
        shape.node_folder(index).mkdir(parents=True, mode=0o700, exist_ok=True)
    for path, text in conf.files(shape).items():
        (folder / path).write_text(text)
    for program in shims.COMMANDS:
        script = folder / "bin" / program
        flags = [*daemons.FLAGS, "-Xmx512m"]
        script.write_text(shims.script(program, conf=folder / "conf", jars=shape.jars, java=java.path, flags=flags))
        script.chmod(0o755)
    if not shape.hdfs:
        for path, mode in _folders(shape).items():
            own = folder / "fs" / path.lstrip("/")
            own.mkdir(parents=True, exist_ok=True)
            own.chmod(mode)  # mkdir's mode is cut by the umask


def _folders(shape: Shape) -> dict[str, int]:
    """What every Hadoop has on its default file system."""
    return {"/user": 0o755, f"/user/{shape.user}": 0o700, "/tmp": 0o1777, conf.APP_LOGS: 0o1777}  # noqa: S108


def _make_folders(shape: Shape) -> None:
    if not shape.hdfs:
        return
    for path, mode in _folders(shape).items():
        try:
            probe.make_hdfs_folder(shape, path, f"{mode:o}")
        except OSError as error:
            log = daemons.last_words(shape.folder / "logs" / "nn.log")
            raise MiniFailed(f"HDFS refused to make {path}: {error}", log=log, hint="rayyarn mini up --hdfs") from error


def _format(shape: Shape, java: Java, step: Step) -> None:
    step.update("formatting HDFS")
    log = shape.folder / "logs" / "nn.log"
    try:
        done = daemons.format_namenode(shape, java, _FORMAT_LIMIT)
    except subprocess.TimeoutExpired:
        raise MiniFailed(f"formatting HDFS took over {_FORMAT_LIMIT:.0f} s", log=daemons.last_words(log)) from None
    if done.returncode:
        raise MiniFailed("formatting HDFS failed", log=daemons.last_words(log), hint=f"df -h {shape.folder.parent}")


def _wait(known: Record, step: Step, since: dict[str, float] | None = None) -> None:
    def ready() -> bool:
        _check_alive(known.daemons)
        hosts = probe.running_nodes(known.shape, since)
        step.update("no answer yet" if hosts is None else f"{len(hosts)} of {known.shape.nodes} nodes")
        return len(hosts or ()) >= known.shape.nodes and (not known.shape.hdfs or probe.hdfs_ready(known.shape))

    try:
        step.wait(ready)
    except NotReady as error:
        words = "; ".join(f"{daemon.role}: {daemon.last_words}" for daemon in known.daemons)
        raise NotReady(
            error.message, log=words, hint="free -m; uptime   # is the machine out of memory or busy?"
        ) from None


def _check_alive(started: tuple[Daemon, ...]) -> None:
    for daemon in started:
        if not daemon.alive:
            raise MiniFailed(
                f"the {daemons.title(daemon.role)} on {daemon.host} died while it started",
                log=daemon.last_words,
                hint="free -m; df -h ~   # memory and disk are the usual reasons",
            )
