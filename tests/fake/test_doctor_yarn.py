"""What the doctor finds in YARN, over real HTTP, good and bad; what hangs holds up nothing else."""

import dataclasses
import time
from email.utils import formatdate

import pytest
from doctors_edge import EVERYBODY, NM, NOBODY, nobody
from sites import make_site
from yarn import Manager

from rayyarn.doctor import yarn as yarn_checks
from rayyarn.spec import ClusterSpec, WorkerSpec

# --- YARN ------------------------------------------------------------------------------------------------------


def test_a_dead_resource_manager_holds_up_nothing_else(edge, tmp_path):
    address = nobody()
    edge.use(make_site(tmp_path, address))
    found = edge.look()
    assert found["resource_manager"].verdict == "problem"
    assert f"http://{address} does not answer: [Errno 111] Connection refused" in found["resource_manager"].text
    assert found["not_looked_at"].text.startswith("without a ResourceManager that answers: clock, NodeManagers, queue")
    assert (found["file_system"].verdict, found["environment"].verdict) == ("ok", "ok")
    assert edge.result.seconds < 10


def test_a_hanging_resource_manager_is_left_at_its_deadline(edge):
    edge.manager.mood = "hangs"
    found = edge.look()
    assert edge.result.seconds < 10
    assert found["resource_manager"].verdict == "problem"
    assert "does not answer" in found["resource_manager"].text
    assert found["environment"].verdict == "ok"


def test_a_name_that_hangs_is_a_finding(edge, monkeypatch):
    from rayyarn.doctor import facts

    monkeypatch.setattr(facts.web, "get", lambda *_: time.sleep(20))
    found = edge.look()
    assert (found["resource_manager"].verdict, found.get("reach")) == ("problem", None)
    assert "no answer within" in found["resource_manager"].text
    assert edge.result.seconds < 10


@pytest.mark.parametrize("how", ["redirect", "standby", "info"])
def test_a_standby_is_told_apart_from_the_active_one(edge, yarn, tmp_path, how):
    other = Manager(yarn, "ok" if how == "info" else how)
    other.info["haState"] = "STANDBY"
    try:
        site = make_site(tmp_path, other.address, edge.manager.address)
        edge.use(dataclasses.replace(site, environ=edge.site.environ))
        found = edge.look()
        assert edge.result.problems == ()
        text = f"http://{other.address} stands by; http://{edge.manager.address} is active (Hadoop 3.5.0)"
        assert (found["resource_manager"].verdict, found["resource_manager"].text) == ("ok", text)
        edge.manager.info["haState"] = "STANDBY"
        found = edge.look()["resource_manager"]
        assert (found.verdict, found.fix) == ("problem", "yarn rmadmin -getAllServiceState")
        assert found.means == "rayyarn can do nothing on this YARN before one of its ResourceManagers is active"
    finally:
        other.close()


def test_one_of_two_is_down(edge, tmp_path):
    edge.use(make_site(tmp_path, nobody(), edge.manager.address))
    found = edge.look()["resource_manager"]
    assert (found.verdict, found.means) == ("note", "rayyarn works now, and stops when the active one fails")


@pytest.mark.parametrize("mood", [401, 403, "garbage"])
def test_a_resource_manager_that_lets_nobody_in(edge, mood):
    edge.manager.mood = mood
    found = edge.look()["resource_manager"]
    assert found.verdict == "problem"
    assert ("lets nobody in over REST" in found.text) == (mood != "garbage")


@pytest.mark.parametrize(("skew", "verdict"), [(0, "ok"), (60, "note"), (-60, "note"), (900, "problem")])
def test_the_clock(edge, skew, verdict):
    edge.manager.date = formatdate(time.time() + skew, usegmt=True)
    found = edge.look()["clock"]
    assert found.verdict == verdict
    if skew:
        assert ("behind" if skew > 0 else "ahead of") in found.text
        assert abs(int(found.text.split()[0]) - abs(skew)) <= 3


