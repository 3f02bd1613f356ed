"""Extra files of `up`: what is sent once and what with each cluster, and where programs find them."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from sites import left

from rayyarn import cluster, connection, edge, files_here, home, inventory, sent_files, session
from rayyarn.errors import ClusterDiffers, ClusterFailed, ConnectionUnusable, StagingFailed
from rayyarn.spec import ClusterSpec

LARGE = 3 << 20


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "mine"
    made.mkdir()
    (made / "app.yaml").write_text("password: hunter2")
    (made / "base.pt").write_bytes(b"m" * LARGE)
    return made


@pytest.fixture
def there(tmp_path):
    """What is on the default file system, below this user's home."""
    return tmp_path / "fs" / "user" / "me"


@pytest.fixture
def spec(folder, there):
    (there / "there.txt").write_text("it lay there")
    files = (f"{folder}/app.yaml", f"{folder}/base.pt#model", "viewfs://mini/user/me/there.txt")
    return ClusterSpec(name="demo", workers=2, ready_timeout=0.1, files=files)


def known():
    return connection.read(home.clusters("test") / "demo.json")


def test_small_ones_travel_like_the_token_and_large_ones_by_content(yarn, site, tmp_path, spec, there):
    cluster.up(spec)
    files = yarn.submitted[0]["services"]["worker"]["files"]
    assert files == yarn.submitted[0]["services"]["head"]["files"]
    assert {files[name]["visibility"] for name in ("app.yaml", "model", "there.txt")} == {"application"}
    assert {files[name]["type"] for name in ("app.yaml", "model", "there.txt")} == {"file"}
    (staged,) = (there / ".rayyarn/files").iterdir()
    assert (staged.suffix, staged.stat().st_mode & 0o777, staged.stat().st_size) == (".model", 0o600, LARGE)
    assert files["model"]["source"] == f"viewfs://mini/user/me/.rayyarn/files/{staged.name}"
    assert files["there.txt"]["source"] == "viewfs://mini/user/me/there.txt"
    small = known().secret("token").parent / "files" / "app.yaml"
    assert files["app.yaml"]["source"] == f"file://{small}"
    assert (small.read_text(), small.stat().st_mode & 0o777) == ("password: hunter2", 0o600)
    copy = there / ".rayyarn/apps/application_1_0001/files/app.yaml"
    assert (copy.read_text(), copy.stat().st_mode & 0o777) == ("password: hunter2", 0o600)
    conf = known().spark["conf"]
    assert conf["spark.yarn.dist.files"] == ",".join(
        [
            "viewfs://mini/user/me/.rayyarn/apps/application_1_0001/files/app.yaml#app.yaml",
            f"viewfs://mini/user/me/.rayyarn/files/{staged.name}#model",
            "viewfs://mini/user/me/there.txt#there.txt",
        ]
    )
    keys = yarn.stores["application_1_0001"]
    assert b"hunter2" not in b"".join(keys.values())

    before = staged.stat()
    cluster.down("demo")
    assert left(site, tmp_path) == []
    cluster.up(spec)
    after = staged.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)  # not sent again


def test_a_cluster_without_files_has_none(yarn, site):
    cluster.up(ClusterSpec(name="demo", workers=2, ready_timeout=0.1))
    assert known().files == []
    assert "spark.yarn.dist.files" not in known().spark["conf"]
    assert files_here.folder(known()) is None
    assert connection.FILES_FOLDER not in edge.variables(known())
    with pytest.raises(ConnectionUnusable, match="has no file 'a'; it has: none"):
        session.Session(known()).file("a")


@pytest.mark.parametrize("point", ["submit", "write connection"])
def test_a_failed_up_takes_back_what_is_the_applications_own(yarn, site, tmp_path, spec, point):
    yarn.fail[point] = ClusterFailed("broken")
    with pytest.raises(ClusterFailed):
        cluster.up(spec)
    assert left(site, tmp_path) == []
    assert [path for path in tmp_path.rglob("app.yaml") if path.parent.name != "mine"] == []


def test_programs_on_the_edge_see_what_the_nodes_see(yarn, site, spec, folder, there):
    cluster.up(spec)
    here = session.Session(known()).file
    assert here("app.yaml").read_text() == "password: hunter2"
    assert here("model").resolve() == folder / "base.pt"  # not copied: it is what was sent
    variables = edge.variables(known())
    where = Path(variables[connection.FILES_FOLDER])
    assert sorted(path.name for path in where.iterdir()) == ["app.yaml", "model"]
    assert here("there.txt").read_text() == "it lay there"
    with pytest.raises(ConnectionUnusable, match=r"no file 'base\.pt'; it has: app\.yaml, model, there\.txt"):
        here("base.pt")
    # Edited: the program still reads what the nodes have, and is told.
    (folder / "base.pt").write_bytes(b"x" * LARGE)
    (folder / "app.yaml").write_text("password: other")
    assert here("model").read_bytes() == b"m" * LARGE
    assert not here("model").is_symlink()
    assert here("app.yaml").read_text() == "password: hunter2"
    assert files_here.changed(known()) == ["app.yaml", "model"]
    assert [line.split(" ")[0] for line in session.drift(known())[:2]] == ["app.yaml", "model"]
    # A time alone is no change.
    (folder / "base.pt").write_bytes(b"m" * LARGE)
    (folder / "app.yaml").write_text("password: hunter2")
    assert files_here.changed(known()) == []


