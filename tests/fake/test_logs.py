"""`rayyarn logs`: of a cluster that runs from its nodes, of one that is over as YARN has collected them."""

import json
import subprocess
import time
from types import SimpleNamespace

import pytest
from rayyarn_cli import main  # noqa: F401 - `ry` runs it

from rayyarn import cluster, logs
from rayyarn.errors import ClusterNotFound, UsageError, YarnRefused
from rayyarn.logs import aggregated, following
from rayyarn.spec import ClusterSpec

WORKER = b"2026-11-25 04:00:00,1 INFO worker-3 in container_w on n1\n"


@pytest.fixture
def world(site, manager, yarn):
    """A running cluster: a head, a worker, and one that was killed."""
    cluster.up(ClusterSpec(name="demo", workers=1, environment="/envs/ml"))
    (app_id,) = yarn.apps
    yarn.apps[app_id] |= {
        "amContainerLogs": f"http://{manager.address}/node/containerlogs/container_m/me",
        "amHostHttpAddress": manager.address,
    }
    rows = [("worker_3", "RUNNING", "container_w", ""), ("worker_0", "KILLED", "container_k", "Killed by NM"),
            ("head_0", "RUNNING", "container_h", ""), ("worker_4", "REQUESTED", "", "")]  # fmt: skip
    yarn.containers[app_id] = [
        {"service": service, "state": state, "container": container, "web": manager.address, "exit_message": words}
        for service, state, container, words in rows
    ]
    manager.logs = {
        "container_h": {"head.log": b"one\ntwo\nthree\n", "launch_container.sh": b"no log\n"},
        "container_w": {"worker.log": WORKER, "raylet.out": b"[2026-11-25 04:00:00,1 E 1 1] bad\nfine\n"},
        "container_m": {"application.master.log": b"26/11/25 04:00:00 INFO x: y"},
    }
    return SimpleNamespace(app_id=app_id, yarn=yarn, manager=manager)


def told(**given):
    return [(line.node, line.file, line.text) for line in logs.read("demo", **given).lines]


def test_a_running_cluster_is_read_from_its_nodes(world):
    assert told() == [
        ("head", "head.log", "one"), ("head", "head.log", "two"), ("head", "head.log", "three"),
        ("worker-3", "raylet.out", "[2026-11-25 04:00:00,1 E 1 1] bad"), ("worker-3", "raylet.out", "fine"),
        ("worker-3", "worker.log", WORKER.decode().strip()),
        ("master", "application.master.log", "26/11/25 04:00:00 INFO x: y"),
    ]  # fmt: skip


def test_one_node_its_end_and_its_errors(world):
    assert [text for _, _, text in told(node="head", tail=2)] == ["two", "three"]
    assert told(node="container_w", errors=True) == [("worker-3", "raylet.out", "[2026-11-25 04:00:00,1 E 1 1] bad")]
    assert told(errors=True)[0] == ("yarn", "worker-0", "Killed by NM")
    assert told(node="container_m", errors=True) == []
    with pytest.raises(UsageError, match="there are: head, worker-0, worker-3, master"):
        logs.read("demo", node="worker-9")


def test_a_long_file_is_read_from_its_end(world):
    lines = [f"line {number} " + "x" * 1000 for number in range(300)]
    world.manager.logs["container_h"]["head.log"] = "\n".join(lines).encode() + b"\n"
    assert [text for _, _, text in told(node="head", tail=20)] == lines[-20:]
    assert sum("head.log?" in path for _, path in world.manager.asked) == 3  # 4 KiB, 16, 64


