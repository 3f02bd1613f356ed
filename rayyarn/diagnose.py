"""Foreign failure texts, each with the sentence that says it plainly and the line that helps.

A text met twice gets a row here, with a sample of the real text in tests/unit/test_diagnose.py. Texts of Hadoop 3.5.0
(RMAppManager, SchedulerUtils, CSQueue, ContainersMonitorImpl, FSDownload, NetUtils), skein 0.8.2, the JVM, Python.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

from rayyarn.errors import (
    ClusterFailed,
    EnvironmentUnusable,
    HadoopUnusable,
    JavaNotFound,
    NotReady,
    RayYarnError,
    RequestTooLarge,
    StagingFailed,
    YarnRefused,
    YarnUnreachable,
)

_LOGS = "yarn logs -applicationId {app_id}"
_NODES = "yarn node -list -showDetails   # what each node has"
_QUEUES = "yarn queue -list all"


@dataclass(frozen=True)
class Row:
    """A known failure: ``pattern`` finds it, its groups (and ``app_id``) fill ``message`` and ``hint``."""

    id: str
    pattern: str
    message: str
    hint: str
    error: type[RayYarnError]


# The first row that matches wins: causes stand above the texts that only say where something failed.
ROWS: tuple[Row, ...] = (
    # --- what was asked for ---
    Row(
        "too-large",
        r"Requested resource type=\[(?P<kind>[^\]]+)\], Requested resource=(?P<asked><[^>]*>), "
        r"maximum allowed allocation=(?P<most><[^>]*>)",
        "a container of {asked} was asked for, and the largest that YARN can give is {most}: too much {kind}",
        _NODES,
        RequestTooLarge,
    ),
    Row(
        "resource-unknown",
        r"Resource '(?P<kind>[^']+)' is not defined in your cluster's configuration",
        "this YARN knows no resource {kind}: its nodes have none, or do not announce them",
        "yarn node -list -showDetails   # without GPUs: --worker-gpus 0",
        YarnRefused,
    ),
    Row(
        "queue-unknown",
        r"to unknown queue: (?P<queue>\S+)",
        "YARN has no queue named {queue!r}",
        _QUEUES,
        YarnRefused,
    ),
    Row(
        "queue-is-parent",
        r"to (?:non-leaf|parent-)\s?queue ?: (?P<queue>\S+)",
        "{queue!r} is a parent queue: applications go into one of the queues below it",
        _QUEUES,
        YarnRefused,
    ),
    Row(
        "queue-stopped",
        r"Queue (?P<queue>\S+) is STOPPED\. Cannot accept",
        "queue {queue!r} is stopped and takes no applications",
        "yarn queue -status {queue}",
        YarnRefused,
    ),
    Row(
        "queue-full",
        r"Queue (?P<queue>\S+) already has (?P<count>\d+) applications",
        "queue {queue!r} has {count} applications and takes no more",
        "yarn application -list   # or take another queue: --queue NAME",
        YarnRefused,
    ),
    Row(
        "queue-forbidden",
        r"User (?P<user>\S+) does not have permission to submit\S* \S+ (?:to|for) (?:queue )?(?P<queue>\S+)",
        "user {user} may not use queue {queue!r}",
        "yarn queue -status {queue}   # or take another queue: --queue NAME",
        YarnRefused,
    ),
    Row(
        "master-limit",
        r"(?P<whose>Queue|User)'s AM resource limit exceeded\..*AM Resource Request = (?P<asked><[^>]*>); "
        r"Queue Resource Limit for AM = (?P<most><[^>]*>);.*Queue AM Resource Usage = (?P<used><[^>]*>)",
        "the queue's share for application masters is used up: {asked} asked, {used} of {most} in use",
        "yarn application -list   # end one, or take another queue: --queue NAME",
        NotReady,
    ),
    # --- this edge, and the way to the cluster ---
    Row(
        "java-too-old",
        r"UnsupportedClassVersionError: (?P<what>\S+) has been compiled by a more recent version of the Java Runtime "
        r"\(class file version (?P<needs>\d+)\.\d+\), this version .* up to (?P<has>\d+)",
        "this Java is {has_java}, and the jars it has to load need Java {needs_java} ({what})",
        "export JAVA_HOME=...   # a Java {needs_java} or newer",
        JavaNotFound,
    ),
    Row(
        "local-default-fs",
        r'"srcHost" is null',
        "fs.defaultFS is a local file system: containers on other machines cannot read this machine's files",
        "export HADOOP_CONF_DIR=/etc/hadoop/conf   # the folder whose core-site.xml names your hdfs://",
        HadoopUnusable,
    ),
    Row(
        "rm-refuses",
        r"to (?P<where>[\w.-]+:\d+) failed on (?:connection exception: .*Connection refused|socket timeout exception)",
        "nobody answers at {where}: a Hadoop daemon is down, or the configuration names the wrong address",
        "rayyarn config   # which Hadoop configuration was taken; then ask who runs the daemon",
        YarnUnreachable,
    ),
    Row(
        "host-unknown",
        r'destination host is: "?(?P<host>[\w.-]+)"?:(?P<port>\d+); .*UnknownHostException',
        "the host name {host} (port {port}) of the Hadoop configuration cannot be resolved on this machine",
        "getent hosts {host}   # then mend DNS or /etc/hosts, or take another HADOOP_CONF_DIR",
        YarnUnreachable,
    ),
    Row(
        "kerberos",
        r"SIMPLE authentication is not enabled",
        "this Hadoop takes Kerberos users only, and this edge came without a ticket",
        "kinit   # and hadoop.security.authentication=kerberos in core-site.xml",
        YarnRefused,
    ),
    Row(
        "home-missing",
        r'Permission denied: user=(?P<user>[^,]+), access=\w+, inode="(?P<path>/user)"',
        "user {user} has no home folder on the default file system, and may not make one in {path}",
        "hdfs dfs -mkdir -p /user/{user} && hdfs dfs -chown {user} /user/{user}   # as HDFS's own user",
        StagingFailed,
    ),
    Row(
        "not-permitted",
        r'Permission denied: user=(?P<user>[^,]+), access=(?P<access>\w+), inode="(?P<path>[^"]+)"',
        "user {user} has no {access} permission on {path}",
        "hdfs dfs -ls -d {path}",
        StagingFailed,
    ),
    # --- the nodes ---
    Row(
        "disk-full",
        r"No space left on device|No space available in any of the local directories"
        r"|Could not find any valid local directory for (?P<what>\S+)",
        "a disk is full: nothing more can be unpacked or written there",
        "yarn node -list -all -showDetails   # unhealthy nodes name their full disks; old archives: rayyarn env prune",
        ClusterFailed,
    ),
    Row(
        "file-changed",
        r"Resource (?P<uri>\S+) changed on src filesystem",
        "{uri} was changed after the cluster was submitted, and YARN takes no other version of it",
        "rayyarn up again   # and leave the file alone while the cluster lives",
        ClusterFailed,
    ),
    Row(
        "unpack-failed",
        r"Error executing command\. .*cd '\S*/(?P<file>[^/']+)' && tar",
        "a node could not unpack {file}: it is damaged, or not what its name says",
        "rayyarn env list   # then rayyarn env prune, or make the archive again",
        ClusterFailed,
    ),
    Row(
        "virtual-memory",
        r"(?:beyond the 'VIRTUAL'[^;]*; |^)(?P<used>[\d.]+ \w+) of (?P<most>[\d.]+ \w+) virtual memory used",
        "YARN killed a container for its virtual memory, {used} of {most}: Ray maps far more than it uses",
        "yarn.nodemanager.vmem-check-enabled=false   # in the nodes' yarn-site.xml; or a larger --worker-memory",
        ClusterFailed,
    ),
    Row(
        "memory",
        r"(?P<used>[\d.]+ \w+) of (?P<most>[\d.]+ \w+) physical memory used",
        "YARN killed a container for its memory: {used} of {most} used",
        "rayyarn up NAME --worker-memory SIZE   # larger, or a smaller --worker-object-store",
        ClusterFailed,
    ),
    Row(
        "module-missing",
        r"No module named '?(?P<module>ray|grpc|psutil|aiohttp)\b",
        "the environment has no module {module}",
        "pip install 'ray[default]'   # in the environment, then up again",
        EnvironmentUnusable,
    ),
    Row(
        "python-missing",
        r"environment/bin/python: (?:No such file or directory|cannot execute)",
        "there is no bin/python in the unpacked environment: it is no packed conda environment",
        "rayyarn env check PREFIX-OR-ARCHIVE",
        EnvironmentUnusable,
    ),
    Row(
        "node-lost",
        r"Container released on a \*lost\* node",
        "the node of a container was lost",
        "yarn node -list -all",
        ClusterFailed,
    ),
    # --- texts that only say where it happened ---
    Row(
        "head-ended",
        r"Failure in service (?P<service>\w+), see logs for more information",
        "the {service}'s container ended before it could say why: it did not start, or YARN killed it for its memory",
        _LOGS + " -log_files {service}.log",
        ClusterFailed,
    ),
    Row(
        "container-ended",
        r"Container failed during execution, see logs for more information",
        "containers end before Ray runs in them; their log says why",
        _LOGS + " -log_files worker.log",
        ClusterFailed,
    ),
    Row(
        "master-failed",
        r"due to AM Container for (?P<attempt>\S+) exited with\s+exitCode: (?P<code>-?\d+)",
        "the application master ended with exit code {code}",
        _LOGS + " -log_files application.master.log",
        ClusterFailed,
    ),
    Row(
        "master-silent",
        r"waiting for AM container to Register with RM",
        "the application master's container was started and the master has not reported to YARN: its log knows; on a "
        "home-made Hadoop a jar may be missing from yarn.application.classpath (hadoop-yarn-server-web-proxy)",
        _LOGS,
        NotReady,
    ),
)


def explain(text: str, *, app_id: str = "ID") -> RayYarnError | None:
    """The error that ``text`` is known to mean, with the telling line as its log; None when no row knows it.

    ``app_id``: whose logs the hint shall show.
    """
    for row in ROWS:
        match = re.search(row.pattern, text)
        if match:
            start = text.rfind("\n", 0, match.start()) + 1
            line = text[start : text.find("\n", match.end()) if "\n" in text[match.end() :] else None].strip()
            groups = defaultdict(str, {key: value or "" for key, value in match.groupdict().items()}, app_id=app_id)
            groups.update({f"{key}_java": _java(groups[key]) for key in ("needs", "has") if key in groups})
            return row.error(row.message.format_map(groups), hint=row.hint.format_map(groups), log=line[:500])
    return None


def telling_line(text: str) -> str | None:
    """The line of a long foreign text that says most: the first that names an exception or error, else the first."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.endswith("exception:")] or lines  # skein's heading of a cause
    telling = [line for line in lines if "Exception" in line or "rror" in line]
    return next(iter(telling or lines), None)


def _java(class_version: str) -> str:
    return str(int(class_version) - 44)  # class file 52 is Java 8, 61 is Java 17
