"""Ray's GCS asked directly over gRPC: who is alive, and does it turn strangers away.

``import ray`` costs a supervisor 100 MB and over a second. The messages alone, loaded from the installed ray without
running its ``__init__``, cost 15 MB and 0.1 s. Tried with ray 2.60; service names: src/ray/protobuf/gcs_service.proto,
token in the ``authorization`` metadata: docs.ray.io, "Token authentication".
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

_CALL_LIMIT = 3.0


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


class Gcs:
    """The GCS at ``address`` (``host:port``), called with the cluster's token."""

    def __init__(self, address: str, token: str) -> None:
        import grpc

        self._pb = messages("gcs_service_pb2")
        self._grpc = grpc
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._channel = grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)])

    def nodes(self) -> list[dict[str, Any]]:
        """Ray's nodes: ``node_id, name`` (the container), ``ip, port`` (the raylet's), ``alive, head, cpus, death``."""
        reply = self._ask(self._metadata)
        return [
            {
                "node_id": node.node_id.hex(),
                "name": node.node_name,
                "ip": node.node_manager_address,
                "port": node.node_manager_port,
                "alive": node.state == 0,
                "head": node.is_head_node,
                "cpus": node.resources_total.get("CPU", 0.0),
                "death": node.death_info.reason_message,
            }
            for node in reply.node_info_list
        ]

    def answers(self) -> bool:
        """True as soon as the GCS takes calls with our token."""
        try:
            self._ask(self._metadata)
        except self._grpc.RpcError as error:
            if error.code() == self._grpc.StatusCode.UNAUTHENTICATED:
                raise PermissionError(f"the GCS refuses its own token: {error.details()}") from None
            return False
        return True

    def refuses_strangers(self) -> bool:
        """True when a call without the token is refused for want of the token, and for nothing else."""
        try:
            self._ask(())
        except self._grpc.RpcError as error:
            return bool(error.code() == self._grpc.StatusCode.UNAUTHENTICATED)
        return False

    def _ask(self, metadata: tuple[tuple[str, str], ...]) -> Any:
        call = self._channel.unary_unary(
            "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=self._pb.GetAllNodeInfoReply.FromString,
        )
        return call(self._pb.GetAllNodeInfoRequest(), timeout=_CALL_LIMIT, metadata=metadata)
