"""A connection handed to a shell and to spark-submit: what they read is what was meant."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import pytest

from rayyarn import connection, edge, filesystem, hadoop, handover, ray_init, session, spark, spark_defaults
from rayyarn.errors import ConnectionUnusable
from rayyarn.stage import Staged

SAMPLE = Path(__file__).parents[1] / "unit" / "samples" / "connection-1.json"
AWKWARD = '/a b/it\'s $HOME `x` "q" \\ é'


@pytest.fixture
def found(tmp_path, monkeypatch):
    """A cluster whose prefix has a name that no shell takes as it is."""
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "home"))
    prefix = tmp_path / AWKWARD.strip("/")
    (prefix / "bin").mkdir(parents=True)
    path = tmp_path / "demo.json"
    path.write_bytes(SAMPLE.read_bytes())
    (tmp_path / "demo.0a1b2c3d").mkdir()
    (tmp_path / "demo.0a1b2c3d" / "token").write_text("s3cret")
    one = connection.read(path)
    one = replace(one, environment={**one.environment, "prefix": str(prefix)})
    monkeypatch.setattr(session, "find", lambda name, hadoop_conf=None: one)
    monkeypatch.setattr(session, "drift", lambda one: ["it has changed"])
    monkeypatch.setattr(edge, "reach", lambda address: None)
    return one


def test_a_shell_gets_the_variables_of_exec(found):
    given = handover.give("demo")
    assert (given.name, given.address, given.spark_conf, given.remarks) == (
        "demo", "10.0.0.1:6379", None, ("it has changed",),
    )  # fmt: skip
    assert "s3cret" not in given.exports()
    script = f"{given.exports()}\nexec {sys.executable} -c 'import os; print(dict(os.environ))'"
    start = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "RAY_AUTH_TOKEN": "of another cluster"}
    for shell in ("sh", "bash"):
        done = subprocess.run([shell, "-c", script], env=start, capture_output=True, text=True, check=True)
        seen = eval(done.stdout)
        with pytest.MonkeyPatch.context() as patch:
            for name in os.environ:
                patch.delenv(name)
            for name, value in {**start, "RAYYARN_HOME": str(Path(given.connection_file).parent / "home")}.items():
                patch.setenv(name, value)
            meant = edge.environment(found)
        assert seen.pop("RAY_RUNTIME_ENV_HOOK") == "rayyarn.ray_init.prepare"
        assert "RAY_AUTH_TOKEN" not in {*seen, *meant}
        assert {name: seen[name] for name in meant if name != "RAYYARN_HOME"} == {
            name: value for name, value in meant.items() if name != "RAYYARN_HOME"
        }


def test_what_a_variable_had_stays_behind_what_is_put_in_front(found):
    script = f'{handover.give("demo").exports()}\nprintf "%s" "$PYTHONPATH"'
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": "/mine"}
    done = subprocess.run(["sh", "-c", script], env=environ, capture_output=True, text=True, check=True)
    first, rest = done.stdout.split(":", 1)
    assert "rayyarn-runtime-" in first
    assert rest == "/mine"


def test_a_program_under_exec_has_its_raylet_from_exec(found, monkeypatch):
    monkeypatch.setenv("RAY_RUNTIME_ENV_HOOK", edge.HOOK)
    assert "RAY_RUNTIME_ENV_HOOK" not in edge.environment(found)
    monkeypatch.setenv("RAY_RUNTIME_ENV_HOOK", "the.users.own")
    assert edge.environment(found)["RAY_RUNTIME_ENV_HOOK"] == "the.users.own"


def test_a_lost_token_is_told(found):
    found.secret("token").unlink()
    with pytest.raises(ConnectionUnusable, match="token is not where"):
        handover.give("demo")


def properties(text):
    """As java.util.Properties.load reads it, without lines that go on."""
    found = {}
    for line in text.splitlines():
        if line and line[0] not in "#!":
            key, value = re.fullmatch(r"((?:\\.|[^\\=: ])*)[=: ]\s*(.*)", line).groups()
            found[unescaped(key)] = unescaped(value)
    return found


def unescaped(text):
    known = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}
    units = re.sub(r"\\u(....)", lambda one: chr(int(one[1], 16)), text)
    plain = re.sub(r"\\(.)", lambda one: known.get(one[1], one[1]), units)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16")


@pytest.mark.parametrize(
    "value", ["plain", " spaces in front", "a=b:c #!", "back\\slash\nand more\t", "é \U0001f600", ""]
)
def test_a_value_comes_out_of_the_file_as_it_went_in(value):
    text = spark_defaults.render("demo", {"spark.a b": value, "spark.z": "1"})
    assert text.isascii()
    assert properties(text) == {"spark.a b": value, "spark.z": "1"}


@pytest.fixture
def site(found, tmp_path, monkeypatch):
    """The cluster's file system, in a folder of this machine."""
    properties = {"fs.defaultFS": "viewfs://mini/", "fs.viewfs.mounttable.mini.linkFallback": f"file://{tmp_path}/fs"}
    one = hadoop.Hadoop(tmp_path, "HADOOP_CONF_DIR", properties, {"HADOOP_USER_NAME": "me"})
    monkeypatch.setattr(hadoop, "find", lambda conf=None, environ=None: one)
    filesystem.open(one).mkdirs("/user/me/.rayyarn/apps/application_1763_0042")
    return one


