"""The head's side of `keep-beside`: a master that gives containers, a Ray that gives nodes back or does not."""

import json
from dataclasses import replace

import pytest
from supervised import Clock, Master, make, stop_at

from rayyarn import store
from rayyarn.container import beside
from rayyarn.container.beside import Beside
from rayyarn.container.executors import Answer, Executors
from rayyarn.container.keep import Keep
from rayyarn.container.post import Post
from rayyarn.yarn_report import App

HOSTS = ("n1", "n2", "n3")


class Yarn(Master):
    """A master with containers; ``full``: hosts that have no room; the supervisors in them stop when told to."""

    def __init__(self):
        super().__init__()
        self.made, self.full, self.killed, self.hangs = [], set(), [], False
        self.add("head")

    def add(self, service):
        host = "n9" if service == "head" else HOSTS[int(service[-1]) - 1]
        number = sum(one["service"].startswith(service) for one in self.made)
        given = host not in self.full
        container = f"container_{len(self.made)}" if given else ""
        self.made.append(
            {"service": f"{service}_{number}", "state": "RUNNING" if given else "REQUESTED", "container": container}
        )
        if given:
            self.keys[store.ALIVE + container] = b""

    def containers(self):
        self._reach()
        return self.made

    def scale(self, service, count):
        self._reach()
        for _ in range(count - sum(one["service"].startswith(service) and self.lives(one) for one in self.made)):
            self.add(service)

    def kill(self, instance):
        self._reach()
        self.killed.append(instance)
        (one,) = [one for one in self.made if one["service"] == instance]
        one["state"] = "KILLED"

    def remove(self, prefix):
        self._reach()
        for key in [key for key in self.keys if key.startswith(prefix)]:
            del self.keys[key]
            for one in self.made:
                if store.ALIVE + one["container"] == key and not self.hangs:
                    one["state"] = "SUCCEEDED"

    def lives(self, one):
        return one["state"] in ("REQUESTED", "RUNNING")

    def nodes(self):
        return [
            {"name": one["container"], "node_id": one["container"][-1], "alive": one["state"] == "RUNNING"}
            for one in self.made
            if one["container"]
        ]


class Gcs:
    def __init__(self):
        self.busy, self.asked = "", []

    def drain(self, node_id, why):
        self.asked.append(node_id)
        return self.busy or None


class Told:
    """Executors as a test says they are."""

    def __init__(self):
        self.now, self.asked = Answer(), False

    def ask(self):
        self.asked = True

    def answer(self):
        return self.now if self.asked else None


class Scene:
    def __init__(self, **given):
        self.clock, self.yarn, self.gcs, self.told = Clock(), Yarn(), Gcs(), Told()
        self.yarn.add("worker1")
        state = store.NodeState("container_0", "head_0", "head", "n9", "10.0.0.1")
        self.post = Post(self.yarn, state, self.clock.monotonic)
        keep = Keep(HOSTS, **{"per_host": 1, "least": 1, "most": None, "grace": 60, "every": 10, **given})
        self.beside = Beside(self.post, keep, self.told, every=10, clock=self.clock.monotonic)

    def pass_by(self, seconds, *hosts):
        """Time, with executors on ``hosts``; how many workers there shall be at its end."""
        self.told.now, wanted = Answer(dict.fromkeys(hosts, 1)) if hosts != (None,) else self.told.now, None
        for _ in range(seconds):
            self.clock.now += 1
            wanted = self.beside.beat(self.gcs, self.yarn.nodes()) or wanted
        return wanted

    @property
    def kept(self):
        return store.Kept.from_json(self.yarn.keys[store.KEPT])

    def workers(self):
        return [one["service"] for one in self.yarn.made[1:] if self.yarn.lives(one)]


@pytest.fixture
def scene(monkeypatch):
    made = Scene()
    monkeypatch.setattr(beside.time, "time", made.clock.monotonic)
    return made


def test_a_worker_comes_and_the_old_one_goes_by_word_and_not_by_force(scene):
    assert scene.pass_by(11, "n1", "n3") == 2
    assert scene.workers() == ["worker1_0", "worker3_0"]
    assert scene.pass_by(10, "n1", "n3") == 2
    assert scene.kept.did == "n3 got a worker"
    assert scene.pass_by(80, "n3") == 1
    assert (scene.workers(), scene.kept.did) == (["worker3_0"], "n1 gave a worker back")
    assert scene.gcs.asked == ["1"]
    assert scene.yarn.killed == []
    assert scene.kept.without == {}


def test_a_worker_in_use_stays_and_it_is_said_why(scene):
    scene.gcs.busy = "The node to be idle terminated is no longer idle."
    scene.pass_by(100, "n2")
    assert scene.workers() == ["worker1_0", "worker2_0"]
    assert scene.kept.stays == {"n1": "in use: a task, an actor, a program or the first copy of an object is there"}
    assert scene.kept.without.keys() == {"n1"}
    assert 1000 <= scene.kept.without["n1"] <= 1015
    scene.gcs.busy = ""
    scene.pass_by(10, "n2")
    assert scene.workers() == ["worker2_0"]


