"""Ray on the edge: whether a driver on this machine finds a raylet of the cluster, and one of our own if not."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rayyarn import files_here, home, runtime
from rayyarn.connection import FILES_FOLDER, FOREIGN_TOKEN
from rayyarn.errors import ConnectionUnusable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rayyarn.connection import Connection

# Importing Ray's command line cold, starting a raylet and registering it: 5 to 12 s seen on two busy cores.
_READY_LIMIT = 90.0
_REACH_LIMIT = 2.0
_END_LIMIT = 10.0
# The value of RAY_RUNTIME_ENV_HOOK with which `ray.init` starts a raylet where there is none.
HOOK = "rayyarn.ray_init.prepare"


def reach(address: str) -> None:
    """Raise ConnectionUnusable at once when the GCS cannot be reached; Ray itself would need 61 s to say so."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_REACH_LIMIT).close()
    except OSError as error:
        raise ConnectionUnusable(
            f"Ray's head at {address} cannot be reached from this machine: {error.strerror or error}",
            hint="rayyarn status   # is it still up? If it is: a firewall between this machine and the nodes",
        ) from None


def has_raylet(address: str) -> bool:
    """True when a raylet of the cluster at ``address`` runs here, for this user, in this PID namespace.

    Ray's own way to find one is to look through the processes (ray/_private/services.py, find_node_ids).
    """
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if entry.stat().st_uid != os.getuid():
                    continue
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if words[0].endswith(b"/raylet") and f"--gcs-address={address}".encode() in words:
                    return True
    return False


def own_ip(address: str) -> str:
    """The address of this machine that the cluster's nodes can reach it by."""
    host, _, port = address.rpartition(":")
    target = socket.gethostbyname(host)
    if target.startswith("127."):
        # A mini cluster: Ray rewrites 127.0.0.1 to the outer address, so take a neighbour of the head's.
        return ".".join([*target.split(".")[:3], str(100 + os.getpid() % 150)])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # nothing is sent: only the route is looked up
        probe.connect((target, int(port)))
        return str(probe.getsockname()[0])


def environment(found: Connection) -> dict[str, str]:
    """Our own variables, then the connection's, the environment's programs first on PATH, and rayyarn to import."""
    environ = {**os.environ, **variables(found)}
    if environ.get("RAY_RUNTIME_ENV_HOOK") == HOOK:  # of the shell we are in: this program gets a raylet from us
        del environ["RAY_RUNTIME_ENV_HOOK"]
    environ.pop(FOREIGN_TOKEN, None)
    for name, first in in_front(found).items():
        rest = environ.get(name) or (os.defpath if name == "PATH" else "")
        environ[name] = os.pathsep.join(filter(None, [first, rest]))
    return environ


def variables(found: Connection) -> dict[str, str]:
    """The variables of a program on this machine that is to find the cluster."""
    driver = {"PYSPARK_DRIVER_PYTHON": f"{prefix}/bin/python"} if (prefix := _prefix(found)) else {}
    files = {FILES_FOLDER: str(folder)} if (folder := files_here.folder(found)) else {}
    return {**found.environ(), **driver, **files}


def in_front(found: Connection) -> dict[str, str]:
    """What goes before the value that a variable has: the environment's programs, and rayyarn to import."""
    path = {"PATH": f"{prefix}/bin"} if (prefix := _prefix(found)) else {}
    return {**path, "PYTHONPATH": str(runtime_file())}


def _prefix(found: Connection) -> str | None:
    """The environment, where it is on this machine."""
    prefix: str | None = found.environment["prefix"]
    return prefix if prefix and Path(prefix, "bin").is_dir() else None


def runtime_file() -> Path:
    """The runtime archive as a local file, made once per content: ``import rayyarn`` then works in any environment."""
    made = runtime.runtime_layer()
    path = home.cache() / "runtime" / made.name
    if not path.exists():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}")
        with part.open("wb") as sink:
            made.write(sink)
        part.replace(path)
    return path


def _disconnect(address: str) -> None:
    """``ray.shutdown()`` in a driver of the cluster at ``address``.

    Ray ends a driver whose raylet is gone on the spot: nothing is flushed, and what it had printed is lost (ray 2.60).
    """
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized() and ray.get_runtime_context().gcs_address == address:
        ray.shutdown()


class Edge:
    """A Ray node without CPUs on this machine, owned by this process and gone with it."""

    def __init__(self, connection: Connection, python: Sequence[str], environ: Mapping[str, str]) -> None:
        """Start it and return at once. ``python`` runs the environment's interpreter; ``environ`` finds rayyarn."""
        self._connection, address = connection, connection.ray["address"]
        self.ip = own_ip(address)
        self.name = f"edge-{socket.gethostname()}-{os.getpid()}"
        self.folder = Path(tempfile.mkdtemp(prefix="edge-", dir=home.cache()))
        self._hold = home.hold(self.folder)
        self._log = self.folder / "edge.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*python, "-m", "rayyarn.container.edge_node"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**environ, **connection.environ(), "TMPDIR": str(self.folder)},
                cwd=self.folder,
                start_new_session=True,
            )
        told = {"address": address, "ip": self.ip, "name": self.name}
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        with contextlib.suppress(BrokenPipeError):  # it died at once: `ready` tells why
            self._process.stdin.write(json.dumps(told).encode() + b"\n")
            self._process.stdin.flush()

    def ready(self, limit: float = _READY_LIMIT) -> None:
        """Wait until the node has joined. Raises ConnectionUnusable with its last words when it does not."""
        until = time.monotonic() + limit
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        while time.monotonic() < until:
            readable, _, _ = select.select([self._process.stdout], [], [], 0.2)
            if readable:
                said = self._process.stdout.readline().decode().strip()
                if said == "ready":
                    return
                if said == "refused":
                    raise ConnectionUnusable(
                        f"the cluster refuses the token in {self._connection.secret('token')}",
                        hint=f"rm {self._connection.path}   # it is then fetched anew from the cluster's folder",
                    )
                raise ConnectionUnusable("no Ray node could be started on this machine", log=said or self._words())
        raise ConnectionUnusable(f"Ray's node on this machine was not ready in {limit:.0f} s", log=self._words())

    def _words(self) -> str:
        with contextlib.suppress(OSError, IndexError):
            return self._log.read_text(errors="replace").strip().splitlines()[-1]
        return "it said nothing"

    def close(self) -> None:
        """End the node and everything below it; before that, this process's own driver on it, if there is one."""
        _disconnect(self._connection.ray["address"])
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(_END_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.terminate()  # it then kills what is below it before it ends
            self._process.wait(_END_LIMIT)
        self._hold.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
