"""Ray's dashboard beside the head: started when somebody looks, ended when nobody does or when there is no room for it.

It costs ten processes, which the head is not kept waiting for, and memory that most clusters never need. What is there
from the beginning is a socket and a link on the application's page. A connection to the socket starts the gate
(``gate``), and the gate asks for the dashboard when it has let somebody in.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rayyarn import store
from rayyarn.container import processes, ray_hook, sockets
from rayyarn.container.dashboard_state import Board, DashboardState
from rayyarn.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rayyarn.container.jobs import Jobs
    from rayyarn.container.post import Post

# What it takes as YARN counts, and which of Ray's modules that is, a process each; empty: all. Measured with 2.60, a
# tenth added: all nine 1044 MiB; the four behind the pages of jobs, nodes, actors, tasks and logs 581 MiB.
KINDS = ((1150 << 20, ""), (660 << 20, "JobHead,NodeHead,ReportHead,StateHead"))
_IDLE = 900.0  # seconds without a request after which it ends; an open page asks every few seconds
_RECENT = 10.0  # a wish that is older is nobody's who still waits
_START_LIMIT = 90.0  # ten processes that import Ray, on a busy node
_AGAIN = 30.0  # before a dashboard that did not start, or had to go, is tried again
_GATE_AGAIN = 5.0
# As for jobs, which are more important than it: it goes first.
_FULL = 0.90


class Dashboard:
    """The dashboard of the head in ``folder``."""

    def __init__(
        self,
        post: Post,
        jobs: Jobs,
        folder: Path,
        logs: Path,
        environ: Mapping[str, str],
        *,
        users: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``users``: who may look at it."""
        self._post, self._jobs, self._logs, self._clock = post, jobs, logs, clock
        self._environ, self._users = dict(environ), list(users)
        self._token, self._folder, self._noted = folder / "token", folder / "dashboard", folder / ray_hook.DASHBOARD
        self._board, self._state = Board(self._folder), DashboardState()
        self._key = os.urandom(32).hex()
        self._listener: socket.socket | None = None
        self._gate: subprocess.Popen[bytes] | None = None
        self._pages: subprocess.Popen[bytes] | None = None
        self._gate_began = self._began = -_START_LIMIT
        self._refused_until = 0.0
        self._linked = False

    @property
    def pids(self) -> set[int]:
        """The processes whose exit status is waited for here."""
        return {one.pid for one in (self._gate, self._pages) if one is not None}

    def link(self) -> None:
        """Have the link on the application's page, and the address known; what fails now is done by ``look``."""
        with self._whatever_happens():
            self._linked = self._linked or self._link()

    def look(self) -> None:
        """A link first; then whatever who looks at it needs, and no longer than he does."""
        self.link()
        if self._linked:
            with self._whatever_happens():
                self._mind_the_gate()
                self._mind_the_pages()

    @staticmethod
    @contextmanager
    def _whatever_happens() -> Iterator[None]:
        """A full disk, no more descriptors, anything: the head goes on."""
        try:
            yield
        except Exception as error:
            logging.warning("the dashboard: %r", error)

    def _link(self) -> bool:
        """Have the link on the application's page. The address behind it is good for the master alone."""
        if self._listener is None:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._listener = socket.create_server((self._post.state.ip, 0), backlog=64)
            self._listener.setblocking(True)
        port = self._listener.getsockname()[1]
        target = f"http://{self._post.state.ip}:{port}/{self._key}/"
        if not self._post.show(store.DASHBOARD_ROUTE, target, "Ray dashboard"):
            return False
        return self._post.publish(store.DASHBOARD, b"")

    # --- the gate -----------------------------------------------------------------------------------------------

    def _mind_the_gate(self) -> None:
        assert self._listener is not None  # noqa: S101 - linked
        if self._gate is not None and self._gate.poll() is not None:
            logging.warning("the gate of the dashboard ended with %s", self._gate.returncode)
            self._gate = None
        since = self._clock() - self._gate_began
        if self._gate is None:
            if since > _GATE_AGAIN and select.select([self._listener], [], [], 0)[0]:
                self._start_gate(self._listener)
        elif since > _IDLE and self._board.wanted() > _IDLE and self._pages is None:
            _end(self._gate)
            self._gate = None

    def _start_gate(self, listener: socket.socket) -> None:
        self._gate_began = self._clock()
        told = {
            "listener": listener.fileno(),
            "hosts": sorted(_sources(self._post.master, self._post.state.ip)),
            "key": self._key,
            "users": self._users,
            "token": str(self._token),
            "folder": str(self._folder),
        }
        command, log = ["python", "-m", "rayyarn.container.gate"], self._logs / "dashboard-gate.log"
        gate = processes.start(command, os.environ, log, new_session=True, told=True, keep=(listener.fileno(),))
        self._gate = gate
        assert gate.stdin is not None  # noqa: S101 - told
        with suppress(OSError), gate.stdin as line:  # it has ended already: the next look tells
            line.write(json.dumps(told).encode() + b"\n")

    # --- the dashboard itself -----------------------------------------------------------------------------------

    def _mind_the_pages(self) -> None:
        wanted = self._board.wanted()
        if self._pages is None:
            if self._clock() >= self._refused_until and (wanted < _RECENT or self._state.state == "refused"):
                self._start_pages() if wanted < _RECENT else self._say(DashboardState())
            return
        if self._pages.poll() is not None:
            self._stop(f"Ray's dashboard ended with {self._pages.returncode}; the head's dashboard-pages.log says why")
        elif why := self._in_the_way():
            self._stop(why)
        elif wanted > _IDLE:
            self._stop("")
        elif self._state.state != "on":
            port = sockets.loopback_port(self._pages.pid)
            if port is not None:
                self._say(DashboardState("on", port))
            elif self._clock() - self._began > _START_LIMIT:
                self._stop(f"Ray's dashboard did not start within {_START_LIMIT:.0f} s; see dashboard-pages.log")

    def _start_pages(self) -> None:
        need, modules = next((kind for kind in KINDS if kind[0] <= self._free), (0, ""))
        if not need:
            self._refuse(self._no_room())
            return
        command = own_command(self._noted, modules)
        if command is None:
            self._refuse("the Ray of this cluster has no dashboard: its environment needs ray[default]")
            return
        self._began = self._clock()
        # Its own metrics are for a Prometheus that knows their port, 44227 on every host and open to everybody. There
        # is no switch for it; a port that cannot be is logged, and that is all (ray/dashboard/head.py, 2.52 to 2.60).
        environ = {**self._environ, "DASHBOARD_METRIC_PORT": "-1"}
        log = self._logs / "dashboard-pages.out"
        self._pages = processes.start(command, environ, log, new_session=True)
        self._jobs.lent = need
        self._say(DashboardState("starting"))

    @property
    def _free(self) -> int:
        """Bytes of the container that neither is in use nor promised to a job."""
        return max(0, min(self._jobs.free, int(self._post.state.memory * _FULL) - processes.resident()))

    def _no_room(self) -> str:
        return (
            f"Ray's dashboard takes {format_size(KINDS[-1][0])} of the head's container of "
            f"{format_size(self._post.state.memory)}, and {format_size(self._free)} are free beside Ray and its jobs: "
            "it needs a larger --head-memory, or fewer jobs at a time"
        )

    def _in_the_way(self) -> str:
        if self._jobs.crowded:
            return "Ray's dashboard made room for a job; it comes back when there is room again"
        if processes.resident() >= self._post.state.memory * _FULL:
            return "Ray's dashboard was ended because the head's container was full"
        return ""

    def _stop(self, why: str) -> None:
        """End it; it has nothing to save. ``why`` empty: nobody looks any more."""
        if self._pages is not None:
            _end(self._pages)
            self._pages = None
        self._jobs.lent = 0
        if why:
            self._refuse(why)
        else:
            self._say(DashboardState())

    def _refuse(self, why: str) -> None:
        self._refused_until = self._clock() + _AGAIN
        self._say(DashboardState("refused", why=why))

    def _say(self, state: DashboardState) -> None:
        if state != self._state:
            logging.info("dashboard: %s", state.why or state.state)
            self._state = state
            self._board.tell(state)


