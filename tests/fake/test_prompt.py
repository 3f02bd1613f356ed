"""What our Spark tasks do about PySpark's waits: over real connections, in a process of its own for the garbage."""

import contextlib
import gc
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rayyarn.exchange.ends.prompt import promptly

if not hasattr(socket, "TCP_QUICKACK"):
    pytest.skip("Linux alone acknowledges at once when it is asked to", allow_module_level=True)


@pytest.fixture(autouse=True)
def thaw():
    yield
    gc.unfreeze()


@pytest.fixture
def connected():
    """``connected(address)``: the two ends of a connection to there, on which TCP has learned to answer late."""
    with contextlib.ExitStack() as stack:

        def connect(address):
            listener = stack.enter_context(socket.create_server((address, 0)))
            worker = stack.enter_context(socket.create_connection(listener.getsockname()))
            jvm = stack.enter_context(listener.accept()[0])
            for _ in range(20):
                jvm.sendall(b"?")
                worker.sendall(worker.recv(1))
                jvm.recv(1)
            assert not at_once(worker)
            return worker, jvm

        yield connect


def at_once(line):
    """Linux answers with the state it is in, not with what was asked for last (tcp(7))."""
    return line.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK)


def test_what_the_jvm_sends_is_acknowledged_at_once_each_time(connected):
    worker, jvm = connected("127.0.0.1")

    def items():
        for number in range(3):
            assert at_once(worker)
            worker.sendall(b"!")  # an answer, and TCP is late again
            jvm.sendall(b"!")
            worker.recv(1)
            worker.sendall(b"!")
            assert not at_once(worker)
            yield number

    assert list(promptly(items())) == [0, 1, 2]


def test_connections_to_other_hosts_are_left_as_they_are(connected):
    worker, _ = connected("127.0.0.2")
    assert list(promptly([1])) == [1]
    assert not at_once(worker)


@pytest.mark.parametrize("end", ["used up", "given up", "failed"])
def test_no_descriptor_is_left_and_the_connections_live_on(connected, end):
    worker, jvm = connected("127.0.0.1")
    before = len(list(Path("/proc/self/fd").iterdir()))

    def items():
        yield 1
        raise OSError("the JVM is gone")

    if end == "used up":
        assert list(promptly([1])) == [1]
    elif end == "given up":
        given_up = promptly([1, 2])
        next(given_up)
        given_up.close()
    else:
        with pytest.raises(OSError, match="the JVM is gone"):
            list(promptly(items()))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    jvm.sendall(b"?")
    assert worker.recv(1) == b"?"


def test_objects_are_frozen_once_a_process():
    program = """
import gc
from rayyarn.exchange.ends.prompt import promptly
assert not gc.get_freeze_count()
list(promptly([1])); first = gc.get_freeze_count(); assert first > 1000, first
later = [[] for _ in range(5000)]
list(promptly([1])); assert gc.get_freeze_count() <= first, gc.get_freeze_count()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
