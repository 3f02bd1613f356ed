"""Waiting for a submitted cluster: accepted, master, head, workers; and what its failure means."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from rayyarn import diagnose, state
from rayyarn.errors import ClusterFailed, ClusterNotFound, NotReady, RayYarnError
from rayyarn.skein_am import AppMaster

if TYPE_CHECKING:
    from rayyarn.rm import App, Queue, ResourceManager
    from rayyarn.skein_am import Credentials
    from rayyarn.state import ClusterStatus
    from rayyarn.steps import Step, Steps

_LOOK = 0.1
# Containers of one service that end before the first becomes ready: their cause is not chance.
_HOPELESS = 4
_HOPELESS_AFTER = 2.0  # seconds; before, a list of containers is not worth asking for
_CALL_LIMIT = 5.0


class Waiting:
    """The wait of one `up` for application ``app_id``, within ``limit`` seconds in all."""

    def __init__(self, rm: ResourceManager, app_id: str, steps: Steps, limit: float) -> None:
        self._rm, self._app_id, self._steps = rm, app_id, steps
        self._until = time.monotonic() + limit

    def for_master(self, credentials: Credentials | None) -> AppMaster:
        """Wait until YARN runs the application and its master answers with the cluster's credentials."""
        with self._steps.step("the application master", limit=self._left()) as step:
            app = self._until_running(step)
            step.update(f"the master at {app.am} does not answer yet")
            master: AppMaster = step.wait(lambda: self._connected(app, credentials), every=_LOOK)
            step.result = f"{app.id} in {app.queue!r}"
        return master

    def for_nodes(self, master: AppMaster, least: int) -> ClusterStatus:
        """Wait for the head and ``least`` workers, in Ray's own eyes too."""
        with self._steps.step("the head", limit=self._left()) as step:
            status: ClusterStatus = step.wait(lambda: self._head(step, master), hint=self._logs())
            step.result = f"Ray at {status.address}"
        with self._steps.step("the workers", limit=self._left()) as step:
            status = step.wait(lambda: self._workers(step, master, least), hint=self._logs())
            step.result = f"{status.workers} of {status.wanted}"
        return status

    def look(self, master: AppMaster) -> ClusterStatus:
        """The cluster as it is now. Raises ClusterFailed when the application is over."""
        try:
            keys = master.read()
        except RayYarnError:
            keys = None  # between the master's end and YARN's knowledge of it, or a lost packet
        app = self._alive() if keys is None else self._rm.app(self._app_id)
        if app is None or not app.live:
            raise failed(app, self._app_id)
        return state.join(app, keys, now=time.time())

    def _left(self) -> float:
        return max(1.0, self._until - time.monotonic())

    def _alive(self) -> App:
        app = self._rm.app(self._app_id)
        if app is None or not app.live:
            raise failed(app, self._app_id)
        return app

    def _until_running(self, step: Step) -> App:
        """Wait for YARN to run the master; at the limit, YARN's own reason is the error's when it is a known one."""
        try:
            app: App = step.wait(
                lambda: self._running(step), every=_LOOK, hint=f"yarn application -status {self._app_id}"
            )
        except NotReady as late:
            known = diagnose.explain(self._alive().diagnostics, app_id=self._app_id)
            if known is None:
                raise
            raise NotReady(f"{late.message}; {known.message}", hint=known.hint, log=known.log) from None
        return app

    def _running(self, step: Step) -> App | None:
        app = self._alive()
        if app.state == "RUNNING" and app.am:
            return app
        used = next((f", {queue.used:.0f}% used" for queue in self._queues(step) if queue.path == app.queue), "")
        why = f": {_first_sentence(app.diagnostics)}" if app.diagnostics else ""
        step.update(f"{app.state} in queue {app.queue!r}{used}{why}")
        return None

    def _queues(self, step: Step) -> list[Queue]:
        """The queues, asked for only when the wait is long enough for the answer to matter."""
        return self._rm.queues() if step.seconds > 3 else []

    def _connected(self, app: App, credentials: Credentials | None) -> AppMaster | None:
        self._alive()
        if credentials is None or app.am is None:
            return None
        master = AppMaster(app.am, app.id, credentials, limit=_CALL_LIMIT)
        try:
            master.read("lease/")
        except RayYarnError:
            master.close()
            return None
        return master

    def _head(self, step: Step, master: AppMaster) -> ClusterStatus | None:
        status = self.look(master)
        self._give_up_early(step, master, "head")
        head = next((node for node in status.nodes if node.role == "head"), None)
        if head is not None and head.state == "ready" and status.address:
            return status
        step.update(status.why)
        return None

    def _workers(self, step: Step, master: AppMaster, least: int) -> ClusterStatus | None:
        status = self.look(master)
        if not status.workers:
            self._give_up_early(step, master, "worker")
        counted = sum(node.role == "worker" and node.state == "ready" and node.in_ray for node in status.nodes)
        if counted >= least:
            return status
        step.update(status.why or f"{counted} of {status.wanted} workers")
        return None

    def _give_up_early(self, step: Step, master: AppMaster, service: str) -> None:
        """Containers that keep dying before one works will not do better in ten minutes."""
        if step.seconds < _HOPELESS_AFTER:
            return
        ended = [
            found for found in master.containers()
            if found["state"] == "FAILED" and found["service"].startswith(f"{service}_")
        ]  # fmt: skip
        if len(ended) >= _HOPELESS:
            text = ended[-1]["exit_message"]
            raise diagnose.explain(text, app_id=self._app_id) or ClusterFailed(
                f"{len(ended)} {service} containers ended before one was ready",
                log=diagnose.telling_line(text),
                hint=self._logs(),
            )

    def _logs(self) -> str:
        return f"yarn logs -applicationId {self._app_id}"


def failed(app: App | None, app_id: str) -> RayYarnError:
    """The error for an application that is over (``app`` None: YARN does not even know it)."""
    if app is None:
        return ClusterNotFound(f"YARN does not know {app_id} any more", hint="rayyarn status")
    known = diagnose.explain(app.diagnostics, app_id=app_id)
    if known is not None:
        return known
    return ClusterFailed(
        f"{app_id} was killed" if app.state == "KILLED" else f"{app_id} ended {app.final or app.state}",
        log=diagnose.telling_line(app.diagnostics),
        hint=f"yarn logs -applicationId {app_id}",
    )


def _first_sentence(diagnostics: str) -> str:
    """YARN's reason for not running an application, without its time stamp and its table of numbers."""
    text = re.sub(r"^\[[^]]*\]\s*", "", diagnostics)
    return text.split("  Details :")[0].splitlines()[0].strip().rstrip(".")[:200]
