"""Waiting for a submitted cluster: accepted, master, head, workers; and what its failure means."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from rayyarn import diagnose, register, state
from rayyarn.errors import ClusterFailed, ClusterNotFound, NotReady, RayYarnError, YarnUnreachable
from rayyarn.placement import ANYWHERE
from rayyarn.register import STOPPED
from rayyarn.room import Room
from rayyarn.skein_am import AppMaster

if TYPE_CHECKING:
    from collections.abc import Callable

    from rayyarn.placement import Placement
    from rayyarn.rm import ResourceManager
    from rayyarn.skein_am import Credentials
    from rayyarn.spec import ClusterSpec
    from rayyarn.state import ClusterStatus
    from rayyarn.steps import Step, Steps
    from rayyarn.yarn_report import App

_LOOK = 0.1
# Containers of one service that end before the first becomes ready: their cause is not chance.
_HOPELESS = 4
_HOPELESS_AFTER = 2.0  # seconds; before, a list of containers is not worth asking for
_CALL_LIMIT = 5.0
_NEWS_AFTER = 3.0  # seconds; a wait that is shorter needs no explanation
# A ResourceManager that restarts with recovery, or its standby that takes over, answers again within a minute.
_AWAY_LIMIT = 60.0
_AWAY_LOOK = 0.5


class Waiting:
    """The wait of one `up` for application ``app_id``, within the spec's ``ready-timeout`` in all."""

    def __init__(
        self, rm: ResourceManager, app_id: str, steps: Steps, spec: ClusterSpec, place: Placement = ANYWHERE
    ) -> None:
        self._rm, self._app_id, self._steps, self._spec = rm, app_id, steps, spec
        self._until = time.monotonic() + spec.ready_timeout
        self._place = place
        self._room = Room(rm, spec)

    def for_master(self, credentials: Credentials | None) -> AppMaster:
        """Wait until YARN runs the application and its master answers with the cluster's credentials."""
        with self._steps.step("the application master", limit=self._left()) as step:
            app = self._until_running(step)
            step.update(f"the master at {app.am} does not answer yet")
            master: AppMaster = self._patiently(step, lambda: self._connected(app, credentials))
            step.result = f"{app.id} in {app.queue!r}"
        return master

    def for_nodes(self, master: AppMaster, least: int) -> ClusterStatus:
        """Wait for the head and ``least`` workers, in Ray's own eyes too."""
        with self._steps.step("the head", limit=self._left()) as step:
            status: ClusterStatus = self._patiently(step, lambda: self._head(step, master))
            step.result = f"Ray at {status.address}"
        with self._steps.step("the workers", limit=self._left()) as step:
            status = self._patiently(step, lambda: self._workers(step, master, least))
            step.result = f"{status.workers} of {status.wanted}"
        return status

    def look(self, master: AppMaster) -> ClusterStatus:
        """The cluster as it is now. Raises ClusterFailed when the application is over."""
        try:
            keys = master.read()
        except RayYarnError:
            keys = None  # between the master's end and YARN's knowledge of it, or a lost packet
        return state.join(self._alive(), keys, now=time.time())

    def _left(self) -> float:
        return max(1.0, self._until - time.monotonic())

    def _patiently(self, step: Step, probe: Callable[[], Any], hint: str | None = None) -> Any:
        """``step.wait``; at the limit it is the whole wait that is over, not this step's share of it."""
        try:
            return step.wait(probe, every=_LOOK)
        except NotReady:
            raise NotReady(
                f"{self._spec.name} was not usable after {self._spec.ready_timeout:g} s (ready-timeout), "
                f"waiting for {step.title}{step.last_seen}",
                hint=hint or self._logs(),
            ) from None

    def _alive(self) -> App:
        app = self._asked()
        if app is None or not app.live:
            raise failed(app, self._app_id)
        return app

    def _asked(self) -> App | None:
        """What YARN says of the application. A ResourceManager that restarts or fails over is waited for."""
        until = min(time.monotonic() + _AWAY_LIMIT, self._until)
        told = False
        while True:
            try:
                return self._rm.app(self._app_id)
            except YarnUnreachable as away:
                if time.monotonic() > until:
                    raise
                if not told:
                    self._steps.reporter.note(f"{away.message}: waiting up to {_AWAY_LIMIT:.0f} s for it")
                    told = True
            time.sleep(_AWAY_LOOK)

    def _until_running(self, step: Step) -> App:
        """Wait for YARN to run the master; at the limit, YARN's own reason is the error's when it is a known one."""
        try:
            app: App = self._patiently(step, lambda: self._running(step), f"yarn application -status {self._app_id}")
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
        used = self._room.queue(app.queue) if step.seconds > _NEWS_AFTER else ""
        why = f": {_first_sentence(app.diagnostics)}" if app.diagnostics else ""
        step.update(f"{app.state} in queue {app.queue!r}{used}{why}")
        return None

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
        status, (heads, workers) = self.look(master), self._containers(step, master)
        self._give_up_early(step, heads, "head")
        head = next((node for node in status.nodes if node.role == "head"), None)
        if head is not None and head.state == "ready" and status.address:
            return status
        missing = self._missing(step, heads, "head", status) or status.why
        # Who waits for a head that is slow to come need not learn only afterwards that the workers' hosts are full.
        step.update("; ".join(filter(None, [missing, self._not_given(step, workers, "worker", status)])))
        return None

    def _workers(self, step: Step, master: AppMaster, least: int) -> ClusterStatus | None:
        status, (_, workers) = self.look(master), self._containers(step, master)
        if not status.workers:
            self._give_up_early(step, workers, "worker")
        counted = sum(node.role == "worker" and node.state == "ready" and node.in_ray for node in status.nodes)
        if counted >= min(least, status.wanted):  # fewer are wanted by now where workers follow executors
            return status
        missing = self._missing(step, workers, "worker", status)
        step.update("; ".join(filter(None, [status.why or f"{counted} of {status.wanted} workers", missing])))
        return None

    def _containers(self, step: Step, master: AppMaster) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The heads and the workers ever asked for, once the wait is long enough for them to matter."""
        found = master.containers() if step.seconds >= min(_HOPELESS_AFTER, _NEWS_AFTER) else []
        heads = [one for one in found if one["service"].startswith("head")]
        return heads, [one for one in found if one not in heads]

    def _not_given(self, step: Step, ours: list[dict[str, Any]], service: str, status: ClusterStatus) -> str:
        """Which of ``ours`` YARN has not given yet and why, once that takes long."""
        if step.seconds < _NEWS_AFTER:
            return ""
        asked = [one["service"] for one in ours if one["state"] in ("WAITING", "REQUESTED")]
        hosts = [host for one in asked if (host := self._place.host_of(one))] if self._place.strict else []
        if hosts:
            return self._room.on(hosts, status.queue)
        return self._room.missing(service, len(asked), status.queue) if asked else ""

    def _missing(self, step: Step, ours: list[dict[str, Any]], service: str, status: ClusterStatus) -> str:
        """What containers of ``service`` that say nothing yet wait for, once that takes long."""
        not_given = self._not_given(step, ours, service, status)
        if not_given or step.seconds < _NEWS_AFTER:
            return not_given
        speaking = {node.container for node in status.nodes}
        unpacking = sum(one["state"] == "RUNNING" and one["container"] not in speaking for one in ours)
        if not unpacking:
            return ""
        return "its container unpacks the environment" if service == "head" else f"{unpacking} unpack the environment"

    def _give_up_early(self, step: Step, ours: list[dict[str, Any]], service: str) -> None:
        """Containers that keep dying before one works will not do better in ten minutes."""
        if step.seconds < _HOPELESS_AFTER:
            return
        ended = [one for one in ours if one["state"] == "FAILED"]
        if len(ended) >= _HOPELESS:
            text = ended[-1]["exit_message"]
            raise diagnose.explain(text, app_id=self._app_id) or ClusterFailed(
                f"{len(ended)} {service} containers ended before one was ready",
                log=diagnose.telling_line(text),
                hint=self._logs(),
            )

    def _logs(self) -> str:
        return f"rayyarn logs {self._spec.name} --errors"


def failed(app: App | None, app_id: str) -> RayYarnError:
    """The error for an application that is over (``app`` None: YARN does not even know it)."""
    if app is None:
        return ClusterNotFound(f"YARN does not know {app_id} any more", hint="rayyarn status")
    known = diagnose.explain(app.diagnostics, app_id=app_id)
    if known is not None:
        return known
    if STOPPED in app.diagnostics:
        return ClusterFailed(f"{app_id} was {STOPPED} while it came up", hint="rayyarn status")
    return ClusterFailed(
        f"{app_id} was killed" if app.state == "KILLED" else f"{app_id} ended {app.final or app.state}",
        log=diagnose.telling_line(app.diagnostics),
        hint=f"rayyarn logs {register.name_of(app)} --errors",
    )


def _first_sentence(diagnostics: str) -> str:
    """YARN's reason for not running an application, without its time stamp and its table of numbers."""
    text = re.sub(r"^\[[^]]*\]\s*", "", diagnostics)
    return text.split("  Details :")[0].splitlines()[0].strip().rstrip(".")[:200]
