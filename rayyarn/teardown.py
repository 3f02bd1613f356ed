"""The way down: ask the cluster to stop, see it gone from YARN, remove what it left, and sweep up after the dead."""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayyarn import access, app_folder, connection, filesystem, home, register, stage, store, vault
from rayyarn.app_folder import AppFolder
from rayyarn.errors import RayYarnError

if TYPE_CHECKING:
    from rayyarn.filesystem import FileSystem
    from rayyarn.hadoop import Hadoop
    from rayyarn.rm import ResourceManager
    from rayyarn.steps import Step, Steps
    from rayyarn.yarn_report import App

_STOP_LIMIT = 15.0  # supervisors notice within a second and give Ray three
_GONE_LIMIT = 60.0
_LOOK = 0.1


@dataclass(frozen=True)
class Stopped:
    """A cluster that was stopped, and the application it was."""

    name: str
    application: str


@dataclass(frozen=True)
class DownResult:
    """What ``down`` stopped."""

    stopped: tuple[Stopped, ...]
    changed: bool

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` shows it."""
        return asdict(self)


def stop(site: Hadoop, rm: ResourceManager, app: App, steps: Steps) -> None:
    """End one cluster and remove what it left. Works on one that is half up, half dead or not ours to talk to."""
    name = register.name_of(app)
    with steps.step(f"stop {name}", limit=_STOP_LIMIT) as step:
        step.result = app.id
        killed = not _ask(site, name, app, step)
        if killed:
            kill(rm, app.id, register.STOPPED)
    with steps.step(f"{app.id} gone from YARN", limit=_GONE_LIMIT) as step:
        step.wait(lambda: _gone(rm, app.id, step), every=_LOOK, hint=f"yarn application -kill {app.id}")
    forget(site, name, app.id)
    with contextlib.suppress(RayYarnError):  # it lies in the user's own folder and the next sweep tries again
        fs = filesystem.open(site)
        if killed:
            remove_staging(site, fs, app.id)
        folder = AppFolder(fs, site, app.id)
        there = folder.connection(None)
        if there is not None:  # another edge's cluster: its secrets were copied here to talk to the master
            vault.forget(site.yarn_id, name, there.generation)
        folder.remove()


def _ask(site: Hadoop, name: str, app: App, step: Step) -> bool:
    """Let the supervisors stop Ray and clean up, then end the application as succeeded. False: nobody listens."""
    if app.am is None:
        return False
    try:
        with access.master(site, name, app) as master:
            master.remove(store.ALIVE)
            while step.seconds < _STOP_LIMIT:
                nodes = [store.NodeState.from_json(value) for value in master.read(store.NODE).values()]
                running = sum(node.state != "stopped" for node in nodes)
                if not running:
                    break
                step.update(f"{running} containers stop")
                time.sleep(_LOOK)
            master.shutdown("SUCCEEDED", register.STOPPED)
    except RayYarnError:
        # A master whose containers have all ended with success ends by itself, perhaps between two of our calls.
        return step.seen != ""
    return True


def kill(rm: ResourceManager, app_id: str, why: str) -> None:
    """Have YARN kill an application, and wait until it is gone; ``why`` becomes its diagnostics."""
    rm.kill(app_id, why)
    until = time.monotonic() + _GONE_LIMIT
    while rm.live(app_id) is not None and time.monotonic() < until:
        time.sleep(_LOOK)


def remove_staging(site: Hadoop, fs: FileSystem, app_id: str) -> None:
    """Remove what the submit staged for the application. Its master does it at its end; one that never ran cannot."""
    path = f"{site.home}/.skein/{app_id}"
    if fs.stat(path) is not None:
        fs.remove(path, recursive=True)


def _gone(rm: ResourceManager, app_id: str, step: Step) -> bool:
    app = rm.live(app_id)
    if app is None:
        return True
    step.update(app.state)
    if step.seconds > _STOP_LIMIT:
        rm.kill(app_id, register.STOPPED)
    return False


def forget(site: Hadoop, name: str, app_id: str) -> None:
    """Remove this edge's connection file, its copies and secrets of an application."""
    known = access.remembered(site, name, app_id)
    if known is not None:
        for copy in map(Path, known.copies):
            with contextlib.suppress(RayYarnError, OSError):
                if connection.read(copy).generation == known.generation:  # and not another cluster's by now
                    copy.unlink()
        connection.local_path(site.yarn_id, name).unlink(missing_ok=True)
        vault.forget(site.yarn_id, name, known.generation)


def sweep(site: Hadoop, rm: ResourceManager) -> None:
    """Remove what only a living command can: files of applications and commands that are gone.

    Never fails and never waits: whatever cannot be removed now is there for the next command.
    """
    with contextlib.suppress(RayYarnError, OSError):
        _sweep_edge(site, rm)
    with contextlib.suppress(RayYarnError, OSError):
        fs = filesystem.open(site, jvm=False)  # nobody waits seconds for this, also where WebHDFS turns out closed
        _sweep_folders(site, rm, fs)
        for kind in stage.KINDS:
            stage.sweep(fs, stage.folder(site, kind))


def _sweep_edge(site: Hadoop, rm: ResourceManager) -> None:
    for kind in ("driver-*", "edge-*"):
        for folder in home.cache().glob(kind):
            if home.abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)
    here, used = home.clusters(site.yarn_id), set()
    for path in here.glob("*.json"):
        with contextlib.suppress(RayYarnError):
            known = connection.read(path)
            if rm.live(known.application["id"]) is None:
                forget(site, known.name, known.application["id"])
            else:
                used.add(vault.folder_of(site.yarn_id, known.name, known.generation))
    for folder in here.iterdir() if here.is_dir() else ():
        if folder.is_dir() and folder not in used and _is_stale(rm, folder):
            shutil.rmtree(folder, ignore_errors=True)
    home.drop_if_empty(here)


def _is_stale(rm: ResourceManager, folder: Path) -> bool:
    """A vault whose `up` is gone; one without a hold (of ``up --no-wait``) goes with its application."""
    if (folder / ".held").exists():
        return home.abandoned(folder)
    return not rm.apps(tag=register.launch_tag(folder.name.rpartition(".")[2]))


def _sweep_folders(site: Hadoop, rm: ResourceManager, fs: FileSystem) -> None:
    """Folders of applications that are over. YARN forgets those in time: then the folder must say that it was ours."""
    documented, staged = fs.list(app_folder.parent(site)), fs.list(f"{site.home}/.skein")
    for app_id in sorted({*documented, *staged}):
        if not app_id.startswith("application_"):
            continue
        app = rm.app(app_id)
        if _over(app) if app is not None else app_id in documented and _of_this_yarn(fs, site, app_id):
            remove_staging(site, fs, app_id)
            AppFolder(fs, site, app_id).remove()


def _over(app: App) -> bool:
    return not app.live and register.TAG in app.tags


def _of_this_yarn(fs: FileSystem, site: Hadoop, app_id: str) -> bool:
    """Another YARN may share this file system, and its applications are unknown here."""
    known = AppFolder(fs, site, app_id).connection(None)
    return known is not None and known.yarn["id"] == site.yarn_id