def test_what_yarn_has_not_given_is_taken_back(scene):
    scene.yarn.full.add("n2")
    assert scene.pass_by(20, "n1", "n2") == 2
    assert scene.kept.lacks == {"n2": "YARN has not given its worker yet"}
    assert scene.kept.did == ""
    assert scene.pass_by(80, "n1") == 1
    assert (scene.yarn.killed, scene.gcs.asked) == (["worker2_0"], [])
    assert scene.kept.lacks == {}


def test_a_container_that_still_unpacks_is_ended_by_yarn(scene):
    scene.pass_by(20, "n1", "n2")
    del scene.yarn.keys[store.ALIVE + "container_2"]  # its supervisor has not spoken yet: no word would reach it
    scene.yarn.nodes = list
    scene.pass_by(80, "n1")
    assert scene.yarn.killed == ["worker2_0"]


def test_a_supervisor_that_hangs_is_ended_by_yarn_and_does_not_count_meanwhile(scene):
    scene.yarn.hangs = True
    assert scene.pass_by(80, "n2") == 1
    assert scene.yarn.killed == []
    scene.pass_by(70, "n2")
    assert scene.yarn.killed == ["worker1_0"]
    assert scene.gcs.asked == ["1"]


def test_nothing_changes_while_nobody_knows(scene, caplog):
    scene.pass_by(10, "n1")
    scene.told.now = Answer(trouble="no ResourceManager answers")
    assert scene.pass_by(500, None) is None
    assert (scene.workers(), scene.kept.trouble) == (["worker1_0"], "no ResourceManager answers")
    assert [record.message for record in caplog.records] == ["beside: no ResourceManager answers"]
    scene.pass_by(20, "n2")
    assert scene.kept.trouble == ""
    assert scene.workers() == ["worker1_0", "worker2_0"], "those 500 s are no grace that has passed"


def test_nothing_changes_while_the_master_is_silent(scene, monkeypatch):
    monkeypatch.setattr(Post, "_note_refusal", lambda self: None)
    scene.yarn.dead = True
    assert scene.pass_by(200, "n2") is None
    scene.yarn.dead = False
    scene.pass_by(10, "n2")
    assert scene.workers() == ["worker1_0", "worker2_0"]


def test_the_workers_outlive_the_spark_application(scene):
    scene.pass_by(10, "n1")
    scene.told.now = Answer(over=True)
    assert scene.pass_by(500, None) is None
    assert (scene.workers(), scene.kept.over) == (["worker1_0"], True)


def test_hosts_that_get_no_worker_are_named():
    scene = Scene(most=1)
    scene.pass_by(20, "n1", "n2", "n7")
    assert scene.kept.lacks == {
        "n2": "max-workers is reached", "n7": "not among the hosts of `up`: it came to YARN later, or is too small",
    }  # fmt: skip


def test_what_has_not_changed_is_not_written_again(scene):
    scene.pass_by(500, "n1")
    assert sum(key == store.KEPT for key, _ in scene.yarn.written) == 1


def test_the_cluster_wants_as_many_workers_as_are_kept(clock):
    master, wanted = Master(), iter([None, 3, 3, 1])
    head, _ = make(clock, master, head=True)
    head._beside = type("Kept", (), {"beat": lambda self, gcs, nodes: next(wanted, None)})()
    seen = []
    for second in range(8):
        clock.events.append((clock.now + second, lambda: seen.append(json.loads(master.keys[store.WANTED]))))
    stop_at(clock, master, 9)
    head.run()
    assert [one["workers"] for one in seen if one["workers"] != 1][:1] == [3]
    assert seen[-1] == {"workers": 1, "min_workers": 1}


class Rm:
    """A ResourceManager that answers, or does not."""

    def __init__(self, app, executors=None):
        self._app, self._executors = app, executors

    def app(self, app_id):
        if isinstance(self._app, Exception):
            raise self._app
        return self._app

    def proxied(self, app_id, path):
        return [{"id": app_id}] if path.endswith("applications") else self._executors


def test_the_question_keeps_nobody_waiting_and_an_odd_answer_is_no_answer():
    def ask(rm):
        asked = Executors("application_1_0007", ["http://rm:8088"], "me")
        asked._rm = rm
        assert asked.answer() is None
        asked.ask()
        asked._asking.join(10)
        found = asked.answer()
        assert asked.answer() is None, "once"
        return found

    app = App("application_1_0007", "etl", "me", "q", "RUNNING", "", "", (), 0, 0, None, kind="SPARK")
    page = [
        {"id": number, "hostPort": f"{host}:4711", "isActive": True} for number, host in (("1", "n1"), ("driver", "n4"))
    ]
    assert ask(Rm(app, page)) == Answer({"n1": 1})
    assert ask(Rm(replace(app, state="FINISHED"))) == Answer(over=True)
    assert ask(Rm(None)) == Answer(over=True)
    assert (
        ask(Rm(app, [{"isActive": True, "id": "1"}])).trouble == "the answer was not understood: KeyError('hostPort')"
    )
    refused = ask(Executors("application_1_0007", ["http://127.0.0.1:9"], "me")._rm)
    assert refused.trouble.startswith("no ResourceManager answers (http://127.0.0.1:9: ")
