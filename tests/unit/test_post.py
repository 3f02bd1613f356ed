"""When a supervisor gives up on its master, by the clock."""

import socket

import pytest

from rayyarn import store
from rayyarn.container.post import Post
from rayyarn.skein_am import MasterUnreachable

STATE = store.NodeState("container_1", "worker_0", "worker", "n1", "10.0.0.1")


class Master:
    address = "10.0.0.9:7000"

    def __init__(self):
        self.keys, self.dead, self.writes = {}, False, 0

    def read(self, prefix=""):
        if self.dead:
            raise MasterUnreachable("connection lost")
        return {key: value for key, value in self.keys.items() if key.startswith(prefix)}

    def write(self, key, value, *, owner=None):
        if self.dead:
            raise MasterUnreachable("connection lost")
        self.writes += 1
        self.keys[key] = value


@pytest.fixture
def world(monkeypatch):
    """A post with its master, a clock, and what a connection to the master's port would say."""

    class World:
        now, port = 0.0, "silent"

    one = World()
    one.master = Master()
    one.post = Post(one.master, STATE, lambda: one.now)

    class Link:
        def close(self):
            pass

    def connect(address, timeout):
        assert address == ("10.0.0.9", 7000)
        if one.port == "refused":
            raise ConnectionRefusedError
        if one.port == "silent":
            raise TimeoutError
        return Link()

    monkeypatch.setattr(socket, "create_connection", connect)
    one.post.announce()
    return one


def verdicts(world, *moments):
    found = []
    for moment in moments:
        world.now = moment
        found.append(world.post.verdict())
    return found


def test_all_is_well(world):
    assert verdicts(world, 1, 100, 1000) == [None, None, None]


def test_its_own_key_is_gone(world):
    del world.master.keys[store.ALIVE + "container_1"]
    assert verdicts(world, 1) == ["told to stop"]


def test_a_refused_connection_is_believed_after_five_seconds(world):
    world.master.dead, world.port = True, "refused"
    assert verdicts(world, 1, 3, 5.9, 6) == [None, None, None, "the application master is gone"]


def test_silence_is_believed_after_a_minute(world):
    world.master.dead = True
    assert verdicts(world, 1, 30, 59, 60) == [None, None, None, "no word from the application master for 60 s"]


def test_a_refusal_that_passes_is_forgotten(world):
    world.master.dead, world.port = True, "refused"
    assert verdicts(world, 1, 4) == [None, None]
    world.port = "silent"
    assert verdicts(world, 5) == [None]
    world.port = "refused"
    assert verdicts(world, 7, 11, 12) == [None, None, "the application master is gone"]


def test_an_answer_starts_the_clocks_anew(world):
    world.master.dead = True
    assert verdicts(world, 50) == [None]
    world.master.dead = False
    assert verdicts(world, 55) == [None]
    world.master.dead = True
    assert verdicts(world, 100, 114, 116) == [None, None, "no word from the application master for 61 s"]


def test_a_state_is_told_once_and_again_when_it_was_not_heard(world):
    before = world.master.writes
    for _ in range(3):
        world.post.say(STATE)
    assert world.master.writes == before + 1
    world.master.dead = True
    world.post.say(store.NodeState(**{**vars(STATE), "state": "ready"}))
    world.master.dead = False
    world.post.say(world.post.state)
    assert store.NodeState.from_json(world.master.keys["node/container_1"]).state == "ready"


def lease(world, moment, count=None):
    if count is not None:
        world.master.keys[store.LEASE] = count
    world.now = moment
    return world.post.lease_over()


def test_a_lease_that_moves_goes_on_and_one_that_stands_still_ends(world):
    assert [lease(world, second, b"%d" % second) for second in range(30)] == [False] * 30
    last = 29
    assert not lease(world, last + store.LEASE_SECONDS - 0.1)
    assert lease(world, last + store.LEASE_SECONDS)


def test_a_lease_that_never_began_ends_too(world):
    assert not lease(world, store.LEASE_SECONDS - 0.1)
    assert lease(world, store.LEASE_SECONDS)


def test_a_confirmed_cluster_has_no_lease(world):
    world.master.keys[store.CONFIRMED] = b"1"
    assert not lease(world, 10_000)


def test_a_master_that_does_not_answer_says_nothing_of_the_lease(world):
    world.master.dead = True
    assert not lease(world, 10_000)
