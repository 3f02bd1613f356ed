"""YARN as its ResourceManager tells of it: who is active, clock, nodes, the queue, sizes of containers, room."""

from __future__ import annotations

import grp
import os
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from rayyarn import preflight
from rayyarn.doctor.finding import NOTE, OK, PROBLEM, Finding, of_error
from rayyarn.doctor.running import Blocked
from rayyarn.errors import YarnRefused
from rayyarn.sizing import MIB
from rayyarn.units import format_size
from rayyarn.yarn_report import Queue

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rayyarn.doctor.facts import Facts
    from rayyarn.spec import ClusterSpec
    from rayyarn.yarn_report import Node

_SKEW_SEEN, _SKEW_HARMFUL = 5.0, 300.0  # seconds; from 300 on tokens and certificates are refused
_NODES_HINT = "yarn node -list -all -showDetails"


def manager(facts: Facts) -> Iterator[Finding]:
    """The ResourceManagers, each told apart."""
    name, subject = "resource_manager", "ResourceManager"
    found = facts.managers.outcome()
    active = next((one for one in found if one.state == "active"), None)
    words = {"active": "is active", "standby": "stands by"}
    text = "; ".join(
        f"{one.address} {words.get(one.state, one.said if one.state == 'closed' else f'does not answer: {one.said}')}"
        for one in found
    )
    text += f" (Hadoop {active.version})" if active and active.version else ""
    fix = f"curl -s {found[0].address}/ws/v1/cluster/info   # addresses from {facts.site.get().conf_dir}"
    if active is None:
        means = "rayyarn can do nothing on this YARN"
        if any(one.state == "standby" for one in found):
            means += " before one of its ResourceManagers is active"
            fix = "yarn rmadmin -getAllServiceState"
        yield Finding(name, subject, PROBLEM, text, means, fix)
    elif any(one.state == "silent" for one in found):
        yield Finding(name, subject, NOTE, text, "rayyarn works now, and stops when the active one fails",
                      "yarn rmadmin -getAllServiceState")  # fmt: skip
    else:
        yield Finding(name, subject, OK, text)


def clock(facts: Facts) -> Iterator[Finding]:
    """The clock of this machine against the ResourceManager's."""
    name, subject, skew = "clock", "clock", facts.active.get().skew
    if skew is None:
        raise Blocked("a Date in the ResourceManager's answers")
    if abs(skew) < _SKEW_SEEN:
        yield Finding(name, subject, OK, f"within {_SKEW_SEEN:.0f} s of the ResourceManager's")
        return
    text = f"{abs(skew):.0f} s {'behind' if skew > 0 else 'ahead of'} the ResourceManager's"
    means = "ages in `rayyarn status` and `env prune --older-than` are wrong by that much"
    if abs(skew) >= _SKEW_HARMFUL:
        means += "; certificates and tokens are refused as expired, or not valid yet"
    verdict = PROBLEM if abs(skew) >= _SKEW_HARMFUL else NOTE
    yield Finding(name, subject, verdict, text, means, "timedatectl set-ntp true   # as root, where the clock is wrong")


def nodes(facts: Facts) -> Iterator[Finding]:
    """The NodeManagers, by state."""
    found = facts.nodes.get()
    running = [node for node in found if node.state == "RUNNING"]
    away = Counter(node.state.lower() for node in found if node.state in ("UNHEALTHY", "LOST"))
    text = f"{len(running)} running" + "".join(f", {count} {state}" for state, count in sorted(away.items()))
    if running:
        memory, cpus = sum(node.memory for node in running), sum(node.cpus for node in running)
        text += f": {format_size(memory * MIB)} and {cpus} CPUs"
    ill = next((node for node in found if node.state == "UNHEALTHY" and node.health), None)
    if ill is not None:
        text += f"; {ill.host}: {ill.health.strip().splitlines()[0][:200]}"
    if not running:
        yield Finding("nodes", "NodeManagers", PROBLEM, text, "no container can start", _NODES_HINT)
    elif away:
        yield Finding("nodes", "NodeManagers", NOTE, text, "those get no containers", _NODES_HINT)
    else:
        yield Finding("nodes", "NodeManagers", OK, text)


