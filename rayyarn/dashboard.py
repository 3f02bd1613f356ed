"""The dashboard's address, once there is something to see at it."""

from __future__ import annotations

import http.client
import json
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from rayyarn import cluster, web_link
from rayyarn.errors import DashboardRefused
from rayyarn.steps import SILENT, Reporter, Steps

# Ten processes that import Ray: 8 s on an idle machine with two cores, and 90 s are what the head gives them.
_LIMIT = 120.0
_ANSWER_LIMIT = 10.0  # the first request waits for the gate, up to 2 s
_EVERY = 0.5


@dataclass(frozen=True)
class DashboardAddress:
    """Where a browser finds the dashboard of a cluster."""

    name: str
    application: str
    url: str

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` shows it."""
        return asdict(self)


def find(name: str, *, hadoop_conf: str | None = None, reporter: Reporter = SILENT) -> DashboardAddress:
    """Have the dashboard of the cluster ``name`` started, wait until it answers, and say where.

    It is asked for the way that a browser asks, through YARN's web proxy, so the address is known to work.
    Raises ClusterNotFound, DashboardRefused when it cannot be had, NotReady.
    """
    (seen,) = cluster.status(name, hadoop_conf=hadoop_conf).clusters
    if seen.dashboard is None:
        raise DashboardRefused(
            f"{name} has no dashboard: it is {seen.state}" + (f", {seen.why}" if seen.why else ""),
            hint=f"rayyarn status {name}",
        )
    with Steps(reporter) as steps, steps.step("Ray's dashboard", limit=_LIMIT) as step:
        step.update("it starts beside the head")
        step.wait(lambda: _is_on(name, seen.dashboard or ""), every=_EVERY, hint=f"rayyarn logs {name} --node head")
        step.result = "it answers"
    return DashboardAddress(name, seen.application, seen.dashboard)


def _is_on(name: str, url: str) -> bool:
    status, body = _ask(name, url.replace("/?", "/-/state?", 1))
    if status == 403:
        raise DashboardRefused(
            f"YARN's web proxy does not let you see the dashboard of {name}",
            log=body.decode(errors="replace").strip()[-200:],
            hint=f"curl -si '{url}'",
        )
    try:
        told = json.loads(body) if status == 200 else {}
        state, why = str(told["state"]), str(told["why"])
    except (ValueError, KeyError, TypeError):
        return False  # the master's page is not there yet, or the gate is not
    if state == "refused":
        raise DashboardRefused(why, hint=f"rayyarn jobs {name}   # what runs beside the head")
    return state == "on"


def _ask(name: str, url: str) -> tuple[int, bytes]:
    parts = urlsplit(url)
    link = web_link.connect(url, _ANSWER_LIMIT)
    try:
        link.request("GET", f"{parts.path}?{parts.query}", headers={"Accept": "application/json"})
        answer = link.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise DashboardRefused(
            f"YARN's web proxy at {parts.netloc} does not answer from here: {error}", hint=f"rayyarn status {name}"
        ) from None
    finally:
        link.close()
