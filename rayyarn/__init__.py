"""Ray next to Spark, on the YARN cluster you already have.

Nothing is imported until it is used: the same package serves the command line, user programs on the edge and the
processes inside the containers, and none of them pays for the others.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "ClusterSpec": "rayyarn.spec",
    "Connection": "rayyarn.connection",
    "RayYarnError": "rayyarn.errors",
    "connect": "rayyarn.session",
    "down": "rayyarn.cluster",
    "status": "rayyarn.cluster",
    "to_ray": "rayyarn.exchange",
    "to_spark": "rayyarn.exchange",
    "up": "rayyarn.cluster",
}
__all__ = ["ClusterSpec", "Connection", "RayYarnError", "connect", "down", "status", "to_ray", "to_spark", "up"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rayyarn' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