def test_the_file_of_spark_submit(found, site, tmp_path, monkeypatch):
    packages = Path(found.environment["prefix"], "lib", "python3.11", "site-packages", "pyspark")
    packages.mkdir(parents=True)
    monkeypatch.setattr(spark, "jars", lambda site, folder, version: Staged(f"viewfs://{folder.name}", "", 0, 0, ""))
    path = Path(handover.give("demo", spark_conf=tmp_path / "x.conf").spark_conf)
    assert path.stat().st_mode & 0o777 == 0o600
    conf = properties(path.read_text())
    assert "s3cret" not in path.read_text()
    assert conf["spark.yarn.dist.archives"] == found.spark["conf"]["spark.yarn.dist.archives"]
    assert conf["spark.yarn.archive"] == "viewfs://pyspark"
    folder = "viewfs://mini/user/me/.rayyarn/apps/application_1763_0042"
    assert conf["spark.yarn.dist.files"].split(",") == [
        f"{folder}/driver.json#rayyarn-connection.json", f"{folder}/token#rayyarn-token", found.runtime["uri"],
    ]  # fmt: skip
    master = {key.removeprefix("spark.yarn.appMasterEnv."): value for key, value in conf.items() if "appMaster" in key}
    assert master["RAY_ADDRESS"] == "10.0.0.1:6379"
    assert master["PYTHONPATH"] == "$PWD/r.zip"
    assert "SPARK_LOCAL_IP" not in master
    inside = tmp_path / "fs" / "user" / "me" / ".rayyarn" / "apps" / "application_1763_0042" / "driver.json"
    assert inside.stat().st_mode & 0o777 == 0o600
    there = connection.read(inside)
    assert there.secret("token") == inside.with_name("rayyarn-token")
    assert (there.environment["prefix"], there.ray) == (None, found.ray)


def test_code_layers_are_on_the_drivers_path_before_ours(found, site, monkeypatch):
    monkeypatch.setattr(spark, "common", lambda *_: {})
    layers = {"spark.executorEnv.PYTHONPATH": "./code/src:./code1/lib"}
    conf = spark_defaults.settings(replace(found, spark={**found.spark, "conf": layers}))
    assert conf["spark.yarn.appMasterEnv.PYTHONPATH"] == "$PWD/code/src:$PWD/code1/lib:$PWD/r.zip"


