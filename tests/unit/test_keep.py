"""Hosts of executors over time, and which workers are asked for and let go: decisions alone."""

import pytest

from rayyarn.container.keep import Keep, Worker

HOSTS = ("n1", "n2", "n3", "n4")


def rules(**given):
    return Keep(HOSTS, **{"per_host": 1, "least": 1, "most": None, "grace": 60, "every": 10, **given})


class World:
    """A YARN that gives what is asked for at once, and a Ray that gives back all but the workers of ``busy`` hosts."""

    def __init__(self, keep, *hosts):
        self.keep, self.busy, self.calls, self.made = keep, set(), [], 0
        self.workers = []
        for host in hosts:
            self.add(host)

    def add(self, host):
        self.made += 1
        self.workers.append(Worker(f"{host}-{self.made}", host, f"container_{self.made}", ready=True))

    def look(self, executors, now):
        self.keep.saw(dict.fromkeys(executors.split(), 1), now)
        for host, count in self.keep.grow(self.workers).items():
            self.calls.append((now, f"+{host}"))
            while sum(worker.host == host for worker in self.workers) < count:
                self.add(host)
        for worker in self.keep.spare(self.workers):
            if worker.host not in self.busy and not self.keep.bound(worker, self.workers):
                self.calls.append((now, f"-{worker.host}"))
                self.workers.remove(worker)

    def hosts(self):
        return sorted(worker.host for worker in self.workers)


@pytest.mark.parametrize(
    ("given", "executors", "calls"),
    [
        # Nothing moves.
        ({}, ["n1"] * 20, []),
        # A new host gets a worker at the first look, the old one gives its own back after the grace.
        ({}, ["n1", "n1 n2", *["n2"] * 8], [(10, "+n2"), (70, "-n1")]),
        # Executors that come back in time: nothing is given back, and the time begins anew.
        ({}, ["n1 n2", *["n2"] * 5, "n1 n2", *["n2"] * 5], [(0, "+n2")]),
        # No executor anywhere, as between two stages: one worker stays, for ever.
        ({}, ["n1 n2 n3", *[""] * 30], [(0, "+n2"), (0, "+n3"), (60, "-n1"), (60, "-n2")]),
        ({"least": 2}, ["n1 n2 n3", *[""] * 30], [(0, "+n2"), (0, "+n3"), (60, "-n1")]),
        ({"least": 0}, ["n1", *[""] * 30], [(60, "-n1")]),
        # The one that stays goes as soon as another is there in its place.
        ({}, ["n1", *[""] * 10, "n2", "n2"], [(110, "+n2"), (110, "-n1")]),
        # A host that `up` did not prepare is left out.
        ({}, ["n1 n9"] * 3, []),
        # Two a host.
        ({"per_host": 2}, ["n1 n2", *["n2"] * 7], [(0, "+n1"), (0, "+n2"), (60, "-n1"), (60, "-n1")]),
        # No more than asked for in all; whole hosts only; a place that becomes free is taken.
        ({"most": 2}, ["n1 n2 n3", *["n2 n3"] * 8], [(0, "+n2"), (60, "-n1"), (70, "+n3")]),
        ({"most": 3, "per_host": 2}, ["n1 n2"] * 3, [(0, "+n1")]),
        # YARN writes hosts in its own way.
        ({}, ["N1 N2"] * 10, [(0, "+n2")]),
    ],
)  # fmt: skip
def test_executors_come_and_go(given, executors, calls):
    world = World(rules(**given), "n1")
    for number, seen in enumerate(executors):
        world.look(seen, 10 * number)
    assert world.calls == calls


def test_a_worker_in_use_is_asked_again_until_it_may_go():
    world = World(rules(), "n1", "n2")
    world.busy.add("n1")
    for now in range(0, 200, 10):
        world.look("n2", now)
    assert world.calls == []
    world.busy.clear()
    world.look("n2", 200)
    assert world.calls == [(200, "-n1")]


def test_time_in_which_nobody_could_look_does_not_count():
    world = World(rules(), "n1", "n2")
    world.look("n1 n2", 0)
    world.look("n2", 1000)  # it may have had executors until a moment ago
    assert world.keep.without("n1") == 20
    world.look("n2", 1010)
    assert world.calls == []
    for now in range(1020, 1100, 10):
        world.look("n2", now)
    assert world.calls == [(1040, "-n1")]


def test_hosts_with_most_executors_come_first():
    keep = rules(most=2)
    keep.saw({"n1": 1, "n2": 5, "n3": 3, "N9": 9}, 0)
    assert keep.grow([]) == {"n2": 1, "n3": 1}
    assert keep.refused([]) == ("n1",)
    assert keep.strange == ("N9",)


def test_a_ready_worker_goes_only_when_ready_ones_are_left():
    keep = rules()
    ready, starting = Worker("a", "n1", "c1", ready=True), Worker("b", "n2", "c2")
    assert keep.bound(ready, [ready, starting]) == "1 of the workers always stay"
    assert keep.bound(starting, [ready, starting]) == ""
    assert keep.bound(starting, [starting]) == "1 of the workers always stay"
