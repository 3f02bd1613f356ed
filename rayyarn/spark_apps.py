"""Spark applications on this YARN: which one is meant, and on which hosts its executors run.

Spark is asked itself, through YARN's web proxy (Spark's monitoring documentation, "REST API"). One without a web page
is seen as YARN sees it: every container but the first of an attempt, which is its master's, is an executor.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from rayyarn.errors import SparkAppNotFound

if TYPE_CHECKING:
    from rayyarn.rm import ResourceManager
    from rayyarn.yarn_report import App

_ID = re.compile(r"application_\d+_\d+")
_REST = "api/v1/applications"


def find(rm: ResourceManager, wanted: str) -> App:
    """The running application of that id, or the one of yours of that name. Raises SparkAppNotFound."""
    if _ID.fullmatch(wanted):
        app = rm.app(wanted)
        if app is None or app.state != "RUNNING":
            state = f"is {app.state}" if app else "is not known to YARN"
            raise SparkAppNotFound(f"{wanted} {state}", hint="yarn application -list -appTypes SPARK")
        return app
    found = [app for app in rm.apps(states=("RUNNING",)) if app.name == wanted and app.kind == "SPARK"]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(app.id for app in found)
        raise SparkAppNotFound(f"{len(found)} Spark applications named {wanted!r} run: say which by its id ({ids})")
    raise SparkAppNotFound(
        f"no Spark application named {wanted!r} of user {rm.hadoop.user} runs",
        hint="yarn application -list -appTypes SPARK",
    )


def executors(rm: ResourceManager, app: App) -> dict[str, int]:
    """How many executors run on which host, by YARN's names for hosts; lost ones are left out."""
    told = _told(rm, app)
    hosts = _of_containers(rm, app) if told is None else told
    return dict(sorted(Counter(hosts).items()))


def id_of(session: Any) -> str:
    """The application id of a live Spark session, classic or Connect."""
    if type(session).__module__.startswith("pyspark.sql.connect"):
        return str(session.conf.get("spark.app.id"))
    return str(session.sparkContext.applicationId)


def _told(rm: ResourceManager, app: App) -> list[str] | None:
    listed = rm.proxied(app.id, _REST)
    if not isinstance(listed, list) or not listed:
        return None
    attempts = listed[0].get("attempts") or [{}]
    attempt = attempts[0].get("attemptId")  # the newest is the first; none in client mode
    found = rm.proxied(app.id, "/".join(filter(None, [_REST, app.id, attempt, "executors"])))
    if not isinstance(found, list):
        return None
    return [one["hostPort"].rpartition(":")[0] for one in found if one.get("isActive") and one.get("id") != "driver"]


def _of_containers(rm: ResourceManager, app: App) -> list[str]:
    containers = rm.containers(app)
    return [one["nodeId"].rpartition(":")[0] for one in containers if not one["containerId"].endswith("_000001")]
