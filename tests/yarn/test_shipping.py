"""Real environments, really packed, on real file systems: a folder, HDFS over HTTP, and Hadoop's own shell."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from conftest import own_mini

from rayyarn import environment, filesystem, hadoop, inventory, layer, pack, stage
from rayyarn.errors import StagingFailed
from rayyarn.filesystem.fsshell import FsShell

BUILD = Path(__file__).parents[2] / "envs" / "build.py"


def build(*args):
    done = subprocess.run([sys.executable, BUILD, *args], stdout=subprocess.PIPE, text=True, timeout=1200, check=False)
    return Path(done.stdout.strip()) if done.returncode == 0 else None


@pytest.fixture(scope="module")
def hdfs(yarn):
    """The configuration of a mini cluster with a NameNode and a DataNode."""
    home = yarn.watch.home.parent / "hdfs"
    with own_mini(home, hdfs=True, nodes=1) as made:
        yield Path(made.conf_dir)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def home(yarn, tmp_path, monkeypatch):
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "home"))


@pytest.fixture(params=["folder", "shell over a folder", "webhdfs", "shell over hdfs"])
def door(request, yarn, hdfs, home):
    """One way to a real file system, and another way to the same for a second opinion."""
    conf = hdfs if "hdfs" in request.param else yarn.conf_dir
    site = hadoop.find(conf)
    first, shell = filesystem.open(site), FsShell(site.default_fs, site)
    kind = type(first).__name__
    if kind == "FsShell":
        pytest.skip(f"no other door to {site.default_fs}")
    there = f"{site.home}/.rayyarn/test"
    yield (shell, first, there) if "shell" in request.param else (first, shell, there)
    first.remove(there, recursive=True)


def test_a_file_is_staged_once_and_is_the_same_through_every_door(door):
    fs, other, folder = door
    path, text = f"{folder}/{os.urandom(6).hex()}.tar.gz", os.urandom(300_000)
    first = stage.ensure(
        fs, path, lambda sink: [sink.write(text[start : start + 7000]) for start in range(0, 300_000, 7000)]
    )
    assert (first.made, first.size, first.uri) == (True, 300_000, other.uri(path))
    assert not stage.ensure(fs, path, lambda sink: pytest.fail("sent again"), recheck=True).made
    assert other.read(path) == fs.read(path) == text
    assert fs.stat(path) == other.stat(path)
    assert fs.stat(path).mode == 0o600
    assert fs.stat(folder).mode == other.stat(folder).mode == 0o700
    assert fs.list(folder) == other.list(folder)
    assert fs.stats([path, f"{path}.not", folder])[1] is None


def test_documents_are_replaced_and_removed(door):
    fs, other, folder = door
    fs.mkdirs(folder)
    path = f"{folder}/doc [1].json"
    fs.write(path, b"one")
    fs.write(path, b"two")
    assert other.read(path) == b"two"
    assert list(other.list(folder)) == ["doc [1].json"]
    assert fs.remove(path)
    assert not fs.remove(path)
    assert other.stat(path) is None
    with pytest.raises(FileNotFoundError):
        fs.read(path)
    assert fs.list(f"{folder}/nowhere") == {}


def test_an_upload_that_is_given_up_leaves_nothing(door):
    fs, other, folder = door

    def half(sink):
        sink.write(b"x" * 2_000_000)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage.ensure(fs, f"{folder}/half.tar.gz", half)
    assert other.list(folder) == {}


def test_who_comes_second_keeps_the_first_ones_file(door):
    fs, other, folder = door

    def late(sink):
        other.write(f"{folder}/race.tar.gz", b"theirs, first")
        sink.write(b"ours")

    assert stage.ensure(fs, f"{folder}/race.tar.gz", late).size == len(b"theirs, first")
    assert list(other.list(folder)) == ["race.tar.gz"]


@pytest.mark.parametrize("way", ["webhdfs", "shell"])
def test_without_a_home_folder_the_administrators_line_is_said(hdfs, home, way):
    site = hadoop.Hadoop(hdfs, "t", hadoop.find(hdfs).properties, {**os.environ, "HADOOP_USER_NAME": "stranger"})
    fs = filesystem.open(site) if way == "webhdfs" else FsShell(site.default_fs, site)
    with pytest.raises(StagingFailed, match="the home folder /user/stranger is not there") as caught:
        stage.ensure(fs, f"{stage.folder(site, 'envs')}/x.tar.gz", lambda sink: sink.write(b"x"))
    assert "hdfs dfs -mkdir /user/stranger && hdfs dfs -chown stranger /user/stranger" in caught.value.hint
    assert "Permission denied" in caught.value.log


def unpacked(archive, folder):
    folder.mkdir()
    with tarfile.open(archive) as tar:
        tar.extractall(folder, **({"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}))
    return folder


def python(prefix, code, **environ):
    given = {"PATH": "/usr/bin:/bin", "HOME": str(prefix), "PYTHONNOUSERSITE": "1", **environ}
    done = subprocess.run([prefix / "bin/python", "-c", code], capture_output=True, text=True, env=given, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_an_environment_after_a_year_of_use_runs_where_it_is_unpacked(home, tmp_path, version):
    made = build("lived-in", "--python", version)
    if made is None:
        pytest.skip(f"no Python {version} on this machine to put into an environment")
    found = environment.inspect(made)
    assert environment.problems(found) == []
    assert found.overwritten == ("setuptools 75.8.0 by 80.9.0",)
    assert [one.name for one in found.editable] == ["greeting"]
    with (tmp_path / "e.tar.gz").open("wb") as sink:
        pack.pack(found, sink)
    here = unpacked(tmp_path / "e.tar.gz", tmp_path / "elsewhere")
    said = python(here, "import sys, ray, setuptools; print(sys.prefix, ray.__version__, setuptools.__version__)")
    assert said == [str(here), "2.60.0", "80.9.0"]
    code = layer.code_layer(found.editable)
    with (tmp_path / "code.tar.gz").open("wb") as sink:
        code.write(sink)
    below = unpacked(tmp_path / "code.tar.gz", tmp_path / "code")
    paths = ":".join(str(below / one) for one in code.python_paths)
    assert python(here, "import greeting; print(greeting.__file__)", PYTHONPATH=paths)[0].startswith(str(below))
    assert python(here, "import importlib.util as u; print(u.find_spec('greeting'))") == ["None"]


def test_env_commands_on_a_real_cluster(yarn, ry, prefix):
    site = hadoop.find(yarn.conf_dir)
    fs = filesystem.open(site)
    checked = ry("env", "check", prefix, "--json")
    assert (checked.rc, checked.data["ray"], checked.data["problems"]) == (0, "2.60.0", [])
    first = ry("env", "pack", prefix, timeout=300)
    assert first.rc == 0, first.err
    known, uri = first.out.split()
    assert known == checked.data["fingerprint"]
    again = ry("env", "pack", prefix)
    assert (again.rc, again.out) == (0, first.out)
    assert f"environment: {known[:8]} already on {site.default_fs}" in again.err
    listed = {item["uri"]: item for item in ry("env", "list", "--json").data}
    assert listed[uri]["size"] == fs.stat(f"{stage.folder(site, 'envs')}/{known}.tar.gz").size
    assert ry("env", "prune", "--older-than", "1 d", "--json").data["removed"] == []
    spared = ry("env", "prune", "--dry-run", "--json").data["removed"]
    assert uri in [item["uri"] for item in spared]
    assert fs.stat(f"{stage.folder(site, 'envs')}/{known}.tar.gz") is not None


def test_two_at_once_pack_once_and_a_killed_one_is_cleaned_up_after(yarn, prefix, tmp_path):
    site = hadoop.find(yarn.conf_dir)
    fs, folder = filesystem.open(site), f"{stage.folder(site, 'envs')}"
    own = tmp_path / "env"
    shutil.copytree(prefix, own, symlinks=True, ignore=lambda _, names: [n for n in names if n in ("pyspark", "share")])
    (own / "mark").write_text(str(tmp_path))  # content that no other test has
    command = [Path(sys.executable).with_name("rayyarn"), "env", "pack", own, "--json"]

    def start():
        return subprocess.Popen(command, env=yarn.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    killed = start()
    end = time.monotonic() + 60
    while not [name for name in fs.list(folder) if f"-{killed.pid}-" in name]:
        assert time.monotonic() < end
        assert killed.poll() is None, killed.stderr.read()
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=20)
    assert [name for name in fs.list(folder) if ".part-" in name]
    both = [start(), start()]
    said = [(one.communicate(timeout=300), one.returncode) for one in both]
    answers = [json.loads(out)["data"] for (out, _), _ in said]
    assert [code for _, code in said] == [0, 0]
    assert sorted(answer["made"] for answer in answers) == [False, True]
    assert answers[0]["fingerprint"] == answers[1]["fingerprint"]
    assert not [name for name in fs.list(folder) if ".part-" in name]
    mine = answers[0]["fingerprint"]
    others = [item.fingerprint for item in inventory.items(site, fs) if item.fingerprint != mine]
    inventory.prune(site, fs, {"other": ("other",)}, keep=others)
    assert f"{mine}.tar.gz" not in fs.list(folder)
