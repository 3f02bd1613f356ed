"""Where workers go: hosts as YARN and Spark tell them, and what YARN can never give."""

from types import SimpleNamespace

import pytest

from rayyarn import placement, spark_apps
from rayyarn.errors import HostsUnusable, RequestTooLarge, SparkAppNotFound, SpecError
from rayyarn.placement import ANYWHERE, Placement
from rayyarn.room import Room
from rayyarn.spec import ClusterSpec, WorkerSpec
from rayyarn.yarn_report import App, Node

GIB = 1 << 30
ETL = "application_1_0007"


def node(host, memory=8192, free=8192, **more):
    return Node(host, "RUNNING", memory, free, 8, 8, **more)


def spark_app(app_id=ETL, name="etl", state="RUNNING", kind="SPARK"):
    return App(app_id, name, "me", "q", state, "", "", (), 0, 0, None, kind=kind)


def executor(number, host, active=True):
    return {"id": number, "hostPort": f"{host}:4711", "isActive": active}


class Rm:
    """A ResourceManager of three nodes and the Spark applications given; ``page`` is what Spark's web page says."""

    hadoop = SimpleNamespace(user="me")

    def __init__(self, *apps, page=None, containers=()):
        self.known, self.page, self.listed = apps, page, list(containers)
        self.hosts = [node("n1", rack="/r1"), node("n2", rack="/r2"), node("n3", rack="/r2", labels=("gpu",))]

    def nodes(self):
        return self.hosts

    def queues(self):
        return []

    def app(self, app_id):
        return next((app for app in self.known if app.id == app_id), None)

    def apps(self, *, states):
        return [app for app in self.known if app.state in states]

    def containers(self, app):
        return self.listed

    def proxied(self, app_id, path):
        if self.page is None:
            return None
        if path == "api/v1/applications":
            return [{"id": app_id, "attempts": [{"attemptId": "2"}, {"attemptId": "1"}]}]
        return self.page if path == f"api/v1/applications/{app_id}/2/executors" else None


def beside(**more):
    return ClusterSpec(name="x", beside="etl", **more)


PAGE = [executor("driver", "n2"), executor("1", "n3"), executor("2", "n1"), executor("3", "n3"),
        executor("4", "n2", active=False)]  # fmt: skip


def test_workers_go_where_the_executors_are_and_the_head_elsewhere():
    found = placement.resolve(beside(workers_per_host=2), Rm(spark_app(), page=PAGE))
    assert found == Placement(("n1", "n3"), per_host=2, head_hosts=("n2",), beside=ETL)
    assert found.workers(ClusterSpec()) == 4
    assert [found.host_of(service) for service in ("worker1", "worker2_3", "worker_0", "head_0")] == [
        "n1",
        "n3",
        None,
        None,
    ]


def test_the_head_goes_anywhere_when_the_other_hosts_are_full():
    rm = Rm(spark_app(), page=PAGE)
    rm.hosts[1] = node("n2", free=2047)
    assert placement.resolve(beside(), rm).head_hosts == ()


def test_executors_are_counted_by_host_and_lost_ones_left_out():
    assert spark_apps.executors(Rm(page=PAGE), spark_app()) == {"n1": 1, "n3": 2}


def test_an_application_without_a_page_is_seen_by_its_containers():
    listed = [
        {"containerId": f"container_1_0007_01_00000{number}", "nodeId": f"n{number}:45454"} for number in (1, 2, 3)
    ]
    assert spark_apps.executors(Rm(containers=listed), spark_app()) == {"n2": 1, "n3": 1}


@pytest.mark.parametrize(
    ("apps", "wanted", "message"),
    [
        ((), "etl", "no Spark application named 'etl' of user me runs"),
        ((spark_app(kind="MAPREDUCE"),), "etl", "no Spark application named 'etl' of user me runs"),
        ((spark_app(), spark_app("application_1_0008")), "etl",
         "2 Spark applications named 'etl' run: say which by its id (application_1_0007, application_1_0008)"),
        ((), ETL, f"{ETL} is not known to YARN"),
        ((spark_app(state="FINISHED"),), ETL, f"{ETL} is FINISHED"),
    ],
)  # fmt: skip
def test_an_application_that_is_not_there(apps, wanted, message):
    with pytest.raises(SparkAppNotFound) as error:
        spark_apps.find(Rm(*apps), wanted)
    assert error.value.message == message


def test_an_application_without_executors_says_so():
    with pytest.raises(SparkAppNotFound, match=r"application_1_0007 \(etl\) has no executor yet"):
        placement.resolve(beside(), Rm(spark_app(), page=[executor("driver", "n2")]))


def test_hosts_that_may_get_workers_later_are_prepared_if_they_can_hold_them():
    rm = Rm(spark_app(), page=[executor("1", "n2")])
    rm.hosts += [node("n4", memory=2048), node("n5", free=0)]
    kept = placement.resolve(beside(keep_beside=True), rm)
    assert (kept.hosts, kept.later) == (("n2",), ("n1", "n3", "n5"))
    assert kept.workers(beside()) == 1
    assert [kept.host_of(f"worker{number}_0") for number in (1, 2, 4)] == ["n2", "n1", "n5"]
    assert placement.resolve(beside(), rm).later == ()


