"""Which Hadoop, what its configuration means, which Java: from files alone."""

import os
import subprocess
from pathlib import Path

import pytest

from rayyarn import hadoop, home
from rayyarn.errors import HadoopNotFound, HadoopUnusable, JavaNotFound
from rayyarn.hadoop import Hadoop
from rayyarn.mini import cluster as mini


def site(properties, **environ):
    return Hadoop(home.root(), "test", properties, environ)


def write_conf(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, properties in files.items():
        entries = "".join(f"<property><name>{k}</name><value>{v}</value></property>" for k, v in properties.items())
        (folder / f"{name}-site.xml").write_text(f"<configuration>{entries}</configuration>")
    return folder


@pytest.fixture(autouse=True)
def no_mini(monkeypatch):
    monkeypatch.setattr(mini, "running", lambda: ())


# --- properties ---


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("  around  ", "around"),
        ("${a}", "A"),
        ("x-${a}-${b}-y", "x-A-B A-y"),
        ("${env.WHO}", "me"),
        ("${env.NOT_THERE}/x", "/x"),
        ("${unknown}/x", "/x"),
        ("${ not a variable }", "${ not a variable }"),
    ],
)
def test_variables_are_filled_in(value, expected):
    found = site({"key": value, "a": "A", "b": "B ${a}"}, WHO="me")
    assert found.get("key") == expected


def test_a_variable_that_names_itself_ends():
    assert "loop" in site({"loop": "x${loop}"}).get("loop")


def test_a_default_is_used_and_filled_in_too():
    assert site({"a": "1"}).get("missing", "${a}") == "1"


def test_later_files_win_and_odd_entries_do_no_harm(tmp_path):
    conf = write_conf(tmp_path / "conf", core={"a": "1", "fs.defaultFS": "hdfs://nn:8020/"}, yarn={"a": "2"})
    (conf / "hdfs-site.xml").write_text(
        "<configuration><property><value>no name</value></property><property><name> b </name></property>"
        "</configuration>"
    )
    found = hadoop.find(conf)
    assert (found.get("a"), found.get("b"), found.default_fs) == ("2", "", "hdfs://nn:8020")


def test_a_file_that_is_not_xml_is_named(tmp_path):
    conf = write_conf(tmp_path / "conf", yarn={})
    (conf / "core-site.xml").write_text("<configuration>")
    with pytest.raises(HadoopUnusable, match=r"core-site\.xml is not XML: no element found") as caught:
        hadoop.find(conf)
    assert caught.value.hint == f"xmllint --noout {conf}/core-site.xml"


# --- the ResourceManager ---


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({}, ("http://0.0.0.0:8088",)),
        ({"yarn.resourcemanager.hostname": "rm"}, ("http://rm:8088",)),
        ({"yarn.resourcemanager.hostname": "rm", "yarn.resourcemanager.webapp.address": "web:81"}, ("http://web:81",)),
        ({"yarn.resourcemanager.hostname": "rm", "yarn.resourcemanager.webapp.address":
          "${yarn.resourcemanager.hostname}:8088"}, ("http://rm:8088",)),
        ({"yarn.resourcemanager.hostname": "rm", "yarn.http.policy": "HTTPS_ONLY"}, ("https://rm:8090",)),
        ({"yarn.http.policy": "HTTPS_ONLY", "yarn.resourcemanager.webapp.https.address": "rm:443"}, ("https://rm:443",)),
        ({"yarn.resourcemanager.ha.enabled": "true", "yarn.resourcemanager.ha.rm-ids": "a, b",
          "yarn.resourcemanager.hostname.a": "one", "yarn.resourcemanager.webapp.address.b": "two:99"},
         ("http://one:8088", "http://two:99")),
        ({"yarn.resourcemanager.ha.enabled": "true", "yarn.resourcemanager.ha.rm-ids": "a,b",
          "yarn.http.policy": "HTTPS_ONLY", "yarn.resourcemanager.hostname.a": "one",
          "yarn.resourcemanager.hostname.b": "two"}, ("https://one:8090", "https://two:8090")),
    ],
)  # fmt: skip
def test_where_the_resource_managers_are(properties, expected):
    assert site(properties).rm_web == expected


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"yarn.resourcemanager.cluster-id": "prod/east"}, "prod-east"),
        ({"yarn.resourcemanager.hostname": "rm.example.org"}, "rm.example.org"),
        ({"yarn.resourcemanager.webapp.address": "127.0.0.1:9088"}, "127.0.0.1-9088"),
    ],
)
def test_a_yarn_has_a_name_that_is_fit_for_a_folder(properties, expected):
    assert site(properties).yarn_id == expected


