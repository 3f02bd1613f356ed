"""Put-if-absent on a mounted folder: whole or not at all, once, by one, and never again."""

import os
import resource
import threading
import time

import pytest

from rayyarn import filesystem, stage
from rayyarn.errors import NotReady, StagingFailed
from rayyarn.filesystem.door import Stat
from rayyarn.hadoop import Hadoop
from rayyarn.steps import SILENT, Step

PATH = "/user/me/.rayyarn/envs/abc.tar.gz"


def viewfs(folder):
    properties = {
        "fs.defaultFS": "viewfs://mini/",
        "fs.viewfs.mounttable.mini.linkFallback": f"file://{folder}/all",
        "fs.viewfs.mounttable.mini.link./data": f"file://{folder}/data",
    }
    return Hadoop(folder, "test", properties, {"HADOOP_USER_NAME": "me"})


@pytest.fixture
def fs(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "home"))
    (tmp_path / "all" / "user" / "me").mkdir(parents=True)
    return filesystem.open(viewfs(tmp_path))


@pytest.fixture
def envs(tmp_path):
    return tmp_path / "all" / "user" / "me" / ".rayyarn" / "envs"


def say(text, calls=None):
    def write(sink):
        if calls is not None:
            calls.append(text)
        sink.write(text)

    return write


def test_the_first_call_writes_and_the_second_finds(fs, envs):
    calls = []
    first = stage.ensure(fs, PATH, say(b"content", calls))
    second = stage.ensure(fs, PATH, say(b"other", calls))
    assert (first.uri, first.size, first.visibility, first.made) == (f"viewfs://mini{PATH}", 7, "private", True)
    assert second == stage.Staged(**{**vars(first), "made": False})
    assert calls == [b"content"]
    assert [file.name for file in envs.iterdir()] == ["abc.tar.gz"]
    assert (envs / "abc.tar.gz").stat().st_mode & 0o777 == 0o600
    assert envs.stat().st_mode & 0o777 == 0o700
    assert first.mtime_ms % 1000 == 0  # JVMs that see whole seconds must see the same time


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError(5, "Input/output error")])
def test_nothing_half_written_stays(fs, envs, error):
    def write(sink):
        sink.write(b"half")
        raise error

    with pytest.raises(type(error)):
        stage.ensure(fs, PATH, write)
    assert list(envs.iterdir()) == []
    assert stage.ensure(fs, PATH, say(b"whole")).made


def test_a_full_disk_is_said_and_nothing_stays(fs, envs):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # the kernel's own refusal, as on a full disk
    try:
        with pytest.raises(StagingFailed, match="no space left") as caught:
            stage.ensure(fs, PATH, say(b"x" * 100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.hint.startswith("rayyarn env prune")
    assert list(envs.iterdir()) == []


def test_two_at_once_one_writes_and_the_other_waits_and_says_so(fs):
    calls, seen, results = [], [], []
    started, release = threading.Event(), threading.Event()

    def slow(sink):
        calls.append("slow")
        started.set()
        release.wait(20)
        sink.write(b"content")

    class Waiting(Step):
        def update(self, detail):
            seen.append(detail)
            release.set()

    first = threading.Thread(target=lambda: results.append(stage.ensure(fs, PATH, slow)))
    first.start()
    started.wait(20)
    second = stage.ensure(fs, PATH, say(b"other", calls), step=Waiting("environment", 20, SILENT))
    first.join(20)
    assert calls == ["slow"]
    assert (results[0].made, second.made) == (True, False)
    assert f"process {os.getpid()} on this machine makes the same file" in seen[0]


def test_waiting_for_another_has_a_limit(fs):
    started, release = threading.Event(), threading.Event()

    def slow(sink):
        started.set()
        release.wait(20)

    first = threading.Thread(target=lambda: stage.ensure(fs, PATH, slow))
    first.start()
    started.wait(20)
    with pytest.raises(NotReady, match=f"waited 0 s for process {os.getpid()}, which makes viewfs://mini"):
        stage.ensure(fs, PATH, say(b"x"), limit=0.3)
    release.set()
    first.join(20)


def test_a_race_with_another_machine_ends_well(fs, envs):
    def write(sink):
        sink.write(b"ours")
        (envs / "abc.tar.gz").write_bytes(b"theirs, first")

    staged = stage.ensure(fs, PATH, write)
    assert staged.size == len(b"theirs, first")
    assert [file.name for file in envs.iterdir()] == ["abc.tar.gz"]


def test_what_killed_writers_left_is_swept(fs, envs):
    import socket

    envs.mkdir(parents=True)
    here, dead, alive = socket.gethostname(), 2**22 + 5, os.getpid()
    old, fresh, foreign = f".a.part-{here}-{dead}-ff", f".b.part-{here}-{alive}-ff", ".c.part-other-host-7-ff"
    ancient = ".d.part-other-host-7-ff"
    for name in (old, fresh, foreign, ancient, "kept.tar.gz"):
        (envs / name).write_text("x")
    os.utime(envs / ancient, (1, time.time() - 90_000))
    assert sorted(stage.sweep(fs, "/user/me/.rayyarn/envs")) == sorted([old, ancient])
    assert sorted(file.name for file in envs.iterdir()) == sorted([fresh, foreign, "kept.tar.gz"])


def test_where_looking_is_dear_what_was_seen_is_believed(fs, monkeypatch):
    fs.cheap = False
    first = stage.ensure(fs, PATH, say(b"content"))
    monkeypatch.setattr(type(fs), "stats", lambda self, paths: pytest.fail("asked"))
    assert stage.ensure(fs, PATH, say(b"x")).uri == first.uri
    monkeypatch.undo()


def test_what_yarn_misses_is_forgotten_and_made_again(fs, envs, monkeypatch, tmp_path):
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "home"))
    fs.cheap = False
    first = stage.ensure(fs, PATH, say(b"content"))
    (envs / "abc.tar.gz").unlink()
    assert not stage.ensure(fs, PATH, say(b"again")).made
    stage.forget(first.uri)
    assert stage.ensure(fs, PATH, say(b"again")).made
    (envs / "abc.tar.gz").unlink()
    assert stage.ensure(fs, PATH, say(b"again"), recheck=True).made


