"""Our actors on Ray's nodes: one a node and program, without CPUs, so that it runs when all CPUs are busy."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rayyarn.errors import ExchangeFailed, UsageError
from rayyarn.exchange import travel
from rayyarn.exchange.ends.station import Station
from rayyarn.exchange.ends.telling import telling_line

if TYPE_CHECKING:
    from collections.abc import Iterable

# A worker process that imports pyarrow on a busy machine; Ray starts it when there is none to spare.
_START_SECONDS = 120.0
# As many transfers and leases at once; each transfer keeps one thread of the actor.
_THREADS = 64
# By Ray's job (a program that joined a cluster) and node.
_known: dict[tuple[str, str], Any] = {}


def require_ray() -> None:
    """Raise UsageError when this program has not joined a Ray cluster."""
    import ray

    if not ray.is_initialized():
        raise UsageError("this program has not joined Ray yet", hint="cluster.ray()   # or ray.init()")


def nodes(but: Iterable[str] = ()) -> list[str]:
    """Ids of the nodes that keep data: those that have CPUs to work on it, and all when none has."""
    import ray

    refused = set(but)
    alive = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in refused]
    working = [node for node in alive if node["Resources"].get("CPU")]
    found = [str(node["NodeID"]) for node in working or alive]
    if not found:
        raise ExchangeFailed("no Ray node is left to keep data", hint="ray.nodes()   # which are alive?")
    return found


def at(node: str) -> Any:
    """The station on that node, started when this program has none there."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    key = (ray.get_runtime_context().get_job_id(), node)
    if key not in _known:
        travel.with_ray()
        remote: Any = ray.remote(Station)
        where = NodeAffinitySchedulingStrategy(node, soft=False)
        _known[key] = remote.options(num_cpus=0, max_concurrency=_THREADS, scheduling_strategy=where).remote()
    return _known[key]


def there(nodes: Iterable[str]) -> list[Any]:
    """The stations that this program has on these nodes; none when it has left Ray, whom to ask more is to join."""
    import ray

    if not ray.is_initialized():
        return []
    job = ray.get_runtime_context().get_job_id()
    return [_known[job, node] for node in nodes if (job, node) in _known]


def ask(calls: list[Any], limit: float = _START_SECONDS) -> list[Any]:
    """The answers to calls of several stations. Raises ExchangeFailed when one has none in time."""
    import ray

    if not calls:
        return []  # Ray would be joined for that, too
    try:
        return list(ray.get(calls, timeout=limit))
    except ray.exceptions.GetTimeoutError:
        raise ExchangeFailed(
            f"an actor on a Ray node did not answer within {limit:.0f} s",
            hint="rayyarn status   # is the node there, and has it memory left?",
        ) from None
    except ray.exceptions.RayError as error:
        raise ExchangeFailed("an actor on a Ray node failed", log=telling_line(error)) from None


def open_at(nodes: list[str], act: str, name: str, **what: Any) -> dict[str, tuple[str, int]]:
    """Have each node's station ``receive`` or ``lend``; their addresses by node.

    A station that died meanwhile is replaced. A node that has died is left out: Ray may know of it seconds later.
    Raises ExchangeFailed when none is left.
    """
    calls = {node: getattr(at(node), act).remote(name, **what) for node in nodes}
    found: dict[str, tuple[str, int]] = {}
    failure: ExchangeFailed | None = None
    for node, call in calls.items():
        try:
            (found[node],) = ask([call])
        except ExchangeFailed:
            forget([node])  # it alone: the others may be lending
            try:
                (found[node],) = ask([getattr(at(node), act).remote(name, **what)])
            except ExchangeFailed as error:
                forget([node])
                failure = error
    if failure is not None and not found:
        raise failure
    return found


def end(name: str, where: Iterable[Any]) -> None:
    """End a transfer or lease at these stations; those that are gone already are fine."""
    for station in where:
        with suppress(Exception):
            station.end.remote(name)


def forget(nodes: Iterable[str]) -> None:
    """The stations on these nodes are of no use any more: the next transfer starts new ones."""
    import ray

    for key in [key for key in _known if key[1] in set(nodes)]:
        with suppress(Exception):
            ray.kill(_known[key])
        _known.pop(key, None)
