"""Each finding of the doctor, good and bad, against a YARN over real HTTP; what hangs holds up nothing else."""

import dataclasses
import json
import os
import resource
import socket
import subprocess
import sys
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from rayyarn_cli import terminal
from sites import make_site
from yarn import Manager

from rayyarn import archives, doctor, filesystem, hadoop
from rayyarn.doctor import environments, machine, nodes
from rayyarn.doctor import yarn as yarn_checks
from rayyarn.environment import Environment
from rayyarn.errors import HadoopNotFound
from rayyarn.filesystem import Stat
from rayyarn.fingerprint import Fingerprint
from rayyarn.spec import ClusterSpec, WorkerSpec

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


@pytest.fixture
def edge(manager, site, tmp_path, monkeypatch):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "yarn").touch(0o755)
    made = Edge(manager, site, tmp_path, monkeypatch)
    made.use(dataclasses.replace(site, environ={**site.environ, "PATH": str(tools)}))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (65536, resource.RLIM_INFINITY))
    return made


def nobody():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def test_all_is_well(edge):
    found = edge.look()
    assert [one.id for one in edge.result.findings] == ALL
    assert [one for one in edge.result.findings if one.verdict != "ok"] == []
    assert "active (Hadoop 3.5.0)" in found["resource_manager"].text
    assert found["nodes"].text == "1 running: 64 GiB and 16 CPUs"
    assert found["queue"].text == "root.default takes applications, 12% of its share used; anybody may use it"
    assert edge.result.seconds < 5
    assert edge.result.to_dict()["verdict"] == "ok"


@pytest.mark.parametrize("name", [*ALL, "queue_full", "not_looked_at"])
def test_every_finding_is_documented(name):
    page = Path(__file__).parents[2] / "docs" / "doctor.md"
    assert f"`{name}`" in page.read_text()


def test_it_changes_nothing_and_asks_little(edge, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    edge.look()
    assert set(tmp_path.rglob("*")) - set(before) == set()
    asked = sorted(path.partition("?")[0] for _, path in edge.manager.asked)
    assert {method for method, _ in edge.manager.asked} == {"GET"}
    rest = "/ws/v1/cluster/"
    assert asked == ["/conf", "/conf", f"{rest}info", f"{rest}nodes", f"{rest}scheduler"]


# --- the machine -----------------------------------------------------------------------------------------------


def test_no_java(edge, tmp_path):
    edge.environ = {"JAVA_HOME": str(tmp_path / "nowhere")}
    found = edge.look()["java"]
    assert (found.verdict, found.means) == ("problem", "nothing can be submitted to YARN")
    assert "no bin/java in it" in found.text
    assert found.fix.startswith("apt-get install openjdk-17")


def test_an_old_java_is_a_note(edge, tmp_path):
    edge.java("1.8.0_392", tmp_path)
    found = edge.look()["java"]
    assert (found.verdict, found.text.split(",")[0]) == ("note", "Java 8")


@pytest.mark.parametrize(("soft", "verdict"), [(256, "problem"), (1024, "note"), (resource.RLIM_INFINITY, "ok")])
def test_limits(edge, monkeypatch, soft, verdict):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, resource.RLIM_INFINITY))
    found = edge.look()
    assert found["open_files"].verdict == verdict
    assert (found["open_files"].fix == "ulimit -n 65536") == (verdict != "ok")


def test_a_small_shared_memory_is_a_note(edge, monkeypatch):
    class Status:
        f_blocks, f_frsize, f_bavail = 16384, 4096, 16384

    monkeypatch.setattr(machine.os, "statvfs", lambda _: Status)
    found = edge.look()["shared_memory"]
    assert (found.verdict, found.text.split(" (")[0]) == ("note", "/dev/shm has 64 MiB, 64 MiB free")


def test_proxies_that_would_be_used_for_this_yarn(edge):
    edge.environ |= {"HTTP_PROXY": "http://alice:secret@proxy:3128", "no_proxy": "localhost"}
    found = edge.look()["proxies"]
    assert found.verdict == "note"
    assert found.text == "http_proxy=http://***@proxy:3128"
    assert found.fix == "export no_proxy=localhost,127.0.0.1,n1"
    edge.environ["no_proxy"] = "localhost,127.0.0.1, n1"
    assert edge.look()["proxies"].verdict == "ok"


