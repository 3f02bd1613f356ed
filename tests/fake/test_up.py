"""Every step of `up` fails once, and nothing stays: no application, no folder, no secret, no connection file."""

import gc
import threading
from types import SimpleNamespace

import pytest
from sites import left

from rayyarn import cluster, connection, home, launch, store
from rayyarn.errors import (
    ClusterDiffers,
    ClusterFailed,
    ClusterNotFound,
    ConnectionUnusable,
    RayYarnError,
    RequestTooLarge,
    SpecError,
    YarnRefused,
)
from rayyarn.spec import ClusterSpec

SPEC = ClusterSpec(name="demo", workers=2, ready_timeout=0.1)


def test_up_makes_a_cluster_and_says_where_it_is(yarn, site, tmp_path):
    result = cluster.up(SPEC)
    assert (result.application, result.address, result.changed) == ("application_1_0001", "127.0.0.1:6379", True)
    assert (result.state, result.workers) == ("ready", 2)
    found = connection.read(home.clusters("test") / "demo.json")
    assert result.connection_file == str(found.path)
    assert found.ray["address"] == "127.0.0.1:6379"
    assert [node["role"] for node in found.nodes] == ["head", "worker", "worker"]
    assert found.secret("token").stat().st_mode & 0o777 == 0o600
    assert len(found.secret("token").read_text()) == 64
    keys = yarn.stores["application_1_0001"]
    assert keys[store.CONFIRMED] == b"1"
    assert connection.parse(keys[store.CONNECTION], None).ray == found.ray
    assert found.secret("token").read_bytes() not in b"".join(keys.values())
    assert [title for title, _, _ in result.timeline] == [
        "YARN's register", "skein's driver", "submit", "the application master", "the head", "the workers",
        "connection file",
    ]  # fmt: skip
    assert len(left(site, tmp_path)) == 3  # the document and the secrets here, and one folder on the file system


def test_up_again_changes_nothing_and_starts_no_driver(yarn, site):
    first = cluster.up(SPEC)
    yarn.reached.clear()
    again = cluster.up(SPEC)
    assert (again.application, again.changed) == (first.application, False)
    assert {"driver", "environment"} & set(yarn.reached) == set()
    assert yarn.live() == ["application_1_0001"]


def test_another_home_joins_with_the_secrets_from_the_folder(yarn, site, tmp_path, monkeypatch):
    first = cluster.up(SPEC)
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "another"))
    again = cluster.up(SPEC)
    assert (again.application, again.changed) == (first.application, False)
    assert connection.read(home.clusters("test") / "demo.json").secret("key").exists()


def test_another_spec_is_refused_by_its_keys(yarn, site):
    cluster.up(SPEC)
    with pytest.raises(ClusterDiffers) as caught:
        cluster.up(ClusterSpec(name="demo", workers=3, queue="etl", ready_timeout=0.1))
    assert "workers: 3 here, 2 running" in caught.value.message
    assert "queue: etl here" in caught.value.message
    assert yarn.live() == ["application_1_0001"]


POINTS = ["driver", "environment", "driver ready", "submit", "submitted", "driver closed", "read", "look",
          "write connection", f"write {store.CONFIRMED}"]  # fmt: skip
# A master that does not answer once is asked again; that is no failure.
ASKED_AGAIN = {("read", "error"), ("look", "error")}


@pytest.mark.parametrize("kind", ["error", "interrupt"])
@pytest.mark.parametrize("point", POINTS)
def test_a_step_that_fails_takes_back_all_that_was_made(yarn, site, tmp_path, point, kind):
    error = ClusterFailed("broken") if kind == "error" else KeyboardInterrupt()
    yarn.fail[point] = error
    if (point, kind) in ASKED_AGAIN:
        assert cluster.up(SPEC).state == "ready"
        return
    with pytest.raises(type(error)):
        cluster.up(SPEC)
    assert point in yarn.reached
    assert yarn.live() == []
    assert left(site, tmp_path) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_keep_leaves_a_failed_cluster_for_inspection(yarn, site, tmp_path):
    yarn.fail["write connection"] = ClusterFailed("broken")
    with pytest.raises(ClusterFailed):
        cluster.up(SPEC, keep=True)
    assert yarn.live() == ["application_1_0001"]
    assert len(left(site, tmp_path)) == 3
    gc.collect()  # the hold on the secrets is for this process's life


def test_a_folder_that_cannot_be_written_undoes_the_submit(yarn, site, tmp_path):
    (tmp_path / "fs" / "user" / "me" / ".rayyarn").write_text("a file where a folder must be")
    with pytest.raises(RayYarnError):
        cluster.up(SPEC)
    assert yarn.live() == []
    assert not home.clusters("test").exists()


