"""Ray's own gRPC services, called without importing Ray.

``import ray`` costs a supervisor 100 MB and over a second. The messages alone, loaded from the installed ray without
running its ``__init__``, cost 15 MB and 0.1 s. Tried with ray 2.60; the token goes in the ``authorization`` metadata:
docs.ray.io, "Token authentication".
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from rayyarn.grpc_import import load

CALL_LIMIT = 3.0  # seconds; a healthy process answers in milliseconds


def messages(module: str) -> Any:
    """One of Ray's message modules, such as ``gcs_service_pb2``."""
    if "ray" not in sys.modules:
        spec = find_spec("ray")
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError("no module named 'ray' in the environment")
        package = ModuleType("ray")
        package.__path__ = [str(Path(spec.origin).parent)]
        sys.modules["ray"] = package
    return importlib.import_module(f"ray.core.generated.{module}")


def channel(address: str) -> Any:
    """A channel to ``host:port`` that no web proxy sees."""
    return load().insecure_channel(address, [("grpc.enable_http_proxy", 0)])


def method(link: Any, name: str, reply: Any) -> Any:
    """The method ``Service/Method`` of Ray's at ``link``; call it with the request, CALL_LIMIT and metadata."""
    return link.unary_unary(
        f"/ray.rpc.{name}",
        request_serializer=lambda request: request.SerializeToString(),
        response_deserializer=reply.FromString,
    )


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata of who has the cluster's token."""
    return (("authorization", f"Bearer {token}"),)