def test_user_home_and_kerberos():
    found = site({"dfs.user.home.dir.prefix": "/home/", "hadoop.security.authentication": "kerberos"},
                 HADOOP_USER_NAME="ann")  # fmt: skip
    assert (found.user, found.home, found.secure) == ("ann", "/home/ann", True)
    assert site({}, HADOOP_USER_NAME="ann").home == "/user/ann"


@pytest.mark.parametrize("value", [None, "file:///", "file:/"])
def test_a_local_default_file_system_is_refused(value):
    found = site({"fs.defaultFS": value} if value else {})
    with pytest.raises(HadoopUnusable, match="containers on other machines cannot read this machine's files"):
        found.check()
    site({"fs.defaultFS": "hdfs://nn"}).check()


# --- which folder ---


def test_the_order_of_places(tmp_path):
    places = {name: write_conf(tmp_path / name, core={"who": name}) for name in ("flag", "hadoop", "yarn")}
    write_conf(tmp_path / "home" / "etc" / "hadoop", core={"who": "home"})
    environ = {"HADOOP_CONF_DIR": str(places["hadoop"]), "YARN_CONF_DIR": str(places["yarn"]),
               "HADOOP_HOME": str(tmp_path / "home")}  # fmt: skip
    seen = [hadoop.find(places["flag"], environ)]
    for gone in ("HADOOP_CONF_DIR", "YARN_CONF_DIR"):
        seen.append(hadoop.find(None, environ))
        del environ[gone]
    seen.append(hadoop.find(None, environ))
    assert [(found.get("who"), found.origin) for found in seen] == [
        ("flag", "--hadoop-conf"), ("hadoop", "HADOOP_CONF_DIR"), ("yarn", "YARN_CONF_DIR"), ("home", "HADOOP_HOME"),
    ]  # fmt: skip


@pytest.mark.parametrize("origin", ["--hadoop-conf", "HADOOP_CONF_DIR", "YARN_CONF_DIR"])
def test_a_place_that_was_named_and_is_empty_is_an_error(tmp_path, origin):
    folder = str(tmp_path)
    conf, environ = (folder, {}) if origin.startswith("--") else (None, {origin: folder})
    with pytest.raises(HadoopNotFound) as caught:
        hadoop.find(conf, environ)
    assert caught.value.message == f"{origin} is {folder}, and there is no core-site.xml or yarn-site.xml in it"


@pytest.mark.skipif(Path("/etc/hadoop/conf").exists(), reason="this machine has a Hadoop")
def test_no_hadoop_at_all_names_the_mini_cluster(tmp_path):
    with pytest.raises(HadoopNotFound, match="and no mini cluster runs") as caught:
        hadoop.find(None, {"HADOOP_HOME": str(tmp_path)})
    assert caught.value.hint == "rayyarn mini up   # a real small YARN on this machine"


# --- the class path ---


def program(folder, monkeypatch, output, code=0, calls=None):
    path = folder / "bin" / "yarn"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)

    def run(command, **_):
        if calls is not None:
            calls.append(command)
        return subprocess.CompletedProcess(command, code, output, "line one\nline two\n")

    monkeypatch.setattr(subprocess, "run", run)
    return path


def test_the_class_path_is_asked_for_once(tmp_path, monkeypatch):
    calls = []
    path = program(tmp_path, monkeypatch, "noise\n/opt/a/*:/opt/b/*\n", calls=calls)
    found = Hadoop(tmp_path / "conf", "test", {}, {"PATH": str(path.parent)})
    assert [found.classpath() for _ in range(2)] == [f"{tmp_path}/conf:/opt/a/*:/opt/b/*"] * 2
    assert calls == [[str(path), "classpath"]]
    os.utime(path, (1, 1))  # another Hadoop was installed
    found.classpath()
    assert len(calls) == 2