def test_what_is_written_is_followed_to_the_end(world, monkeypatch):
    """Nothing twice, nothing missed, and a line only when it is whole."""
    file = world.manager.logs["container_h"]
    writes = [b"fo", b"ur\nfive\n", b"six\n"]

    def tick(_):
        if writes:
            file["head.log"] += writes.pop(0)
            if len(writes) == 1:
                file["new.out"] = b"hello\n"
        else:
            world.yarn.end(world.app_id, "FINISHED", "SUCCEEDED")

    monkeypatch.setattr(following, "_CONTAINERS_EVERY", 0)
    monkeypatch.setattr(following, "time", SimpleNamespace(sleep=tick, monotonic=time.monotonic))
    found = told(node="head", follow=True, tail=1)
    assert [text for _, name, text in found if name == "head.log"] == ["three", "four", "five", "six"]
    assert [text for _, name, text in found if name == "new.out"] == ["hello"]


@pytest.fixture
def ended(world, monkeypatch):
    """The cluster is over; ``text`` is what Hadoop's reader prints."""
    world.yarn.end(world.app_id, "FINISHED", "FAILED", "the Ray head was lost")
    world.yarn.apps[world.app_id]["logAggregationStatus"] = "SUCCEEDED"
    world.text, world.code, world.said = b"", 0, b""
    files = [
        ("container_w", "raylet.out", b"[2026-11-25 04:00:00,1 E 1 1] bad\n"),
        ("container_w", "worker.log", WORKER),
        ("container_h", "head.log", b"one\ntwo\n"),
    ]
    for container, name, data in files:
        head = f"Container: {container} on n1_45454\nLogType:{name}\nLogLength:{len(data)}\nLogContents:\n"
        world.text += head.encode() + data + f"\nEnd of LogType:{name}\n".encode()

    def run(command, stdout, **_):
        world.command = command
        stdout.write(world.text)
        stdout.flush()
        return SimpleNamespace(returncode=world.code, stderr=world.said)

    fake = SimpleNamespace(run=run, DEVNULL=None, PIPE=None, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr(aggregated, "subprocess", fake)
    monkeypatch.setattr("rayyarn.hadoop.Hadoop.java", lambda self: SimpleNamespace(path="java"))
    monkeypatch.setattr("rayyarn.hadoop.Hadoop.classpath", lambda self: "/jars/*")
    return world


def test_a_cluster_that_is_over_has_what_yarn_collected(ended):
    assert told(tail=1) == [
        ("head", "head.log", "two"), ("worker-3", "raylet.out", "[2026-11-25 04:00:00,1 E 1 1] bad"),
        ("worker-3", "worker.log", WORKER.decode().strip()),
    ]  # fmt: skip
    assert [node for node, _, _ in told(node="n1", tail=1)] == ["head", "worker-3", "worker-3"]
    assert told(errors=True)[0] == ("yarn", ended.app_id, "the Ray head was lost")
    assert ended.command[-4:] == ["-applicationId", ended.app_id, "-appOwner", "me"]
    with pytest.raises(UsageError, match="is over"):
        told(follow=True)


def test_logs_that_yarn_does_not_have(ended):
    ended.text, ended.code, ended.said = b"", 255, b"WARN x\nCan not find any log file\n"
    with pytest.raises(YarnRefused, match="YARN has no logs of") as caught:
        told()
    assert caught.value.log == "Can not find any log file"
    ended.yarn.apps[ended.app_id]["logAggregationStatus"] = "DISABLED"
    with pytest.raises(YarnRefused) as caught:
        told()
    assert "aggregation is off" in caught.value.log
    with pytest.raises(ClusterNotFound, match="'other'"):
        logs.read("other")


def test_the_command_in_a_pipe_and_as_json(world, ry):
    done = ry("logs", "demo", "--node", "head", "--tail", "1")
    assert (done.rc, done.out) == (0, "head\thead.log\tthree\n")
    document = json.loads(ry("logs", "demo", "--node", "head", "--tail", "1", "--json").out)
    assert document["data"] == {
        "cluster": "demo", "application": world.app_id, "source": "nodes",
        "lines": [{"node": "head", "file": "head.log", "text": "three"}],
    }  # fmt: skip
    assert "no errors in the logs of demo" in ry("logs", "demo", "--node", "master", "--errors").err
    assert ry("logs", "demo", "--follow", "--json").rc == 2