def queue(facts: Facts) -> Iterator[Finding]:
    """The queue that applications would go to: whether it is there, takes them, and lets this user in."""
    name, subject, wanted = "queue", "queue", facts.spec.queue
    known = facts.queues.get()
    leaves = [one for one in known if one.leaf]
    asked = wanted or "default"
    if wanted is None and known and not any(asked in (one.name, one.path) for one in leaves):
        text = f"none is named, and this YARN has no {asked!r}; it has: {', '.join(one.name for one in leaves)}"
        means = "YARN may refuse the application, or choose a queue by a rule of its own"
        yield Finding(name, subject, NOTE, text, means, f"export RAYYARN_QUEUE={leaves[0].name}" if leaves else "")
        return
    try:
        found = preflight.find_queue(asked, known)
    except YarnRefused as error:
        yield of_error(name, subject, error, "YARN refuses the application")
        return
    if found is None:
        raise Blocked("YARN's list of queues")
    yield _rights(facts, found)
    if found.most_apps and found.apps >= found.most_apps:
        text = f"{found.path} has {found.apps} applications and takes no more than {found.most_apps}"
        yield Finding("queue_full", subject, PROBLEM, text, "YARN refuses the application", "yarn application -list")


def _rights(facts: Facts, found: Queue) -> Finding:
    site = facts.site.get()
    text = f"{found.path} takes applications, {found.used:.0f}% of its share used"
    try:
        acls = facts.manager_conf.get().get("yarn.acl.enable")
    except Blocked:
        acls = None
    if acls == "false":
        return Finding("queue", "queue", OK, f"{text}; anybody may use it")
    if acls is None or found.submitters is None:
        return Finding("queue", "queue", OK, f"{text}; YARN does not tell who may use it before somebody tries")
    if may_submit(found.submitters, site.user, _groups()):
        return Finding("queue", "queue", OK, f"{text}; {site.user} may use it")
    means = "YARN refuses the application, unless it knows you by a group that this machine does not"
    text = f"{found.path} does not name {site.user} among its users"
    return Finding("queue", "queue", PROBLEM, text, means, "mapred queue -showacls   # or another one: --queue NAME")


def may_submit(lists: Sequence[str], user: str, groups: Sequence[str]) -> bool:
    """Whether one of YARN's access lists, ``users groups`` with commas, has this user; ``*`` is everybody."""
    for one in lists:
        users, _, teams = one.partition(" ")
        if one.strip() == "*" or user in users.split(",") or set(groups) & set(teams.strip().split(",")):
            return True
    return False


def _groups() -> list[str]:
    found = []
    for number in {os.getgid(), *os.getgroups()}:
        try:
            found.append(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return found


def largest_container(facts: Facts) -> Iterator[Finding]:
    """The largest container that can ever be had, against what the settings ask for."""
    name, subject, spec = "largest_container", "largest container", facts.spec
    running = facts.running()
    try:
        found = preflight.find_queue(spec.queue, facts.queues.get())
    except YarnRefused:
        found = None  # said of the queue already
    most = found.largest if found else 0
    with suppress(Blocked):  # by a ResourceManager that keeps its settings to itself
        most = most or int(facts.manager_conf.get().get("yarn.scheduler.maximum-allocation-mb") or 0)
    node = max(running, key=lambda one: one.memory)
    memory = min(node.memory, most or node.memory)
    why = f"the largest node, {node.host}, has {format_size(node.memory * MIB)}"
    if most and most < node.memory:
        why += f", and yarn.scheduler.maximum-allocation-mb is {most}"
    text = f"{format_size(memory * MIB)}: {why}"
    limit = Queue("YARN", "", "RUNNING", 0.0, most, leaf=True) if most and not (found and found.largest) else found
    problems = preflight.too_large(spec, running, limit)
    if problems:
        fix = f"rayyarn up --head-memory SIZE --worker-memory SIZE   # no more than {memory} MiB each"
        means = "`rayyarn up` refuses it with these settings"
        yield Finding(name, subject, PROBLEM, "; ".join(problems), means, fix)
        return
    yield Finding(name, subject, OK, text)


def room(facts: Facts) -> Iterator[Finding]:
    """Whether what the settings ask for would fit now."""
    spec = facts.spec
    head, workers = fitting(spec, facts.running())
    asked = f"a head of {format_size(spec.head.memory)} and {spec.workers} workers of {format_size(spec.worker.memory)}"
    if head and workers >= spec.workers:
        yield Finding("room", "room now", OK, f"for {asked}")
        return
    text = f"for {f'the head and {workers}' if head else 'not even the head'} of {asked}"
    means = "`rayyarn up` waits until others give containers back"
    yield Finding("room", "room now", NOTE, text, means, "yarn application -list   # who has the rest")


def fitting(spec: ClusterSpec, running: Sequence[Node]) -> tuple[bool, int]:
    """Whether the head fits into what is free, and how many workers beside it (no more than asked for)."""
    free = sorted((node.memory_free * MIB for node in running), reverse=True)
    if not free or free[0] < spec.head.memory:
        return False, 0
    free[0] -= spec.head.memory
    return True, min(spec.workers, sum(memory // spec.worker.memory for memory in free))