@pytest.mark.parametrize(
    ("mode", "parents", "expected"),
    [(0o644, [0o755, 0o711], "public"), (0o640, [0o755], "private"), (0o644, [0o755, 0o700], "private")],
)
def test_visibility_is_sparks_rule(mode, parents, expected):
    above = [Stat(0, 0, True, one) for one in parents]
    assert stage.visibility(Stat(1, 1, False, mode), above) == expected
    assert stage.visibility(Stat(1, 1, False, mode), [*above, None]) == "private"


def test_a_file_that_should_be_there(fs):
    with pytest.raises(StagingFailed, match=r"viewfs://mini/data/e\.tar\.gz is not there"):
        stage.existing(fs, "/data/e.tar.gz")


def test_mount_points_lead_to_their_own_folders(fs, tmp_path):
    (tmp_path / "data").mkdir()
    fs.write("/data/sub.txt", b"hello")
    assert (tmp_path / "data" / "sub.txt").read_bytes() == b"hello"
    assert fs.read("/data/sub.txt") == b"hello"
    assert list(fs.list("/data")) == ["sub.txt"]
    assert fs.stat("/data").is_dir
    assert fs.remove("/data/sub.txt")
    assert not fs.remove("/data/sub.txt")
    assert fs.list("/nowhere") == {}


def test_write_replaces_a_file_and_hadoops_checksum_of_it(fs, tmp_path):
    home = tmp_path / "all" / "user" / "me"
    fs.write("/user/me/doc.json", b"one")
    (home / ".doc.json.crc").write_bytes(b"of the first one")
    fs.write("/user/me/doc.json", b"two")
    assert fs.read("/user/me/doc.json") == b"two"
    assert [file.name for file in home.iterdir()] == ["doc.json"]


def test_folders_are_removed_with_what_is_in_them(fs, tmp_path):
    fs.mkdirs("/user/me/a/b")
    fs.write("/user/me/a/b/c", b"x")
    with pytest.raises(StagingFailed):
        fs.remove("/user/me/a")
    assert fs.remove("/user/me/a", recursive=True)
    assert fs.stat("/user/me/a") is None


def test_a_mount_table_that_is_only_partly_understood_is_left_to_hadoop(tmp_path):
    site = viewfs(tmp_path)
    nfly = {**site.properties, "fs.viewfs.mounttable.mini.linkNfly../ads": "file:///a,file:///b"}
    assert type(filesystem.open(Hadoop(tmp_path, "test", nfly))).__name__ == "FsShell"


def test_a_kerberos_site_goes_through_hadoops_own_client(tmp_path):
    site = Hadoop(tmp_path, "t", {"fs.defaultFS": "hdfs://nn:8020", "hadoop.security.authentication": "kerberos"})
    assert type(filesystem.open(site)).__name__ == "FsShell"
