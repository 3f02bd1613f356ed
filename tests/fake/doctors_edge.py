"""An edge node for the doctor, and what it looks at."""

import dataclasses
import socket

from rayyarn import archives, doctor, hadoop
from rayyarn.environment import Environment
from rayyarn.fingerprint import Fingerprint
from rayyarn.spec import ClusterSpec

NM = "yarn.nodemanager."
# What a well-kept cluster runs with.
SETTINGS = {
    "yarn.acl.enable": "false", "yarn.log-aggregation-enable": "true", "yarn.scheduler.maximum-allocation-mb": "65536",
    f"{NM}vmem-check-enabled": "false", f"{NM}pmem-check-enabled": "true", f"{NM}vmem-pmem-ratio": "2.1",
    f"{NM}resource.memory.enforced": "false", f"{NM}localizer.cache.target-size-mb": "10240",
    f"{NM}container-monitor.enabled": "true",
}  # fmt: skip
ALL = ["versions", "java", "open_files", "processes", "shared_memory", "proxies", "hadoop_conf", "hadoop_client",
       "default_fs", "file_system", "resource_manager", "clock", "nodes", "queue", "largest_container", "room", "reach",
       "virtual_memory", "physical_memory", "log_aggregation", "node_cache", "environment", "glibc"]  # fmt: skip
EVERYBODY = {"queueAcl": [{"accessType": "SUBMIT_APP", "accessControlList": "*"}]}
NOBODY = {"queueAcl": [{"accessType": "SUBMIT_APP", "accessControlList": " "}]}


class Edge:
    """An edge node on which all is well; a test spoils one thing and looks again."""

    def __init__(self, manager, site, folder, monkeypatch):
        self.manager, self.site, self.spec, self._patch = manager, site, ClusterSpec(), monkeypatch
        self.environ = {"JAVA_HOME": str(folder / "java")}
        manager.settings = dict(SETTINGS)
        self.java("17.0.9", folder)
        prefix = folder / "env"
        wheel = prefix / "lib/python3.11/site-packages/ray-2.60.dist-info/WHEEL"
        wheel.parent.mkdir(parents=True)
        wheel.write_text("Tag: cp311-cp311-manylinux2014_x86_64\nTag: cp311-cp311-manylinux_2_28_x86_64\n")
        self.environment = Environment("prefix", str(prefix), python="3.11.7", ray="2.60.0", pyspark="4.3.0")
        self.problems = []
        monkeypatch.setattr(
            archives, "check", lambda _: (self.environment, self.problems, None if self.problems else Fingerprint("ab"))
        )

    def java(self, version, folder):
        program = folder / "java" / "bin" / "java"
        program.parent.mkdir(parents=True, exist_ok=True)
        program.touch(0o755)
        (folder / "java" / "release").write_text(f'JAVA_VERSION="{version}"\n')

    def settle(self, **properties):
        """Another Hadoop configuration."""
        told = {key.replace("__", "."): value for key, value in properties.items()}
        self.site = dataclasses.replace(self.site, properties={**self.site.properties, **told})
        self.use(self.site)

    def use(self, site):
        self.site = site
        self._patch.setattr(hadoop, "find", lambda conf=None, environ=None: site)

    def look(self):
        self.result = doctor.examine(self.spec, environ=self.environ)
        return {one.id: one for one in self.result.findings}


def nobody():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"
