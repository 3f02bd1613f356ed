"""The NodeManagers, called one by one: whether this edge reaches them, and what their settings do to Ray."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rayyarn import sizing
from rayyarn.doctor.finding import NOTE, OK, PROBLEM, Finding
from rayyarn.doctor.running import Blocked
from rayyarn.sizing import MIB
from rayyarn.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rayyarn.doctor.facts import Facts
    from rayyarn.spec import ClusterSpec

    Settings = Sequence[tuple[str, Mapping[str, str]]]

_NM = "yarn.nodemanager."
# Virtual memory (measured, Ray 2.60): an idle head 5.1 GB and an idle worker node 4.1 GB in all their processes; each
# Python worker maps about 1 GB of its own and the whole object store once more.
_HEAD_MAPS, _WORKER_MAPS, _PYTHON_MAPS = 5_100_000_000, 4_100_000_000, 1_000_000_000


def reach(facts: Facts) -> Iterator[Finding]:
    """From here to the nodes."""
    visits = facts.visits.get()
    missed = [visit.node for visit in visits if not visit.reached]
    name, subject, total = "reach", "way to the nodes", len(facts.running())
    asked = f"{len(visits)} of {total} were tried, " if len(visits) < total else ""
    if not missed:
        text = f"{asked}every web port answers (Ray's own ports are others, on the same hosts)"
        yield Finding(name, subject, OK, text)
        return
    text = f"{asked}no answer from {_some([node.web for node in missed])}"
    means = "`rayyarn up` and `exec` need any port of these hosts: a firewall is in between, or names do not resolve"
    host = missed[0].host
    verdict = PROBLEM if len(missed) == len(visits) else NOTE
    yield Finding(name, subject, verdict, text, means, f"getent hosts {host} && curl -sI http://{missed[0].web}")


def virtual_memory(facts: Facts) -> Iterator[Finding]:
    """Whether NodeManagers kill containers for what they map."""
    name, subject, settings = "virtual_memory", "virtual memory", facts.settings()
    version = _version(facts)
    killers = [one for one in settings if _polls(one[1], version) and _yes(one[1], "vmem-check-enabled")]
    if not killers:
        left = any(_yes(conf, "vmem-check-enabled") for _, conf in settings)
        how = "the check is on but not made: memory is left to cgroups" if left else "not checked"
        yield Finding(name, subject, OK, how)
        return
    ratio = min(float(conf.get(f"{_NM}vmem-pmem-ratio") or 2.1) for _, conf in killers)
    text = f"checked at {ratio:g} times a container's memory on {_these(killers, settings)}"
    fix = f"{_NM}vmem-check-enabled=false   # in the nodes' yarn-site.xml"
    over = over_virtual_limit(facts.spec, ratio)
    if over:
        yield Finding(name, subject, PROBLEM, text, f"YARN kills it: {over}", fix)
        return
    means = "this size passes; a program that maps more (more Python workers, a larger object store) is killed"
    yield Finding(name, subject, NOTE, text, means, fix)


def over_virtual_limit(spec: ClusterSpec, ratio: float) -> str:
    """Which part of a cluster maps more than it may, in a sentence; empty when none does."""
    store = sizing.ray_size(spec.worker.memory, head=False, object_store=spec.worker.object_store).object_store
    pythons = max(1, spec.worker.cpus)
    wanted = [("the head", spec.head.memory, _HEAD_MAPS)]
    if spec.workers:
        wanted.append((f"a worker with {pythons} tasks", spec.worker.memory,
                       _WORKER_MAPS + pythons * (_PYTHON_MAPS + store)))  # fmt: skip
    parts = [
        f"{part} of {format_size(memory)} may map {format_size(memory * ratio)} and maps about {format_size(maps)}"
        for part, memory, maps in wanted
        if maps > memory * ratio
    ]
    return "; ".join(parts)


def physical_memory(facts: Facts) -> Iterator[Finding]:
    """Who watches over a container's memory, and how it counts."""
    name, subject, settings = "physical_memory", "physical memory", facts.settings()
    polled = [one for one in settings if _polls(one[1], _version(facts)) and _yes(one[1], "pmem-check-enabled")]
    cgroups = [one for one in settings if not _polls(one[1], _version(facts)) and _cgroups(one[1])]
    rest = [one for one in settings if one not in polled and one not in cgroups]
    if rest:
        text = f"nobody watches it on {_these(rest, settings)}"
        means = "a container that outgrows its size is not stopped, and takes memory from its neighbours"
        fix = f"{_NM}resource.memory.enforced=false   # and {_NM}pmem-check-enabled=true, in the nodes' yarn-site.xml"
        yield Finding(name, subject, NOTE, text, means, fix)
        return
    if not polled:
        yield Finding(name, subject, OK, "cgroups keep each container within its size")
        return
    smaps = all(_yes(conf, "container-monitor.procfs-tree.smaps-based-rss.enabled") for _, conf in polled)
    how = "shared pages once" if smaps else "a page of the object store once for each process that read it"
    yield Finding(name, subject, OK, f"a container over its size is killed; YARN counts {how}")


