"""How long a cluster may live, with a clock that is set and a Ray that does as it is told."""

import pytest
from supervised import Master, make, stop_at

from rayyarn import store
from rayyarn.container.activity import Seen
from rayyarn.container.limits import Limits

NODES = [{"name": "container_0", "alive": True}, {"name": "container_9", "alive": False}]


class Activity:
    busy, drivers = False, ()

    def look(self, nodes):
        assert [node["name"] for node in nodes] == ["container_0"], "the dead are not asked"
        return Seen(self.busy, self.drivers)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def after(limits, clock, seconds, *, usable=True):
    """What is said on the way: a beat a second."""
    for _ in range(int(seconds)):
        clock.now += 1
        ended = limits.over(NODES, usable=usable)
        if ended:
            return clock.now, *ended
    return None


def test_a_cluster_with_a_job_is_not_idle():
    clock = Clock()
    limits = Limits(idle=60, lifetime=0, activity=Activity(), clock=clock)
    for _ in range(300):
        clock.now += 1
        assert limits.over(NODES, usable=True, jobs=True) is None
    assert after(limits, clock, 120)[1] == "SUCCEEDED"


def test_a_lifetime_ends_whatever_goes_on():
    clock, activity = Clock(), Activity()
    activity.busy = True
    limits = Limits(0, 60, activity, clock)
    assert after(limits, clock, 100) == (60, "FAILED", "ended after 1m, its max-lifetime")


def test_without_limits_nobody_is_asked():
    clock = Clock()
    assert after(Limits(0, 0, None, clock), clock, 100) is None


def test_idle_time_counts_from_the_last_work():
    clock, activity = Clock(), Activity()
    limits = Limits(60, 0, activity, clock)
    assert after(limits, clock, 50) is None
    assert limits.state.since is not None
    activity.busy = True
    assert after(limits, clock, 20) is None
    assert limits.state == store.Idle()
    activity.busy, activity.drivers = False, ("10.0.0.5 pid 12",)
    at, status, why = after(limits, clock, 100)
    assert 125 <= at <= 131
    assert (status, why) == ("SUCCEEDED", "ended after 1m without work, its idle-timeout")
    assert limits.state.drivers == ("10.0.0.5 pid 12",), "attached and silent is no work, but said"


def test_a_cluster_that_comes_up_is_not_idle():
    clock = Clock()
    limits = Limits(60, 0, Activity(), clock)
    assert after(limits, clock, 500, usable=False) is None
    at, *_ = after(limits, clock, 100)
    assert 560 <= at <= 566
    assert after(Limits(0, 60, Activity(), clock), clock, 100, usable=False)[1] == "FAILED", (
        "a lifetime counts from birth"
    )


def test_the_time_since_when_it_is_idle_does_not_move():
    clock = Clock()
    limits = Limits(600, 0, Activity(), clock)
    after(limits, clock, 10)
    since = limits.state
    after(limits, clock, 30)
    assert limits.state == since, "it would be written to the store at each look"
    assert store.Idle.from_json(since.to_json()) == since


@pytest.mark.parametrize("ended", [("FAILED", "ended after 1m, its max-lifetime"), None])
def test_a_head_that_reaches_a_limit_says_so(clock, ended):
    class Limits:
        state = store.Idle()

        def over(self, nodes, *, usable, jobs):
            self.state = store.Idle(since=5.0)
            return ended if clock.now > 1060 else None

    master = Master()
    head, node = make(clock, master, head=True, limits=Limits())
    if ended is None:
        stop_at(clock, master, 90)
    assert head.run() == 0
    assert master.ended == ended
    assert node.stopped == 1
    assert store.Idle.from_json(master.keys[store.IDLE]) == store.Idle(since=5.0)
