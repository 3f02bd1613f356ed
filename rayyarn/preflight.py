"""What can be known to fail before anything is made: sizes and queues against what YARN offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rayyarn.errors import RequestTooLarge, YarnRefused
from rayyarn.sizing import MIB
from rayyarn.units import format_size

if TYPE_CHECKING:
    from rayyarn.rm import ResourceManager
    from rayyarn.spec import ClusterSpec
    from rayyarn.yarn_report import Node, Queue


def check(spec: ClusterSpec, rm: ResourceManager) -> None:
    """Raise RequestTooLarge or YarnRefused for what this YARN can never run."""
    nodes = rm.nodes()
    if not nodes:
        raise YarnRefused("YARN has no running NodeManager", hint="yarn node -list -all")
    problems = too_large(spec, nodes, find_queue(spec.queue, rm.queues()))
    if problems:
        raise RequestTooLarge("; ".join(problems), hint="yarn node -list -showDetails   # what each node has")


def find_queue(wanted: str | None, queues: list[Queue]) -> Queue | None:
    """The queue of that name or path, None when none is asked for. Raises YarnRefused for one that takes nothing."""
    if not wanted or not queues:
        return None
    found = [queue for queue in queues if wanted in (queue.name, queue.path)]
    leaves = ", ".join(queue.name for queue in queues if queue.leaf)
    if not found:
        raise YarnRefused(f"no queue named {wanted!r}; YARN has: {leaves}", hint="yarn queue -list all")
    if not found[0].leaf:
        raise YarnRefused(f"{wanted!r} is a parent queue: applications go into one of: {leaves}")
    if found[0].state != "RUNNING":
        raise YarnRefused(f"queue {wanted!r} is {found[0].state}", hint=f"yarn queue -status {wanted}")
    return found[0]


def too_large(spec: ClusterSpec, nodes: list[Node], queue: Queue | None) -> list[str]:
    """What of ``spec`` no node, or not this queue, can ever hold: one sentence each."""
    problems = _too_large("head", spec.head.memory, spec.head.cpus, nodes, queue)
    if spec.workers:
        problems += _too_large("worker", spec.worker.memory, spec.worker.cpus, nodes, queue, gpus=spec.worker.gpus)
    return problems


def _too_large(
    part: str, memory: int, cpus: int, nodes: list[Node], queue: Queue | None, *, gpus: int = 0
) -> list[str]:
    problems = []
    roomy = max(nodes, key=lambda node: node.memory)
    if memory > roomy.memory * MIB:
        problems.append(
            f"{part}.memory: {format_size(memory)} asked, and the largest node ({roomy.host}) "
            f"has {format_size(roomy.memory * MIB)}"
        )
    if queue is not None and queue.largest and memory > queue.largest * MIB:
        problems.append(
            f"{part}.memory: {format_size(memory)} asked, and queue {queue.name!r} gives containers of "
            f"at most {format_size(queue.largest * MIB)}"
        )
    if gpus > max(node.gpus for node in nodes):
        most = max(node.gpus for node in nodes)
        there = f"the most that a node offers is {most}" if most else "no node offers yarn.io/gpu"
        problems.append(f"{part}.gpus: {gpus} asked, and {there}")
    quick = max(nodes, key=lambda node: node.cpus)
    if cpus > quick.cpus:
        problems.append(f"{part}.cpus: {cpus} asked, and the largest node ({quick.host}) has {quick.cpus}")
    return problems