def test_a_class_path_that_cannot_be_had_says_why(tmp_path, monkeypatch):
    path = program(tmp_path, monkeypatch, "", code=1)
    with pytest.raises(HadoopUnusable) as caught:
        Hadoop(tmp_path / "conf", "test", {}, {"PATH": str(path.parent)}).classpath()
    assert (caught.value.message, caught.value.log) == (f"`{path} classpath` failed", "line two")


def test_without_a_program_the_jars_of_pyspark_do(tmp_path, monkeypatch):
    class Spec:
        origin = "/site/pyspark/__init__.py"

    monkeypatch.setattr(hadoop, "find_spec", lambda name: Spec())
    assert Hadoop(tmp_path, "test", {}, {}).classpath() == f"{tmp_path}:/site/pyspark/jars/*"
    monkeypatch.setattr(hadoop, "find_spec", lambda name: None)
    with pytest.raises(HadoopNotFound, match="no `yarn` or `hadoop` program on PATH or in HADOOP_HOME"):
        Hadoop(tmp_path, "test", {}, {}).classpath()


# --- Java ---


def java(folder, release=None):
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    if release:
        (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{release}"\n')
    return path


@pytest.mark.parametrize(("release", "major"), [("1.8.0_402", 8), ("11.0.22", 11), ("17.0.15", 17), ("24", 24)])
def test_the_release_file_says_which_java(tmp_path, release, major):
    path = java(tmp_path / "jdk", release)
    by_home = hadoop.find_java({"JAVA_HOME": str(tmp_path / "jdk"), "PATH": "/nowhere"})
    by_path = hadoop.find_java({"PATH": str(path.parent)})
    assert (by_home.major, by_home.path, by_home.home) == (major, path, tmp_path / "jdk")
    assert by_path == by_home


def test_a_java_without_a_release_file_is_asked(tmp_path, monkeypatch):
    path = java(tmp_path / "jre")
    said = 'openjdk version "1.8.0_402"\n'
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, "", said))
    assert hadoop.find_java({"PATH": str(path.parent)}).major == 8
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, "", "?"))
    with pytest.raises(JavaNotFound, match="does not say which Java it is"):
        hadoop.find_java({"PATH": str(path.parent)})


def test_an_old_java_is_refused(tmp_path):
    path = java(tmp_path / "jdk", "11.0.22")
    with pytest.raises(JavaNotFound, match="bin/java is Java 11; Java 17 or newer is needed"):
        hadoop.find_java({"PATH": str(path.parent)}, at_least=17)


@pytest.mark.parametrize(
    ("environ", "message"),
    [({"PATH": "/nowhere"}, "no Java: no `java` on PATH"),
     ({"JAVA_HOME": "/nowhere"}, "no Java: JAVA_HOME is /nowhere, and there is no bin/java in it")],
)  # fmt: skip
def test_no_java(environ, message):
    with pytest.raises(JavaNotFound) as caught:
        hadoop.find_java(environ)
    assert caught.value.message == message


# --- YARN's admins and its web proxy ---


@pytest.mark.parametrize(
    ("acl", "admins"),
    [(None, ()), ("*", ()), (" ", ()), (" hadoop", ()), ("yarn,ops wheel", ("yarn", "ops")), ("yarn, ops", ("yarn",))],
)
def test_admins_are_the_users_that_are_named(acl, admins):
    assert site({} if acl is None else {"yarn.admin.acl": acl}).admins == admins


def test_a_web_proxy_is_one_apart():
    assert site({}).web_proxy == ""
    assert site({"yarn.web-proxy.address": "p:9"}).web_proxy == "http://p:9"
    assert site({"yarn.web-proxy.address": "p:9", "yarn.http.policy": "HTTPS_ONLY"}).web_proxy == "https://p:9"