def test_hosts_of_a_domain_are_spared_by_the_domain():
    assert machine._is_spared("n1.example.com", [".example.com"])
    assert machine._is_spared("n1.example.com", ["example.com"])
    assert not machine._is_spared("n1.other.com", ["example.com", ""])
    assert machine._domains([f"n{n}.a.b" for n in range(9)] + ["10.0.0.1"]) == [".a.b", "10.0.0.1"]


def test_without_skein_nothing_can_be_submitted(edge, monkeypatch):
    monkeypatch.setattr(machine, "_version", lambda name: None if name == "skein" else "1")
    found = edge.look()["versions"]
    assert (found.verdict, found.fix) == ("problem", "pip install skein==0.8.2")


# --- the configuration -----------------------------------------------------------------------------------------


def test_no_hadoop_at_all(edge, monkeypatch):
    def find(*_):
        raise HadoopNotFound("no Hadoop here", hint="rayyarn mini up")

    monkeypatch.setattr(hadoop, "find", find)
    found = edge.look()
    assert (found["hadoop_conf"].verdict, found["hadoop_conf"].fix) == ("problem", "rayyarn mini up")
    assert found["not_looked_at"].text.startswith("without a Hadoop configuration: Hadoop client, fs.defaultFS, ")
    assert found["environment"].verdict == "ok"
    assert [one.id for one in edge.result.problems] == ["hadoop_conf"]


def test_a_local_default_fs(edge):
    edge.settle(fs__defaultFS="file:///")
    found = edge.look()
    assert found["default_fs"].verdict == "problem"
    assert "containers on other machines cannot read" in found["default_fs"].text
    assert found["default_fs"].fix.startswith("export HADOOP_CONF_DIR=")
    assert "file_system" not in found


def test_kerberos_is_said(edge):
    edge.settle(hadoop__security__authentication="kerberos")
    assert edge.look()["hadoop_conf"].means == "clusters with Kerberos are not supported yet"


def test_no_hadoop_client(edge, monkeypatch):
    from rayyarn.doctor import site as site_checks

    monkeypatch.setattr(site_checks, "find_spec", lambda _: None)
    edge.use(dataclasses.replace(edge.site, environ={"HADOOP_USER_NAME": "me"}))
    found = edge.look()["hadoop_client"]
    assert (found.verdict, found.fix) == ("problem", "export HADOOP_HOME=/opt/hadoop   # or: pip install pyspark")


def test_hdfs_without_a_home_and_without_webhdfs(edge, monkeypatch):
    edge.settle(fs__defaultFS=f"hdfs://{nobody()}", dfs__webhdfs__enabled="false")
    found = edge.look()["file_system"]
    assert (found.verdict, found.means) == ("note", "not looked at further; each transfer takes seconds more")


@pytest.mark.parametrize(("mode", "verdict"), [(0o755, "problem"), (0o1777, "ok")])
def test_no_home_folder(edge, monkeypatch, mode, verdict):
    class Hdfs:
        root, cheap = "hdfs://nn", False

        def stats(self, paths):
            assert paths == ["/user/me", "/user"]
            return [None, Stat(0, 0, True, mode)]

    monkeypatch.setattr(filesystem, "open", lambda site, jvm: Hdfs())
    found = edge.look()["file_system"]
    assert found.verdict == verdict
    assert found.text.startswith("hdfs://nn answers; there is no /user/me")
    if verdict == "problem":
        assert found.fix.startswith("hdfs dfs -mkdir -p /user/me && hdfs dfs -chown me /user/me")


def test_hdfs_that_is_down(edge):
    edge.settle(
        **{"fs__defaultFS": "hdfs://nn", "dfs__nameservices": "nn", "dfs__namenode__http-address__nn": nobody()}
    )
    found = edge.look()["file_system"]
    assert (found.verdict, found.means) == ("problem", "nothing can be shipped to the nodes")
    assert "refused" in found.text


# --- YARN ------------------------------------------------------------------------------------------------------


