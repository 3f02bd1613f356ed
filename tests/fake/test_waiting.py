"""The wait of an `up`: what it says meanwhile, when it gives up, and that nothing stays then."""

import threading

import pytest
from sites import left

from rayyarn import cluster, session, store, waiting
from rayyarn.errors import ClusterFailed, ConnectionUnusable, NotReady, RayYarnError, YarnUnreachable
from rayyarn.rm import ResourceManager
from rayyarn.spec import ClusterSpec
from rayyarn.steps import Reporter

SPEC = ClusterSpec(name="demo", workers=2, ready_timeout=0.1)


def test_a_head_that_never_comes_is_not_ready_and_taken_back(yarn, site, tmp_path):
    yarn.head = None
    with pytest.raises(NotReady, match=r"not usable after 0\.1 s .*, waiting for the head; last seen: the head's"):
        cluster.up(SPEC)
    assert yarn.live() == []
    assert left(site, tmp_path) == []


def test_an_application_that_stays_accepted_says_what_yarn_says(yarn, site, tmp_path):
    yarn.accept_only = True
    yarn.diagnostics = (
        "[Sun] Application is added to the scheduler and is not yet activated. Queue's AM resource limit exceeded.  "
        "Details : AM Partition = <DEFAULT_PARTITION>; AM Resource Request = <memory:512, vCores:1>; Queue Resource "
        "Limit for AM = <memory:1024, vCores:1>; User AM Resource Limit of the queue = <memory:1024, vCores:1>; Queue "
        "AM Resource Usage = <memory:1024, vCores:2>;"
    )
    with pytest.raises(NotReady) as caught:
        cluster.up(SPEC)
    assert "ACCEPTED in queue 'root.default': Application is added to the scheduler" in caught.value.message
    assert caught.value.message.endswith("<memory:512, vCores:1> asked, <memory:1024, vCores:2> of <memory:1024, "
                                         "vCores:1> in use")  # fmt: skip
    assert caught.value.hint == "yarn application -list   # end one, or take another queue: --queue NAME"
    assert yarn.live() == []
    assert left(site, tmp_path) == []


def test_an_application_that_ends_while_it_is_awaited(yarn, site, tmp_path, monkeypatch):
    submit = yarn.submit

    def dies(document):
        app_id = submit(document)
        yarn.end(app_id, "FINISHED", "FAILED", "the Ray head does not start: No module named 'ray'")
        return app_id

    monkeypatch.setattr(yarn, "submit", dies)
    with pytest.raises(RayYarnError, match="the environment has no module ray"):
        cluster.up(SPEC)
    assert left(site, tmp_path) == []


def test_workers_that_keep_ending_are_not_waited_for(yarn, site, tmp_path, monkeypatch):
    monkeypatch.setattr(waiting, "_HOPELESS_AFTER", 0.0)
    yarn.workers = 0
    text = "714.7 MB of 256 MB physical memory used"
    failed = [{"service": f"worker_{n}", "state": "FAILED", "container": f"c{n}", "exit_message": text}
              for n in range(4)]  # fmt: skip
    yarn.containers["application_1_0001"] = failed
    with pytest.raises(ClusterFailed, match=r"killed a container for its memory: 714\.7 MB of 256 MB used"):
        cluster.up(SPEC)
    assert yarn.live() == []
    assert left(site, tmp_path) == []


def test_a_wait_for_room_says_how_much_there_is(yarn, site, monkeypatch):
    monkeypatch.setattr(waiting, "_NEWS_AFTER", 0.0)
    yarn.workers = 1
    asked = {"state": "REQUESTED", "service": "worker_1", "container": "", "exit_message": ""}
    yarn.containers["application_1_0001"] = [asked]
    with pytest.raises(NotReady) as caught:
        cluster.up(SPEC)
    assert caught.value.message.endswith(
        "1 of 2 workers; YARN has not given 1 container of 4 GiB yet: the most that is free on a node is 64 GiB (n1), "
        "queue 'root.default', 12% used"
    )


def test_an_unpacking_head_is_told_from_one_that_yarn_has_not_given(yarn, site, monkeypatch):
    monkeypatch.setattr(waiting, "_NEWS_AFTER", 0.0)
    yarn.head, yarn.workers = None, 0
    running = {"state": "RUNNING", "service": "head_0", "container": "container_1", "exit_message": ""}
    yarn.containers["application_1_0001"] = [running]
    with pytest.raises(NotReady, match="waiting for the head; last seen: its container unpacks the environment"):
        cluster.up(SPEC)


