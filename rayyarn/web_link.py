"""A connection to the web address of a Hadoop daemon.

http.client knows nothing of http_proxy, and that is wanted: a site's web proxy has no business between us and its YARN.
"""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urlsplit, urlunsplit


def connect(url: str, limit: float) -> http.client.HTTPConnection:
    """A connection, not opened yet, to the host of ``url``; ``limit`` seconds for each word of an answer."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.netloc, timeout=limit, context=ssl.create_default_context())
    return http.client.HTTPConnection(parts.netloc, timeout=limit)


def moved(url: str, base: str) -> str:
    """``url`` at the host of ``base``, an address that works from here; empty when it is no address.

    A ResourceManager calls itself by its own host's name in the links that it makes, which on loopback addresses is
    one where it does not listen (WebAppUtils.getResolvedAddress, Hadoop 3.5.0).
    """
    parts, at = urlsplit(url), urlsplit(base)
    return urlunsplit((at.scheme, at.netloc, parts.path, parts.query, "")) if parts.netloc else ""


def is_standby(answer: http.client.HTTPResponse, body: bytes) -> bool:
    """True for the answer of a ResourceManager that sends its clients on to the active one."""
    return answer.status in (302, 307) or answer.getheader("Refresh") is not None or b"standby RM" in body
