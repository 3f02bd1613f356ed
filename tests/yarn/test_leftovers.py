"""The watch bites: each kind of leftover is made once and must be seen."""

import os
import socket
import subprocess
import sys
import uuid

import pytest
from leftovers import MARK, Watch, difference

from rayyarn.container import sockets


@pytest.fixture
def left(yarn):
    """What the watch of a made-up run sees now and did not see at the start."""
    root = yarn.watch.home.parent / f"bite-{uuid.uuid4().hex[:6]}"
    for name in ("home", "tmp", "shared", "mini"):
        (root / name).mkdir(parents=True)
    shared = {"/tmp": root / "shared", "/dev/shm": root / "shared"}
    watch = Watch("bite", (root / "mini",), root / "home", root / "tmp", root / "mini", "127.63.9", shared)
    before = watch.snapshot()

    def seen(make):
        make(root)
        return sorted({line.split(":")[0] for line in difference(before, watch.snapshot())})

    yield seen
    subprocess.run(["rm", "-rf", str(root)], check=True)


@pytest.mark.parametrize(
    ("path", "category"),
    [
        ("home/.rayyarn/clusters/rm/x.json", "connection file"),
        ("tmp/anything", "own tmp"),
        ("shared/ray_session", "/tmp"),
        ("shared/plasmaX", "/dev/shm"),
        ("mini/nodes/nm1/local/usercache/me/appcache/application_1_1", "node folder"),
        ("mini/nodes/nm2/local/nmPrivate/x.tokens", "node folder"),
        ("mini/fs/user/me/.skein/application_1_1", "default file system"),
        ("mini/fs/user/me/.rayyarn/apps/application_1_1", "default file system"),
    ],
)
def test_files(left, path, category):
    def make(root):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()

    assert category in left(make)


def test_the_nodes_cache_of_files_is_no_leftover(left):
    assert left(lambda root: (root / "mini/nodes/nm1/local/usercache/me/filecache/10").mkdir(parents=True)) == []


def test_somebody_elses_entry_in_tmp_is_no_leftover(left):
    assert left(lambda root: (root / "shared/other-program").touch()) == []


def test_what_other_work_holds_open_is_no_leftover(left):
    opened = []

    def make(root):
        (root / "shared/ray").mkdir()
        opened.append((root / "shared/ray/log").open("w"))

    assert left(make) == []
    opened[0].close()


SLEEP = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(60)"]


@pytest.mark.parametrize("sign", ["mark", "containers environment", "containers folder", "child"])
def test_processes(left, sign):
    started = []

    def make(root):
        environ, cwd, command = {}, "/", SLEEP
        if sign == "containers environment":
            environ = {"LOCAL_DIRS": f"{root}/mini/nodes/nm1/local"}
        elif sign == "containers folder":
            cwd = root / "mini"
        else:
            environ = {MARK: "bite"}
        if sign == "child":  # a child that forgot its environment, as Ray's processes do
            command = ["/bin/sh", "-c", 'env -i "$@"; true', "sh", *SLEEP]
        child = subprocess.Popen(
            command, env={**os.environ, **environ}, cwd=cwd, stdout=subprocess.PIPE, process_group=0
        )
        started.append(child)
        child.stdout.readline()

    try:
        assert left(make) == ["process"]
    finally:
        for child in started:
            os.killpg(child.pid, 9)
            child.wait()
            child.stdout.close()


def test_ports_of_the_clusters_block(left):
    with socket.socket() as listener:

        def make(_):
            listener.bind(("127.63.9.2", 0))
            listener.listen()

        assert left(make) == ["listening"]


def test_a_process_that_ends_in_time_is_waited_for(yarn):
    before = yarn.watch.snapshot()
    with subprocess.Popen(["sleep", "1.5"], env={**os.environ, MARK: yarn.watch.mark}):
        assert difference(before, yarn.watch.snapshot())
        assert yarn.watch.settle(before, limit=10) == []


LISTEN = """
import socket, sys, time
port, kept = int(sys.argv[1].partition("=")[2]), []
for address in ("127.63.9.2", "127.0.0.1"):
    time.sleep(1)
    kept.append(socket.create_server((address, port)))
time.sleep(60)
"""


def test_an_agent_has_started_when_it_listens_on_both_its_addresses(yarn):
    with sockets.held() as port:
        number = port.getsockname()[1]
        command = [sys.executable, "-c", LISTEN, f"--listen-port={number}"]
        child = subprocess.Popen(command, env={**os.environ, MARK: yarn.watch.mark})
        try:
            seen = yarn.watch.started(limit=20)["listening"]
        finally:
            child.kill()
            child.wait()
    assert {f"127.63.9.2:{number}", f"127.0.0.1:{number}"} <= set(seen)
