"""Called by every ``ray.init`` (RAY_RUNTIME_ENV_HOOK, ray/_private/worker.py): a driver needs a raylet on its machine.

``rayyarn exec`` starts one beside the program. A shell, and the container of a Spark driver, have nobody who could:
there the first ``ray.init`` of a program starts it, and it ends with the program.
"""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path
from typing import Any

from rayyarn import connection, edge

_started: list[edge.Edge] = []


def prepare(runtime_env: dict[str, Any] | None) -> dict[str, Any] | None:
    """Start a Ray node without CPUs unless this machine has one of the cluster's. ``runtime_env`` is left as it is.

    Raises ConnectionUnusable when the cluster cannot be reached.
    """
    path, address = os.environ.get("RAYYARN_CONNECTION"), os.environ.get("RAY_ADDRESS")
    if not path or not address or edge.has_raylet(address):
        return runtime_env
    found = connection.read(Path(path))
    if found.ray["address"] != address:  # the program has chosen another cluster
        return runtime_env
    edge.reach(address)
    node = edge.Edge(found, [sys.executable], edge.environment(found))
    atexit.register(node.close)
    _started.append(node)
    node.ready()
    return runtime_env