def test_nodes_that_are_away(edge):
    ill = {**edge.manager.nodes[0], "nodeHostName": "n2", "state": "UNHEALTHY", "healthReport": "1/1 local-dirs full"}
    edge.manager.nodes.append(ill)
    found = edge.look()["nodes"]
    assert found.verdict == "note"
    assert found.text == "1 running, 1 unhealthy: 64 GiB and 16 CPUs; n2: 1/1 local-dirs full"
    edge.manager.nodes = [ill]
    found = edge.look()
    assert (found["nodes"].verdict, found["nodes"].means) == ("problem", "no container can start")
    assert "room now" in found["not_looked_at"].text


def test_queues(edge):
    edge.spec = ClusterSpec(queue="nosuch")
    found = edge.look()["queue"]
    assert (found.verdict, found.text) == ("problem", "no queue named 'nosuch'; YARN has: default")
    edge.spec = ClusterSpec(queue="default")
    edge.manager.queues[0] |= {"numApplications": 5, "maxApplications": 5}
    assert edge.look()["queue_full"].verdict == "problem"
    edge.manager.queues[0] |= {"state": "STOPPED"}
    assert edge.look()["queue"].text == "queue 'default' is STOPPED"
    edge.spec = ClusterSpec()
    edge.manager.queues = [{"queueName": "etl", "state": "RUNNING"}]
    found = edge.look()["queue"]
    assert (found.verdict, found.fix) == ("note", "export RAYYARN_QUEUE=etl")


def test_rights_on_a_queue(edge, monkeypatch):
    from rayyarn import rm, yarn_report

    edge.manager.settings["yarn.acl.enable"] = "true"
    assert "does not tell who may use it" in edge.look()["queue"].text
    tree = {"queueName": "root", "queueAcls": NOBODY,
            "queues": {"queue": [{"queueName": "default", "queueAcls": NOBODY}]}}  # fmt: skip
    monkeypatch.setattr(rm.ResourceManager, "queues", lambda _: list(yarn_report.read_queues(tree, "")))
    found = edge.look()["queue"]
    assert (found.verdict, found.text) == ("problem", "root.default does not name me among its users")
    tree["queueAcls"] = EVERYBODY  # what is allowed above is allowed below
    assert edge.look()["queue"].text.endswith("me may use it")


def test_access_lists_as_yarn_writes_them():
    assert yarn_checks.may_submit(["*"], "me", [])
    assert yarn_checks.may_submit([" ", "you,me"], "me", [])
    assert yarn_checks.may_submit(["you team,other"], "me", ["other"])
    assert not yarn_checks.may_submit([" ", "", "you", "you team"], "me", ["mine"])


def test_a_worker_that_no_node_can_hold(edge):
    edge.spec = ClusterSpec(worker=WorkerSpec(memory=100 << 30))
    found = edge.look()["largest_container"]
    assert found.verdict == "problem"
    assert "100 GiB asked, and the largest node (n1) has 64 GiB" in found.text
    edge.spec = ClusterSpec(worker=WorkerSpec(memory=16 << 30))
    edge.manager.settings["yarn.scheduler.maximum-allocation-mb"] = "8192"
    found = edge.look()["largest_container"]
    assert (found.verdict, found.text.endswith("gives containers of at most 8 GiB")) == ("problem", True)
    edge.spec = ClusterSpec(queue="default", worker=WorkerSpec(memory=16 << 30))
    edge.manager.queues[0]["maximumAllocation"] = {"memory": 4096}
    assert "queue 'default' gives containers of at most 4 GiB" in edge.look()["largest_container"].text


def test_room(edge):
    edge.manager.nodes[0] |= {"availMemoryMB": 7000, "usedMemoryMB": 58536}
    found = edge.look()["room"]
    assert (found.verdict, found.text) == ("note", "for the head and 1 of a head of 2 GiB and 2 workers of 4 GiB")
    edge.manager.nodes[0]["availMemoryMB"] = 100
    assert edge.look()["room"].text.startswith("for not even the head of")


