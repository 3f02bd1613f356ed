"""The logs of an application that is over, as YARN has collected them: through Hadoop's own reader, one JVM.

There are two formats and any number of layouts and compressions (LogAggregationFileController, Hadoop 3.5.0), and each
site chooses: only ``yarn logs`` reads them all.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
from typing import IO, TYPE_CHECKING

from rayyarn import home
from rayyarn.errors import YarnRefused
from rayyarn.hadoop import QUICK_JVM
from rayyarn.logs import text
from rayyarn.logs.container import Container

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rayyarn.hadoop import Hadoop
    from rayyarn.yarn_report import App

_LIMIT = 600.0  # seconds: logs of gigabytes come over the network
_HELLO = re.compile(rb"\b(head-\d+|worker-\d+) in (container_\S+) on ")  # the first words of our supervisor


class Aggregated:
    """The collected logs of one application, in a file of this machine until closed."""

    def __init__(self, site: Hadoop, app: App) -> None:
        """Fetch them. Raises YarnRefused when YARN has none."""
        self._stream: IO[bytes] = tempfile.TemporaryFile(dir=home.cache())  # noqa: SIM115 - until closed
        try:
            self._fetch(site, app)
            self._parts = list(self._index())
        except BaseException:
            self._stream.close()
            raise

    def containers(self) -> list[Container]:
        """Who wrote them, by the names that the supervisors gave themselves."""
        found: dict[str, Container] = {}
        for part in self._parts:
            host = re.sub(r"[_:]\d+$", "", part.node)
            node = self._name(part)
            if node or part.container not in found:
                found[part.container] = Container(node or "container", part.container, f"{host}:")
        return list(found.values())

    def files(self, container: Container) -> dict[str, int]:
        """The container's files and their lengths."""
        return {part.file: part.length for part in self._parts if part.container == container.id}

    def whole(self, container: Container, file: str) -> bytes:
        """One file."""
        part = next(one for one in self._parts if (one.container, one.file) == (container.id, file))
        return self._read(part, part.length)

    def _name(self, part: text.Part) -> str:
        if part.file == "application.master.log":
            return "master"
        if part.file not in ("head.log", "worker.log"):
            return ""
        hello = _HELLO.search(self._read(part, 4096))
        name = hello[1].decode() if hello else part.file.removesuffix(".log")
        return "head" if name.startswith("head") else name

    def _read(self, part: text.Part, size: int) -> bytes:
        self._stream.seek(part.at)
        return self._stream.read(min(size, part.length))

    def _index(self) -> Iterator[text.Part]:
        self._stream.seek(0)
        yield from text.parts(self._stream)

    def _fetch(self, site: Hadoop, app: App) -> None:
        reader = ["org.apache.hadoop.yarn.client.cli.LogsCLI", "-applicationId", app.id, "-appOwner", app.user]
        command = [str(site.java().path), *QUICK_JVM, "-cp", site.classpath(), *reader]
        environ = {**site.environ, "HADOOP_CONF_DIR": str(site.conf_dir), "HADOOP_USER_NAME": site.user}
        if site.secure:
            del environ["HADOOP_USER_NAME"]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=self._stream, stderr=subprocess.PIPE, env=environ,
                timeout=_LIMIT,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise YarnRefused(
                f"YARN's logs of {app.id} did not come within {_LIMIT:.0f} s", hint=f"yarn logs -applicationId {app.id}"
            ) from None
        if done.returncode or not self._stream.tell():
            said = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
            raise none_of(app, said[-1] if said else None)

    def close(self) -> None:
        """Forget them."""
        with contextlib.suppress(OSError):
            self._stream.close()


def none_of(app: App, said: str | None) -> YarnRefused:
    """YARN has no logs of the application."""
    return YarnRefused(
        f"YARN has no logs of {app.id}: it collects none, has not collected these, or has removed them",
        log=said,
        hint="rayyarn doctor   # whether this YARN collects the logs of what has ended",
    )
