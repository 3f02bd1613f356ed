"""The one process that owns a container: it starts Ray, watches it, tells the cluster, and leaves nothing behind.

``python -m rayyarn.container.supervisor``, exec'ed as the last command of the container's script. What it is told
comes in RAYYARN_NODE (JSON); secrets come in files beside it. Exit 0: told to stop. Anything else: Skein replaces it.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayyarn import prctl, store
from rayyarn.container import last_moments, processes, ray_environ
from rayyarn.container.activity import Activity
from rayyarn.container.gcs import Gcs
from rayyarn.container.guests import Guests
from rayyarn.container.limits import Limits
from rayyarn.container.post import Post
from rayyarn.container.ray_node import RayNode, RayShare
from rayyarn.skein_am import AppMaster, Credentials

if TYPE_CHECKING:
    from rayyarn.container.beside import Beside

_TICK = 0.1
_BEAT = 1.0
# How often the head asks Ray for its nodes while workers are missing, and for how long: somebody waits for them.
_HURRY, _HURRY_SECONDS = 0.2, 60.0
# Back-off before Ray is started again in the same container, and before the container is given back.
_PAUSES = (0.5, 2.0, 5.0, 15.0)
# A node that ran this long and then failed starts its count of failures anew.
_STEADY_SECONDS = 300.0
# How often a node's memory is looked at, and by how much it must change to be told: a thousand nodes have one master.
_MEASURE, _CHANGED = 10.0, 64 << 20


class Supervisor:
    """Head and worker are one loop; the head also publishes the GCS and watches the lease."""

    def __init__(
        self,
        post: Post,
        node: RayNode,
        token: str,
        *,
        wanted: dict[str, int] | None,
        lease: bool = False,
        limits: Limits | None = None,
        guests: Guests | None = None,
        beside: Beside | None = None,
    ) -> None:
        """``wanted``: how many workers there shall be; None on a worker. ``lease``: see ``rayyarn.store.LEASE``.

        The head's: ``limits``, how long it may live; ``guests``, what runs there; ``beside``, where workers go.
        """
        self._post, self._node, self._token, self._wanted, self._lease = post, node, token, wanted, lease
        self._limits, self._guests, self._beside = limits, guests, beside
        self._head = wanted is not None
        self._failures = 0
        self._ready_since = 0.0
        self._gcs: Gcs | None = None
        self._nodes: list[dict[str, Any]] = []
        self._published = self._usable = False
        self._progress = 0.0
        self._next_beat = self._hurry_until = self._next_measure = 0.0

    def run(self) -> int:
        """Until told to stop (0), or until this container can do no more (1)."""
        self._post.announce()
        if self._head:
            self._publish_wanted()
        if self._guests is not None:
            self._guests.expect()
        while True:
            why = self._live() or self._post.verdict()  # a node that was let go ends by itself: that is no failure
            if why is not None:
                return self._leave(why, 0)
            failure = self._node.failure() or "unknown"
            self._failures = 1 if self._steady() else self._failures + 1
            logging.error("Ray failed: %s", failure)
            self._node.stop()
            if self._head and self._published:
                self._post.end("FAILED", f"the Ray head was lost: {failure}")
                return self._leave(f"head lost: {failure}", 1)
            if self._failures > len(_PAUSES):
                if self._head:
                    self._post.end("FAILED", f"the Ray head does not start: {failure}")
                return self._leave(f"gave up: {failure}", 1)
            state = replace(self._post.state, state="restarting", last_words=failure)
            self._post.say(replace(state, restarts=state.restarts + 1))
            why = self._pause(_PAUSES[self._failures - 1])
            if why is not None:
                return self._leave(why, 0)

    def _steady(self) -> bool:
        return self._ready_since > 0 and time.monotonic() - self._ready_since > _STEADY_SECONDS

    def _live(self) -> str | None:
        """Start Ray and watch it. Why to stop for good, or None when Ray failed."""
        self._ready_since = 0.0
        if self._head:
            self._node.start(None)
        else:
            self._node.prepare()
            self._post.say(replace(self._post.state, state="waiting"))
            while not (address := self._post.read(store.HEAD)):
                if why := self._pause(_TICK):
                    return why
            self._node.start(address.decode())
        self._post.say(replace(self._post.state, state="starting"))
        while self._node.failure() is None:
            if self._head and not self._published:
                self._publish_gcs()
            if not self._ready_since and self._node.registered():
                self._ready_since = time.monotonic()
                self._post.say(replace(self._post.state, state="ready", since=time.time(), last_words=""))
            settled = self._ready_since and (self._published or not self._head)
            if why := self._pause(_BEAT if settled else _TICK):
                return why
        return None

    def _publish_gcs(self) -> None:
        """Let workers and users in, once the GCS is seen to turn away who has no token."""
        port = self._node.gcs_port()
        if port is None:
            return
        address = f"{self._post.state.ip}:{port}"
        gcs = Gcs(address, self._token)
        if not gcs.has_head():
            return
        if not gcs.refuses_strangers():
            self._post.end("FAILED", "Ray answered a call without the token: not published")
            return
        if self._publish_wanted() and self._post.publish(store.HEAD, address.encode()):
            self._gcs, self._published = gcs, True
            self._hurry_until = time.monotonic() + _HURRY_SECONDS

    def _publish_wanted(self) -> bool:
        return self._post.publish(store.WANTED, json.dumps(self._wanted).encode())

    def _want(self, workers: int | None) -> None:
        """There shall be so many workers from now on."""
        if self._wanted and workers is not None and workers != self._wanted["workers"]:
            wanted = {"workers": workers, "min_workers": min(workers, self._wanted["min_workers"])}
            if self._post.publish(store.WANTED, json.dumps(wanted).encode()):
                self._wanted = wanted

    def _pause(self, seconds: float) -> str | None:
        """Sleep, hearing the cluster about once a second, more often in a hurry. Why to stop, or None."""
        until = time.monotonic() + seconds
        while True:
            if time.monotonic() >= self._next_beat:
                hurry = not self._usable and time.monotonic() < self._hurry_until
                self._next_beat = time.monotonic() + (_HURRY if hurry else _BEAT)
                processes.reap(but={self._node.pid, *(self._guests.pids if self._guests else ())})
                self._node.keep_closed()
                if why := self._beat():
                    return why
            left = until - time.monotonic()
            if left <= 0:
                return None
            time.sleep(max(0.0, min(left, self._next_beat - time.monotonic())))

    def _beat(self) -> str | None:
        self._post.say(self._measured(self._post.state))
        if self._head:
            if self._lease and self._post.lease_over():
                self._post.end("FAILED", "nobody waited for this cluster: the `rayyarn` that started it is gone")
                return "the lease is over"
            if self._gcs is not None:
                self._publish_nodes(self._gcs)
                if self._beside is not None:
                    self._want(self._beside.beat(self._gcs, self._nodes))
                if self._guests is not None:
                    self._guests.look()
                if why := self._limit_reached():
                    return why
        return self._post.verdict()

    def _measured(self, state: store.NodeState) -> store.NodeState:
        if time.monotonic() < self._next_measure:
            return state
        self._next_measure = time.monotonic() + _MEASURE
        used = processes.resident()
        return replace(state, used=used) if abs(used - state.used) >= _CHANGED else state

    def _limit_reached(self) -> str | None:
        if self._limits is None:
            return None
        before = self._limits.state
        ended = self._limits.over(self._nodes, usable=self._usable, jobs=bool(self._guests and self._guests.work))
        if self._limits.state != before:
            self._post.publish(store.IDLE, self._limits.state.to_json())
        if ended is None:
            return None
        self._post.end(*ended)
        return ended[1]

    def _publish_nodes(self, gcs: Gcs) -> None:
        try:
            nodes = gcs.nodes()
        except Exception as error:  # whatever grpc raises: the next beat asks again, and _live sees a dead GCS
            logging.warning("the GCS did not answer: %s", error)
            return
        if nodes != self._nodes and self._post.publish(store.RAY, json.dumps(nodes).encode()):
            self._nodes = nodes
        self._publish_progress(sum(node["alive"] and node["name"].startswith("container_") for node in nodes) - 1)
        mine = next((node["node_id"] for node in nodes if node["name"] == self._post.state.container), "")
        if mine and mine != self._post.state.node_id:
            self._post.say(replace(self._post.state, node_id=mine))

    def _publish_progress(self, workers: int) -> None:
        assert self._wanted is not None  # noqa: S101 - only the head comes here
        wanted = self._wanted["workers"]
        self._usable = self._usable or workers >= wanted or self._post.read(store.CONNECTION) is not None
        share = store.progress(workers, wanted)
        if self._usable and share != self._progress:
            self._progress = share
            self._post.progress(share)

    def _leave(self, why: str, code: int) -> int:
        logging.info("leaving: %s", why)
        self._post.say(replace(self._post.state, state="stopping", last_words=why))
        self._node.stop()
        self._post.say(replace(self._post.state, state="stopped"))  # `down` need not wait until YARN has noticed
        if code and not self._head:
            time.sleep(_PAUSES[-1])  # Skein asks for a replacement at once and knows no back-off
        return code


def main() -> int:
    """Read what the container was told, and supervise."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    told = json.loads(os.environ["RAYYARN_NODE"])
    folder = Path.cwd()
    prctl.adopt_orphans()
    last_moments.drop_everything_on_signals()
    token = (folder / "token").read_text().strip()
    host = os.environ.get("NM_HOST") or socket.gethostname()
    ip = socket.gethostbyname(host)
    share = RayShare(told["cpus"], told["gpus"], told["heap"], told["object_store"])
    state = store.NodeState(
        container=os.environ["CONTAINER_ID"],
        service=os.environ["SKEIN_CONTAINER_ID"],
        role=told["role"],
        host=host,
        ip=ip,
        cpus=share.cpus,
        gpus=share.gpus,
        memory=told["memory"],
        object_store=share.object_store,
        localization=store.parse_localization(os.environ.get("LOCALIZATION_COUNTERS", "")),
    )
    logs = Path(os.environ.get("LOG_DIRS", str(folder)).split(",")[0])
    logging.info("%s in %s on %s", state.service.replace("_", "-"), state.container, host)  # for `rayyarn logs`
    environ = ray_environ.of(folder, logs)
    node = RayNode(folder, logs / "ray-start.log", ip, state.container, share, environ)
    node.prepare()
    credentials = Credentials((folder / ".skein.crt").read_bytes(), (folder / ".skein.pem").read_bytes())
    master = AppMaster(
        os.environ["SKEIN_APPMASTER_ADDRESS"], os.environ["SKEIN_APPLICATION_ID"], credentials, limit=5.0
    )
    post, head = Post(master, state), state.role == "head"
    if head:
        last_moments.say_why_first(post)
    limits = Limits(told.get("idle_timeout", 0), told.get("max_lifetime", 0), Activity(token))
    guests = Guests.of_head(post, folder, logs, environ, told) if head else None
    beside = _beside(told["keep_beside"], post) if "keep_beside" in told else None
    wanted, lease = told.get("wanted"), told.get("lease", False)
    return Supervisor(post, node, token, wanted=wanted, lease=lease, limits=limits, guests=guests, beside=beside).run()


def _beside(told: dict[str, Any], post: Post) -> Beside:
    # A third of the time that all these imports take, for what one head in many does and no worker.
    from rayyarn.container.beside import Beside

    return Beside.told(told, post)


if __name__ == "__main__":
    sys.exit(main())
