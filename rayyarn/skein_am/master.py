"""A running application's master: its key-value store and its containers, over gRPC."""

from __future__ import annotations

import threading
from typing import Any, Self

from rayyarn.grpc_import import load
from rayyarn.skein_am.wire import CALL_LIMIT, Credentials, channel, security, translated


class AppMaster:
    """A running application's master: its key-value store and its containers. No JVM."""

    def __init__(self, address: str, app_id: str, credentials: Credentials, *, limit: float = CALL_LIMIT) -> None:
        proto = load("skein.proto")
        client: Any = load("skein.core").ApplicationClient
        link = channel(address, credentials)

        class Limited(client):  # type: ignore[misc]
            def __init__(self) -> None:
                self.address, self.id, self.security = address, app_id, security(credentials)
                self._channel, self._stub = link, proto.AppMasterStub(link)

            def _call(self, method: str, request: Any, timeout: float | None = None) -> Any:
                return super()._call(method, request, timeout=timeout or limit)

        self._client = Limited()
        self._lock = threading.Lock()
        self.id, self.address = app_id, address

    def read(self, prefix: str = "") -> dict[str, bytes]:
        """All keys that start with ``prefix``, with their values."""
        with translated("reading the cluster's store"), self._lock:
            found = self._client.kv.get_prefix(prefix) if prefix else self._client.kv.get_range()
        return dict(found)

    def write(self, key: str, value: bytes, *, owner: str | None = None) -> None:
        """Set one key; it goes with the container ``owner`` (``worker_3``), if given, when that ends."""
        with translated("writing to the cluster's store"), self._lock:
            self._client.kv.put(key, value, owner=owner) if owner else self._client.kv.put(key, value)

    def remove(self, prefix: str) -> None:
        """Remove all keys that start with ``prefix``."""
        with translated("writing to the cluster's store"), self._lock:
            self._client.kv.discard_prefix(prefix)

    def containers(self) -> list[dict[str, Any]]:
        """Every container ever asked for: ``service, state, container`` (YARN's id), ``web, exit_message``.

        ``web``: host:port of its NodeManager's pages.
        """
        with translated("listing containers"), self._lock:
            states = ("WAITING", "REQUESTED", "RUNNING", "SUCCEEDED", "FAILED", "KILLED")
            return [
                {
                    "service": f"{found.service_name}_{found.instance}",
                    "state": str(found.state),
                    "container": found.yarn_container_id,
                    "web": found.yarn_node_http_address or "",
                    "exit_message": found.exit_message or "",
                }
                for found in self._client.get_containers(states=states)
            ]

    def scale(self, service: str, count: int) -> None:
        """Have ``count`` containers of a service, asked for or running. For more of them: it would take any away."""
        with translated("asking for containers"), self._lock:
            self._client.scale(service, count=count)

    def kill(self, instance: str) -> None:
        """End the container ``worker_3``, or take back that it was asked for; it is not replaced.

        For what does not end by itself: of everything that ends in the same heartbeat as a running container that was
        killed so, skein's master takes no note (ApplicationMaster.onContainersCompleted returns there).
        """
        with translated("taking a container back"), self._lock:
            self._client.kill_container(instance)

    def add_page(self, route: str, target: str, title: str) -> None:
        """Have the application's own web page link to ``target``, as ``pages/<route>/``; again is no error."""
        proto = load("skein.proto")
        with translated("adding a page"), self._lock:
            known = self._client._call("GetProxies", proto.GetProxiesRequest()).proxy
            if all((page.route, page.target) != (route, target) for page in known):
                self._client._call("AddProxy", proto.Proxy(route=route, target=target, link_name=title))

    def progress(self, share: float) -> None:
        """Set what YARN shows as the application's progress, 0.0 to 1.0."""
        with translated("reporting progress"), self._lock:
            self._client.set_progress(share)

    def shutdown(self, status: str, diagnostics: str) -> None:
        """End the application as ``SUCCEEDED`` or ``FAILED``; returns before its containers are gone."""
        with translated("ending the application"), self._lock:
            self._client.shutdown(status, diagnostics)

    def close(self) -> None:
        """Close the channel; the application goes on."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