def test_a_hash_in_the_path_is_part_of_it(yarn, site, folder):
    kept = folder / "no #1.yaml"
    kept.write_text("mine")
    cluster.up(ClusterSpec(name="demo", workers=2, ready_timeout=0.1, files=(f"{kept}#one.yaml",)))
    small = known().secret("token").parent / "files" / "one.yaml"
    assert small.read_text() == "mine"
    assert files_here.changed(known()) == []
    kept.write_text("yours")
    assert files_here.changed(known()) == ["one.yaml"]


def test_another_edge_fetches_them(yarn, site, spec, folder, tmp_path, monkeypatch):
    cluster.up(spec)
    for path in folder.iterdir():
        path.unlink()
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "another"))
    found = session.find("demo")
    where = files_here.folder(found)
    assert (where / "app.yaml").read_text() == "password: hunter2"
    assert {path.stat().st_mode & 0o777 for path in where.iterdir()} == {0o600}
    assert (where / "model").read_bytes() == b"m" * LARGE
    assert files_here.changed(found) == []  # what is not here is not known to be another one
    cluster.down("demo")
    assert not where.exists()


def test_inside_a_container_they_are_where_its_variable_says(yarn, site, spec, tmp_path, monkeypatch):
    cluster.up(spec)
    (tmp_path / "container").mkdir()
    (tmp_path / "container" / "model").write_text("localized")
    monkeypatch.setenv("CONTAINER_ID", "container_1")
    monkeypatch.setenv(connection.FILES_FOLDER, str(tmp_path / "container"))
    assert files_here.place(known(), "model") == tmp_path / "container" / "model"


def test_what_cannot_be_fetched_is_told(yarn, site, spec, there):
    cluster.up(spec)
    (there / "there.txt").unlink()
    with pytest.raises(
        ConnectionUnusable, match=r"there\.txt of the cluster demo cannot be fetched from viewfs://mini"
    ):
        files_here.place(known(), "there.txt")
    huge = [{**one, "size": 2 << 30} for one in known().files]
    with pytest.raises(ConnectionUnusable, match="holds 2 GiB, too much"):
        files_here.place(replace(known(), files=huge), "there.txt")


def test_other_bytes_under_the_same_name_are_another_cluster(yarn, site, spec, folder):
    cluster.up(spec)
    os.utime(folder / "app.yaml", (1, 1))
    assert cluster.up(spec).changed is False
    (folder / "app.yaml").write_text("password: other")
    with pytest.raises(ClusterDiffers, match=r"files: app\.yaml changed since it came up"):
        cluster.up(spec)


def test_a_file_that_is_not_there_any_more_stops_the_up(yarn, site, tmp_path, spec, there, monkeypatch):
    (there / "there.txt").unlink()
    with pytest.raises(StagingFailed, match=r"viewfs://mini/user/me/there\.txt is not there"):
        cluster.up(spec)
    assert (yarn.live(), left(site, tmp_path)) == ([], [])


def test_a_file_that_changes_while_it_is_sent_stops_the_up(yarn, site, tmp_path, spec, folder, monkeypatch):
    made = sent_files.fingerprint.of_archive
    seen = []

    def changing(path):
        seen.append(path)
        return made(path) if len(seen) < 3 else "other"

    monkeypatch.setattr(sent_files.fingerprint, "of_archive", changing)
    with pytest.raises(StagingFailed, match="changed while it was sent; nothing was left behind"):
        cluster.up(spec)
    assert (yarn.live(), left(site, tmp_path)) == ([], [])
    assert list((tmp_path / "fs/user/me/.rayyarn/files").iterdir()) == []


def test_a_dry_run_sends_nothing_and_shows_no_path(yarn, site, tmp_path, spec, there, monkeypatch):
    from rayyarn import archives, shipment

    def foresee(site, fs, source, code, files):
        return replace(archives.environment(), files=sent_files.foresee(site, fs, files))

    monkeypatch.setattr(shipment, "foresee", foresee)
    result = cluster.up(spec, dry_run=True)
    files = result.plan["services"]["worker"]["files"]
    assert files["app.yaml"]["source"] == "***"
    assert files["model"]["source"].endswith(".model")
    assert [line for line in result.remarks if line.endswith(".model")]
    assert not (there / ".rayyarn").exists()
    assert "hunter2" not in json.dumps(result.to_dict())


def test_a_large_one_goes_with_prune_when_no_cluster_needs_it(yarn, site, spec, there):
    cluster.up(spec)
    listed = [item for item in inventory.survey() if item.kind == "file"]
    assert [(item.uri.rpartition(".")[2], item.size) for item in listed] == [("model", LARGE)]
    assert listed[0].fingerprint == known().files[1]["fingerprint"]
    assert inventory.clear().removed == ()
    cluster.down("demo")
    assert [item.kind for item in inventory.clear().removed] == ["file"]
    assert list((there / ".rayyarn/files").iterdir()) == []
    assert (there / "there.txt").exists()  # it was never ours