def test_a_copy_of_the_connection_file_is_usable_and_goes_with_the_cluster(yarn, site, tmp_path):
    copy = tmp_path / "c.json"
    result = cluster.up(SPEC, connection_file=copy)
    assert result.connection_file == str(copy)
    found, own = connection.read(copy), connection.read(home.clusters("test") / "demo.json")
    assert found.secret("token") == own.secret("token")
    assert found.secret("token").exists()
    assert own.copies == [str(copy)]
    cluster.up(SPEC, connection_file=tmp_path / "d.json")  # runs already: one more copy
    cluster.down("demo")
    assert not copy.exists()
    assert not (tmp_path / "d.json").exists()
    assert left(site, tmp_path) == []


def test_a_connection_file_that_cannot_be_written_undoes_all(yarn, site, tmp_path):
    with pytest.raises(ConnectionUnusable, match="cannot be written: No such file"):
        cluster.up(SPEC, connection_file=tmp_path / "nowhere" / "c.json")
    assert yarn.live() == []
    assert left(site, tmp_path) == []


def test_what_yarn_can_never_run_is_refused_before_anything_is_made(yarn, manager, site, tmp_path):
    with pytest.raises(RequestTooLarge, match=r"worker.memory: 900 GiB asked, and the largest node \(n1\) has 64 GiB"):
        cluster.up("demo", worker_memory="900GiB")
    with pytest.raises(YarnRefused, match="no queue named 'nosuch'; YARN has: default"):
        cluster.up("demo", queue="nosuch")
    manager.queues[0]["maximumAllocation"] = {"memory": 8192}
    with pytest.raises(RequestTooLarge, match="queue 'default' gives containers of at most 8 GiB"):
        cluster.up("demo", queue="default", worker_memory="9GiB")
    manager.nodes = []
    with pytest.raises(YarnRefused, match="no running NodeManager"):
        cluster.up("demo")
    assert yarn.submitted == []
    assert left(site, tmp_path) == []


def test_five_ups_at_once_make_one_cluster(yarn, site, tmp_path):
    spec = ClusterSpec(name="demo", workers=2, ready_timeout=20)
    results, start = [], threading.Barrier(5)

    def one():
        start.wait()
        try:
            results.append(cluster.up(spec))
        except BaseException as error:  # the assertion below shows it
            results.append(error)

    threads = [threading.Thread(target=one) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [result for result in results if isinstance(result, BaseException)] == []
    assert len({result.application for result in results}) == 1
    assert yarn.live() == [results[0].application]
    assert sum(result.changed for result in results) == 1
    assert len(left(site, tmp_path)) == 3
    assert connection.read(home.clusters("test") / "demo.json").secret("key").exists()


def test_a_dry_run_makes_nothing(yarn, site, tmp_path, monkeypatch):
    from rayyarn import archives, shipment

    monkeypatch.setattr(shipment, "foresee", lambda *_, **__: archives.environment())
    monkeypatch.setattr(shipment, "missing", lambda *_: ["viewfs://mini/user/me/env.tar.gz"])
    result = cluster.up(ClusterSpec(name="demo", env_vars={"PASSWORD": "hunter2"}), dry_run=True)
    assert (result.state, result.changed, result.application) == ("planned", False, None)
    assert result.remarks == ("would make viewfs://mini/user/me/env.tar.gz",)
    assert "hunter2" not in str(result.to_dict())
    assert result.plan is not None
    assert result.plan["services"]["head"]["files"]["token"]["source"] == "***"
    assert yarn.submitted == []
    assert left(site, tmp_path) == []


@pytest.mark.parametrize(
    ("given", "kept", "grace"), [(True, True, 300), (False, False, 300), ("yes", True, 300), ("15 min", True, 900)]
)
def test_keep_beside_takes_a_duration_for_its_grace(site, monkeypatch, given, kept, grace):
    seen = []

    class Seen(launch.Launch):
        def run(self, *, wait):
            seen.append(self._spec)

    monkeypatch.setattr(launch, "Launch", Seen)
    session = SimpleNamespace(sparkContext=SimpleNamespace(applicationId="application_1_0007"))
    cluster.up("x", beside=session, keep_beside=given)
    ((spec,),) = (seen,)
    assert (spec.beside, spec.keep_beside, spec.keep_beside_grace) == ("application_1_0007", kept, grace)
    with pytest.raises(SpecError, match="keep-beside-grace: 'soon' is not a duration"):
        cluster.up("x", beside=session, keep_beside="soon")


def test_no_such_cluster(site):
    with pytest.raises(ClusterNotFound, match="no cluster named 'demo' in YARN for user me"):
        cluster.status("demo")