def log_aggregation(facts: Facts) -> Iterator[Finding]:
    """Whether the logs of an ended cluster can be read."""
    name, subject, settings = "log_aggregation", "log aggregation", facts.settings()
    without = [one for one in settings if one[1].get("yarn.log-aggregation-enable") != "true"]
    if not without:
        yield Finding(name, subject, OK, "on: `yarn logs` has the logs of ended clusters")
        return
    means = "logs of an ended cluster stay on its nodes, out of reach, and are deleted there"
    fix = "yarn.log-aggregation-enable=true   # in the nodes' yarn-site.xml"
    yield Finding(name, subject, NOTE, f"off on {_these(without, settings)}", means, fix)


def cache(facts: Facts) -> Iterator[Finding]:
    """Whether the environment can stay unpacked on the nodes."""
    name, subject, settings = "node_cache", "node cache", facts.settings()
    key = f"{_NM}localizer.cache.target-size-mb"
    host, least = min(((host, int(conf.get(key) or 10240)) for host, conf in settings), key=lambda one: one[1])
    text = f"{format_size(least * MIB)} on {host if len({c.get(key) for _, c in settings}) > 1 else 'every node'}"
    try:
        needs = facts.size.get()
    except Blocked:
        yield Finding(name, subject, OK, f"{text}; not compared with an environment")
        return
    text += f", the environment takes about {format_size(needs)} there"
    fix = f"{key}={max(10240, -(-4 * needs // MIB))}   # in the nodes' yarn-site.xml"
    if needs > least * MIB:
        means = "nodes drop the environment whenever nobody uses it: every `rayyarn up` unpacks it again"
        yield Finding(name, subject, NOTE, text, means, fix)
    elif 2 * needs > least * MIB:
        means = "the next version of the environment, or a colleague's, pushes this one out"
        yield Finding(name, subject, NOTE, text, means, fix)
    else:
        yield Finding(name, subject, OK, text)


def _polls(conf: Mapping[str, str], version: tuple[int, ...]) -> bool:
    """Whether the NodeManager itself compares a container's memory with its limits.

    From 3.2 on it leaves that to cgroups where they are to enforce it, whether or not they are set up
    (ContainersMonitorImpl.checkLimit, 3.5.0).
    """
    if conf.get(f"{_NM}container-monitor.enabled") == "false":
        return False
    strict = version >= (3, 2) and conf.get(f"{_NM}resource.memory.enforced") != "false"
    return not strict or _yes(conf, "elastic-memory-control.enabled")


def _cgroups(conf: Mapping[str, str]) -> bool:
    return _yes(conf, "resource.memory.enabled") and conf.get(f"{_NM}resource.memory.enforced") != "false"


def _version(facts: Facts) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", facts.active.get().version)[:2]) or (3, 2)


def _yes(conf: Mapping[str, str], key: str) -> bool:
    return conf.get(_NM + key) == "true"


def _these(some: Settings, all_of_them: Settings) -> str:
    if len(some) == len(all_of_them):
        return "every node" if len(some) > 1 else some[0][0]
    return f"{_some([host for host, _ in some])} of {len(all_of_them)} nodes"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
