"""Quick questions over HTTP to the daemons' own pages, past any web proxy."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from rayyarn import web_link


@dataclass(frozen=True)
class Answer:
    """What came back. ``skew``: seconds by which the other's clock is ahead of ours, to about one; None: not told."""

    status: int
    body: bytes
    standby: bool
    skew: float | None

    def document(self) -> dict[str, Any]:
        """The body as a JSON object; empty when it is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def get(url: str, limit: float) -> Answer:
    """GET ``url``; ``limit`` seconds for each word of the answer. Raises OSError and http.client.HTTPException."""
    parts = urlsplit(url)
    link = web_link.connect(url, limit)
    try:
        link.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path,
                     headers={"Accept": "application/json"})  # fmt: skip
        asked = time.time()
        answer = link.getresponse()
        answered = time.time()
        body = answer.read()
    finally:
        link.close()
    standby = web_link.is_standby(answer, body)
    return Answer(answer.status, body, standby, _skew(answer.getheader("Date"), (asked + answered) / 2))


def conf(address: str, limit: float) -> dict[str, str]:
    """The configuration that a daemon runs with, defaults included; empty when it does not tell (ConfServlet)."""
    answer = get(f"{address}/conf?format=json", limit)  # old ones look at the query, new ones at Accept
    entries = answer.document().get("properties", []) if answer.status == 200 else []
    return {one["key"]: one.get("value") or "" for one in entries}


def _skew(date: str | None, now: float) -> float | None:
    if not date:
        return None
    try:  # two equal Date headers (3.5.0 sends two) come as one text with a comma in the middle
        return parsedate_to_datetime(date[:29]).timestamp() + 0.5 - now  # whole seconds, cut off
    except ValueError:
        return None