def test_a_dead_resource_manager_holds_up_nothing_else(edge, tmp_path):
    address = nobody()
    edge.use(make_site(tmp_path, address))
    found = edge.look()
    assert found["resource_manager"].verdict == "problem"
    assert f"http://{address} does not answer: [Errno 111] Connection refused" in found["resource_manager"].text
    assert found["not_looked_at"].text.startswith("without a ResourceManager that answers: clock, NodeManagers, queue")
    assert (found["file_system"].verdict, found["environment"].verdict) == ("ok", "ok")
    assert edge.result.seconds < 3


def test_a_hanging_resource_manager_is_left_at_its_deadline(edge):
    edge.manager.mood = "hangs"
    begun = time.monotonic()
    found = edge.look()
    assert time.monotonic() - begun < 6
    assert found["resource_manager"].verdict == "problem"
    assert "does not answer" in found["resource_manager"].text
    assert found["environment"].verdict == "ok"


def test_a_name_that_hangs_is_a_finding(edge, monkeypatch):
    from rayyarn.doctor import facts

    monkeypatch.setattr(facts.web, "get", lambda *_: time.sleep(20))
    found = edge.look()
    assert (found["resource_manager"].verdict, found.get("reach")) == ("problem", None)
    assert "no answer within" in found["resource_manager"].text
    assert edge.result.seconds < 6


@pytest.mark.parametrize("how", ["redirect", "standby", "info"])
def test_a_standby_is_told_apart_from_the_active_one(edge, yarn, tmp_path, how):
    other = Manager(yarn, "ok" if how == "info" else how)
    other.info["haState"] = "STANDBY"
    try:
        site = make_site(tmp_path, other.address, edge.manager.address)
        edge.use(dataclasses.replace(site, environ=edge.site.environ))
        found = edge.look()
        assert edge.result.problems == ()
        text = f"http://{other.address} stands by; http://{edge.manager.address} is active (Hadoop 3.5.0)"
        assert (found["resource_manager"].verdict, found["resource_manager"].text) == ("ok", text)
        edge.manager.info["haState"] = "STANDBY"
        found = edge.look()["resource_manager"]
        assert (found.verdict, found.fix) == ("problem", "yarn rmadmin -getAllServiceState")
        assert found.means == "rayyarn can do nothing on this YARN before one of its ResourceManagers is active"
    finally:
        other.close()


def test_one_of_two_is_down(edge, tmp_path):
    edge.use(make_site(tmp_path, nobody(), edge.manager.address))
    found = edge.look()["resource_manager"]
    assert (found.verdict, found.means) == ("note", "rayyarn works now, and stops when the active one fails")


@pytest.mark.parametrize("mood", [401, 403, "garbage"])
def test_a_resource_manager_that_lets_nobody_in(edge, mood):
    edge.manager.mood = mood
    found = edge.look()["resource_manager"]
    assert found.verdict == "problem"
    assert ("lets nobody in over REST" in found.text) == (mood != "garbage")


@pytest.mark.parametrize(("skew", "verdict"), [(0, "ok"), (60, "note"), (-60, "note"), (900, "problem")])
def test_the_clock(edge, skew, verdict):
    edge.manager.date = formatdate(time.time() + skew, usegmt=True)
    found = edge.look()["clock"]
    assert found.verdict == verdict
    if skew:
        assert ("behind" if skew > 0 else "ahead of") in found.text
        assert abs(int(found.text.split()[0]) - abs(skew)) <= 3


def test_nodes_that_are_away(edge):
    ill = {**edge.manager.nodes[0], "nodeHostName": "n2", "state": "UNHEALTHY", "healthReport": "1/1 local-dirs full"}
    edge.manager.nodes.append(ill)
    found = edge.look()["nodes"]
    assert found.verdict == "note"
    assert found.text == "1 running, 1 unhealthy: 64 GiB and 16 CPUs; n2: 1/1 local-dirs full"
    edge.manager.nodes = [ill]
    found = edge.look()
    assert (found["nodes"].verdict, found["nodes"].means) == ("problem", "no container can start")
    assert "room now" in found["not_looked_at"].text


