"""`down`, `status` and the sweep: whatever state a cluster is in, nothing of it stays, and nothing else is touched."""

import os
import socket
from dataclasses import replace

import pytest
from sites import make_site

from rayyarn import cluster, connection, home, register, store, teardown, vault
from rayyarn.errors import ClusterFailed, ClusterNotFound, RayYarnError, YarnUnreachable
from rayyarn.filesystem.fsshell import FsShell
from rayyarn.rm import ResourceManager
from rayyarn.skein_am import Credentials, MasterUnreachable
from rayyarn.spec import ClusterSpec

SPEC = ClusterSpec(name="demo", workers=2, ready_timeout=5)
APP = "application_1_0001"


@pytest.fixture
def apps(tmp_path):
    return tmp_path / "fs" / "user" / "me" / ".rayyarn" / "apps"


def on_edge():
    """What this edge keeps of clusters; the folder itself goes with the last of them."""
    return sorted(path.name for path in home.clusters("test").iterdir()) if home.clusters("test").exists() else []


def test_down_asks_the_supervisors_and_removes_everything(yarn, site, apps):
    cluster.up(SPEC)
    result = cluster.down("demo")
    assert (result.changed, result.stopped) == (True, (teardown.Stopped("demo", APP),))
    assert yarn.apps[APP]["finalStatus"] == "SUCCEEDED"
    assert yarn.apps[APP]["diagnostics"] == "stopped by `rayyarn down`"
    assert f"remove {store.ALIVE}" in yarn.reached
    assert on_edge() == []
    assert list(apps.iterdir()) == []


def test_down_of_nothing_is_fine(yarn, site):
    result = cluster.down("demo")
    assert (result.changed, result.stopped) == (False, ())


def test_down_of_all(yarn, site, apps):
    for name in ("one", "two"):
        cluster.up(ClusterSpec(name=name, ready_timeout=5))
    assert [one.name for one in cluster.down(everything=True).stopped] == ["one", "two"]
    assert yarn.live() == []
    assert on_edge() == []
    assert list(apps.iterdir()) == []


def test_a_master_that_does_not_answer_is_killed_through_yarn(yarn, site, apps, manager):
    cluster.up(SPEC)
    yarn.fail[f"remove {store.ALIVE}"] = MasterUnreachable("gone")
    cluster.down("demo")
    assert yarn.apps[APP]["state"] == "KILLED"
    assert any(method == "PUT" and APP in path for method, path in manager.asked)
    assert on_edge() == []
    assert list(apps.iterdir()) == []


def test_a_cluster_without_a_master_yet_is_killed(yarn, site):
    yarn.accept_only = True
    cluster.up(SPEC, wait=False)
    cluster.down("demo")
    assert yarn.apps[APP]["state"] == "KILLED"


def test_a_cluster_whose_secrets_are_nowhere_is_killed(yarn, site, apps):
    cluster.up(SPEC)
    for path in [*home.clusters("test").glob("demo.*/*"), *apps.glob("*/*")]:
        path.unlink()
    cluster.down("demo")
    assert yarn.apps[APP]["state"] == "KILLED"
    assert on_edge() == []


def test_down_from_another_edge_reads_the_folder_and_leaves_no_trace(yarn, site, apps, tmp_path, monkeypatch):
    cluster.up(SPEC)
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "another"))
    cluster.down("demo")
    assert yarn.apps[APP]["finalStatus"] == "SUCCEEDED"
    assert list(apps.iterdir()) == []
    left = [path for path in home.clusters("test").rglob("*") if path.is_file()]
    assert left == [], "secrets were restored for this `down`"


def test_status_lists_and_looks_inside(yarn, site):
    cluster.up(SPEC)
    (listed,) = cluster.status().clusters
    assert (listed.name, listed.state, listed.workers, listed.wanted) == ("demo", "ready", 2, 2)
    assert listed.connection_file == str(home.clusters("test") / "demo.json")
    (one,) = cluster.status("demo").clusters
    assert [node.in_ray for node in one.nodes] == [True, True, True]


def test_status_of_a_failed_cluster_says_why(yarn, site):
    cluster.up(SPEC)
    yarn.end(APP, "FINISHED", "FAILED", "the Ray head was lost: the raylet ended")
    (one,) = cluster.status("demo").clusters
    assert (one.state, one.why) == ("failed", "the Ray head was lost: the raylet ended")
    assert on_edge() == []  # swept


def test_status_of_what_ended_well_tells_only_of_its_own_limits(yarn, site):
    cluster.up(SPEC)
    yarn.end(APP, "FINISHED", "SUCCEEDED", "Application completed successfully.")
    with pytest.raises(ClusterNotFound):
        cluster.status("demo")
    yarn.apps[APP]["diagnostics"] = "ended after 30m without work, its idle-timeout"
    (one,) = cluster.status("demo").clusters
    assert (one.state, one.why) == ("stopped", "ended after 30m without work, its idle-timeout")


def test_status_needs_no_driver(yarn, site):
    cluster.up(SPEC)
    yarn.reached.clear()
    cluster.status("demo")
    assert "driver" not in yarn.reached


