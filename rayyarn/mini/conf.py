"""The configuration files of the mini cluster, as pure functions from what it is to what Hadoop reads.

``conf`` is what clients and containers see, as on any cluster. Each NodeManager has a folder of
its own with its address, its folders, and the fast local file system, which exists on its class path alone: a client
or a container that needed it would work here and nowhere else.
Meanings and defaults: yarn-default.xml, core-default.xml and hdfs-default.xml of Hadoop 3.5.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from rayyarn.mini import fastlocalfs

if TYPE_CHECKING:
    from pathlib import Path

    from rayyarn.mini.address import Block

QUEUES = {"default": 70, "adhoc": 30}  # guaranteed shares in per cent; each may grow to everything
APP_LOGS = "/app-logs"
SHARED = ("envs", "code")  # what Ray's and Spark's containers both unpack; see ``rayyarn.stage.KINDS``

_LOG4J = """\
log4j.rootLogger=INFO,console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{1}: %m%n
# Says at each start that libhadoop.so is missing, which it always is here.
log4j.logger.org.apache.hadoop.util.NativeCodeLoader=ERROR
# One line per REST call.
log4j.logger.http.requests=WARN
"""

Properties = dict[str, str]


@dataclass(frozen=True)
class Shape:
    """What a mini cluster is made of: enough to write every configuration file."""

    folder: Path
    block: Block
    nodes: int
    memory: int  # bytes per node
    cpus: int  # vcores per node
    hdfs: bool
    user: str
    jars: Path

    @property
    def default_fs(self) -> str:
        """The default file system's address."""
        return f"hdfs://{self.block.master}:8020" if self.hdfs else "viewfs://mini"

    def node_folder(self, index: int) -> Path:
        """Everything that NodeManager ``index`` writes lies below it."""
        return self.folder / "nodes" / f"nm{index + 1}"


def files(shape: Shape) -> dict[str, str]:
    """Every configuration file, by its path inside the cluster's folder."""
    shared = {"hdfs-site.xml": _xml(hdfs_site(shape)), "log4j.properties": _LOG4J}
    client = {**shared, "core-site.xml": _xml(core_site(shape)), "yarn-site.xml": _xml(yarn_site(shape))}
    found = {f"conf/{name}": text for name, text in client.items()}
    found["conf-shell/core-site.xml"] = _xml(shell_site(shape))
    found["conf-master/capacity-scheduler.xml"] = _xml(capacity_scheduler())
    for index in range(shape.nodes):
        own = {**core_site(shape), "fs.AbstractFileSystem.file.impl": fastlocalfs.CLASS}
        own["hadoop.tmp.dir"] = f"{shape.node_folder(index)}/scratch"
        # While the ResourceManager boots, ask it again at once instead of each second.
        own["ipc.client.connect.retry.interval"] = "200"
        node = {**client, "core-site.xml": _xml(own), "yarn-site.xml": _xml(node_site(shape, index))}
        found.update({f"conf-nm{index + 1}/{name}": text for name, text in node.items()})
    return found


def core_site(shape: Shape) -> Properties:
    """Which file system is the default one."""
    properties = {"fs.defaultFS": shape.default_fs + ("" if shape.hdfs else "/")}
    if not shape.hdfs:
        # Not file:///, with which Skein cannot submit: a view whose everything is one folder of this machine.
        properties["fs.viewfs.mounttable.mini.linkFallback"] = f"file://{shape.folder}/fs"
        properties["fs.viewfs.mounttable.mini.homedir"] = "/user"
        # Spark names a file that it ships by the target of the mount it lies in, Skein by the mount: to YARN these are
        # two files, and each node would unpack the environment twice. A folder with a mount point below it has no
        # target (ViewFs.resolvePath), so Spark leaves its files' names as they are.
        for kind in SHARED:
            point = f"/user/{shape.user}/.rayyarn/{kind}/.mount"
            properties[f"fs.viewfs.mounttable.mini.link.{point}"] = f"file://{shape.folder}/fs{point}"
    return properties


def shell_site(shape: Shape) -> Properties:
    """What ``hdfs dfs`` and ``hadoop fs`` read instead: the same files by another kind of link.

    With linkFallback, listing the root fails without libhadoop.so (URI scheme is not "file"); with linkMergeSlash,
    FileContext lists wrong paths, which breaks ``yarn logs``. The shell uses no FileContext, all others do not list /.
    """
    link = "fs.viewfs.mounttable.mini.link"
    properties = {key: value for key, value in core_site(shape).items() if not key.startswith(f"{link}.")}
    if f"{link}Fallback" in properties:
        properties[f"{link}MergeSlash"] = properties.pop(f"{link}Fallback")
    return properties


def yarn_site(shape: Shape) -> Properties:
    """What clients, the ResourceManager and containers read."""
    memory = str(shape.memory >> 20)
    return {
        "yarn.resourcemanager.hostname": shape.block.master,
        "yarn.resourcemanager.scheduler.class": "org.apache.hadoop.yarn.server.resourcemanager.scheduler.capacity."
        "CapacityScheduler",
        "yarn.scheduler.minimum-allocation-mb": "64",
        "yarn.scheduler.maximum-allocation-mb": memory,
        "yarn.scheduler.maximum-allocation-vcores": str(shape.cpus),
        # A dead node is noticed after 10 s, not 10 minutes; containers are given out at heartbeats, so make them quick.
        "yarn.nm.liveness-monitor.expiry-interval-ms": "10000",
        "yarn.resourcemanager.nodemanagers.heartbeat-interval-ms": "200",
        "yarn.resourcemanager.placement-constraints.handler": "scheduler",
        # The default is a folder in /tmp, which nobody would remove.
        "yarn.node-attribute.fs-store.root-dir": f"file://{shape.folder}/attributes",
        "yarn.application.classpath": f"$HADOOP_CONF_DIR,{shape.jars}/*",
        "yarn.log-aggregation-enable": "true",
        "yarn.nodemanager.remote-app-log-dir": APP_LOGS,
    }


