"""What happens to the embedded Hadoop when it is interrupted, killed, or finds no place."""

import contextlib
import errno
import gc
import getpass
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest
from probe import SPEC, submit_spec, wait

from rayyarn import store
from rayyarn.errors import MiniFailed
from rayyarn.mini import address, cluster, daemons, process, record


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
    killed = [process.Process.of(pid) for pid in made.pids.values()]
    for daemon in killed:
        daemon.signal(signal.SIGKILL)
    assert not process.wait_gone(killed, 10)  # a JVM that was killed takes a moment to give its memory back
    again = cluster.up(nodes=1)
    assert again.rm_web == made.rm_web
    assert kept.read_text() == "mine"


FILE = """
name: with-a-file
services:
  work:
    resources: {memory: 128 MiB, vcores: 1}
    files: {thing: {source: "SOURCE", type: ARCHIVE, visibility: PRIVATE}}
    script: |
      echo "$(cat thing/word) $LOCALIZATION_COUNTERS" > SEEN
"""


def test_stopped_with_its_files_it_comes_back_with_what_its_nodes_unpacked(yarn, own, tmp_path):
    """Also when an application was at work: that one has ended, and a new one does not fetch the file again."""
    made = cluster.up(nodes=1, memory="1 GiB")
    thing = Path(made.folder, "fs", "user", getpass.getuser(), "thing.tar.gz")
    (tmp_path / "word").write_text("unpacked")
    (tmp_path / "bytes").write_bytes(os.urandom(1 << 20))
    with tarfile.open(thing, "w:gz") as archive:
        for name in ("word", "bytes"):
            archive.add(tmp_path / name, name)
    fetched, kept = _counted(yarn, own, tmp_path, "1")
    assert fetched > 1 << 20 > kept
    _submit(yarn, own, SPEC.replace("SLEEP", "sleep 4244"))
    wait(lambda: len(_sleepers(Path(made.folder))) >= 2, 60, "containers at work")
    stopped = cluster.down(keep_files=True)
    assert (stopped.changed, stopped.files) == (True, made.folder)
    assert not process.of_folder(Path(made.folder), marker=daemons.MARKER)
    handles = [one for one in gc.get_objects() if isinstance(one, subprocess.Popen)]
    assert {one.pid for one in handles}.isdisjoint(made.pids.values())  # Python would warn of each when we end
    again = cluster.up(nodes=1)
    assert (again.changed, again.memory, again.rm_web) == (True, 1 << 30, made.rm_web)
    fetched, kept = _counted(yarn, own, tmp_path, "2")
    assert fetched < 1 << 20 < kept
    assert not cluster.down().files
    assert not Path(made.folder).exists()


def _counted(yarn, own, tmp_path, name):
    """Bytes that a new container had to fetch, and that it found on the node: of its own scripts, and of the file."""
    seen = tmp_path / name
    source = f"viewfs://mini/user/{getpass.getuser()}/thing.tar.gz"
    _submit(yarn, own, FILE.replace("SOURCE", source).replace("SEEN", str(seen)))
    wait(lambda: seen.exists() and seen.read_text().endswith("\n"), 90, "the application to run")
    word, counters = seen.read_text().split()
    assert word == "unpacked"
    found = store.parse_localization(counters)
    return found["bytes_fetched"], found["bytes_cached"]


def _submit(yarn, own, text):
    submit_spec(yarn, text, **cluster.environ(), RAYYARN_HOME=str(own))


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
    folder = Path(made.folder)
    _submit(yarn, own, SPEC.replace("SLEEP", "env -i setsid sleep 4242 &\n      sleep 4243"))
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
