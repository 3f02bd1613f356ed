"""`exec`: the program's exit code, its environment, and who owns what was started beside it."""

import contextlib
import os
import signal
import threading
import time

import pytest

from rayyarn import connection, edge, program, runtime, session
from rayyarn.errors import ConnectionUnusable
from rayyarn.steps import Reporter


class Notes(Reporter):
    def __init__(self):
        self.told = []

    def note(self, text):
        self.told.append(text)


@pytest.fixture
def found(tmp_path):
    sections = {"yarn": {"conf_dir": "/c"}, "application": {"id": "application_1_0001"},
                "ray": {"address": "127.0.0.1:6379"}, "spark": {"environ": {"PYSPARK_PYTHON": "p"}},
                "environment": {"prefix": str(tmp_path / "env")}, "runtime": {}, "spec": {}}  # fmt: skip
    (tmp_path / "env" / "bin").mkdir(parents=True)
    return connection.Connection(name="demo", generation="1", user="me", created=0.0, code=[], nodes=[],
                                 secrets={"token": "t"}, path=tmp_path / "demo.json", **sections)  # fmt: skip


@pytest.fixture
def beside(found, tmp_path, monkeypatch):
    """What is started beside the program, without Ray."""
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "home"))
    log = []

    @contextlib.contextmanager
    def node(connection, python, environ):
        log.append(("node", *python))
        yield
        log.append("node ended")

    monkeypatch.setattr(session, "find", lambda name, hadoop_conf=None: found)
    monkeypatch.setattr(session, "drift", lambda found: ["the code has changed"])
    monkeypatch.setattr(edge, "reach", lambda address: log.append("reached"))
    monkeypatch.setattr(edge, "has_raylet", lambda address: False)
    monkeypatch.setattr(edge, "Edge", node)
    return log


@pytest.mark.parametrize(
    ("command", "code"),
    [(["true"], 0), (["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -9 $$"], 137), (["sh", "-c", "kill -15 $$"], 143)],
)
def test_the_exit_code_is_the_programs(beside, command, code):
    assert program.run("demo", command) == code


def test_a_program_that_is_not_there_or_cannot_run(beside, tmp_path):
    notes = Notes()
    plain = tmp_path / "plain.txt"
    plain.write_text("no program")
    assert program.run("demo", ["no-such-program"], reporter=notes) == 127
    assert program.run("demo", [str(plain)], reporter=notes) == 126
    assert notes.told == ["the code has changed", "no-such-program: not found", "the code has changed",
                          f"{plain}: Permission denied"]  # fmt: skip


def test_the_program_finds_the_cluster_and_its_environment(beside, found, tmp_path):
    seen = tmp_path / "seen"
    script = f'echo "$RAY_ADDRESS|$PATH|$PYTHONPATH|$RAYYARN_NAME|$HADOOP_CONF_DIR" > {seen}'
    assert program.run("demo", ["/bin/sh", "-c", script]) == 0
    address, path, python_path, name, conf = seen.read_text().strip().split("|")
    assert (address, name, conf) == ("127.0.0.1:6379", "demo", "/c")
    assert path.startswith(f"{found.environment['prefix']}/bin:")
    assert python_path.split(":")[0].endswith(runtime.runtime_layer().name)
    assert beside == ["reached", ("node", f"{found.environment['prefix']}/bin/python"), "node ended"]


def test_a_machine_of_the_cluster_needs_no_node_of_its_own(beside, monkeypatch):
    monkeypatch.setattr(edge, "has_raylet", lambda address: True)
    assert program.run("demo", ["true"]) == 0
    assert beside == ["reached"]


def test_a_head_out_of_reach_is_told_before_anything_is_started(beside, monkeypatch):
    def unreachable(address):
        raise ConnectionUnusable("out of reach")

    monkeypatch.setattr(edge, "reach", unreachable)
    with pytest.raises(ConnectionUnusable):
        program.run("demo", ["true"])
    assert beside == []


def test_sigterm_is_passed_on_and_handlers_are_put_back(beside, tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    ready = tmp_path / "ready"
    script = f"trap 'exit 33' TERM; touch {ready}; while true; do sleep 0.05; done"

    def end():
        while not ready.exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)  # the program's own affair
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end).start()
    assert program.run("demo", ["sh", "-c", script]) == 33
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_an_address_where_nobody_listens_is_told_at_once():
    started = time.monotonic()
    with pytest.raises(ConnectionUnusable, match=r"Ray's head at 127\.0\.0\.1:9 cannot be reached"):
        edge.reach("127.0.0.1:9")
    assert time.monotonic() - started < 3
