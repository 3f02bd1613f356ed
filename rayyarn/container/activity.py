"""What Ray does: whether any task or actor call runs or waits anywhere, and who is attached.

Each raylet is asked for the counts of its worker processes and drivers (GetNodeStats in
src/ray/protobuf/node_manager.proto; tried with ray 2.60). An actor that is called by nobody, and a driver that has
nothing running, are no work. Programs on the edge have a raylet of their own and are asked through it.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from rayyarn.container import ray_rpc

_DRIVER = 1  # WorkerType.DRIVER in src/ray/protobuf/common.proto


@dataclass(frozen=True)
class Seen:
    """``busy``: something runs or waits, or a node did not say; ``drivers``: ``host pid`` of programs attached."""

    busy: bool
    drivers: tuple[str, ...]


class Activity:
    """Asks Ray's nodes with the cluster's token."""

    def __init__(self, token: str) -> None:
        self._metadata = ray_rpc.bearer(token)

    def look(self, nodes: list[dict[str, Any]]) -> Seen:
        """What ``nodes`` (alive, as ``Gcs.nodes`` gives them) do at this moment; all are asked at once."""
        workers, silent = [], False
        with ExitStack() as links:
            asked = [(node, self._ask(links, f"{node['ip']}:{node['port']}")) for node in nodes]
            for node, answer in asked:
                try:
                    workers += answer.result().core_workers_stats
                except Exception as error:  # whatever grpc raises: who does not answer may be busy
                    logging.warning("the raylet of %s did not answer: %s", node["name"], error)
                    silent = True
        busy = any(one.num_pending_tasks or one.num_running_tasks or one.task_queue_length for one in workers)
        drivers = sorted({f"{one.ip_address} pid {one.pid}" for one in workers if one.worker_type == _DRIVER})
        return Seen(busy or silent, tuple(drivers))

    def _ask(self, links: ExitStack, address: str) -> Any:
        """The raylet's answer, to be waited for; its channel is closed with ``links``."""
        pb = ray_rpc.messages("node_manager_pb2")
        call = ray_rpc.method(
            links.enter_context(ray_rpc.channel(address)), "NodeManagerService/GetNodeStats", pb.GetNodeStatsReply
        )
        return call.future(pb.GetNodeStatsRequest(), timeout=ray_rpc.CALL_LIMIT, metadata=self._metadata)
