"""The verdict on a cluster, in every case; and what the register and the store say."""

import json
from dataclasses import replace

import pytest

from rayyarn import register, state, store
from rayyarn.state import join
from rayyarn.yarn_report import App, app_order

APP = App("application_1_0002", "rayyarn-demo", "me", "etl", "RUNNING", "UNDEFINED", "",
          tuple(register.tags("demo", "abc", "9f31", 2)), 10_000, 0, "n1:7000", 0.1)  # fmt: skip


def node(number, role="worker", said="ready", words=""):
    return store.NodeState(f"c{number}", f"{role}_{number}", role, f"n{number}", "10.0.0.1", state=said, since=5.0,
                           memory=1 << 30, last_words=words)  # fmt: skip


def keys(*nodes, wanted=2, least=2, **more):
    found = {store.NODE + one.container: one.to_json() for one in nodes}
    found[store.WANTED] = json.dumps({"workers": wanted, "min_workers": least}).encode()
    return found | {key: value.encode() for key, value in more.items()}


HEAD = node(0, "head")
CASES = {
    "ended well": (replace(APP, state="FINISHED", final="SUCCEEDED", am=None), None, "stopped", ""),
    "ended badly": (replace(APP, state="FINISHED", final="FAILED", diagnostics="head lost"), None, "failed",
                    "head lost"),
    "killed without a word": (replace(APP, state="KILLED", final="KILLED"), None, "failed", "KILLED"),
    "accepted": (replace(APP, state="ACCEPTED", am=None), None, "starting", "ACCEPTED in queue 'etl'"),
    "no master yet": (replace(APP, am=None), None, "starting", "the master starts"),
    "a silent master": (APP, None, "starting", "the application master does not answer"),
    "no head yet": (APP, {}, "starting", "the head's container is not there yet, or unpacks its environment"),
    "the head starts": (APP, keys(node(0, "head", "starting")), "starting", "the head is starting"),
    "the head tries again": (APP, keys(node(0, "head", "restarting", "no disk")), "starting", "no disk"),
    "the head stops": (APP, keys(node(0, "head", "stopping", "told to stop")), "stopping", "told to stop"),
    "the head has stopped": (APP, keys(node(0, "head", "stopped", "told to stop")), "stopping", "told to stop"),
    "one worker": (APP, keys(HEAD, node(1)), "starting", "1 of 2 workers"),
    "one worker says why": (APP, keys(HEAD, node(1, said="restarting", words="no disk"), node(2)), "starting",
                            "1 of 2 workers; n1: no disk"),
    "all workers": (APP, keys(HEAD, node(1), node(2)), "ready", ""),
    "more than all": (APP, keys(HEAD, node(1), node(2), node(3)), "ready", ""),
    "enough workers": (APP, keys(HEAD, node(1), least=1), "degraded", "1 of 2 workers"),
    "once usable": (APP, keys(HEAD, connection="{}"), "degraded", "0 of 2 workers"),
    "no workers wanted": (APP, keys(HEAD, wanted=0, least=0), "ready", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_verdict(case):
    app, seen, verdict, why = CASES[case]
    found = join(app, seen, now=70.0)
    assert (found.state, found.why) == (verdict, why)


def test_what_is_known_of_a_cluster():
    ray = json.dumps([{"name": "c0", "alive": True}, {"name": "c1", "alive": False}])
    found = join(APP, keys(node(1), HEAD, head="10.0.0.1:6379", ray=ray), now=70.0, connection_file="/c.json")
    assert (found.name, found.queue, found.application, found.environment) == ("demo", "etl", APP.id, "9f31")
    assert (found.workers, found.wanted, found.age, found.address) == (1, 2, 60.0, "10.0.0.1:6379")
    assert [(one.role, one.in_ray) for one in found.nodes] == [("head", True), ("worker", False)]
    assert "last_words" not in found.nodes[0].summary()
    assert json.dumps(found.to_dict())


def test_the_age_of_what_ended_stands_still():
    ended = replace(APP, state="FINISHED", final="SUCCEEDED", finished=40_000)
    assert join(ended, None, now=9e9).age == 30.0


@pytest.mark.parametrize(("ready", "wanted", "verdict"), [(2, 2, "ready"), (1, 2, "degraded"), (0, 0, "ready"),
                                                          (0, 3, "degraded"), (6, 7, "degraded")])  # fmt: skip
def test_a_list_needs_yarn_alone(ready, wanted, verdict):
    tags = tuple(register.tags("demo", "abc", "9f31", wanted))
    found = state.brief(replace(APP, tags=tags, progress=store.progress(ready, wanted)), now=70.0)
    assert (found.state, found.workers, found.wanted) == (verdict, ready, wanted)


def test_a_list_knows_what_only_starts():
    assert state.brief(APP, now=70.0).state == "starting"
    accepted = replace(APP, state="ACCEPTED", am=None, progress=0.0)
    assert state.brief(accepted, now=70.0).why == "ACCEPTED in queue 'etl'"


def test_a_cluster_that_keeps_beside_is_asked_itself_and_says_what_it_did():
    """The number of its workers changes: YARN's tag has the one of its `up`."""
    kept = replace(APP, tags=(*APP.tags, register.KEPT), progress=store.progress(1, 1))
    assert state.brief(kept, now=70.0).state == "starting"
    told = store.Kept("n3 got a worker", 60.0, without={"n1": 30.0})
    found = join(kept, keys(HEAD, node(1), wanted=1, least=1, kept=told.to_json().decode()), now=70.0)
    assert (found.state, found.workers, found.wanted, found.kept) == ("ready", 1, 1, told)


# --- the register ---


class Rm:
    def __init__(self, *apps):
        self._apps = apps

    def apps(self, *, tag, states=("RUNNING",)):
        return [app for app in sorted(self._apps, key=lambda app: app_order(app.id)) if tag in app.tags]


def app(number, name, **more):
    return replace(APP, id=f"application_1_{number}", name=f"rayyarn-{name}",
                   tags=tuple(register.tags(name, "abc", "9f31", 2)), **more)  # fmt: skip


def test_the_lowest_id_is_the_cluster_even_past_four_digits():
    rm = Rm(app("10000", "demo"), app("9999", "demo"), app("0007", "other"))
    found = register.find(rm, "demo")
    assert found is not None
    assert found.id == "application_1_9999"
    assert [one.id for one in register.candidates(rm, "demo")] == ["application_1_9999", "application_1_10000"]
    assert [register.name_of(one) for one in register.clusters(rm)] == ["other", "demo"]


def test_a_name_that_looks_like_a_tag_of_ours_finds_nothing_else():
    """`rayyarn-spec-abc` is a cluster's tag and cannot be mistaken for the cluster `spec-abc`."""
    demo, spec = app("0001", "demo"), app("0002", "spec-abc")
    rm = Rm(demo, spec)
    found = register.find(rm, "spec-abc")
    assert found == spec
    assert register.digest_of(spec) == "abc"
    assert register.fingerprint_of(demo) == "9f31"
    assert register.workers_of(demo) == 2
    assert register.find(Rm(demo), "spec-abc") is None
    assert register.find(Rm(demo), "env-9f31") is None


def test_tags_are_lower_case_as_yarn_folds_them():
    tags = register.tags("demo", "abc", "9f31", 2)
    assert [tag.lower() for tag in tags] == tags


def test_environments_in_use():
    assert register.fingerprints_in_use(Rm(app("0001", "a"), replace(APP, tags=("rayyarn",)))) == {"9f31"}


# --- the store ---


def test_the_counters_of_a_cached_container():
    assert store.parse_localization("1024,900,2,5,350") == {
        "bytes_fetched": 1024, "bytes_cached": 900, "files_fetched": 2, "files_cached": 5, "milliseconds": 350,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "1,2", "1,2,3,4,5,6", "a,b,c,d,e"])
def test_counters_of_another_kind_are_left_alone(text):
    assert store.parse_localization(text) == {}


def test_a_newer_supervisor_may_say_more():
    value = json.loads(HEAD.to_json()) | {"mood": "fine"}
    assert store.NodeState.from_json(json.dumps(value).encode()) == HEAD
