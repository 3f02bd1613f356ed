"""The supervisor's loop with a Ray that does as it is told and a master made of a dictionary."""

import json

import pytest
from supervised import Gcs, Master, make, state_of, stop_at

from rayyarn import store
from rayyarn.container import last_moments, ray_environ, supervisor
from rayyarn.container.post import Post


def test_a_worker_waits_for_the_head_joins_it_and_stops_when_told(clock):
    master = Master()
    worker, node = make(clock, master)
    clock.events.append((clock.now + 3, lambda: master.keys.update({store.HEAD: b"10.0.0.9:6379"})))
    seen = []
    clock.events.append((clock.now + 2, lambda: seen.append(state_of(master).state)))
    clock.events.append((clock.now + 5, lambda: seen.append(state_of(master).state)))
    stop_at(clock, master, 8)
    assert worker.run() == 0
    assert seen == ["waiting", "ready"]
    assert [address for _, address in node.started] == ["10.0.0.9:6379"]
    assert (state_of(master).state, state_of(master).last_words) == ("stopped", "told to stop")
    assert node.prepared == [1000]  # Ray's imports are done before there is a head to join
    assert node.stopped == 1
    assert clock.now < 1012  # it hears the cluster once a second
    assert {owner for key, owner in master.written if key.startswith((store.ALIVE, store.NODE))} == {"worker_0"}


def test_a_raylet_that_ends_because_its_node_was_let_go_is_no_failure(clock, caplog):
    """Also when the supervisor sees that before it hears of it: every step takes time, as it does outside of tests."""

    def later():
        clock.now += 1e-6
        return clock.now

    clock.monotonic = later
    master = Master()
    master.keys[store.HEAD] = b"h:1"
    worker, node = make(clock, master)
    clock.events.append((clock.now + 5.5, lambda: setattr(node, "_why", "the raylet ended")))
    stop_at(clock, master, 5.5)
    assert worker.run() == 0
    assert (state_of(master).last_words, state_of(master).restarts) == ("told to stop", 0)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_worker_is_told_to_stop_while_it_waits_for_the_head(clock):
    master = Master()
    worker, node = make(clock, master)
    stop_at(clock, master, 2)
    assert worker.run() == 0
    assert node.started == []


def test_the_head_lets_others_in_once_strangers_are_refused(clock):
    master = Master()
    head, _ = make(clock, master, head=True)
    stop_at(clock, master, 6)
    assert head.run() == 0
    assert master.keys[store.HEAD] == b"10.0.0.1:6379"
    assert json.loads(master.keys[store.WANTED]) == {"workers": 1, "min_workers": 1}
    assert [node["name"] for node in json.loads(master.keys[store.RAY])] == ["container_0", "container_1"]
    assert state_of(master).node_id == "id-container_0"
    assert master.share == 1.0
    assert master.ended is None


def test_the_head_looks_often_while_workers_are_missing(clock, monkeypatch):
    """Somebody waits for the last worker; a worker that never comes is looked for once a second after a minute."""
    looks = []
    alone = [{"name": "container_0", "node_id": "id", "alive": True}]
    monkeypatch.setattr(Gcs, "nodes", lambda self: looks.append(clock.now) or alone)
    master = Master()
    head, _ = make(clock, master, head=True)
    stop_at(clock, master, 100)
    head.run()
    assert sum(look < 1010 for look in looks) > 40
    assert sum(look > 1080 for look in looks) < 25


def test_a_node_tells_of_its_memory_when_it_has_changed_by_much(clock, monkeypatch):
    used = iter([500 << 20, 510 << 20, 530 << 20, 800 << 20, *[810 << 20] * 100])
    monkeypatch.setattr(supervisor.processes, "resident", lambda: next(used))
    master, told = Master(), []
    worker, _ = make(clock, master)
    master.keys[store.HEAD] = b"10.0.0.9:6379"
    for second in range(60):
        clock.events.append((clock.now + second, lambda: told.append(state_of(master).used >> 20)))
    stop_at(clock, master, 61)
    worker.run()
    assert sorted(set(told)) == [500, 800]


def test_a_head_that_lets_strangers_in_is_never_published(clock, monkeypatch):
    monkeypatch.setattr(Gcs, "strangers_refused", False)
    master = Master()
    head, _ = make(clock, master, head=True)
    stop_at(clock, master, 3)
    head.run()
    assert store.HEAD not in master.keys
    assert master.ended == ("FAILED", "Ray answered a call without the token: not published")


def test_a_head_is_published_when_its_own_node_has_joined(clock, monkeypatch):
    """A worker that is told of it before asks Ray for the head's node, and asks again after a second."""
    monkeypatch.setattr(Gcs, "head_joined", False)
    master = Master()
    head, _ = make(clock, master, head=True)
    early = []
    clock.events.append((clock.now + 2.3, lambda: early.append(store.HEAD in master.keys)))
    clock.events.append((clock.now + 2.3, lambda: monkeypatch.setattr(Gcs, "head_joined", True)))
    clock.events.append((clock.now + 2.6, lambda: early.append(store.HEAD in master.keys)))
    stop_at(clock, master, 4)
    head.run()
    assert early == [False, True]  # workers wait for it: it is looked for each tenth of a second