def test_queues(edge):
    edge.spec = ClusterSpec(queue="nosuch")
    found = edge.look()["queue"]
    assert (found.verdict, found.text) == ("problem", "no queue named 'nosuch'; YARN has: default")
    edge.spec = ClusterSpec(queue="default")
    edge.manager.queues[0] |= {"numApplications": 5, "maxApplications": 5}
    assert edge.look()["queue_full"].verdict == "problem"
    edge.manager.queues[0] |= {"state": "STOPPED"}
    assert edge.look()["queue"].text == "queue 'default' is STOPPED"
    edge.spec = ClusterSpec()
    edge.manager.queues = [{"queueName": "etl", "state": "RUNNING"}]
    found = edge.look()["queue"]
    assert (found.verdict, found.fix) == ("note", "export RAYYARN_QUEUE=etl")


def test_rights_on_a_queue(edge, monkeypatch):
    from rayyarn import rm

    edge.manager.settings["yarn.acl.enable"] = "true"
    assert "does not tell who may use it" in edge.look()["queue"].text
    tree = {"queueName": "root", "queueAcls": NOBODY,
            "queues": {"queue": [{"queueName": "default", "queueAcls": NOBODY}]}}  # fmt: skip
    monkeypatch.setattr(rm.ResourceManager, "queues", lambda _: list(rm._queues(tree, "")))
    found = edge.look()["queue"]
    assert (found.verdict, found.text) == ("problem", "root.default does not name me among its users")
    tree["queueAcls"] = EVERYBODY  # what is allowed above is allowed below
    assert edge.look()["queue"].text.endswith("me may use it")


def test_access_lists_as_yarn_writes_them():
    assert yarn_checks.may_submit(["*"], "me", [])
    assert yarn_checks.may_submit([" ", "you,me"], "me", [])
    assert yarn_checks.may_submit(["you team,other"], "me", ["other"])
    assert not yarn_checks.may_submit([" ", "", "you", "you team"], "me", ["mine"])


def test_a_worker_that_no_node_can_hold(edge):
    edge.spec = ClusterSpec(worker=WorkerSpec(memory=100 << 30))
    found = edge.look()["largest_container"]
    assert found.verdict == "problem"
    assert "100 GiB asked, and the largest node (n1) has 64 GiB" in found.text
    edge.spec = ClusterSpec(worker=WorkerSpec(memory=16 << 30))
    edge.manager.settings["yarn.scheduler.maximum-allocation-mb"] = "8192"
    found = edge.look()["largest_container"]
    assert (found.verdict, found.text.endswith("gives containers of at most 8 GiB")) == ("problem", True)
    edge.spec = ClusterSpec(queue="default", worker=WorkerSpec(memory=16 << 30))
    edge.manager.queues[0]["maximumAllocation"] = {"memory": 4096}
    assert "queue 'default' gives containers of at most 4 GiB" in edge.look()["largest_container"].text


def test_room(edge):
    edge.manager.nodes[0] |= {"availMemoryMB": 7000, "usedMemoryMB": 58536}
    found = edge.look()["room"]
    assert (found.verdict, found.text) == ("note", "for the head and 1 of a head of 2 GiB and 2 workers of 4 GiB")
    edge.manager.nodes[0]["availMemoryMB"] = 100
    assert edge.look()["room"].text.startswith("for not even the head of")


# --- the nodes -------------------------------------------------------------------------------------------------


def test_a_node_out_of_reach(edge):
    address = nobody()
    edge.manager.nodes.append({**edge.manager.nodes[0], "nodeHostName": "n2", "nodeHTTPAddress": address})
    found = edge.look()["reach"]
    assert (found.verdict, found.text) == ("note", f"no answer from {address}")
    del edge.manager.nodes[0]
    found = edge.look()
    assert found["reach"].verdict == "problem"
    assert found["reach"].fix == f"getent hosts n2 && curl -sI http://{address}"
    assert "virtual memory" in found["not_looked_at"].text


def test_of_many_nodes_a_sample_is_called(edge):
    edge.manager.nodes = [{**edge.manager.nodes[0], "nodeHostName": f"n{n}"} for n in range(100)]
    assert edge.look()["reach"].text.startswith("25 of 100 were tried, every web port answers")


