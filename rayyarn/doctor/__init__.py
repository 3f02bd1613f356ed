"""What this edge and this YARN can and cannot do for rayyarn, each with the line that mends it.

``doctor.examine(ClusterSpec(queue="etl"))`` looks at everything at once, changes nothing, starts no JVM, and answers
within 10 s whatever hangs. With ``probe=True`` it then starts a small container, and answers within two minutes.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from rayyarn.doctor import environments, machine, nodes, site, yarn
from rayyarn.doctor.facts import ENVIRONMENT_LIMIT, MANAGER_LIMIT, NODES_LIMIT, YARN_LIMIT, Facts
from rayyarn.doctor.finding import NOTE, DoctorResult, Finding
from rayyarn.doctor.running import Blocked, Check, run
from rayyarn.rm import ResourceManager
from rayyarn.spec import ClusterSpec
from rayyarn.steps import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DoctorResult", "Finding", "examine"]

_HERE = 5.0  # seconds for what needs no other machine; it takes milliseconds where disks and names work
_GRACE = 0.3  # a check that waits for a fact hears of its deadline first, and can say what was missing


def examine(
    spec: ClusterSpec | None = None,
    *,
    hadoop_conf: str | None = None,
    environ: Mapping[str, str] | None = None,
    probe: bool = False,
    reporter: Reporter = SILENT,
) -> DoctorResult:
    """Look at this machine, its Hadoop, YARN, the nodes and the environment, for a cluster such as ``spec``.

    ``spec``: queue, environment and sizes to judge by; default: the defaults. ``hadoop_conf`` as in ``up``. ``probe``
    tries the ways between here and a container on a node; ``reporter`` hears of that. Never raises for what is wrong
    out there: that is what the findings are for.
    """
    started = time.monotonic()
    environ = os.environ if environ is None else environ
    facts = Facts(spec or ClusterSpec(), hadoop_conf, started)
    found = run(_checks(facts, environ, started), started)
    if probe:
        found += _probed(facts, reporter)
    return DoctorResult(tuple(found), time.monotonic() - started)


def _probed(facts: Facts, reporter: Reporter) -> list[Finding]:
    from rayyarn.doctor.probe import probe

    try:
        site, manager = facts.site.get(), facts.active.get()
    except Blocked as lack:
        return [Finding("not_probed", "probe container", NOTE, f"not started, without {lack}")]
    return probe(site, ResourceManager(site, addresses=[manager.address]), facts.spec.queue, reporter=reporter)


def _checks(facts: Facts, environ: Mapping[str, str], started: float) -> list[Check]:
    here, manager = started + _HERE, started + MANAGER_LIMIT + _GRACE
    in_yarn, on_nodes = started + YARN_LIMIT + _GRACE, started + NODES_LIMIT + _GRACE
    in_environment = started + ENVIRONMENT_LIMIT + _GRACE
    return [
        Check("versions", "versions", here, machine.versions),
        Check("java", "Java", here, lambda: machine.java(environ)),
        Check("limits", "limits", here, machine.limits),
        Check("shared_memory", "shared memory", here, machine.shared_memory),
        Check("proxies", "web proxies", in_yarn, lambda: machine.proxies(facts, environ)),
        Check("hadoop_conf", "Hadoop configuration", here, lambda: site.configuration(facts)),
        Check("hadoop_client", "Hadoop client", here, lambda: site.client(facts)),
        Check("default_fs", "fs.defaultFS", here, lambda: site.default_fs(facts)),
        Check("file_system", "file system", in_yarn, lambda: site.file_system(facts)),
        Check("resource_manager", "ResourceManager", manager, lambda: yarn.manager(facts)),
        Check("clock", "clock", manager, lambda: yarn.clock(facts)),
        Check("nodes", "NodeManagers", in_yarn, lambda: yarn.nodes(facts)),
        Check("queue", "queue", in_yarn, lambda: yarn.queue(facts)),
        Check("largest_container", "largest container", in_yarn, lambda: yarn.largest_container(facts)),
        Check("room", "room now", in_yarn, lambda: yarn.room(facts)),
        Check("reach", "way to the nodes", on_nodes, lambda: nodes.reach(facts)),
        Check("virtual_memory", "virtual memory", on_nodes, lambda: nodes.virtual_memory(facts)),
        Check("physical_memory", "physical memory", on_nodes, lambda: nodes.physical_memory(facts)),
        Check("log_aggregation", "log aggregation", on_nodes, lambda: nodes.log_aggregation(facts)),
        Check("node_cache", "node cache", on_nodes, lambda: nodes.cache(facts)),
        Check("environment", "environment", in_environment, lambda: environments.environment(facts), late=NOTE),
        Check("glibc", "glibc", in_environment, lambda: environments.glibc(facts), late=NOTE),
    ]