def test_extra_files_go_with_those_that_the_driver_needs(found, site, monkeypatch):
    monkeypatch.setattr(spark, "common", lambda found, *_: dict(found.spark["conf"]))
    files = [{"name": "model", "uri": "viewfs://mini/a.model"}, {"name": "b", "uri": "viewfs://mini/b"}]
    conf = {"spark.yarn.dist.files": "viewfs://mini/a.model#model,viewfs://mini/b#b"}
    made = spark_defaults.settings(replace(found, files=files, spark={**found.spark, "conf": conf}))
    assert made["spark.yarn.dist.files"].split(",")[2:] == [
        found.runtime["uri"], "viewfs://mini/a.model#model", "viewfs://mini/b#b",
    ]  # fmt: skip
    assert made["spark.yarn.appMasterEnv.RAYYARN_FILES_DIR"] == "$PWD"


class Node:
    made: ClassVar[list[object]] = []

    def __init__(self, found, python, environ):
        self.made.append((found.name, python))

    def ready(self):
        self.made.append("ready")

    def close(self):
        pass


@pytest.mark.parametrize(
    ("address", "there", "made"),
    [
        ("10.0.0.1:6379", False, [("demo", [sys.executable]), "ready"]),
        ("10.0.0.1:6379", True, []),
        ("10.9.9.9:1", False, []),
    ],
    ids=["none here", "one is here", "another cluster"],
)
def test_ray_init_starts_a_raylet_where_there_is_none(found, monkeypatch, address, there, made):
    monkeypatch.setattr(Node, "made", [])
    monkeypatch.setattr(edge, "Edge", Node)
    monkeypatch.setattr(edge, "has_raylet", lambda address: there)
    monkeypatch.setattr(ray_init.atexit, "register", lambda action: None)
    monkeypatch.setenv("RAYYARN_CONNECTION", str(found.path))
    monkeypatch.setenv("RAY_ADDRESS", address)
    asked = {"pip": ["x"]}
    assert ray_init.prepare(asked) is asked
    assert Node.made == made


def test_the_command_line_does_not_take_its_library_from_the_containers_zip(tmp_path):
    """PYTHONPATH has it in a connected shell; `rayyarn mini` is not in it."""
    path = str(tmp_path / "rayyarn-runtime-0123.zip")
    code = "import rayyarn_cli, sys; print(sys.argv[1] in sys.path)"
    done = subprocess.run(
        [sys.executable, "-c", code, path], env={**os.environ, "PYTHONPATH": path}, capture_output=True
    )
    assert done.stdout == b"False\n"


def test_the_command_says_how_or_hands_over(found, site, ry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain = ry("connect", "demo")
    assert (plain.rc, plain.out) == (0, f"demo\t10.0.0.1:6379\t{found.path}\n")
    assert 'eval "$(rayyarn connect demo --shell)"' in plain.err
    shell = ry("connect", "demo", "--shell")
    first, *rest = shell.out.splitlines()
    assert first == "unset RAY_AUTH_TOKEN"
    assert all(line.startswith("export ") for line in rest)
    assert shell.err == "it has changed\n"
    written = ry("connect", "demo", "--spark-conf", "x.conf", "--json")
    assert json.loads(written.out)["data"]["spark_conf"] == str(tmp_path / "x.conf")
    nowhere = ry("connect", "demo", "--spark-conf", "no/x.conf")
    assert (nowhere.rc, "cannot be written" in nowhere.err) == (1, True)


@pytest.mark.parametrize(("address", "calls"), [("10.0.0.1:6379", ["shutdown"]), ("10.9.9.9:1", [])])
def test_a_driver_leaves_before_its_raylet_does(monkeypatch, address, calls):
    """Ray would end the program on the spot otherwise, with what it has printed and not flushed."""
    called = []
    ray = ModuleType("ray")
    ray.is_initialized = lambda: True
    ray.shutdown = lambda: called.append("shutdown")
    ray.get_runtime_context = lambda: SimpleNamespace(gcs_address=address)
    monkeypatch.setitem(sys.modules, "ray", ray)
    edge._disconnect("10.0.0.1:6379")
    assert called == calls