def test_the_sweep_takes_what_the_dead_left_and_nothing_else(yarn, site, apps, tmp_path):
    cluster.up(SPEC)
    cluster.up(ClusterSpec(name="lives", ready_timeout=5))
    strangers = yarn.submit({"name": "other", "tags": ["spark"], "services": {"worker": {"instances": 0}}})
    skein = tmp_path / "fs" / "user" / "me" / ".skein"
    for name in (APP, "application_1_0002", strangers, "application_9_0001", "notes"):
        (skein / name).mkdir(parents=True, exist_ok=True)
    yarn.end(APP, "KILLED", "KILLED")
    yarn.end(strangers, "FINISHED", "SUCCEEDED")
    driver = home.cache() / "driver-abc"
    driver.mkdir()
    home.hold(driver).close()  # its process is gone
    busy = home.cache() / "driver-busy"
    busy.mkdir()
    held = home.hold(busy)
    orphan = vault.make("test", "gone", Credentials(b"c", b"k"), {"A": "secret"})
    assert orphan._held is not None
    orphan._held.close()
    waiting = vault.make("test", "starting", Credentials(b"c", b"k"), {})
    teardown.sweep(site, ResourceManager(site))
    held.close()
    lives = connection.read(home.clusters("test") / "lives.json")
    assert on_edge() == sorted(["lives.json", f"lives.{lives.generation}", waiting.folder.name])
    waiting.remove()
    assert [path.name for path in apps.iterdir()] == ["application_1_0002"]
    assert sorted(path.name for path in skein.iterdir()) == sorted(
        ["application_1_0002", strangers, "application_9_0001", "notes"]
    )
    assert (driver.exists(), busy.exists()) == (False, True)


def test_a_folder_of_an_application_that_yarn_forgot_goes_when_it_was_of_this_yarn(yarn, site, apps):
    cluster.up(SPEC)
    folder = apps / APP
    document = connection.parse((folder / "connection.json").read_bytes(), None)
    theirs = apps / "application_8_0001"
    theirs.mkdir()
    (theirs / "connection.json").write_bytes(replace(document, yarn={**document.yarn, "id": "another"}).to_json())
    del yarn.apps[APP]
    cluster.status()
    assert not folder.exists()
    assert theirs.exists(), "another YARN shares this file system"


def test_what_killed_writers_left_goes_with_the_next_command(yarn, site, apps):
    dead = 2**22 + 1  # above any process id
    envs, edge = apps.parent / "envs", home.cache() / "edge-abc"
    for folder in (envs, edge):
        folder.mkdir(parents=True)
    home.hold(edge).close()
    for writer, pid in (("dead", dead), ("lives", os.getpid())):
        (envs / f".{writer}.tar.gz.part-{socket.gethostname()}-{pid}-ab").touch()
    cluster.status()
    assert [path.name.split(".")[1] for path in envs.iterdir()] == ["lives"]
    assert not edge.exists()


def test_what_was_staged_for_a_killed_application_goes_with_it(yarn, site, apps):
    yarn.accept_only = True
    cluster.up(SPEC, wait=False)
    staging = apps.parents[1] / ".skein" / APP
    assert staging.exists()
    cluster.down("demo")
    assert not staging.exists()


def test_secrets_without_a_hold_live_as_long_as_their_application(yarn, site):
    cluster.up(SPEC, wait=False)
    (folder,) = home.clusters("test").iterdir()
    teardown.sweep(site, ResourceManager(site))
    assert folder.exists()
    yarn.end(APP, "FINISHED", "FAILED", "ended after 10s, its max-lifetime")
    teardown.sweep(site, ResourceManager(site))
    assert not folder.exists()


def test_the_sweep_never_fails(site, monkeypatch):
    def broken(*_):
        raise YarnUnreachable("no")

    home.clusters("test").mkdir(parents=True)
    home.write_private(home.clusters("test") / "demo.json", b"not a connection")
    monkeypatch.setattr(ResourceManager, "app", broken)
    teardown.sweep(site, ResourceManager(site))


def test_the_sweep_starts_no_jvm_where_webhdfs_turns_out_closed(manager, tmp_path, monkeypatch):
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "home"))
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = f"127.0.0.1:{gone.getsockname()[1]}"
    found = make_site(tmp_path, manager.address)
    hdfs = {"fs.defaultFS": "hdfs://nn:8020", "dfs.namenode.http-address": address}
    there = replace(found, properties={**found.properties, **hdfs})
    started = []
    monkeypatch.setattr(FsShell, "_run", lambda _, *arguments, **__: started.append(arguments))
    teardown.sweep(there, ResourceManager(there))
    assert started == []


def test_the_lowest_id_is_the_cluster_and_all_of_a_name_go_down(yarn, site):
    cluster.up(SPEC)
    yarn.submit(yarn.submitted[0])
    rm = ResourceManager(site)
    found = register.find(rm, "demo")
    assert found is not None
    assert found.id == APP
    assert [app.id for app in register.clusters(rm)] == [APP]
    assert len(cluster.down("demo").stopped) == 2
    assert yarn.live() == []


def test_a_kill_that_yarn_refuses_is_told(yarn, site, manager):
    cluster.up(SPEC)
    yarn.fail[f"remove {store.ALIVE}"] = ClusterFailed("no")
    answer = manager._find
    manager._find = lambda method, *rest: (403, {"RemoteException": {"message": "not yours"}}) if method == "PUT" else (
        answer(method, *rest)
    )  # fmt: skip
    with pytest.raises(RayYarnError) as caught:
        cluster.down("demo")
    assert caught.value.log == "not yours"