def own_command(noted: Path, modules: str) -> list[str] | None:
    """How this Ray starts its dashboard with ``modules`` (empty: all); None when it cannot.

    ``noted``: the command that ``ray start`` would have run (see ``ray_hook``), without modules and without pages. Its
    arguments are right for this version and this session, and only those that make it so bare are changed.
    """
    try:
        words = json.loads(noted.read_text())
    except FileNotFoundError:
        return None
    return None if "--minimal" in words else _with_pages(words, modules)


def _with_pages(words: list[str], modules: str) -> list[str]:
    kept = [word for word in words if word != "--disable-frontend" and not word.startswith("--modules-to-load=")]
    chosen = [f"--modules-to-load={modules}"] if modules else []
    return [*map(_changed, kept), *chosen, "--logging-filename=dashboard-pages.log"]


def _changed(word: str) -> str:
    """The port is the system's to choose; two processes must not rotate one log file."""
    name, given, value = word.partition("=")
    if name in ("--host", "--port", "--port-retries"):
        return f"{name}={'127.0.0.1' if name == '--host' else 0}"
    if name in ("--stdout-filepath", "--stderr-filepath"):
        return name + given + str(Path(value).with_name("dashboard-pages" + Path(value).suffix))
    return word


def _sources(master: str, ip: str) -> set[str]:
    """The addresses that the master's requests to ``ip`` come from."""
    found = {str(entry[4][0]) for entry in socket.getaddrinfo(master.rpartition(":")[0], None, socket.AF_INET)}
    # To an address of its own a machine talks from that address, or on loopback from 127.0.0.1.
    return found | ({sockets.address_towards(ip)} if any(map(sockets.is_here, found)) else set())


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it and what it started. It has nothing to save."""
    for _ in range(2):  # twice, for those that it was starting
        for pid in processes.of_session(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(1.0)
