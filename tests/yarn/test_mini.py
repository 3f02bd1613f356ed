"""The embedded Hadoop itself: real daemons, the commands of a person, and what happens when things die."""

import contextlib
import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rayyarn.errors import MiniFailed
from rayyarn.mini import address, cluster, daemons, fastlocalfs, jars, process, record

SPEC = """
name: probe
queue: adhoc
services:
  work:
    instances: 2
    resources: {memory: 128 MiB, vcores: 1}
    script: |
      echo "said by $CONTAINER_ID on $NM_HOST with $HADOOP_CONF_DIR"
      SLEEP
"""


@pytest.fixture
def own(yarn, monkeypatch):
    """A home for mini clusters that only this test has; whatever it leaves there is stopped."""
    home = yarn.watch.home.parent / "own"
    monkeypatch.setenv("RAYYARN_HOME", str(home))
    yield home
    for name in record.names():
        cluster.down(name)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def mini(yarn):
    if yarn.mini is None:
        pytest.skip("not on a mini cluster of this run")
    return yarn.mini


def shell(yarn, *command, timeout=60):
    done = subprocess.run(command, env=yarn.environ, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def submit(yarn, script="true"):
    """Submit the probe as a person would, with skein's own command in a process of its own."""
    code = "import sys, skein\nwith skein.Client(log_level='ERROR') as c: print(c.submit(sys.argv[1]))"
    spec = yarn.watch.tmp / "probe.yaml"
    spec.write_text(SPEC.replace("SLEEP", script))
    try:
        out = shell(yarn, sys.executable, "-W", "ignore", "-c", code, str(spec))
    finally:
        spec.unlink()
    return out.split()[-1]


def wait(probe, limit=60, what=""):
    end = time.monotonic() + limit
    while not (found := probe()):
        assert time.monotonic() < end, f"waited {limit} s for {what}"
        time.sleep(0.1)
    return found


def state(yarn, application):
    app = yarn.get(f"apps/{application}")["app"]
    return app["state"], app["finalStatus"]


# -- a person's use of it --------------------------------------------------------------------------------------------


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

    down = ry("mini", "down", "--name", "small", env=env)
    assert (down.rc, down.out) == (0, "")
    assert not (own / "mini").exists()
    assert ry("mini", "down", "--name", "small", env=env).err == "there is no mini cluster 'small': nothing to stop\n"
    assert ry("mini", "env", "--name", "small", env=env).rc == 3
    assert ry("mini", "status", "--name", "small", env=env).rc == 3


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", [0.3, 3.0])
def test_interrupted(yarn, own, signum, after):
    child = _start_up(yarn, own)
    time.sleep(after)
    child.send_signal(signum)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 128 + signum, err
    assert not (own / "mini").exists(), err


def test_killed_and_brought_up_again(yarn, own):
    child = _start_up(yarn, own)
    folder = own / "mini" / "default"
    wait(lambda: len((record.load(folder) or NoRecord).daemons) == 3, 20, "three daemons")
    child.kill()
    child.communicate()
    orphans = process.of_folder(folder, marker=daemons.MARKER)
    assert len(orphans) == 3
    assert cluster.running() == []
    assert cluster.status().clusters[0].state == "unfinished"
    made = cluster.up()
    assert not any(orphan.alive for orphan in orphans)
    assert len(cluster.running()) == 1
    assert made.changed


def test_killed_and_taken_down(yarn, own):
    child = _start_up(yarn, own)
    wait(lambda: (own / "mini" / "default" / "record.json").exists(), 20, "the record")
    child.kill()
    child.communicate()
    assert cluster.down().changed
    assert not (own / "mini").exists()


class NoRecord:
    daemons = ()


def _start_up(yarn, own):
    program = Path(sys.executable).with_name("rayyarn")
    return subprocess.Popen(
        [program, "mini", "up"], env={**yarn.environ, "RAYYARN_HOME": str(own)}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


# -- things that go wrong --------------------------------------------------------------------------------------------


def test_a_killed_node_is_told_and_mended(own):
    made = cluster.up()
    os.kill(made.pids["nm2"], signal.SIGKILL)
    wait(lambda: cluster.status().clusters[0].state == "damaged", 5, "the loss to be seen")
    dead = {daemon.role: daemon.last_words for daemon in cluster.status().clusters[0].daemons if not daemon.alive}
    assert list(dead) == ["nm2"]
    assert dead["nm2"]
    mended = cluster.up()
    assert mended.changed
    assert mended.pids["nm2"] != made.pids["nm2"]
    assert (mended.pids["rm"], mended.pids["nm1"]) == (made.pids["rm"], made.pids["nm1"])
    assert cluster.status().clusters[0].state == "running"


def test_files_outlive_a_reboot(own):
    made = cluster.up(nodes=1)
    kept = Path(made.folder) / "fs" / "user" / "kept"
    kept.write_text("mine")
    for pid in made.pids.values():
        os.kill(pid, signal.SIGKILL)
    wait(lambda: not cluster.running(), 5, "all daemons to die")
    again = cluster.up(nodes=1)
    assert again.rm_web == made.rm_web
    assert kept.read_text() == "mine"


def test_a_daemon_that_cannot_start_is_quoted_at_once(own, monkeypatch):
    monkeypatch.setattr(daemons, "_HEAP", "-Xmx1k")
    started = time.monotonic()
    with pytest.raises(MiniFailed, match="died while it started") as caught:
        cluster.up()
    assert "Too small maximum heap" in caught.value.log
    assert time.monotonic() - started < 30
    assert not (own / "mini").exists()


def test_a_port_that_is_taken_moves_the_block(own):
    folder = record.folder_of("default")
    first = next(address.candidates(os.getuid(), str(folder)))
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the last test's sockets linger there
        squatter.bind((first.master, 8088))
        squatter.listen()
        with address.reserved(os.getuid(), str(folder), 2, hdfs=False) as block:
            assert block != first
            with address.reserved(os.getuid(), str(folder), 2, hdfs=False) as third:
                assert third not in (first, block)


def test_a_port_that_is_taken_on_all_addresses_is_named(own, monkeypatch):
    with socket.socket() as squatter:
        squatter.bind(("0.0.0.0", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        monkeypatch.setattr(address, "RM_PORTS", (port,))
        with pytest.raises(MiniFailed, match=f"port {port} is taken") as caught:
            cluster.up()
    assert f":{port}" in caught.value.hint
    assert not (own / "mini").exists()


def test_a_full_disk_leaves_nothing(own, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(record, "save", full)
    with pytest.raises(MiniFailed, match="No space left on device"):
        cluster.up()
    assert not (own / "mini").exists()


def test_two_at_once_make_one(own):
    found = []
    threads = [threading.Thread(target=lambda: found.append(cluster.up(nodes=1))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(one.changed for one in found) == [False, True]
    assert found[0].pids == found[1].pids


def test_down_ends_running_containers(yarn, own):
    """On a cluster of its own: an application at work, one of whose processes forgot where it came from."""
    made = cluster.up()
    there = {**yarn.environ, **cluster.environ(), "RAYYARN_HOME": str(own)}
    folder = Path(made.folder)
    spec = yarn.watch.tmp / "probe.yaml"
    spec.write_text(SPEC.replace("SLEEP", "env -i setsid sleep 4242 &\n      sleep 4243"))
    code = "import sys, skein\nwith skein.Client(log_level='ERROR') as c: print(c.submit(sys.argv[1]))"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, spec], env=there, check=True, timeout=60)
    spec.unlink()
    wait(lambda: len(_sleepers(folder)) >= 4, 60, "containers at work")
    sleepers = _sleepers(folder)
    cluster.down()
    assert not folder.exists()
    assert not [one for one in sleepers if one.alive]
    assert not process.of_folder(folder, marker=daemons.MARKER)


def _sleepers(folder):
    found = process.of_folder(folder, marker=daemons.MARKER)
    return [one for one in found if _command(one.pid)[:1] == [b"sleep"]]


def _command(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return []


def test_down_spares_a_persons_shell(own):
    """Neither the environment of `mini env` nor a terminal inside a node's folder makes a process ours."""
    made = cluster.up(nodes=1)
    environ = {**os.environ, **cluster.environ()}
    inside = Path(made.folder) / "nodes" / "nm1" / "local" / "usercache"
    inside.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(["sleep", "30"], env=environ, cwd=inside) as shell:
        cluster.down()
        try:
            assert shell.poll() is None
        finally:
            shell.kill()


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
