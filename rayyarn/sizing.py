"""From a container's memory to what Ray may use of it, with the reason for each number.

The NodeManager kills a container whose processes' RSS add up to more than its memory, and by default it counts a page
of the shared object store once for each process that touched it (yarn.nodemanager.container-metrics and
procfs-tree.smaps-based-rss.enabled=false, yarn-default.xml 3.5.0). Ray itself would take the whole host for its own.
"""

from __future__ import annotations

from dataclasses import dataclass

KIB, MIB = 1 << 10, 1 << 20

# Idle head without dashboard, Ray Client and workers: RSS 502 MB in 6 processes, plus log monitor 78 (measured, 2.60).
HEAD_OVERHEAD = 600 * MIB
# Idle worker: RSS 336-414 MB in 4-5 processes (measured, 2.60).
WORKER_OVERHEAD = 420 * MIB
# Our supervisor: Python with grpc and Ray's messages.
SUPERVISOR_OVERHEAD = 80 * MIB
# Ray refuses a smaller object store (ray_constants.OBJECT_STORE_MINIMUM_MEMORY_BYTES).
STORE_MINIMUM = 75 * MIB
# Ray's own default share. Pages that several processes read are counted for each of them, so more would be a trap.
STORE_SHARE = 0.3
# Left to tasks at the least: one Python worker that imported pandas and pyarrow needs 150-200 MB.
HEAP_MINIMUM = 200 * MIB


@dataclass(frozen=True)
class RaySize:
    """What ``ray start`` is told, in bytes: ``--memory`` and ``--object-store-memory``."""

    heap: int
    object_store: int


def ray_size(container: int, *, head: bool, object_store: int | None = None) -> RaySize:
    """Split a container of ``container`` bytes. Call ``problem`` first: this does not check."""
    free = container - overhead(head=head)
    store = object_store
    if store is None:
        most = free - (0 if head else HEAP_MINIMUM)
        store = max(STORE_MINIMUM, min(int(free * STORE_SHARE), most))
    return RaySize(heap=max(0, free - store), object_store=store)


def overhead(*, head: bool) -> int:
    """Bytes that Ray's own processes and the supervisor take before any task runs."""
    return SUPERVISOR_OVERHEAD + (HEAD_OVERHEAD if head else WORKER_OVERHEAD)


def smallest(*, head: bool, object_store: int | None = None) -> int:
    """The smallest container in which Ray starts and, on a worker, a task can run."""
    store = STORE_MINIMUM if object_store is None else object_store
    return overhead(head=head) + store + (0 if head else HEAP_MINIMUM)


def problem(container: int, *, head: bool, object_store: int | None = None) -> str | None:
    """Why ``container`` bytes cannot work, in one sentence; None when they can."""
    if object_store is not None and object_store < STORE_MINIMUM:
        return f"an object store of {object_store // MIB} MiB is below Ray's minimum of {STORE_MINIMUM // MIB} MiB"
    least = smallest(head=head, object_store=object_store)
    if container >= least:
        return None
    if container < KIB:  # nobody means bytes
        return f"{container} bytes is too small; write {container} GiB if that is meant"
    store = STORE_MINIMUM if object_store is None else object_store
    return (
        f"{container // MIB} MiB is too small: Ray's own processes need {overhead(head=head) // MIB} MiB "
        f"and the object store {store // MIB} MiB; take at least {-(-least // MIB)} MiB"
    )
