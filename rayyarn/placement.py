"""On which hosts a cluster's containers go: any, named ones, or those where a Spark application runs executors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rayyarn import spark_apps
from rayyarn.errors import HostsUnusable, RequestTooLarge, SparkAppNotFound, SpecError
from rayyarn.sizing import MIB
from rayyarn.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rayyarn.rm import ResourceManager
    from rayyarn.spec import ClusterSpec
    from rayyarn.yarn_report import Node


# Each is a service in the document for Skein, whose submit takes 5 s with so many instead of 1 (see adr/keep-beside).
_MOST_HOSTS = 500


@dataclass(frozen=True)
class Placement:
    """Where containers may go.

    ``hosts``: each gets ``per_host`` workers; none: anywhere, as many as the spec says. ``strict``: there or not at
    all. ``head_hosts``: where the head goes, if any. ``beside``: the Spark application that the hosts are of.
    ``later``: hosts that have none now and may get workers while the cluster runs.
    """

    hosts: tuple[str, ...] = ()
    per_host: int = 1
    strict: bool = True
    head_hosts: tuple[str, ...] = ()
    beside: str = ""
    later: tuple[str, ...] = ()

    def workers(self, spec: ClusterSpec) -> int:
        """How many workers there shall be."""
        return len(self.hosts) * self.per_host if self.hosts else spec.workers

    def remarks(self, found: list[tuple[str, str]]) -> list[str]:
        """What of the wishes was not met by the containers that run, given as (role, host); a sentence each."""
        if not self.hosts:
            return []
        met = [(role, host) for role, host in found if host in self.hosts]
        head = [host for role, host in met if role == "head"]
        away = sorted({host for role, host in found if role == "worker"} - set(self.hosts))
        return [f"the head is on {host}, beside workers" for host in head] + (
            [f"workers elsewhere than asked for: on {', '.join(away)}"] if away else []
        )

    def host_of(self, service: str) -> str | None:
        """The host that a worker service, or one of its containers (``worker2_0``), is bound to."""
        number = service.partition("_")[0].removeprefix("worker")
        return (*self.hosts, *self.later)[int(number) - 1] if number.isdigit() and self.hosts else None


ANYWHERE = Placement()


def resolve(spec: ClusterSpec, rm: ResourceManager) -> Placement:
    """What ``hosts``, ``beside``, ``racks`` and ``node-label`` mean on this YARN now.

    Raises SparkAppNotFound, HostsUnusable or RequestTooLarge for what it can never give, before anything is made.
    """
    nodes = rm.nodes()
    _check_labels(spec, nodes)
    beside, wanted = "", spec.hosts
    if spec.beside:
        app = spark_apps.find(rm, spec.beside)
        beside, wanted = app.id, _first(spark_apps.executors(rm, app), spec)
        if not wanted:
            raise SparkAppNotFound(f"{app.id} ({app.name}) has no executor yet", hint=f"yarn container -list {app.id}")
    if not wanted:
        return ANYWHERE
    hosts = _known(wanted, nodes, spec)
    found = Placement(
        hosts=hosts,
        per_host=spec.workers_per_host,
        strict=not spec.beside_or_anywhere,
        head_hosts=_elsewhere(nodes, hosts, spec.head.memory),
        beside=beside,
        later=_later(nodes, hosts, spec) if spec.keep_beside else (),
    )
    if spec.min_workers is not None and spec.min_workers > found.workers(spec):
        most = found.workers(spec)
        raise SpecError([f"min-workers: {spec.min_workers} is more than the {most} on {len(hosts)} hosts"])
    return found


def _first(executors: dict[str, int], spec: ClusterSpec) -> tuple[str, ...]:
    """The hosts of executors, as many as ``max-workers`` allows: then those with most of them."""
    if spec.max_workers is None:
        return tuple(executors)
    ranked = sorted(executors, key=lambda host: (-executors[host], host))
    return tuple(sorted(ranked[: spec.max_workers // spec.workers_per_host]))


def _later(nodes: list[Node], hosts: tuple[str, ...], spec: ClusterSpec) -> tuple[str, ...]:
    """The other hosts that can hold workers, those with most room first where there are too many."""
    found = [
        node
        for node in nodes
        if node.host not in hosts
        and node.memory * MIB >= spec.worker.memory * spec.workers_per_host
        and node.cpus >= spec.worker.cpus
        and node.gpus >= spec.worker.gpus
        and (not spec.node_label or spec.node_label in node.labels)
    ]
    found.sort(key=lambda node: (-node.memory, node.host))
    return tuple(sorted(node.host for node in found[: max(0, _MOST_HOSTS - len(hosts))]))


def _elsewhere(nodes: list[Node], hosts: tuple[str, ...], memory: int) -> tuple[str, ...]:
    """All other hosts, when one of them has room for the head now; none to choose from otherwise.

    Not left to YARN as a wish: its scheduler gave the head to a host it did not ask for after one missed heartbeat.
    """
    others = [node for node in nodes if node.host not in hosts]
    room = any(node.memory_free * MIB >= memory for node in others)
    return tuple(sorted(node.host for node in others)) if room else ()


def _known(wanted: Iterable[str], nodes: list[Node], spec: ClusterSpec) -> tuple[str, ...]:
    """The hosts as YARN writes them. Raises HostsUnusable or RequestTooLarge, naming each that cannot do."""
    by_name = {node.host.lower(): node for node in nodes}
    missing = [host for host in wanted if host.lower() not in by_name]
    if missing:
        there = ", ".join(sorted(node.host for node in nodes))
        raise HostsUnusable(
            f"no running NodeManager on {', '.join(missing)}; YARN has: {there}", hint="yarn node -list -all"
        )
    found = [by_name[host] for host in dict.fromkeys(host.lower() for host in wanted)]
    memory = spec.worker.memory * spec.workers_per_host
    small = [f"{node.host} has {format_size(node.memory * MIB)}" for node in found if memory > node.memory * MIB]
    small += [f"{node.host} has {node.cpus} CPUs" for node in found if spec.worker.cpus > node.cpus]
    if small and not spec.beside_or_anywhere:
        each = "a worker" if spec.workers_per_host == 1 else f"{spec.workers_per_host} workers"
        raise RequestTooLarge(
            f"{each} of {format_size(spec.worker.memory)} and {spec.worker.cpus} CPUs cannot be on every host: "
            f"{'; '.join(small)}",
            hint="yarn node -list -showDetails   # what each node has",
        )
    return tuple(node.host for node in found)


def _check_labels(spec: ClusterSpec, nodes: list[Node]) -> None:
    if spec.node_label:
        labelled = [node for node in nodes if spec.node_label in node.labels]
        if not labelled:
            known = sorted({label for node in nodes for label in node.labels})
            raise HostsUnusable(
                f"no running node has the label {spec.node_label!r}; labels in use: {', '.join(known) or 'none'}",
                hint="yarn cluster --list-node-labels",
            )
    racks = {node.rack for node in nodes}
    unknown = [rack for rack in spec.racks if rack not in racks]
    if unknown:
        raise HostsUnusable(f"no running node on rack {', '.join(unknown)}; racks: {', '.join(sorted(racks))}")
