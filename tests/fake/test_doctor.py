"""What the doctor finds on this machine, in its configuration and environment, good and bad; and its command."""

import dataclasses
import json
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from doctors_edge import ALL, NM, nobody
from rayyarn_cli import terminal

from rayyarn import filesystem, hadoop
from rayyarn.doctor import environments, machine, nodes
from rayyarn.environment import Environment
from rayyarn.errors import HadoopNotFound
from rayyarn.filesystem import Stat
from rayyarn.spec import ClusterSpec


def test_all_is_well(edge):
    found = edge.look()
    assert [one.id for one in edge.result.findings] == ALL
    assert [one for one in edge.result.findings if one.verdict != "ok"] == []
    assert "active (Hadoop 3.5.0)" in found["resource_manager"].text
    assert found["nodes"].text == "1 running: 64 GiB and 16 CPUs"
    assert found["queue"].text == "root.default takes applications, 12% of its share used; anybody may use it"
    assert edge.result.seconds < 10
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
        code = "import sys; from rayyarn_cli.main import main; sys.argv[1:] = ['doctor']; main()"
        done = subprocess.run(
            [sys.executable, "-c", code], env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
    rows = {line.split("\t")[0]: line.split("\t") for line in done.stdout.splitlines()}
    assert (done.returncode, rows["resource_manager"][1], rows["file_system"][1]) == (1, "problem", "problem")
    assert rows["file_system"][2] == "no answer within 6.3 s"
