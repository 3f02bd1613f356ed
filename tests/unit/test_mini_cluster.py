"""What `mini` refuses, and what it knows without starting anything."""

import hashlib
import json
from pathlib import Path

import pytest
from test_mini_conf import shape

from rayyarn.errors import ClusterDiffers, ClusterNotFound, JavaNotFound, MiniFailed, SpecError, UsageError
from rayyarn.mini import cluster, jars, record
from rayyarn.mini.daemons import Daemon
from rayyarn.mini.process import Process, boot_id
from rayyarn.steps import SILENT, Step


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    return tmp_path / "home"


def write(home, *, whole=True, start=1):
    """The record of a cluster none of whose daemons lives."""
    folder = home / "mini" / "default"
    folder.mkdir(parents=True)
    daemons = tuple(
        Daemon(role, "127.70.3.1", Process(999_999_999, start), folder / "logs" / f"{role}.log")
        for role in ("rm", "nm1")
    )
    known = record.Record("default", shape(folder=folder), daemons, boot_id(), whole)
    record.save(known)
    return known


def test_a_record_is_read_as_it_was_written(home):
    known = write(home)
    assert record.load(known.shape.folder) == known


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"name": 1}', "not json"])
def test_a_broken_record_is_no_record(home, text):
    folder = write(home).shape.folder
    (folder / "record.json").write_text(text)
    assert record.load(folder) is None
    assert cluster.status("default").clusters[0].state == "unfinished"


def test_looking_leaves_no_trace(home):
    assert cluster.running() == []
    assert cluster.status().clusters == ()
    assert not cluster.down().changed
    assert not home.exists()


def test_a_dead_cluster_is_not_running_but_damaged(home):
    log = write(home).daemons[0].log
    log.parent.mkdir()
    log.write_text("2026 ERROR ResourceManager: no more\n")
    assert cluster.running() == []
    (found,) = cluster.status().clusters
    assert found.state == "damaged"
    assert found.daemons[0].last_words == "2026 ERROR ResourceManager: no more"
    with pytest.raises(ClusterNotFound):
        cluster.environ()


def test_another_boots_processes_are_dead(home):
    known = write(home)
    own = Process.of(1)
    daemon = Daemon("rm", "127.70.3.1", own, Path("/dev/null"))
    assert record.Record("x", known.shape, (daemon,), boot_id(), whole=True).alive
    assert not record.Record("x", known.shape, (daemon,), "another boot", whole=True).alive


def test_down_removes_a_dead_cluster(home):
    write(home)
    assert cluster.down().changed
    assert not (home / "mini").exists()


def test_down_that_keeps_files_keeps_a_whole_cluster_and_says_so_once(home):
    log = write(home).daemons[0].log
    log.parent.mkdir()
    log.write_text("2026 ERROR ResourceManager: told to end\n")
    folder = str(home / "mini" / "default")
    assert cluster.down(keep_files=True) == cluster.MiniDown("default", changed=True, files=folder)
    assert cluster.down(keep_files=True) == cluster.MiniDown("default", changed=False, files=folder)
    (found,) = cluster.status().clusters
    assert (found.state, found.daemons[0].last_words) == ("stopped", "")
    assert cluster.running() == []
    assert cluster.down() == cluster.MiniDown("default", changed=True)
    assert not (home / "mini").exists()


def test_half_a_cluster_has_no_files_worth_keeping(home):
    write(home, whole=False)
    assert cluster.down(keep_files=True).files is None
    assert not (home / "mini").exists()


@pytest.mark.parametrize("name", ["", "Upper", "1st", "a/b", "..", "a" * 40, "a b"])
def test_a_name_that_is_no_name(name):
    for call in (cluster.up, cluster.down, cluster.status, cluster.environ):
        with pytest.raises(UsageError):
            call(name)


def test_all_problems_at_once(home):
    with pytest.raises(SpecError) as caught:
        cluster.up(nodes=0, memory="much", cpus=0)
    assert len(caught.value.problems) == 3
    with pytest.raises(SpecError, match="512 MiB"):
        cluster.up(memory=1 << 20)
    assert not home.exists()


def test_other_settings_are_named(home):
    write(home)
    with pytest.raises(ClusterDiffers, match=r"nodes \(has 2, asked for 3\), memory \(has 6 GiB, asked for 1 GiB\)"):
        cluster.up(nodes=3, memory="1 GiB")
    with pytest.raises(ClusterDiffers, match=r"hdfs \(has false, asked for true\)"):
        cluster.up(hdfs=True)


def test_without_java_nothing_is_made(home, monkeypatch, tmp_path):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JavaNotFound):
        cluster.up()
    assert not (home / "mini").exists()


