"""What Ray does: whether any task or actor call runs or waits anywhere, and who is attached.

Each raylet is asked for the counts of its worker processes and drivers (GetNodeStats in
src/ray/protobuf/node_manager.proto; tried with ray 2.60). An actor that is called by nobody, and a driver that has
nothing running, are no work. Programs on the edge have a raylet of their own and are asked through it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from rayyarn.container.gcs import messages

_CALL_LIMIT = 3.0
_DRIVER = 1  # WorkerType.DRIVER in src/ray/protobuf/common.proto


@dataclass(frozen=True)
class Seen:
    """``busy``: something runs or waits, or a node did not say; ``drivers``: ``host pid`` of programs attached."""

    busy: bool
    drivers: tuple[str, ...]


class Activity:
    """Asks Ray's nodes with the cluster's token."""

    def __init__(self, token: str) -> None:
        self._metadata = (("authorization", f"Bearer {token}"),)

    def look(self, nodes: list[dict[str, Any]]) -> Seen:
        """What ``nodes`` (alive, as ``Gcs.nodes`` gives them) do at this moment."""
        workers, silent = [], False
        for node in nodes:
            try:
                workers += self._ask(f"{node['ip']}:{node['port']}").core_workers_stats
            except Exception as error:  # whatever grpc raises: who does not answer may be busy
                logging.warning("the raylet of %s did not answer: %s", node["name"], error)
                silent = True
        busy = any(one.num_pending_tasks or one.num_running_tasks or one.task_queue_length for one in workers)
        drivers = sorted({f"{one.ip_address} pid {one.pid}" for one in workers if one.worker_type == _DRIVER})
        return Seen(busy or silent, tuple(drivers))

    def _ask(self, address: str) -> Any:
        import grpc

        pb = messages("node_manager_pb2")
        with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
            call = channel.unary_unary(
                "/ray.rpc.NodeManagerService/GetNodeStats",
                request_serializer=lambda request: request.SerializeToString(),
                response_deserializer=pb.GetNodeStatsReply.FromString,
            )
            return call(pb.GetNodeStatsRequest(), timeout=_CALL_LIMIT, metadata=self._metadata)