def test_a_spark_application_of_many_hosts_does_not_take_them_all():
    page = [executor("1", "n1"), *[executor("2", "n3")] * 3, *[executor("3", "n2")] * 2]
    rm = Rm(spark_app(), page=page)
    assert placement.resolve(beside(max_workers=2), rm).hosts == ("n2", "n3")
    assert placement.resolve(beside(max_workers=3, workers_per_host=2), rm).hosts == ("n3",)


def test_named_hosts_are_written_as_yarn_writes_them():
    found = placement.resolve(ClusterSpec(hosts=("N2", "n2", "n1")), Rm())
    assert (found.hosts, found.head_hosts) == (("n2", "n1"), ("n3",))


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        (ClusterSpec(hosts=("n1", "n9", "n8")), HostsUnusable,
         "no running NodeManager on n9, n8; YARN has: n1, n2, n3"),
        (ClusterSpec(hosts=("n1",), worker=WorkerSpec(memory=9 * GIB)), RequestTooLarge,
         "a worker of 9 GiB and 2 CPUs cannot be on every host: n1 has 8 GiB"),
        (ClusterSpec(hosts=("n1",), workers_per_host=3), RequestTooLarge,
         "3 workers of 4 GiB and 2 CPUs cannot be on every host: n1 has 8 GiB"),
        (ClusterSpec(hosts=("n1",), worker=WorkerSpec(cpus=9)), RequestTooLarge,
         "a worker of 4 GiB and 9 CPUs cannot be on every host: n1 has 8 CPUs"),
        (ClusterSpec(node_label="fast"), HostsUnusable,
         "no running node has the label 'fast'; labels in use: gpu"),
        (ClusterSpec(racks=("/r2", "/r9")), HostsUnusable, "no running node on rack /r9; racks: /r1, /r2"),
        (ClusterSpec(hosts=("n1",), min_workers=2), SpecError, "min-workers: 2 is more than the 1 on 1 hosts"),
    ],
)  # fmt: skip
def test_what_yarn_can_never_give_is_told_before_anything_is_made(spec, kind, message):
    with pytest.raises(kind) as error:
        placement.resolve(spec, Rm())
    assert str(error.value) == message


def test_a_wish_is_not_refused():
    found = placement.resolve(ClusterSpec(hosts=("n1",), beside_or_anywhere=True, workers_per_host=3), Rm())
    assert (found.strict, found.workers(ClusterSpec())) == (False, 3)


def test_without_a_wish_workers_go_anywhere():
    assert placement.resolve(ClusterSpec(node_label="gpu", racks=("/r2",)), Rm()) == ANYWHERE
    assert ANYWHERE.workers(ClusterSpec(workers=5)) == 5


def test_wishes_that_were_not_met_are_told():
    place = Placement(("n1", "n2"), head_hosts=("n3",))
    assert place.remarks([("head", "n3"), ("worker", "n1"), ("worker", "n2")]) == []
    assert place.remarks([("head", "n1"), ("worker", "n1"), ("worker", "n3")]) == [
        "the head is on n1, beside workers", "workers elsewhere than asked for: on n3",
    ]  # fmt: skip
    assert ANYWHERE.remarks([("head", "n1"), ("worker", "n1")]) == []


def test_the_wait_says_which_host_lacks_how_much():
    rm = Rm()
    rm.hosts = [node("n1", free=1024), node("n2")]
    text = Room(rm, ClusterSpec(hosts=("n1", "n2", "n9"))).on(["n1", "n2", "n9"], "root.default")
    assert text == (
        "YARN has not given 3 containers yet: n1: 4 GiB asked, 1 GiB free, 3 GiB too little; "
        "n2: 4 GiB asked, 8 GiB free; n9: 4 GiB asked, it does not run any more; queue 'root.default'"
    )


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (ClusterSpec(beside="etl", hosts=("n1",)), ["beside: it names the hosts, and so does hosts"]),
        (ClusterSpec(beside="etl", racks=("/r1",)), ["racks: it does not go with beside or hosts"]),
        (ClusterSpec(workers_per_host=2), ["workers-per-host: it needs beside or hosts"]),
        (ClusterSpec(beside_or_anywhere=True), ["beside-or-anywhere: it needs beside or hosts"]),
        (ClusterSpec(beside="etl", min_workers=7), []),
        (ClusterSpec(hosts=("n1",), keep_beside=True), ["keep-beside: it needs beside"]),
        (ClusterSpec(beside="etl", keep_beside_grace=60.0), ["keep-beside-grace: it needs keep-beside"]),
        (ClusterSpec(max_workers=3), ["max-workers: it needs beside"]),
        (
            ClusterSpec(beside="etl", max_workers=3, min_workers=4),
            ["max-workers: 3 is less than 4, which there must be"],
        ),
        (
            ClusterSpec(beside="etl", max_workers=1, workers_per_host=2),
            ["max-workers: 1 is less than 2, which there must be"],
        ),
        (
            ClusterSpec(beside="etl", keep_beside=True, beside_or_anywhere=True),
            ["keep-beside: it does not go with beside-or-anywhere: a worker elsewhere is beside nobody"],
        ),
        (ClusterSpec(beside="etl", keep_beside=True, keep_beside_grace=60.0, max_workers=3), []),
    ],
)
def test_settings_that_do_not_go_together(spec, problems):
    assert spec.problems() == problems


def test_who_names_hosts_does_not_say_how_many_workers():
    assert ClusterSpec(beside="etl", workers=3).problems({"workers": "flag --workers"}) == [
        "workers: beside says how many (flag --workers)"
    ]
