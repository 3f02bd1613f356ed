"""Ray's GCS asked directly: who is alive, does it turn strangers away, does it give a node back.

Service names: src/ray/protobuf/gcs_service.proto and autoscaler.proto.
"""

from __future__ import annotations

from typing import Any

from rayyarn.container import ray_rpc
from rayyarn.grpc_import import load


class Gcs:
    """The GCS at ``address`` (``host:port``), called with the cluster's token."""

    def __init__(self, address: str, token: str) -> None:
        self._pb = ray_rpc.messages("gcs_service_pb2")
        self._grpc = load()
        self._metadata = ray_rpc.bearer(token)
        self._channel = ray_rpc.channel(address)

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

    def refuses_strangers(self) -> bool:
        """True when a call without the token is refused for want of the token, and for nothing else."""
        try:
            self._ask(())
        except self._grpc.RpcError as error:
            return bool(error.code() == self._grpc.StatusCode.UNAUTHENTICATED)
        return False

    def has_head(self) -> bool:
        """True once the GCS answers and the head's raylet has joined. Raises PermissionError when our token is refused.

        A node that asks before, to join too, looks again after a second.
        """
        try:
            return any(node["head"] and node["alive"] for node in self.nodes())
        except self._grpc.RpcError as error:
            if error.code() == self._grpc.StatusCode.UNAUTHENTICATED:
                raise PermissionError(f"the GCS refuses its own token: {error.details()}") from None
            return False

    def drain(self, node_id: str, why: str) -> str | None:
        """Have Ray give an idle node back: nothing new goes there from now on. Its reason when it does not; else None.

        Idle for Ray: no worker process is in use (a task, an actor, also without CPUs, an attached program), and no
        object has its first copy there, in memory or spilled (LocalResourceManager::IsLocalNodeIdle in src/ray/raylet).
        The raylet decides and stops taking work in one step; then it ends by itself.
        """
        pb = ray_rpc.messages("autoscaler_pb2")
        call = ray_rpc.method(self._channel, "autoscaler.AutoscalerStateService/DrainNode", pb.DrainNodeReply)
        request = pb.DrainNodeRequest(
            node_id=bytes.fromhex(node_id), reason=pb.DRAIN_NODE_REASON_IDLE_TERMINATION, reason_message=why
        )
        try:
            reply = call(request, timeout=ray_rpc.CALL_LIMIT, metadata=self._metadata)
        except self._grpc.RpcError as error:
            return f"Ray does not answer: {error.details()}"
        return None if reply.is_accepted else reply.rejection_reason_message or "Ray gave no reason"

    def _ask(self, metadata: tuple[tuple[str, str], ...]) -> Any:
        call = ray_rpc.method(self._channel, "NodeInfoGcsService/GetAllNodeInfo", self._pb.GetAllNodeInfoReply)
        return call(self._pb.GetAllNodeInfoRequest(), timeout=ray_rpc.CALL_LIMIT, metadata=metadata)
