"""A cluster for one program: up, run it, and always down; what ``rayyarn run`` does, and a cron job needs.

The cluster is never confirmed: it lives by a lease that this process renews, so that it ends by itself, within seconds,
when this process or its whole machine dies.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from rayyarn import access, cluster, hadoop, program, register, teardown
from rayyarn.errors import ClusterFailed, ClusterRuns
from rayyarn.lease import Lease
from rayyarn.rm import ResourceManager
from rayyarn.steps import SILENT, Reporter, Steps, signals_held

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rayyarn.spec import ClusterSpec
    from rayyarn.yarn_report import App

IfRunning = Literal["fail", "skip", "wait", "reuse"]
_LOOK = 2.0


@dataclass(frozen=True)
class BatchResult:
    """What became of the program. ``exit_code`` is its own (128 + n after signal n), None when it was not started.

    ``cluster``: ``ended`` with the program, or ``kept`` (it failed and was to be kept, or the cluster was not ours).
    """

    name: str
    application: str | None
    program: tuple[str, ...]
    exit_code: int | None
    cluster: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """As ``--json-file`` shows it."""
        return asdict(self)


def run(
    spec: ClusterSpec,
    command: Sequence[str],
    *,
    if_running: IfRunning = "fail",
    wait_limit: float = 3600.0,
    keep_on_failure: bool = False,
    log: Path | None = None,
    hadoop_conf: str | None = None,
    reporter: Reporter = SILENT,
) -> BatchResult:
    """Bring ``spec`` up, run ``command`` on the edge with its connection, take it down whatever happens.

    ``if_running``: what to do when a cluster of that name is there; ``wait`` waits ``wait_limit`` seconds for its end.
    ``log``: the file that both outputs of the program are added to. Raises ClusterRuns, NotReady and what ``up``
    raises; a signal during ``up`` undoes it, one while the program runs is the program's.
    """
    started = time.monotonic()
    site = hadoop.find(hadoop_conf)
    rm = ResourceManager(site)

    def result(app_id: str | None, code: int | None, fate: str) -> BatchResult:
        return BatchResult(spec.name, app_id, tuple(command), code, fate, round(time.monotonic() - started, 1))

    there = register.find(rm, spec.name)
    if there is not None:
        if if_running == "skip":
            return result(there.id, None, "kept")
        if if_running == "fail":
            raise ClusterRuns(
                f"{spec.name} runs already ({there.id})", hint=f"rayyarn down {spec.name}   # or: --if-running wait"
            )
        if if_running == "wait":
            _await_end(rm, there, wait_limit, reporter)
    made = cluster.up(spec, hadoop_conf=hadoop_conf, confirm=False, reporter=reporter)
    assert made.application is not None  # noqa: S101 - None is a dry run's
    if not made.changed:  # somebody else's: it is used, and left as it was
        code = program.run(spec.name, command, hadoop_conf=hadoop_conf, log=log, reporter=reporter)
        return result(made.application, code, "kept")
    with ExitStack() as undo:
        undo.callback(_end, site, rm, made.application, reporter)
        app = rm.app(made.application)
        if app is None:
            raise ClusterFailed(f"YARN does not know {made.application} any more", hint="rayyarn status")
        with access.master(site, spec.name, app) as master, Lease(master) as lease:
            code = program.run(spec.name, command, hadoop_conf=hadoop_conf, log=log, reporter=reporter)
            if code and keep_on_failure:
                lease.confirm()
                undo.pop_all()
                return result(app.id, code, "kept")
    return result(app.id, code, "ended")


def _await_end(rm: ResourceManager, app: App, limit: float, reporter: Reporter) -> None:
    with Steps(reporter).step(f"the end of {app.id}", limit=limit) as step:
        step.update(f"another run of {register.name_of(app)!r} uses it")
        step.wait(lambda: rm.live(app.id) is None, every=_LOOK, hint=f"rayyarn down {register.name_of(app)}")


def _end(site: hadoop.Hadoop, rm: ResourceManager, app_id: str, reporter: Reporter) -> None:
    """Take the cluster down. A second signal must not leave half of it; a cluster that is gone already is none."""
    with signals_held():
        app = rm.live(app_id)
        if app is not None:
            with Steps(reporter) as steps:
                teardown.stop(site, rm, app, steps)
        teardown.sweep(site, rm)
