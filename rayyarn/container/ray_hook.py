"""Called by ``ray start`` before it starts anything (RAY_START_HOOK, ray/_private/ray_constants.py).

The only seam through which Ray Client's server can be left out: ``--ray-client-server-port 0`` is rejected and leaving
the flag away means port 10001 (ray 2.60). Ray Client would be one more open port and 90 MB for nobody.
"""

from __future__ import annotations

from typing import Any


def prepare(ray_params: Any, head: bool) -> None:
    """Turn Ray Client's server off."""
    if head:
        ray_params.ray_client_server_port = None