def test_a_virtual_memory_check_that_kills(edge):
    edge.manager.settings |= {f"{NM}vmem-check-enabled": "true"}
    found = edge.look()["virtual_memory"]
    assert found.verdict == "problem"
    assert found.text == "checked at 2.1 times a container's memory on n1"
    assert "the head of 2 GiB may map 4.2 GiB and maps about 4.7 GiB" in found.means
    assert found.fix == "yarn.nodemanager.vmem-check-enabled=false   # in the nodes' yarn-site.xml"
    edge.manager.settings[f"{NM}vmem-pmem-ratio"] = "10"
    assert edge.look()["virtual_memory"].verdict == "note"


def test_a_virtual_memory_check_that_is_left_to_cgroups(edge):
    edge.manager.settings |= {f"{NM}vmem-check-enabled": "true", f"{NM}resource.memory.enforced": "true"}
    found = edge.look()
    assert (found["virtual_memory"].verdict, found["virtual_memory"].text) == (
        "ok", "the check is on but not made: memory is left to cgroups")  # fmt: skip
    assert (found["physical_memory"].verdict, found["physical_memory"].text) == ("note", "nobody watches it on n1")
    edge.manager.settings[f"{NM}resource.memory.enabled"] = "true"
    assert edge.look()["physical_memory"].text == "cgroups keep each container within its size"
    edge.manager.info["hadoopVersion"] = "3.1.4"  # before that rule came
    assert edge.look()["virtual_memory"].verdict == "problem"


def test_how_memory_is_counted(edge):
    assert "once for each process" in edge.look()["physical_memory"].text
    edge.manager.settings[f"{NM}container-monitor.procfs-tree.smaps-based-rss.enabled"] = "true"
    assert "shared pages once" in edge.look()["physical_memory"].text


def test_no_log_aggregation(edge):
    edge.manager.settings["yarn.log-aggregation-enable"] = "false"
    found = edge.look()["log_aggregation"]
    assert (found.verdict, found.text) == ("note", "off on n1")
    assert found.fix.startswith("yarn.log-aggregation-enable=true")


@pytest.mark.parametrize(("target", "verdict"), [("1024", "note"), ("1500", "note"), ("10240", "ok")])
def test_a_tiny_cache_on_the_nodes(edge, monkeypatch, target, verdict):
    from rayyarn.doctor import facts

    monkeypatch.setattr(facts, "_bytes_below", lambda _: 1_270_000_000)
    edge.manager.settings[f"{NM}localizer.cache.target-size-mb"] = target
    found = edge.look()["node_cache"]
    assert found.verdict == verdict
    assert found.text.endswith("the environment takes about 1.2 GiB there")
    assert ("every `rayyarn up` unpacks it again" in found.means) == (target == "1024")


def test_settings_that_nodes_keep_to_themselves(edge):
    edge.manager.settings = {}
    assert "virtual memory" in edge.look()["not_looked_at"].text


# --- the environment -------------------------------------------------------------------------------------------


def test_an_environment_that_cannot_be_shipped(edge):
    edge.problems = ["there is no ray in /envs/ml"]
    found = edge.look()
    assert (found["environment"].verdict, found["environment"].text) == ("problem", "there is no ray in /envs/ml")
    assert found["environment"].fix.startswith("rayyarn doctor --environment PREFIX")
    assert "not compared with an environment" in found["node_cache"].text
    edge.spec = ClusterSpec(environment="/envs/ml")
    assert edge.look()["environment"].fix == f"rayyarn env check {edge.environment.location}"


def test_remarks_on_an_environment_are_a_note(edge):
    edge.environment = dataclasses.replace(edge.environment, remarks=("pip overwrote conda's x 1 by 2",))
    assert edge.look()["environment"].verdict == "note"


def test_glibc(edge, monkeypatch):
    assert edge.look()["glibc"].text.startswith("ray needs glibc 2.17; this machine has ")
    monkeypatch.setattr(environments.platform, "libc_ver", lambda: ("glibc", "2.12"))
    found = edge.look()["glibc"]
    assert (found.verdict, found.means) == ("problem", "importing it fails here, and on nodes with the same system")