def test_java_that_is_too_old(home, monkeypatch, tmp_path):
    java = tmp_path / "jdk" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\n")
    java.chmod(0o755)
    (tmp_path / "jdk" / "release").write_text('JAVA_VERSION="11.0.2"\n')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    with pytest.raises(JavaNotFound, match="is Java 11; Java 17"):
        cluster.up()
    assert not (home / "mini").exists()


def test_a_folder_that_hadoop_cannot_quote(monkeypatch, tmp_path):
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "my home"))
    with pytest.raises(UsageError, match="do not quote ' '"):
        cluster.up()


# -- jars ------------------------------------------------------------------------------------------------------------


def small(monkeypatch, tmp_path, contents):
    """A list of small jars in place of Hadoop's."""
    text = "".join(f"{hashlib.sha256(c).hexdigest()} {len(c)} g.x:{n}:1\n" for n, c in contents.items())
    listed = tmp_path / "jars.txt"
    listed.write_text("# comment\n" + text)
    monkeypatch.setattr(jars, "LIST", listed)
    jars.pinned.cache_clear()


@pytest.fixture(autouse=True)
def _fresh_list():
    yield
    jars.pinned.cache_clear()


def put(repository, name, content):
    path = repository / "g" / "x" / name / "1" / f"{name}-1.jar"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def ensure():
    return jars.ensure(Step("jars", 10, SILENT))


def test_every_pin_is_whole():
    listed = jars.pinned()
    assert len({jar.name for jar in listed}) == len(listed) > 100
    assert all(len(jar.sha256) == 64 and jar.size > 0 and jar.version for jar in listed)
    assert {jar.version for jar in listed if jar.group == "org.apache.hadoop"} == {"3.5.0"}
    names = " ".join(jar.name for jar in listed)
    assert "slf4j-reload4j" in names
    assert "mockito" not in names


def test_a_local_maven_repository_spares_the_download(monkeypatch, tmp_path):
    small(monkeypatch, tmp_path, {"a": b"one", "b": b"two"})
    put(tmp_path / "m2", "a", b"one")
    put(tmp_path / "m2", "b", b"two")
    monkeypatch.setattr(jars, "_download", None)
    where = ensure()
    assert sorted(path.name for path in where.iterdir()) == ["a-1.jar", "b-1.jar"]
    assert [path.name for path in where.parent.iterdir()] == [where.name]


def test_a_changed_jar_is_refused_and_nothing_stays(monkeypatch, tmp_path):
    small(monkeypatch, tmp_path, {"a": b"one"})
    put(tmp_path / "evil", "a", b"not")
    monkeypatch.setattr(jars, "_download", lambda jar, _: tmp_path / "evil/g/x/a/1" / jar.name)
    with pytest.raises(MiniFailed, match=r"a-1\.jar is not the pinned one"):
        ensure()
    assert list((tmp_path / "cache/rayyarn/jars").iterdir()) == []


def test_a_bad_local_copy_is_fetched_instead(monkeypatch, tmp_path):
    small(monkeypatch, tmp_path, {"a": b"one"})
    put(tmp_path / "m2", "a", b"bad")
    put(tmp_path / "good", "a", b"one")
    monkeypatch.setattr(jars, "_download", lambda jar, _: tmp_path / "good/g/x/a/1" / jar.name)
    assert (ensure() / "a-1.jar").read_bytes() == b"one"


def test_a_jar_that_vanished_from_the_cache_comes_back(monkeypatch, tmp_path):
    small(monkeypatch, tmp_path, {"a": b"one", "b": b"two"})
    put(tmp_path / "m2", "a", b"one")
    put(tmp_path / "m2", "b", b"two")
    where = ensure()
    (where / "a-1.jar").unlink()
    (where / "b-1.jar").write_bytes(b"x")
    assert ensure() == where
    assert (where / "a-1.jar").read_bytes() == b"one"
    assert (where / "b-1.jar").read_bytes() == b"two"


def test_what_a_killed_fetch_left_is_removed(monkeypatch, tmp_path):
    small(monkeypatch, tmp_path, {"a": b"one"})
    put(tmp_path / "m2", "a", b"one")
    stale = tmp_path / "cache/rayyarn/jars/fetch-old"
    stale.mkdir(parents=True)
    ensure()
    assert not stale.exists()


def test_a_full_disk_is_one_sentence_and_leaves_nothing(monkeypatch, tmp_path):
    small(monkeypatch, tmp_path, {"a": b"one"})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(jars, "_download", full)
    with pytest.raises(MiniFailed, match="No space left on device"):
        ensure()
    assert list((tmp_path / "cache/rayyarn/jars").iterdir()) == []


def test_the_records_document_is_readable_by_people(home):
    document = json.loads((write(home).shape.folder / "record.json").read_text())
    assert document["schema"] == 1
    assert document["daemons"][0]["role"] == "rm"