def test_a_worker_that_fails_is_started_again_with_growing_pauses_and_then_given_back(clock):
    master = Master()
    master.keys[store.HEAD] = b"h:1"
    worker, node = make(clock, master, [(False, f"broken {n}") for n in range(9)])
    assert worker.run() == 1
    assert len(node.started) == len(supervisor._PAUSES) + 1
    gaps = [later - earlier for (earlier, _), (later, _) in zip(node.started, node.started[1:], strict=False)]
    assert gaps == pytest.approx(supervisor._PAUSES, abs=0.3)
    assert state_of(master).last_words == "gave up: broken 4"
    assert state_of(master).restarts == 4
    assert master.ended is None  # one worker does not end the cluster
    assert clock.now - node.started[-1][0] >= supervisor._PAUSES[-1]  # Skein would replace it at once


def test_a_worker_that_was_steady_begins_its_count_anew(clock):
    master = Master()
    master.keys[store.HEAD] = b"h:1"
    worker, node = make(clock, master, [(False, "early")] * 4 + [(True, None)])
    clock.events.append((clock.now + 600, lambda: setattr(node, "_why", "late")))
    stop_at(clock, master, 610)
    assert worker.run() == 0
    assert node.started[-1][0] - (1000 + 600) == pytest.approx(supervisor._PAUSES[0], abs=0.5)


def test_a_head_that_does_not_start_ends_the_application(clock, monkeypatch):
    monkeypatch.setattr(Gcs, "head_joined", False)
    master = Master()
    head, node = make(clock, master, [(False, "no disk")] * 9, head=True)
    assert head.run() == 1
    assert master.ended == ("FAILED", "the Ray head does not start: no disk")
    assert node.stopped >= len(node.started)


def test_a_published_head_that_is_lost_ends_the_application_at_once(clock):
    master = Master()
    head, node = make(clock, master, head=True)
    clock.events.append((clock.now + 5, lambda: setattr(node, "_why", "the raylet ended")))
    assert head.run() == 1
    assert master.ended == ("FAILED", "the Ray head was lost: the raylet ended")
    assert len(node.started) == 1
    assert clock.now < 1010


def test_a_cluster_that_nobody_waits_for_ends_itself(clock):
    master = Master()
    head, _ = make(clock, master, head=True, lease=True)
    for second in range(10):
        clock.events.append((clock.now + second, lambda n=second: master.keys.update({store.LEASE: b"%d" % n})))
    assert head.run() == 0
    assert master.ended is not None
    assert master.ended[0] == "FAILED"
    assert "the `rayyarn` that started it is gone" in master.ended[1]
    assert clock.now - 1009 == pytest.approx(store.LEASE_SECONDS, abs=2)


def test_a_confirmed_cluster_needs_no_lease(clock):
    master = Master()
    head, _ = make(clock, master, head=True, lease=True)
    clock.events.append((clock.now + 5, lambda: master.keys.update({store.CONFIRMED: b"1"})))
    stop_at(clock, master, 300)
    head.run()
    assert master.ended is None
    assert clock.now >= 1300


def test_a_supervisor_without_a_master_stops_ray_after_a_minute(clock, monkeypatch):
    monkeypatch.setattr(Post, "_note_refusal", lambda self: None)
    master = Master()
    master.keys[store.HEAD] = b"h:1"
    worker, node = make(clock, master)
    clock.events.append((clock.now + 5, lambda: setattr(master, "dead", True)))
    assert worker.run() == 0
    assert node.stopped == 1
    assert clock.now - 1005 == pytest.approx(60, abs=2)


def test_what_the_master_did_not_hear_is_told_again(clock, monkeypatch):
    """Silent for its first 20 s: the head is up all the same, and nobody takes its missing key for an order."""
    monkeypatch.setattr(Post, "_note_refusal", lambda self: None)
    master = Master()
    master.dead = True
    head, _ = make(clock, master, head=True)
    clock.events.append((clock.now + 20, lambda: setattr(master, "dead", False)))
    seen = []
    clock.events.append((clock.now + 25, lambda: seen.append((state_of(master).state, master.keys.get(store.HEAD)))))
    stop_at(clock, master, 30)
    assert head.run() == 0
    assert seen == [("ready", b"10.0.0.1:6379")]
    assert json.loads(master.keys[store.WANTED]) == {"workers": 1, "min_workers": 1}


@pytest.mark.parametrize(("used", "ended"), [(2100, True), (1000, False)])
def test_a_head_that_is_killed_for_its_memory_says_so(monkeypatch, used, ended):
    master = Master()
    state = store.NodeState(
        container="c", service="head_0", role="head", host="h", ip="127.0.0.2", cpus=0, gpus=0, memory=2048 << 20,
        object_store=1,
    )  # fmt: skip
    monkeypatch.setattr(last_moments.processes, "resident", lambda: used << 20)
    monkeypatch.setattr(last_moments, "_drop_everything", lambda *_: None)
    last_moments._say_why_and_drop(Post(master, state), 15, None)
    said = "the Ray head was killed by its NodeManager: 2.1 GiB of 2 GiB physical memory used"
    assert master.ended == (("FAILED", said) if ended else None)


def test_ray_spills_with_one_process_unless_the_user_says_otherwise(tmp_path):
    assert ray_environ.of(tmp_path, tmp_path / "logs")["RAY_max_io_workers"] == "1"
    (tmp_path / "variables.json").write_text('{"RAY_max_io_workers": "4", "RAY_AUTH_MODE": "disabled"}')
    told = ray_environ.of(tmp_path, tmp_path / "logs")
    assert (told["RAY_max_io_workers"], told["RAY_AUTH_MODE"]) == ("4", "token")
