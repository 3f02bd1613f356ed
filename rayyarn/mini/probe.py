"""Questions to the daemons of a mini cluster over HTTP: who is there, and is HDFS ready."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rayyarn.mini.conf import Shape

_TIMEOUT = 3.0
# Loopback addresses only: a proxy from the environment could not reach them.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def running_nodes(shape: Shape, since: dict[str, float] | None = None) -> list[str] | None:
    """Hosts that the ResourceManager calls RUNNING; None when it does not answer.

    It calls a node so until 10 s after its last word. ``since`` tells which NodeManagers were started again and when
    (seconds since the epoch): those count from their first word after that.
    """
    answer = _get(f"http://{shape.block.master}:8088/ws/v1/cluster/nodes")
    if answer is None:
        return None
    nodes = (answer.get("nodes") or {}).get("node", [])
    return sorted(
        node["nodeHostName"]
        for node in nodes
        if node["state"] == "RUNNING" and node["lastHealthUpdate"] >= (since or {}).get(node["nodeHostName"], 0) * 1000
    )


def hdfs_ready(shape: Shape) -> bool:
    """True when the NameNode takes writes and has its DataNode."""
    query = "qry=Hadoop:service=NameNode,name=FSNamesystemState"
    answer = _get(f"http://{shape.block.master}:9870/jmx?{query}")
    beans = (answer or {}).get("beans") or [{}]
    return bool(beans[0].get("NumLiveDataNodes")) and beans[0].get("FSState") == "Operational"


def make_hdfs_folder(shape: Shape, path: str, mode: str) -> None:
    """Make a folder on HDFS as its owner, through WebHDFS: no JVM. Raises OSError when the NameNode refuses."""
    url = f"http://{shape.block.master}:9870/webhdfs/v1{path}?op=MKDIRS&permission={mode}&user.name={shape.user}"
    with _opener.open(urllib.request.Request(url, method="PUT"), timeout=10) as answer:
        answer.read()


def _get(url: str) -> dict[str, Any] | None:
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    try:
        with _opener.open(request, timeout=_TIMEOUT) as answer:
            found = json.load(answer)
    except (OSError, ValueError):  # not listening yet, or still deploying its pages
        return None
    return found if isinstance(found, dict) else None
