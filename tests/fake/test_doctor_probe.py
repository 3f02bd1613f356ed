"""`rayyarn doctor --probe` against a YARN whose container is a shell of this machine, or none at all."""

import socket
import subprocess
import time

import pytest
from yarn import Driver

from rayyarn import doctor
from rayyarn.doctor import probe
from rayyarn.errors import YarnRefused
from rayyarn.spec import ClusterSpec


@pytest.fixture
def world(edge, yarn, monkeypatch):
    """Its container starts when the application is submitted, and listens where its master would."""
    made = World(yarn, monkeypatch)
    monkeypatch.setattr(probe, "Driver", Driver)
    monkeypatch.setattr(probe, "_RUNS_LIMIT", 1.0)
    monkeypatch.setattr(probe, "_CALL_LIMIT", 1.0)
    monkeypatch.setattr(probe, "_KNOCK", 0.2)
    monkeypatch.setattr(probe.edge, "own_ip", lambda address: "127.0.0.1")
    yield made
    made.close()


class World:
    def __init__(self, yarn, patch):
        self.yarn, self.shells, self.script = yarn, [], lambda script: script
        self.master = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.master.getsockname()[1]}"
        submit = yarn.submit

        def submitted(document):
            app_id = submit(document)
            yarn.apps[app_id]["amRPCAddress"] = self.address
            script = self.script(document["master"]["script"])
            self.shells.append(subprocess.Popen(["bash", "-c", script], stderr=subprocess.DEVNULL))
            return app_id

        patch.setattr(yarn, "submit", submitted)

    def close(self):
        self.master.close()
        for shell in self.shells:
            shell.kill()
            shell.wait()


def look():
    result = doctor.examine(probe=True)
    return {one.id: one for one in result.findings}


def nothing_is_left(world):
    assert world.yarn.live() == []
    assert not [path for path in world.yarn.staged.values() if path.exists()]


def test_both_ways_are_open_and_nothing_is_left(world):
    found = look()
    assert (found["way_there"].verdict, found["way_back"].verdict) == ("ok", "ok")
    assert found["way_back"].text == "a container on 127.0.0.1 reaches 127.0.0.1 here"
    (document,) = world.yarn.submitted
    assert (document["services"], document["max_attempts"], "queue" in document) == ({}, 1, False)
    assert world.shells[0].wait(5) == 0  # it hears that nobody is here any more
    nothing_is_left(world)


def test_the_way_back_is_closed(world):
    world.script = lambda script: "sleep 60"
    found = look()
    assert (found["way_there"].verdict, found["way_back"].verdict) == ("ok", "problem")
    assert "`rayyarn submit` and `spark-submit --deploy-mode cluster` work" in found["way_back"].means
    nothing_is_left(world)


def test_the_way_there_is_closed(world):
    world.master.close()
    found = look()
    assert (found["way_there"].verdict, found["way_back"].verdict) == ("problem", "ok")
    assert found["way_there"].fix.startswith("nc -zv 127.0.0.1 ")
    nothing_is_left(world)


def test_somebody_else_at_the_port_is_not_the_container(world):
    world.script = lambda script: script.replace("echo ", "echo not-")
    assert look()["way_back"].verdict == "problem"


def test_a_queue_without_room_is_told_and_left(world):
    world.yarn.accept_only = True
    found = {one.id: one for one in doctor.examine(ClusterSpec(queue="default"), probe=True).findings}
    assert found["probe"].verdict == "problem"
    assert found["probe"].text.startswith("waited 1 s for probe container; last seen: ACCEPTED in queue 'root.default'")
    assert world.yarn.submitted[0]["queue"] == "default"
    nothing_is_left(world)


def test_a_container_that_dies_is_told_with_yarns_words(world, monkeypatch):
    submit = world.yarn.submit

    def dies(document):
        app_id = submit(document)
        world.yarn.end(app_id, "FAILED", "FAILED", "no java on that node")
        return app_id

    monkeypatch.setattr(world.yarn, "submit", dies)
    found = look()
    assert "ended before its container ran (no java on that node)" in found["probe"].text
    nothing_is_left(world)


@pytest.mark.parametrize("point", ["driver", "driver ready", "submit", "submitted", "driver closed"])
@pytest.mark.parametrize("error", [YarnRefused("broken"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
def test_whatever_fails_nothing_is_left(world, point, error):
    world.yarn.fail[point] = error
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            look()
    else:
        assert look()["probe"].text == "broken"
    nothing_is_left(world)


def test_without_yarn_there_is_no_probe(world, edge):
    edge.manager.mood = 403
    assert look()["not_probed"].text == "not started, without a ResourceManager that answers"
    assert world.yarn.submitted == []


def test_a_shell_that_cannot_connect_does_not_stay(world, monkeypatch):
    """The script itself, with its seconds as tenths: nobody listens, and it ends."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    script = probe._SCRIPT.format(host="127.0.0.1", port=port, word="x").replace("sleep 25", "sleep 0.5")
    started = time.monotonic()
    subprocess.run(["bash", "-c", script], check=True, timeout=10, stderr=subprocess.DEVNULL)
    assert time.monotonic() - started >= 0.5


def test_the_doctor_without_it_submits_nothing(edge, yarn):
    edge.look()
    assert yarn.submitted == []