def test_the_wait_for_the_head_tells_of_full_hosts_too(yarn, site, monkeypatch):
    monkeypatch.setattr(waiting, "_NEWS_AFTER", 0.0)
    yarn.head, yarn.workers = None, 0
    running = {"state": "RUNNING", "service": "head_0", "container": "container_1", "exit_message": ""}
    asked = {"state": "REQUESTED", "service": "worker1_0", "container": "", "exit_message": ""}
    yarn.containers["application_1_0001"] = [running, asked]
    with pytest.raises(NotReady) as caught:
        cluster.up(ClusterSpec(name="demo", hosts=("n1",), ready_timeout=0.1))
    assert caught.value.message.endswith(
        "last seen: its container unpacks the environment; YARN has not given 1 container yet: n1: 4 GiB asked, 64 GiB "
        "free; queue 'root.default', 12% used"
    )


def test_a_resource_manager_that_is_away_for_a_moment_is_waited_for(yarn, site, monkeypatch):
    monkeypatch.setattr(waiting, "_AWAY_LOOK", 0.01)
    ask, away = ResourceManager.app, [YarnUnreachable("no ResourceManager answers")] * 5

    def sometimes(rm, app_id):
        if "look" in yarn.reached and away:
            raise away.pop()
        return ask(rm, app_id)

    monkeypatch.setattr(ResourceManager, "app", sometimes)
    notes = []
    reporter = Reporter()
    monkeypatch.setattr(reporter, "note", notes.append)
    spec = ClusterSpec(name="demo", workers=2, ready_timeout=20)
    assert cluster.up(spec, reporter=reporter).state == "ready"
    assert away == []
    assert notes == ["no ResourceManager answers: waiting up to 60 s for it"]


def test_a_cluster_that_somebody_stops_meanwhile(yarn, site, tmp_path, monkeypatch):
    monkeypatch.setattr(yarn, "at", lambda point: point == "look" and cluster.down("demo"))
    with pytest.raises(ClusterFailed, match="was stopped by `rayyarn down` while it came up"):
        cluster.up(SPEC)
    assert left(site, tmp_path) == []


def test_joining_waits_for_the_other_up(yarn, site, tmp_path):
    yarn.head = "starting"
    spec = ClusterSpec(name="demo", workers=2, ready_timeout=20)
    results = []
    first = threading.Thread(target=lambda: results.append(cluster.up(spec)))
    first.start()
    while "look" not in yarn.reached:
        pass
    second = threading.Thread(target=lambda: results.append(cluster.up(spec)))
    second.start()
    second.join(0.5)
    assert results == []
    yarn.head = "ready"
    yarn.stores["application_1_0001"].update(yarn._store(yarn.submitted[0]))
    for thread in (first, second):
        thread.join(20)
    assert [result.application for result in results] == ["application_1_0001"] * 2
    assert sorted(result.changed for result in results) == [False, True]


def test_without_waiting_the_cluster_needs_no_lease(yarn, site):
    result = cluster.up(SPEC, wait=False)
    assert (result.state, result.address, result.connection_file) == ("starting", None, None)
    assert '"lease": false' in yarn.submitted[0]["services"]["head"]["script"]
    assert cluster.up(SPEC).address == "127.0.0.1:6379"


def test_workers_that_are_not_wanted_any_more_are_not_waited_for(yarn, site, monkeypatch):
    """Where workers follow executors, there may be fewer by now than its `up` asked for."""
    cluster.up(SPEC, wait=False)
    keys = yarn.stores["application_1_0001"]
    keys.update({store.WANTED: b'{"workers": 1, "min_workers": 1}'})
    del keys[next(key for key in keys if key.startswith(store.NODE) and b"worker" in keys[key])]
    result = cluster.up(SPEC)
    assert (result.changed, result.state, result.workers) == (False, "ready", 1)


def test_a_cluster_that_nobody_waited_for_is_found_by_its_first_user(yarn, site):
    yarn.head = "starting"
    cluster.up(SPEC, wait=False)
    with pytest.raises(ConnectionUnusable, match="demo is still starting"):
        session.find("demo")
    yarn.head = "ready"
    yarn.stores["application_1_0001"] = yarn._store(yarn.submitted[0])
    found = session.find("demo")
    assert found.ray["address"] == "127.0.0.1:6379"
    assert [node["ip"] for node in found.nodes] == ["127.0.0.1"] * 3
    assert found.application["am"] == "127.0.0.1:7000"
    assert found.secret("token").exists()
    assert store.CONNECTION in yarn.stores["application_1_0001"]
