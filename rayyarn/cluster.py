"""Clusters by name: up, down, status. What the command line and notebooks call."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayyarn import access, hadoop, register, spark_apps, state, store, teardown
from rayyarn.errors import ClusterNotFound, RayYarnError, SpecError
from rayyarn.rm import ResourceManager
from rayyarn.steps import SILENT, Reporter, Steps

if TYPE_CHECKING:
    import os

    from rayyarn.spec import ClusterSpec
    from rayyarn.state import ClusterStatus
    from rayyarn.teardown import DownResult
    from rayyarn.up_result import UpResult
    from rayyarn.yarn_report import App


@dataclass(frozen=True)
class StatusList:
    """The clusters asked for."""

    clusters: tuple[ClusterStatus, ...]

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` shows it."""
        return asdict(self)


def up(
    spec: ClusterSpec | str = "default",
    *,
    wait: bool = True,
    keep: bool = False,
    dry_run: bool = False,
    recheck: bool = False,
    hadoop_conf: str | None = None,
    connection_file: str | os.PathLike[str] | None = None,
    confirm: bool = True,
    reporter: Reporter = SILENT,
    **settings: Any,
) -> UpResult:
    """Bring a cluster up and wait until it is usable; nothing happens when it already is.

    ``spec`` is a whole spec, or a name with ``settings`` such as ``workers=8, worker_memory="16 GiB"``; what is not
    given comes from RAYYARN_* variables and rayyarn.yaml. ``beside`` may also be a live Spark session, and
    ``keep_beside`` a duration: its grace.
    ``keep`` leaves a failed cluster for inspection.
    ``confirm`` False: the cluster lives on only while somebody renews its lease, see ``rayyarn.lease``.
    Raises SpecError, ClusterDiffers, RequestTooLarge, HostsUnusable, SparkAppNotFound, NotReady, ClusterFailed and
    the errors of what lies below.
    """
    from rayyarn.launch import Launch

    if isinstance(spec, str):
        from rayyarn.settings import resolve

        if settings.get("beside") is not None and not isinstance(settings["beside"], str):
            settings["beside"] = spark_apps.id_of(settings["beside"])
        settings |= _kept(settings.get("keep_beside"))
        spec = resolve({"name": spec, **settings}).spec
    elif settings:
        raise TypeError(f"settings go with a name, not with a whole spec: {', '.join(settings)}")
    problems = spec.problems()
    if problems:
        raise SpecError(problems)
    site = _site(hadoop_conf, reporter)
    rm = ResourceManager(site)
    with Steps(reporter, keep=keep) as steps:
        file = Path(connection_file) if connection_file else None
        launch = Launch(spec, site, rm, steps, recheck=recheck, file=file, confirm=confirm)
        if dry_run:
            return launch.dry_run()
        teardown.sweep(site, rm)
        return launch.run(wait=wait)


def _kept(value: Any) -> dict[str, Any]:
    """``keep_beside="5 min"`` is short for ``keep_beside=True, keep_beside_grace="5 min"``."""
    from rayyarn.spec import SETTINGS

    try:
        return {} if value is None else {"keep_beside": SETTINGS["keep-beside"].read(value)}
    except ValueError:
        return {"keep_beside": True, "keep_beside_grace": value}


def down(
    name: str | None = None,
    *,
    everything: bool = False,
    hadoop_conf: str | None = None,
    reporter: Reporter = SILENT,
) -> DownResult:
    """Stop the cluster ``name`` (default ``default``), or all of yours, and remove what they left. Safe to repeat."""
    site = _site(hadoop_conf, reporter)
    rm = ResourceManager(site)
    wanted = register.clusters(rm) if everything else register.candidates(rm, name or "default")
    with Steps(reporter) as steps:
        for app in wanted:
            teardown.stop(site, rm, app, steps)
    teardown.sweep(site, rm)
    stopped = tuple(teardown.Stopped(register.name_of(app), app.id) for app in wanted)
    return teardown.DownResult(stopped=stopped, changed=bool(stopped))


def status(name: str | None = None, *, hadoop_conf: str | None = None) -> StatusList:
    """The cluster ``name`` with its nodes, or all of yours without them. No JVM, no ray.

    Raises ClusterNotFound when there is no such cluster; one that failed within YARN's memory is shown as failed.
    """
    site = _site(hadoop_conf, SILENT)
    rm = ResourceManager(site)
    teardown.sweep(site, rm)
    if name is None:
        return StatusList(tuple(_glance(site, app) for app in register.clusters(rm)))
    app = register.find(rm, name) or _last(rm, name)
    if app is None:
        raise ClusterNotFound(
            f"no cluster named {name!r} in YARN for user {site.user}", hint="rayyarn status   # lists yours"
        )
    return StatusList((_in_queue(rm, _beside(rm, _look(site, app))),))


def _in_queue(rm: ResourceManager, seen: ClusterStatus) -> ClusterStatus:
    """With how full its queue is; YARN's scheduler may be one that tells of no queues."""
    used = next((queue.used for queue in rm.queues() if seen.queue in (queue.path, queue.name)), None)
    return replace(seen, queue_used=used)


def _beside(rm: ResourceManager, seen: ClusterStatus) -> ClusterStatus:
    """With the executors of the Spark application that it was placed beside, while that runs."""
    app = rm.app(seen.beside) if seen.beside else None
    return seen if app is None else state.with_executors(seen, spark_apps.executors(rm, app) if app.live else {})


def _last(rm: ResourceManager, name: str) -> App | None:
    """The latest cluster of that name, unless it was taken down by `down`: it failed, or reached a limit of its own."""
    ended = rm.apps(tag=f"{register.TAG}-{name}", states=("FAILED", "KILLED", "FINISHED"))
    last = ended[-1] if ended else None
    if last is None or register.STOPPED in last.diagnostics:
        return None
    # One that was taken down often says only that it completed: Skein's master ends when its containers have.
    return last if last.final != "SUCCEEDED" or store.IDLE_TIMEOUT in last.diagnostics else None


def _glance(site: hadoop.Hadoop, app: App) -> ClusterStatus:
    """What YARN alone says, when that is good news; it hears of a new cluster's workers a heartbeat late."""
    known = access.remembered(site, register.name_of(app), app.id)
    seen = state.brief(app, now=time.time(), connection_file=str(known.path) if known else None)
    if seen.state == "ready":
        return replace(seen, address=known.ray["address"]) if known else seen
    return replace(_look(site, app), nodes=())


def _look(site: hadoop.Hadoop, app: App) -> ClusterStatus:
    name = register.name_of(app)
    keys = None
    if app.live and app.am:
        try:
            with access.master(site, name, app) as master:
                keys = master.read()
        except RayYarnError:
            keys = None
    return state.join(app, keys, now=time.time(), connection_file=_file(site, app))


def _file(site: hadoop.Hadoop, app: App) -> str | None:
    """Where this edge keeps the connection file of the cluster."""
    known = access.remembered(site, register.name_of(app), app.id)
    return str(known.path) if known else None


def _site(conf: str | None, reporter: Reporter) -> hadoop.Hadoop:
    site = hadoop.find(conf)
    if site.origin not in ("--hadoop-conf", "HADOOP_CONF_DIR"):
        reporter.note(f"Hadoop: {site.conf_dir} ({site.origin})")
    site.check()
    return site
