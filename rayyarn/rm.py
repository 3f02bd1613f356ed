"""The ResourceManager over REST: the register of clusters, the sizes of nodes and queues, and `kill`.

Facts about the API: Hadoop 3.5.0, "ResourceManager REST API's" (ResourceManagerRest.html). No JVM is needed for it.
A site that closes it (401, 403, 404: Kerberos, or a gateway in between) cannot be used yet.
"""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from rayyarn import web_link
from rayyarn.errors import YarnRefused, YarnUnreachable
from rayyarn.yarn_report import LIVE, App, Node, Queue, app_order, read_app, read_node, read_queues

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rayyarn.hadoop import Hadoop

# A ResourceManager answers in milliseconds; one that needs longer is as good as down for an interactive command.
_ANSWER_LIMIT = 5.0


class RestClosed(YarnRefused):
    """The site does not let us in over REST."""

    code = "rest_closed"


class ResourceManager:
    """All ResourceManagers of a site as one: whoever is active answers."""

    def __init__(self, hadoop: Hadoop, *, addresses: Iterable[str] = (), limit: float | None = None) -> None:
        """``addresses``: ask these instead of those that ``hadoop`` knows; ``limit``: seconds for an answer."""
        self.hadoop = hadoop
        self._addresses = list(addresses) or list(hadoop.rm_web)
        self._limit = limit

    @property
    def _pages(self) -> str:  # YARN's web proxy is in the manager that answered last, unless the site runs one apart
        return self.hadoop.web_proxy or self._addresses[0]

    def apps(self, *, tag: str | None = None, states: Iterable[str] = LIVE, user: str | None = None) -> list[App]:
        """Applications of ``user`` (default: ours), oldest id first."""
        query = {"user": user or self.hadoop.user, "states": ",".join(states)}
        if tag:
            query["applicationTags"] = tag
        listed = (self.get(f"apps?{urlencode(query)}").get("apps") or {}).get("app", [])
        # Asked for again here: routers and old versions ignore filters that they do not know.
        known = [read_app(entry, self._pages) for entry in listed]
        found = [app for app in known if app.user == query["user"] and (not tag or tag in app.tags)]
        return sorted(found, key=lambda app: app_order(app.id))

    def app(self, app_id: str) -> App | None:
        """One application, or None when YARN has forgotten it or never knew it."""
        answer = self._ask("GET", f"apps/{quote(app_id)}", accept=(200, 404))
        return read_app(answer["app"], self._pages) if "app" in answer else None

    def live(self, app_id: str) -> App | None:
        """One application while YARN may still run something for it, else None."""
        app = self.app(app_id)
        return app if app is not None and app.live else None

    def kill(self, app_id: str, why: str = "") -> None:
        """Ask YARN to kill the application, with ``why`` as its diagnostics; returns before it is gone."""
        wanted = {"state": "KILLED", **({"diagnostics": why} if why else {})}
        self._ask("PUT", f"apps/{quote(app_id)}/state", wanted, accept=(200, 202))

    def containers(self, app: App) -> list[dict[str, Any]]:
        """The running containers of the application: ``containerId``, ``nodeId``, ``allocatedMB``, ..."""
        attempt = app.attempt or f"appattempt_{app.id.removeprefix('application_')}_000001"
        path = f"apps/{quote(app.id)}/appattempts/{attempt}/containers"
        listed = self._ask("GET", path, accept=(200, 404)).get("container") or []
        return listed if isinstance(listed, list) else [listed]

    def nodes(self, *states: str) -> list[Node]:
        """The NodeManagers in ``states``; by default those that run."""
        listed = (self.get(f"nodes?states={','.join(states or ('RUNNING',))}").get("nodes") or {}).get("node", [])
        return [read_node(node) for node in listed]

    def queues(self) -> list[Queue]:
        """All queues of a capacity or fair scheduler, parents before children."""
        info = (self.get("scheduler").get("scheduler") or {}).get("schedulerInfo") or {}
        return list(read_queues(info.get("rootQueue", info), ""))

    def get(self, path: str) -> dict[str, Any]:
        """GET ``/ws/v1/cluster/<path>``."""
        return self._ask("GET", path)

    def proxied(self, app_id: str, path: str) -> Any:
        """The JSON at ``path`` of an application's own web pages; None when it has none, or does not answer."""
        for address in self._addresses:
            try:
                status, text, standby = self._send(address, "GET", f"/proxy/{quote(app_id)}/{path}", None)
                if status == 200 and not standby:
                    return json.loads(text)
            except (OSError, http.client.HTTPException, ValueError):
                continue
        return None

    def _ask(self, method: str, path: str, body: object = None, *, accept: tuple[int, ...] = (200,)) -> dict[str, Any]:
        """Ask each address once, the last good one first; a standby sends us on to the next."""
        failures = []
        for address in list(self._addresses):
            try:
                status, text, standby = self._send(address, method, f"/ws/v1/cluster/{path}", body)
            except (OSError, http.client.HTTPException) as error:
                failures.append(f"{address}: {error}")
                continue
            if standby:
                failures.append(f"{address}: standby")
                continue
            self._addresses.remove(address)
            self._addresses.insert(0, address)
            if status in accept:
                return _document(text)
            self._refuse(method, path, status, text)
        raise YarnUnreachable(
            f"no ResourceManager answers ({'; '.join(failures)})",
            hint=f"curl -s {self._addresses[0]}/ws/v1/cluster/info   # addresses from {self.hadoop.conf_dir}",
        )

    def _send(self, address: str, method: str, path: str, body: object) -> tuple[int, bytes, bool]:
        link = web_link.connect(address, self._limit or _ANSWER_LIMIT)
        target = path
        if not self.hadoop.secure:
            target += ("&" if "?" in path else "?") + urlencode({"user.name": self.hadoop.user})
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        try:
            link.request(method, target, json.dumps(body) if body is not None else None, headers)
            answer = link.getresponse()
            text = answer.read()
            return answer.status, text, web_link.is_standby(answer, text)
        finally:
            link.close()

    def _refuse(self, method: str, path: str, status: int, text: bytes) -> None:
        said = text.decode(errors="replace")
        try:
            said = json.loads(said)["RemoteException"]["message"]
        except (ValueError, KeyError, TypeError):
            said = said.strip().splitlines()[0][:200] if said.strip() else http.client.responses.get(status, "")
        kind = RestClosed if status in (401, 403, 404) else YarnRefused
        hint = f"curl -si '{self._addresses[0]}/ws/v1/cluster/info'   # Kerberos is not supported yet"
        raise kind(f"YARN answered {status} to {method} {path}", log=said, hint=hint if kind is RestClosed else None)


def _document(text: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(text or b"{}")
    except ValueError:
        raise YarnUnreachable(
            "the ResourceManager's answer is not JSON", log=text[:200].decode(errors="replace")
        ) from None
    return answer if isinstance(answer, dict) else {}
