"""Container logs from the NodeManagers' web services: while the application lives, also of containers that ended.

Facts: NMWebServices of Hadoop 3.5.0, ``/ws/v1/node/containers/<id>/logs``. No JVM.
"""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from rayyarn import web_link
from rayyarn.errors import YarnUnreachable
from rayyarn.logs import text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rayyarn.hadoop import Hadoop
    from rayyarn.logs.container import Container

_LIMIT = 10.0  # seconds for the next bytes of an answer
# A file grows between the look at its length and its reading: so much is asked for in excess, that none is missed.
_GROWTH = 64 << 10
_LINE = 200  # bytes: a first guess, doubled until enough lines have come


class NodePages:
    """What the NodeManagers of a site show."""

    def __init__(self, site: Hadoop) -> None:
        self._site = site
        self._scheme = "https" if site.get("yarn.http.policy") == "HTTPS_ONLY" else "http"

    def files(self, container: Container) -> dict[str, int]:
        """The container's log files and their lengths; empty when its node no longer has any."""
        status, body = self._get(container, "", {})
        if status != 200:
            return {}
        found: dict[str, int] = {}
        listed = json.loads(body)
        for one in listed if isinstance(listed, list) else [listed]:  # a list of one, in some versions without brackets
            inner = one.get("containerLogsInfo", one)
            if inner.get("logAggregationType", inner.get("logType", "LOCAL")) != "LOCAL":
                continue
            infos = inner.get("containerLogInfo") or []
            for info in infos if isinstance(infos, list) else [infos]:
                found[info["fileName"]] = int(info["fileSize"])
        return found

    def read(self, container: Container, file: str, size: int) -> tuple[int, bytes]:
        """The length of the file and its last ``size`` bytes at that length."""
        status, body = self._get(container, f"/{quote(file)}", {"size": str(-size), "format": "octet-stream"})
        return text.excerpt(body, size) if status == 200 else (0, b"")

    def whole(self, container: Container, file: str, length: int) -> tuple[int, bytes]:
        """The file, all of it; ``length`` as ``files`` told it."""
        return self.read(container, file, length + _GROWTH)

    def content(self, container: Container, files: Mapping[str, int], file: str) -> bytes:
        """One of ``files``, all of it."""
        return self.whole(container, file, files[file])[1]

    def tail(self, container: Container, file: str, length: int, lines: int) -> tuple[int, bytes]:
        """Enough of the file's end to hold ``lines`` lines."""
        size = max(4096, lines * _LINE)
        while True:
            now, data = self.read(container, file, size)
            if data.count(b"\n") > lines or size >= now:
                return now, data
            size = min(size * 4, max(now, length) + _GROWTH)

    def since(self, container: Container, file: str, seen: int, length: int) -> tuple[int, bytes]:
        """What the file has got after its first ``seen`` bytes."""
        if length < seen:  # moved aside, and begun again
            seen = 0
        now, data = self.read(container, file, length - seen + _GROWTH)
        return now, data[max(0, len(data) - (now - seen)) :] if now > seen else b""

    def _get(self, container: Container, rest: str, query: dict[str, str]) -> tuple[int, bytes]:
        link = web_link.connect(f"{self._scheme}://{container.web}", _LIMIT)
        if not self._site.secure:
            query = {**query, "user.name": self._site.user}
        target = f"/ws/v1/node/containers/{container.id}/logs{rest}?{urlencode(query)}"
        try:
            link.request("GET", target, headers={"Accept": "*/*" if rest else "application/json"})
            answer = link.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise YarnUnreachable(
                f"the NodeManager at {container.web} does not show the logs of {container.node}",
                log=str(error),
                hint=f"curl -s {self._scheme}://{container.web}/ws/v1/node/info",
            ) from error
        finally:
            link.close()
