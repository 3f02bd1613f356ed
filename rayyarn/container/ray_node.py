"""One Ray node: the ``ray start --block`` of a container, its folder, and how it is started again."""

from __future__ import annotations

import json
import os
import shutil
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rayyarn.container import processes, sockets

if TYPE_CHECKING:
    import socket
    import subprocess
    from collections.abc import Mapping
    from pathlib import Path

_STARTED = b"Ray runtime started"
# Ray gives its raylet 30 s (ray/_private/node.py); the import of its command line comes before, up to 20 s when cold.
START_LIMIT = 90.0
# Where Ray's two agents listen. A raylet that is told the ports joins at once; one that is not waits until its agents
# have started and written them down: two processes of Python's, seconds on a busy machine, and after 15 s it gives up.
_AGENTS = ("dashboard-agent-grpc", "dashboard-agent-listen", "runtime-env-agent", "metrics-export")
# Ray has nothing to save: what it holds is gone with the node. A second lets it log its end and tell its peers.
_STOP_GRACE = 1.0


@dataclass(frozen=True)
class RayShare:
    """What this node offers Ray: numbers for ``ray start``, memory in bytes."""

    cpus: float
    gpus: float
    heap: int
    object_store: int


class RayNode:
    """A Ray node in ``folder``, for one supervisor. ``address`` None makes it the head."""

    def __init__(
        self, folder: Path, log: Path, ip: str, name: str, share: RayShare, environ: Mapping[str, str]
    ) -> None:
        self._folder, self._log, self._ip, self._name, self._share = folder, log, ip, name, share
        self._environ = dict(environ)
        self._process: subprocess.Popen[bytes] | None = None
        self._temp = folder / "r0"
        self._ports: list[socket.socket] = []
        self._mode = stat.S_IMODE(log.parent.stat().st_mode)
        self._read_from: dict[Path, int] = {}
        self._tries = 0
        self._began = 0.0
        self._registered = False
        self._raylet: int | None = None

    def prepare(self) -> None:
        """Have the imports of ``ray start`` done while it is not known yet what to start (see ``ray_start``)."""
        if self._process is None:
            # Logs outlive a try where YARN keeps them: what was in them before is not of this one.
            self._read_from = {path: path.stat().st_size for path in self._told_in() if path.exists()}
            command = ["python", "-m", "rayyarn.container.ray_start"]
            self._process = processes.start(command, self._environ, self._log, told=True)

    def start(self, address: str | None) -> None:
        """Start Ray: as the head when ``address`` is None, else joining the GCS at ``address``."""
        self.prepare()
        self._tries += 1
        self._registered, self._raylet = False, None
        self._began = time.monotonic()
        self._temp = self._folder / f"r{self._tries}"
        self._temp.mkdir(mode=0o700)
        with suppress(OSError):  # it has ended already: ``failure`` says why
            self._tell(self._arguments(address))

    def _tell(self, arguments: list[str]) -> None:
        assert self._process is not None  # noqa: S101 - prepared
        assert self._process.stdin is not None  # noqa: S101 - told
        with self._process.stdin as line:
            line.write(json.dumps(arguments).encode() + b"\n")

    def _arguments(self, address: str | None) -> list[str]:
        share = self._share
        # /proc/<pid>/cwd is this container's folder under a name short enough for a UNIX socket (107 bytes), whatever
        # the NodeManager's path is; and what lies in that folder is removed by the NodeManager with the container.
        temp = f"/proc/{os.getpid()}/cwd/{self._temp.name}"
        self._ports = [sockets.held() for _ in _AGENTS]
        agents = [f"--{name}-port={one.getsockname()[1]}" for name, one in zip(_AGENTS, self._ports, strict=True)]
        role = ["--head", "--port", "0", "--include-dashboard=false"] if address is None else ["--address", address]
        return [
            "start", *role, "--block", "--disable-usage-stats",
            "--node-ip-address", self._ip, "--node-name", self._name, "--temp-dir", temp,
            "--num-cpus", f"{share.cpus:g}", "--num-gpus", f"{share.gpus:g}",
            "--memory", str(share.heap), "--object-store-memory", str(share.object_store),
            "--min-worker-port", "0", "--max-worker-port", "0", *agents,
        ]  # fmt: skip

    @property
    def pid(self) -> int | None:
        """The process id of ``ray start``."""
        return self._process.pid if self._process else None

    def gcs_port(self) -> int | None:
        """The port that the head's GCS chose, as soon as it has written it down."""
        for path in self._temp.glob("session_*/gcs_server_port_*"):
            text = path.read_text().strip()
            if text.isdigit() and not path.parent.is_symlink():
                return int(text)
        return None

    def registered(self) -> bool:
        """True once the raylet has joined the GCS: ``ray start`` says so and then blocks."""
        if not self._registered and self._process is not None and self._log.exists():
            with self._log.open("rb") as log:
                log.seek(self._read_from.get(self._log, 0))
                self._registered = _STARTED in log.read()
        return self._registered

    def failure(self) -> str | None:
        """Why this node no longer runs, or None while it does (or still may)."""
        if self._process is None:
            return "not started"
        ended = self._process.poll()
        if ended is not None:
            return f"ray start ended with {ended}: {self.last_words()}"
        if not self.registered():
            waited = time.monotonic() - self._began
            return (
                f"Ray did not start within {START_LIMIT:.0f} s: {self.last_words()}" if waited > START_LIMIT else None
            )
        # `ray start --block` takes a raylet that ended with 0 or by SIGTERM for a graceful stop and blocks on.
        if self._raylet is None:
            below = processes.descendants(self._process.pid)
            self._raylet = next((pid for pid, name in below.items() if name == "raylet"), 0)
        return None if processes.lives(self._raylet) else "the raylet ended"

    def keep_closed(self) -> None:
        """Give the folder of logs its mode back: it is YARN's, and not Ray's to open.

        Each of Ray's processes, workers too, makes the session's folders 0777 for people who share a machine
        (ray/_private/node.py). What is above the folder keeps strangers out meanwhile.
        """
        if stat.S_IMODE(self._log.parent.stat().st_mode) != self._mode:
            self._log.parent.chmod(self._mode)

    def last_words(self) -> str:
        """The line of Ray's output that says most about its end."""
        lines: list[str] = []
        for path in self._told_in():
            if path.exists():
                size, before = path.stat().st_size, self._read_from.get(path, 0)
                with path.open("rb") as log:
                    log.seek(max(before if before <= size else 0, size - 20000))  # less than before: it was rotated
                    lines += [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
        telling = [line for line in lines if any(word in line for word in ("Error", "ERR", "FATAL", "Check failed"))]
        return (telling or lines or ["it said nothing"])[-1][:300]

    def _told_in(self) -> list[Path]:
        """Where Ray says why it ends: its own folder of logs is a link to this one, see ``ray_hook``."""
        raylet = [self._log.with_name("raylet.out"), *sorted(self._temp.glob("session_[0-9]*/logs/raylet.out"))]
        return [self._log, *{path.resolve(): path.resolve() for path in raylet}]

    def stop(self) -> None:
        """End Ray and everything below it, and remove its folder. Works when nothing runs."""
        if self._process is not None:
            processes.end_all(_STOP_GRACE)
            self._process.poll()
            self._process = None
        while self._ports:
            self._ports.pop().close()
        shutil.rmtree(self._temp, ignore_errors=True)
