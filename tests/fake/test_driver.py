"""Skein's driver with a Java that is a shell script, and the lease."""

import os
import time

import pytest

from rayyarn import home, lease, store
from rayyarn.errors import ClusterFailed, JavaNotFound, RayYarnError
from rayyarn.hadoop import Hadoop
from rayyarn.skein_am import Credentials, Driver, DriverUnreachable, wire

pytest.importorskip("skein")


def driver(tmp_path, monkeypatch, script):
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "home"))
    java = tmp_path / "jdk" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(0o755)
    (tmp_path / "jdk" / "release").write_text('JAVA_VERSION="11.0.2"\n')
    environ = {"JAVA_HOME": str(tmp_path / "jdk"), "PATH": os.environ["PATH"]}
    monkeypatch.setattr(Hadoop, "classpath", lambda self: "/none/*")
    return Driver(Hadoop(tmp_path, "test", {}, environ), Credentials(b"certificate", b"key"))


def folders():
    return list(home.cache().glob("driver-*"))


def test_a_java_too_old_for_the_jars_is_told_plainly(tmp_path, monkeypatch):
    script = (
        "echo 'Error: LinkageError occurred while loading main class com.anaconda.skein.Driver' >&2\n"
        "echo '	java.lang.UnsupportedClassVersionError: org/X has been compiled by a more recent version of the Java "
        "Runtime (class file version 61.0), this version of the Java Runtime only recognizes class file versions up to "
        "55.0' >&2\nexit 1"
    )
    with driver(tmp_path, monkeypatch, script) as one:
        assert len(folders()) == 1
        with pytest.raises(JavaNotFound, match="this Java is 11, and the jars it has to load need Java 17"):
            one.ready()
    assert folders() == []


def test_a_jvm_that_ends_is_quoted(tmp_path, monkeypatch):
    with driver(tmp_path, monkeypatch, "echo noise; echo 'java.lang.Exception: boom' >&2; echo more; exit 3") as one:
        with pytest.raises(DriverUnreachable, match="ended with 3") as caught:
            one.ready()
        assert caught.value.log == "java.lang.Exception: boom"


def test_a_jvm_that_says_nothing_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    with driver(tmp_path, monkeypatch, "exec cat") as one:
        with pytest.raises(DriverUnreachable, match="said nothing for 0 s"):
            one.ready(limit=0.3)
        pid = one.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert folders() == []


def test_grpc_never_goes_through_a_web_proxy(monkeypatch):
    import grpc

    seen = {}
    monkeypatch.setattr(grpc, "ssl_channel_credentials", lambda *_: None)
    monkeypatch.setattr(grpc, "secure_channel", lambda address, secure, options: seen.update(dict(options)))
    wire.channel("127.0.0.1:1", Credentials(b"c", b"k"))
    assert seen["grpc.enable_http_proxy"] == 0


class Master:
    def __init__(self, *, broken=False):
        self.written, self.broken = [], broken

    def write(self, key, value):
        self.written.append((key, value))
        if self.broken:
            raise ClusterFailed("gone")


@pytest.mark.parametrize("broken", [False, True])
def test_the_lease_moves_until_the_block_ends(monkeypatch, broken):
    monkeypatch.setattr(lease, "_EVERY", 0.01)
    master = Master(broken=broken)
    with lease.Lease(master) as one:
        until = time.monotonic() + 10
        while len(master.written) < 5 and time.monotonic() < until:
            time.sleep(0.01)
        if broken:
            with pytest.raises(RayYarnError):
                one.confirm()
        else:
            one.confirm()
    count = len(master.written)
    time.sleep(0.05)
    assert len(master.written) == count
    moves = [value for key, value in master.written if key == store.LEASE]
    assert len(moves) >= 5
    assert len(set(moves)) == len(moves)
    assert (store.CONFIRMED, b"1") in master.written