def node_site(shape: Shape, index: int) -> Properties:
    """What one NodeManager reads: the above, and who it is."""
    host, own = shape.block.node(index), shape.node_folder(index)
    disks = "yarn.nodemanager.disk-health-checker"
    return {
        **yarn_site(shape),
        "yarn.nodemanager.hostname": host,
        "yarn.nodemanager.address": f"{host}:8041",
        "yarn.nodemanager.localizer.address": f"{host}:8040",
        "yarn.nodemanager.webapp.address": f"{host}:8042",
        "yarn.nodemanager.collector-service.address": f"{host}:8048",
        "yarn.nodemanager.resource.memory-mb": str(shape.memory >> 20),
        "yarn.nodemanager.resource.cpu-vcores": str(shape.cpus),
        # Ray maps far more memory than it uses, so the virtual check would kill it, here as on real clusters.
        "yarn.nodemanager.vmem-check-enabled": "false",
        "yarn.nodemanager.pmem-check-enabled": "true",
        # Its default, true, leaves the check to cgroups even where there are none, and then nobody checks
        # (ContainersMonitorImpl.checkLimit, 3.5.0).
        "yarn.nodemanager.resource.memory.enforced": "false",
        "yarn.nodemanager.local-dirs": f"{own}/local",
        "yarn.nodemanager.log-dirs": f"{own}/logs",
        # A node that is started again knows what it has unpacked and does not remove it; as on most real clusters.
        "yarn.nodemanager.recovery.enabled": "true",
        "yarn.nodemanager.recovery.dir": f"{own}/recovery",
        # A laptop's disk is often over the default 90 %; all nodes would be UNHEALTHY and nothing would ever start.
        f"{disks}.max-disk-utilization-per-disk-percentage": "99.5",
        f"{disks}.min-free-space-per-disk-mb": "0",
        "yarn.nodemanager.delete.debug-delay-sec": "0",
        "yarn.nodemanager.env-whitelist": "JAVA_HOME,HADOOP_COMMON_HOME,HADOOP_HDFS_HOME,HADOOP_CONF_DIR,"
        "HADOOP_YARN_HOME,HADOOP_HOME,PATH,LANG,TZ",
        "yarn.resourcemanager.connect.retry-interval.ms": "1000",
        # Without its ResourceManager a NodeManager ends, and does not spin for the default 15 minutes.
        "yarn.resourcemanager.connect.max-wait.ms": "120000",
    }


def hdfs_site(shape: Shape) -> Properties:
    """NameNode and DataNode; without them nothing that matters."""
    if not shape.hdfs:
        return {"dfs.replication": "1"}
    master = shape.block.master
    return {
        "dfs.replication": "1",
        "dfs.namenode.name.dir": f"file://{shape.folder}/hdfs/name",
        "dfs.datanode.data.dir": f"file://{shape.folder}/hdfs/data",
        "dfs.namenode.http-address": f"{master}:9870",
        "dfs.namenode.rpc-bind-host": master,
        "dfs.namenode.safemode.extension": "0",
        "dfs.datanode.address": f"{master}:9866",
        "dfs.datanode.ipc.address": f"{master}:9867",
        "dfs.datanode.http.address": f"{master}:9864",
        # The kernel gives every loopback connection the source 127.0.0.1, and the NameNode would announce that as the
        # DataNode's address. Names, here the right address, override it; there is no reverse name to check.
        "dfs.datanode.hostname": master,
        "dfs.client.use.datanode.hostname": "true",
        "dfs.datanode.use.datanode.hostname": "true",
        "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        "dfs.datanode.du.reserved": "0",
    }


def capacity_scheduler() -> Properties:
    """Two queues, neither of which is ever the reason why a small cluster stands still."""
    root = "yarn.scheduler.capacity.root"
    properties = {
        f"{root}.queues": ",".join(QUEUES),
        # The default 0.1 lets a small cluster run one application at a time.
        "yarn.scheduler.capacity.maximum-am-resource-percent": "0.8",
        "yarn.scheduler.capacity.node-locality-delay": "-1",
        "yarn.scheduler.capacity.resource-calculator": "org.apache.hadoop.yarn.util.resource."
        "DominantResourceCalculator",
    }
    for queue, share in QUEUES.items():
        properties[f"{root}.{queue}.capacity"] = str(share)
        properties[f"{root}.{queue}.maximum-capacity"] = "100"
        properties[f"{root}.{queue}.user-limit-factor"] = "10"  # one user may take more than the queue's share
    return properties


def _xml(properties: Properties) -> str:
    body = "".join(
        f"  <property><name>{escape(key)}</name><value>{escape(value)}</value></property>\n"
        for key, value in properties.items()
    )
    return f"<configuration>\n{body}</configuration>\n"
