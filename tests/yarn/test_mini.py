"""The embedded Hadoop itself: real daemons, the commands of a person, from nothing and back."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from probe import shell, state, submit, wait

from rayyarn.mini import cluster, fastlocalfs, jars


@pytest.fixture(scope="module")
def mini(yarn):
    if yarn.mini is None:
        pytest.skip("not on a mini cluster of this run")
    return yarn.mini


def test_every_node_is_another_host(yarn, mini):
    nodes = yarn.get("nodes")["nodes"]["node"]
    assert sorted(node["nodeHostName"] for node in nodes) == sorted(mini.nodes)
    assert {node["state"] for node in nodes} == {"RUNNING"}
    assert {node["availMemoryMB"] + node["usedMemoryMB"] for node in nodes} == {mini.memory >> 20}
    assert "127.0.0.1" not in (*mini.nodes, mini.rm_web.split(":")[0])


def test_there_are_two_queues(yarn, mini):
    queues = yarn.get("scheduler")["scheduler"]["schedulerInfo"]["queues"]["queue"]
    assert sorted(queue["queueName"] for queue in queues) == ["adhoc", "default"]


def test_an_application_runs_and_its_log_is_kept(yarn, mini):
    application = submit(yarn)
    wait(lambda: state(yarn, application)[0] == "FINISHED", 90, "the probe to finish")
    assert state(yarn, application) == ("FINISHED", "SUCCEEDED")
    assert application in shell(yarn, "yarn", "application", "-list", "-appStates", "FINISHED")
    text = wait(lambda: _log(yarn, application), 30, "the log to be aggregated")
    said = re.findall(r"said by (container_\S+) on (\S+) with (\S+)", text)
    assert {host for _, host, _ in said} <= set(mini.nodes)
    assert len({container for container, _, _ in said}) == 2
    # Containers get the clients' folder, not the NodeManagers' own.
    assert {conf for _, _, conf in said} == {mini.conf_dir}


def _log(yarn, application):
    done = subprocess.run(
        ["yarn", "logs", "-applicationId", application], env=yarn.environ, capture_output=True, text=True, timeout=60
    )
    return done.stdout if done.stdout.count("said by") >= 2 else ""


def test_the_shells_file_commands(yarn, mini):
    assert "/app-logs" in shell(yarn, "hdfs", "dfs", "-ls", "/")
    shell(yarn, "hdfs", "dfs", "-mkdir", "-p", "/shell-test/a")
    shell(yarn, "hadoop", "fs", "-put", __file__, "/shell-test/a/file")
    try:
        assert shell(yarn, "hdfs", "dfs", "-cat", "/shell-test/a/file") == Path(__file__).read_text()
        assert "/shell-test" in shell(yarn, "hdfs", "dfs", "-ls", "/")
    finally:
        shell(yarn, "hdfs", "dfs", "-rm", "-r", "/shell-test")


def test_a_person_has_a_home_that_is_private(yarn, mini):
    home = Path(mini.folder) / "fs" / "user" / shell(yarn, "id", "-un").strip()
    assert home.stat().st_mode & 0o777 == 0o700
    assert (Path(mini.folder) / "fs/tmp").stat().st_mode & 0o7777 == 0o1777
    assert Path(mini.folder).stat().st_mode & 0o777 == 0o700


def test_classpath_is_what_a_client_needs(yarn, mini):
    short, long = shell(yarn, "yarn", "classpath"), shell(yarn, "yarn", "classpath", "--glob")
    assert short.strip() == f"{mini.conf_dir}:{jars.folder()}/*"
    assert len(long.strip().split(":")) == 1 + len(jars.pinned())


def test_a_command_it_does_not_have_says_so(yarn, mini):
    done = subprocess.run(["yarn", "timelineserver"], env=yarn.environ, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "other commands need a whole Hadoop" in done.stderr


# -- the command line -----------------------------------------------------------------------------------------------


def test_from_nothing_and_back(ry, own):
    env = {"RAYYARN_HOME": str(own)}
    up = ry("mini", "up", "--name", "small", "--nodes", "1", "--memory", "1GiB", "--cpus", "3", env=env)
    assert up.rc == 0, up.err
    name, web, conf = up.out.rstrip("\n").split("\t")
    assert (name, conf) == ("small", str(own / "mini" / "small" / "conf"))
    assert re.fullmatch(r"http://127\.\d+\.\d+\.1:8088", web)
    assert 'eval "$(rayyarn mini env --name small)"' in up.err

    again = ry("mini", "up", "--name", "small", "--nodes", "1", env=env, timeout=10)
    assert (again.rc, again.out) == (0, up.out)
    assert "already up" in again.err

    other = ry("mini", "up", "--name", "small", "--nodes", "2", env=env)
    assert other.rc == 1
    assert "nodes (has 1, asked for 2)" in other.err

    (one,) = ry("mini", "status", "--name", "small", "--json", env=env).data["clusters"]
    assert (one["state"], one["nodes_running"], one["cluster"]["cpus"]) == ("running", 1, 3)
    assert [daemon["role"] for daemon in one["daemons"]] == ["rm", "nm1"]

    shell = ry("mini", "env", "--name", "small", env=env)
    said = subprocess.run(
        ["sh", "-c", f'{shell.out}\nyarn node -list 2>/dev/null; echo "$HADOOP_CONF_DIR"'],
        env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=60,
    ).stdout  # fmt: skip
    assert said.endswith(f"{conf}\n")
    assert "Total Nodes:1" in said

    kept = ry("mini", "down", "--name", "small", "--keep-files", env=env)
    assert (kept.rc, kept.out) == (0, "")
    assert f"its files stay in {own}/mini/small; to remove them:  rayyarn mini down --name small" in kept.err
    assert "'small' is stopped already" in ry("mini", "down", "--name", "small", "--keep-files", env=env).err
    assert ry("mini", "env", "--name", "small", env=env).rc == 3

    down = ry("mini", "down", "--name", "small", env=env)
    assert (down.rc, down.out) == (0, "")
    assert not (own / "mini").exists()
    assert ry("mini", "down", "--name", "small", env=env).err == "there is no mini cluster 'small': nothing to stop\n"
    assert ry("mini", "env", "--name", "small", env=env).rc == 3
    assert ry("mini", "status", "--name", "small", env=env).rc == 3


def test_hdfs(yarn, own):
    made = cluster.up(nodes=1, hdfs=True)
    assert re.fullmatch(r"hdfs://127\.\d+\.\d+\.1:8020", made.default_fs)
    there = {**yarn.environ, **cluster.environ()}

    def hdfs(*args):
        done = subprocess.run(["hdfs", "dfs", *args], env=there, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    hdfs("-put", __file__, "file")  # a relative name: the home folder is there
    assert hdfs("-cat", "file") == Path(__file__).read_text()
    assert "drwxrwxrwt" in hdfs("-ls", "-d", "/tmp")
    os.kill(made.pids["nn"], signal.SIGKILL)
    wait(lambda: cluster.status().clusters[0].state == "damaged", 5, "the loss to be seen")
    cluster.up(nodes=1, hdfs=True)
    assert hdfs("-cat", "file") == Path(__file__).read_text()


# -- FastLocalFs -----------------------------------------------------------------------------------------------------


def test_the_jar_is_the_sources(mini):
    javac = shutil.which("javac")
    if javac is None:
        pytest.skip("no javac here; the source inside the jar is compared by the next test")
    assert fastlocalfs.build(javac, jars.folder()) == fastlocalfs.JAR.read_bytes()


def test_the_jar_carries_its_source():
    import zipfile

    with zipfile.ZipFile(fastlocalfs.JAR) as jar:
        assert jar.read("rayyarn/mini/FastLocalFs.java") == fastlocalfs.SOURCE.read_bytes()
