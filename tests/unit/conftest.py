"""The fence around the unit tests: no process, no network, no Hadoop of the machine, no file of the user's."""

import os
import socket
import subprocess

import pytest

# What a developer's shell may say and a test must not hear.
_OUTSIDE = ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "HADOOP_HOME", "HADOOP_USER_NAME", "CONTAINER_ID", "SPARK_HOME")


@pytest.fixture(autouse=True)
def fence(monkeypatch, tmp_path_factory):
    def refuse(*args, **_):
        if isinstance(args[0], socket.socket):
            args[0].close()
        pytest.fail(f"a unit test reached outside: {args[-1]!r}", pytrace=True)

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(os, "fork", refuse)
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in [*_OUTSIDE, *(name for name in os.environ if name.startswith("RAYYARN_"))]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path_factory.mktemp("home")))