def test_glibc_of_conda_packages(tmp_path):
    records = tmp_path / "conda-meta"
    records.mkdir()
    (records / "python-3.11.7-h0_0.json").write_text('{"depends": ["__glibc >=2.17,<3.0.a0"]}')
    (records / "libx-1.0-h1_1.json").write_text('{"depends": ["__glibc >=2.28,<3.0.a0", "zlib"]}')
    assert environments.needed_glibc(tmp_path) == ("libx", (2, 28))


def test_an_archive_is_unpacked_larger(edge, tmp_path):
    file = tmp_path / "env.tar.gz"
    file.write_bytes(b"x" * (100 << 20))
    edge.environment = Environment("archive", str(file), python="3.11", ray="2.60.0")
    found = edge.look()
    assert found["node_cache"].text.endswith("takes about 170 MiB there")
    assert "glibc" not in found


def test_a_bug_in_a_check_is_told_and_stops_nothing(edge, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(nodes, "over_virtual_limit", broken)
    edge.manager.settings[f"{NM}vmem-check-enabled"] = "true"
    found = edge.look()
    assert found["virtual_memory"].text == "could not be looked at: ZeroDivisionError: oh"
    assert found["physical_memory"].verdict == "ok"


# --- the command -----------------------------------------------------------------------------------------------


@pytest.fixture
def shell(edge, monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", edge.environ["JAVA_HOME"])
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in machine.PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    return edge


def test_the_command_in_a_pipe(shell, ry):
    done = ry("doctor")
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert (done.rc, [row[0] for row in rows], {len(row) for row in rows}) == (0, ALL, {5})
    assert done.err.startswith("all is well; 23 findings in ")


def test_the_command_with_a_problem(shell, ry):
    done = ry("doctor", "--queue", "nosuch", "--json")
    answer = json.loads(done.out)
    assert (done.rc, answer["status"], answer["data"]["verdict"]) == (1, "error", "problem")
    assert [error["code"] for error in answer["errors"]] == ["unfit"]
    bad = [one for one in answer["data"]["findings"] if one["verdict"] == "problem"]
    assert [(one["id"], one["fix"]) for one in bad] == [("queue", "yarn queue -list all")]
    assert list(bad[0]) == ["id", "subject", "verdict", "text", "means", "fix"]


def test_the_command_on_a_terminal(shell, ry, monkeypatch):
    real = terminal.Stream.__init__

    def on_a_terminal(self, *args, **given):
        real(self, *args, **given)
        self.tty = True

    monkeypatch.setattr(terminal.Stream, "__init__", on_a_terminal)
    shell.manager.settings["yarn.log-aggregation-enable"] = "false"
    lines = ry("doctor").out.splitlines()
    at = next(number for number, line in enumerate(lines) if "log aggregation" in line)
    assert lines[at : at + 3] == [
        "! log aggregation       off on n1",
        "    logs of an ended cluster stay on its nodes, out of reach, and are deleted there",
        "    try: yarn.log-aggregation-enable=true   # in the nodes' yarn-site.xml",
    ]
    assert "✓ fs.defaultFS          viewfs://mini" in lines


def test_the_whole_command_ends_in_time_beside_a_yarn_that_hangs(tmp_path):
    """As a process: what a check has left behind must not hold up its exit."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        settings = {"yarn.resourcemanager.webapp.address": address, "fs.defaultFS": "hdfs://nn",
                    "dfs.nameservices": "nn", "dfs.namenode.http-address.nn": address}  # fmt: skip
        entries = "".join(f"<property><name>{k}</name><value>{v}</value></property>" for k, v in settings.items())
        (tmp_path / "core-site.xml").write_text(f"<configuration>{entries}</configuration>")
        environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "HADOOP_CONF_DIR": str(tmp_path)}
        begun = time.monotonic()
        code = "import sys; from rayyarn_cli.main import main; sys.argv[1:] = ['doctor']; main()"
        done = subprocess.run([sys.executable, "-c", code], env=environ, cwd=tmp_path, capture_output=True, text=True)
        assert time.monotonic() - begun < 10
    rows = {line.split("\t")[0]: line.split("\t") for line in done.stdout.splitlines()}
    assert (done.returncode, rows["resource_manager"][1], rows["file_system"][1]) == (1, "problem", "problem")
    assert rows["file_system"][2] == "no answer within 6.3 s"
