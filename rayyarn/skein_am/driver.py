"""Skein's driver: the JVM that submits, started by us with our own class path."""

from __future__ import annotations

import contextlib
import copy
import select
import shutil
import socket
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rayyarn import diagnose, home
from rayyarn.errors import JavaNotFound
from rayyarn.grpc_import import load
from rayyarn.hadoop import QUICK_JVM
from rayyarn.skein_am import package
from rayyarn.skein_am.wire import CALL_LIMIT, Credentials, DriverUnreachable, channel, security, translated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rayyarn.hadoop import Hadoop

# A cold JVM on a loaded two-core machine needed up to 25 s.
_START_LIMIT = 60.0
# Submitting copies a few kilobytes to the default file system and waits for the RM to accept: 0.5 to 8 s seen.
_SUBMIT_LIMIT = 120.0
_END_LIMIT = 5.0


class Driver:
    """Skein's driver: a JVM that lives while this object is open, and ends with this process however that ends."""

    def __init__(self, hadoop: Hadoop, credentials: Credentials) -> None:
        """Start the JVM and return at once; ``ready`` waits for it."""
        java, jar = hadoop.java(), package.folder() / "java" / "skein.jar"
        self._credentials = credentials
        self._folder = Path(tempfile.mkdtemp(prefix="driver-", dir=home.cache()))
        self._hold = home.hold(self._folder)
        self._log = self._folder / "driver.log"
        self._client: Any = None
        self._callback = socket.create_server(("127.0.0.1", 0))
        environ = dict(hadoop.environ)
        environ.update(
            CLASSPATH=f"{jar}:{hadoop.classpath()}",
            HADOOP_CONF_DIR=str(hadoop.conf_dir),
            SKEIN_CERTIFICATE=credentials.certificate.decode(),
            SKEIN_KEY=credentials.key.decode(),
            SKEIN_CALLBACK_PORT=str(self._callback.getsockname()[1]),
        )
        # Native TLS is unpacked into the folder, not into /tmp: noexec there, and a killed JVM would leave it behind.
        command = [str(java.path), *QUICK_JVM, f"-Djava.io.tmpdir={self._folder}",
                   f"-Dio.netty.native.workdir={self._folder}", "-Dskein.log.level=WARN",
                   "com.anaconda.skein.Driver", "--jar", str(jar)]  # fmt: skip
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environ, start_new_session=True
                )
        except OSError as error:
            self._forget()
            raise JavaNotFound(f"{java.path} does not start: {error}", hint="export JAVA_HOME=...") from error

    @property
    def pid(self) -> int:
        """The JVM's process id."""
        return self._process.pid

    def ready(self, limit: float = _START_LIMIT) -> None:
        """Wait until the JVM takes calls. Raises DriverUnreachable with its last words when it does not."""
        if self._client is not None:
            return
        load("skein.core")  # 0.3 s in which the JVM boots
        port = self._port(limit)
        with translated("connecting to skein's driver"):
            self._client = _DriverClient.open(f"127.0.0.1:{port}", self._credentials)

    def _port(self, limit: float) -> int:
        waited = 0.0
        while self._process.poll() is None and waited < limit:
            readable, _, _ = select.select([self._callback], [], [], 0.2)
            waited += 0.2
            if readable:
                link, _ = self._callback.accept()
                with link:
                    link.settimeout(limit)
                    message = link.makefile("rb").read(4)
                if len(message) == 4:
                    return int(struct.unpack("!i", message)[0])
        known = diagnose.explain(self._said())
        if known is not None:
            raise known
        ended = self._process.poll()
        fate = f"ended with {ended}" if ended is not None else f"said nothing for {limit:.0f} s"
        words = self.last_words() or "no output"
        raise DriverUnreachable(f"skein's driver (a JVM) {fate}", log=words, hint="java -version")

    def _said(self) -> str:
        try:
            return self._log.read_text(errors="replace")
        except OSError:
            return ""

    def last_words(self) -> str:
        """The line of the JVM's log that matters: the first exception, else the last line."""
        lines = [line for line in self._said().splitlines() if line.strip()]
        telling = [line for line in lines if "Exception" in line or "Error" in line]
        return (telling or lines or [""])[0 if telling else -1].strip()

    def submit(self, document: Mapping[str, Any]) -> str:
        """Submit an application document (see ``rayyarn.plan``); the application's id."""
        self.ready()
        with translated("submitting the application"):
            kind = load("skein").ApplicationSpec
            spec = kind.from_dict(copy.deepcopy(dict(document)))  # it pops keys from what it is given
            spec.master.security = security(self._credentials)
            return str(self._client.call("submit", spec.to_protobuf(), _SUBMIT_LIMIT).id)

    def close(self) -> None:
        """End the JVM: it exits when its standard input closes, and is killed when it does not, or still boots."""
        try:
            if self._client is None:  # still booting: it would hear of its closed input after seconds
                self._process.kill()
            else:
                self._client.close()
            if self._process.stdin is not None:
                with contextlib.suppress(OSError):
                    self._process.stdin.close()
            self._wait()
        finally:  # also when Ctrl-C comes just now
            if self._process.poll() is None:
                self._process.kill()
            self._forget()

    def _wait(self) -> None:
        try:
            self._process.wait(_END_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_END_LIMIT)

    def _forget(self) -> None:
        self._callback.close()
        self._hold.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _DriverClient:
    """The driver's gRPC service with a limit on each call."""

    def __init__(self, link: Any, stub: Any) -> None:
        self._link, self._stub = link, stub

    @classmethod
    def open(cls, address: str, credentials: Credentials) -> _DriverClient:
        proto = load("skein.proto")
        link = channel(address, credentials)
        client = cls(link, proto.DriverStub(link))
        client.call("ping", proto.Empty(), CALL_LIMIT)
        return client

    def call(self, method: str, request: Any, limit: float) -> Any:
        # For Client._call alone: it turns gRPC's codes into skein's exceptions.
        view = object.__new__(load("skein.core").Client)
        view._stub, view._proc = self._stub, None
        return view._call(method, request, timeout=limit)

    def close(self) -> None:
        self._link.close()