# --- the nodes -------------------------------------------------------------------------------------------------


def test_a_node_out_of_reach(edge):
    address = nobody()
    edge.manager.nodes.append({**edge.manager.nodes[0], "nodeHostName": "n2", "nodeHTTPAddress": address})
    found = edge.look()["reach"]
    assert (found.verdict, found.text) == ("note", f"no answer from {address}")
    del edge.manager.nodes[0]
    found = edge.look()
    assert found["reach"].verdict == "problem"
    assert found["reach"].fix == f"getent hosts n2 && curl -sI http://{address}"
    assert "virtual memory" in found["not_looked_at"].text


def test_of_many_nodes_a_sample_is_called(edge):
    edge.manager.nodes = [{**edge.manager.nodes[0], "nodeHostName": f"n{n}"} for n in range(100)]
    assert edge.look()["reach"].text.startswith("25 of 100 were tried, every web port answers")


def test_a_virtual_memory_check_that_kills(edge):
    edge.manager.settings |= {f"{NM}vmem-check-enabled": "true"}
    found = edge.look()["virtual_memory"]
    assert found.verdict == "problem"
    assert found.text == "checked at 2.1 times a container's memory on n1"
    assert "the head of 2 GiB may map 4.2 GiB and maps about 4.7 GiB" in found.means
    assert found.fix == "yarn.nodemanager.vmem-check-enabled=false   # in the nodes' yarn-site.xml"
    edge.manager.settings[f"{NM}vmem-pmem-ratio"] = "10"
    assert edge.look()["virtual_memory"].verdict == "note"


def test_a_virtual_memory_check_that_is_left_to_cgroups(edge):
    edge.manager.settings |= {f"{NM}vmem-check-enabled": "true", f"{NM}resource.memory.enforced": "true"}
    found = edge.look()
    assert (found["virtual_memory"].verdict, found["virtual_memory"].text) == (
        "ok", "the check is on but not made: memory is left to cgroups")  # fmt: skip
    assert (found["physical_memory"].verdict, found["physical_memory"].text) == ("note", "nobody watches it on n1")
    edge.manager.settings[f"{NM}resource.memory.enabled"] = "true"
    assert edge.look()["physical_memory"].text == "cgroups keep each container within its size"
    edge.manager.info["hadoopVersion"] = "3.1.4"  # before that rule came
    assert edge.look()["virtual_memory"].verdict == "problem"


def test_how_memory_is_counted(edge):
    assert "once for each process" in edge.look()["physical_memory"].text
    edge.manager.settings[f"{NM}container-monitor.procfs-tree.smaps-based-rss.enabled"] = "true"
    assert "shared pages once" in edge.look()["physical_memory"].text


def test_no_log_aggregation(edge):
    edge.manager.settings["yarn.log-aggregation-enable"] = "false"
    found = edge.look()["log_aggregation"]
    assert (found.verdict, found.text) == ("note", "off on n1")
    assert found.fix.startswith("yarn.log-aggregation-enable=true")


@pytest.mark.parametrize(("target", "verdict"), [("1024", "note"), ("1500", "note"), ("10240", "ok")])
def test_a_tiny_cache_on_the_nodes(edge, monkeypatch, target, verdict):
    from rayyarn.doctor import facts

    monkeypatch.setattr(facts, "_bytes_below", lambda _: 1_270_000_000)
    edge.manager.settings[f"{NM}localizer.cache.target-size-mb"] = target
    found = edge.look()["node_cache"]
    assert found.verdict == verdict
    assert found.text.endswith("the environment takes about 1.2 GiB there")
    assert ("every `rayyarn up` unpacks it again" in found.means) == (target == "1024")


def test_settings_that_nodes_keep_to_themselves(edge):
    edge.manager.settings = {}
    assert "virtual memory" in edge.look()["not_looked_at"].text
