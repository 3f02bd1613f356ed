"""The head's side of jobs: real programs, and a master made of a dictionary."""

import json
import os
import sys
import tarfile
import time
from pathlib import Path

import pytest
from supervised import Master

from rayyarn import store
from rayyarn.container import processes
from rayyarn.container.jobs import Jobs
from rayyarn.container.post import Post
from rayyarn.skein_am import MasterUnreachable
from rayyarn.store import Job

DOCUMENT = (Path(__file__).parents[1] / "unit/samples/connection-1.json").read_bytes()
MIB = 1 << 20


def silent(*_, **__):
    raise MasterUnreachable("lost")


class Head:
    """A head's container without Ray: ``look`` is one of its supervisor's beats."""

    def __init__(self, folder, room=600 * MIB):
        self.master, self.now, self.logs = Master(), 0.0, folder / "logs"
        self.master.keys[store.CONNECTION] = DOCUMENT
        self.master.remove = lambda prefix: [self.master.keys.pop(key) for key in self.asked(prefix)]
        self.logs.mkdir()
        state = store.NodeState("container_0", "head_0", "head", "n1", "10.0.0.1")
        environ = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "WHO": "head"}
        self.jobs = Jobs(Post(self.master, state), folder, self.logs, environ, size=1 << 50, room=room,
                         clock=lambda: self.now)  # fmt: skip

    def asked(self, prefix):
        return [key for key in self.master.keys if key.startswith(prefix)]

    def ask(self, *command, number=0, **given):
        job = Job(f"job-{number}", command, given.pop("memory", 100 * MIB), float(number), **given)
        self.master.keys[store.job_key(job.id, "asked")] = job.to_json()

    def stop(self, number=0):
        self.master.keys[store.job_key(f"job-{number}", "stop")] = b""

    def seen(self, number=0):
        (job,) = [job for job in store.jobs(self.master.keys) if job.id == f"job-{number}"]
        return job

    def until(self, state, number=0, limit=20):
        end = time.monotonic() + limit
        while self.seen(number).state != state:
            assert time.monotonic() < end, self.seen(number)
            self.jobs.look()
            time.sleep(0.02)
        return self.seen(number)

    def log(self, number=0):
        return (self.logs / f"job-{number}.log").read_text()


@pytest.fixture
def head(tmp_path, monkeypatch):
    monkeypatch.delenv("HADOOP_CONF_DIR", raising=False)
    made = Head(tmp_path)
    yield made
    for one in made.jobs._running.values():
        os.killpg(one.process.pid, 9)
        one.process.wait()


@pytest.mark.parametrize(
    ("command", "state", "code", "why"),
    [
        (("true",), "succeeded", 0, ""),
        (("sh", "-c", "exit 7"), "failed", 7, "ended with 7"),
        (("sh", "-c", "kill -9 $$"), "failed", 137, "ended with 137"),
        (("nowhere",), "failed", 127, "ended with 127"),
        (("/dev/null",), "failed", 126, "ended with 126"),
    ],
)
def test_a_program_ends_with_its_code(head, command, state, code, why):
    head.ask(*command)
    job = head.until(state)
    assert (job.code, job.why) == (code, why)
    assert job.asked <= job.started <= job.ended
    assert head.jobs.pids == set()


def test_a_program_finds_the_cluster_from_inside(head, tmp_path):
    head.ask(
        "python", "-c", "import json, os, sys; print(json.dumps(dict(os.environ))); print(sys.stdin.read() + 'end')"
    )
    head.until("succeeded")
    environ, last = head.log().splitlines()
    environ = json.loads(environ)
    assert last == "end"  # its input is empty
    assert environ["WHO"] == "head"
    assert environ["RAY_ADDRESS"] == "10.0.0.1:6379"
    assert environ["RAY_AUTH_TOKEN_PATH"] == str(tmp_path / "token")
    assert environ["RAYYARN_JOB"] == "job-0"
    inside = json.loads(Path(environ["RAYYARN_CONNECTION"]).read_text())
    assert inside["environment"]["prefix"] is None
    assert Path(environ["RAYYARN_CONNECTION"]).stat().st_mode & 0o777 == 0o600


def test_what_was_sent_along_is_there_and_goes_afterwards(head, tmp_path, monkeypatch):
    sent = tmp_path / "fs" / "user" / "me" / "jobs" / "job-0"
    sent.mkdir(parents=True)
    (tmp_path / "train.py").write_text("import os, pathlib; print(os.environ['LEVEL'], pathlib.Path.cwd())")
    with tarfile.open(sent / "files.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "train.py", "pkg/train.py")
    (sent / "variables.json").write_text('{"LEVEL": "3"}')
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "core-site.xml").write_text(
        "<configuration><property><name>fs.defaultFS</name><value>viewfs://mini/</value></property><property>"
        f"<name>fs.viewfs.mounttable.mini.linkFallback</name><value>file://{tmp_path}/fs</value></property>"
        "</configuration>"
    )
    monkeypatch.setenv("HADOOP_CONF_DIR", str(conf))
    head.ask("python", "pkg/train.py", folder="/user/me/jobs/job-0")
    head.until("succeeded")
    level, place = head.log().split()
    assert (level, place) == ("3", str(tmp_path / "jobs" / "job-0"))
    assert not Path(place).exists()
    assert not sent.exists()


def test_the_clusters_files_are_in_its_folder_behind_what_was_sent_along(head, tmp_path):
    for name in ("app.yaml", "code.py"):
        (tmp_path / name).write_text(f"the cluster's {name}")
    entry = {"uri": "", "fingerprint": "", "size": 1, "source": "/a", "modified": None}
    document = json.loads(DOCUMENT) | {"files": [{"name": name, **entry} for name in ("app.yaml", "code.py")]}
    head.master.keys[store.CONNECTION] = json.dumps(document).encode()
    made = tmp_path / "jobs" / "job-0"
    program = "import os, sys; print(open('app.yaml').read(), sorted(os.listdir()), sep='|')"
    head.ask("python", "-c", program)
    head.until("succeeded")
    assert head.log() == "the cluster's app.yaml|['app.yaml', 'code.py']\n"
    assert not made.exists()
    assert (tmp_path / "app.yaml").read_text() == "the cluster's app.yaml"


def test_files_that_cannot_be_had_are_told_in_the_log(head, tmp_path, monkeypatch):
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path / "none"))
    head.ask("true", folder="/user/me/jobs/job-0")
    assert head.until("failed").code == 125
    assert head.log().startswith("rayyarn: what was sent along with this program cannot be had: ")


def test_a_program_waits_for_room_and_says_for_how_much(head):
    head.ask("sleep", "60", memory=500 * MIB)
    head.ask("true", number=1, memory=200 * MIB)
    head.until("running")
    head.jobs.look()
    assert (head.seen(1).state, head.seen(1).why) == ("pending", "200 MiB asked, 100 MiB free beside the head")
    head.stop()
    head.until("stopped")
    assert head.until("succeeded", 1).why == ""


def test_one_that_is_told_to_stop_is_asked_and_then_killed(head):
    head.ask("sh", "-c", "trap 'echo asked' TERM; echo up; while true; do sleep 0.05; done")
    head.until("running")
    while "up" not in head.log():
        time.sleep(0.02)
    head.stop()
    head.jobs.look()
    while "asked" not in head.log():
        time.sleep(0.02)
    head.jobs.look()
    assert head.seen().state == "running"
    head.now += 11
    job = head.until("stopped")
    assert (job.code, job.why) == (137, "stopped by `rayyarn jobs --stop`")


def test_one_that_is_stopped_before_it_ran_never_runs(head):
    head.ask("sleep", "60", memory=500 * MIB)
    head.ask("sh", "-c", "echo ran", number=1, memory=200 * MIB)
    head.until("running")
    head.stop(1)
    job = head.until("stopped", 1)
    assert (job.code, job.why) == (None, "stopped before it ran")
    assert not (head.logs / "job-1.log").exists()


def test_what_a_program_leaves_running_ends_with_it(head):
    head.ask("sh", "-c", "sleep 61 & echo $!")
    head.until("succeeded")
    end = time.monotonic() + 10
    while processes.lives(int(head.log())) and time.monotonic() < end:
        time.sleep(0.02)
    assert not processes.lives(int(head.log()))


def test_the_greediest_program_ends_before_the_head_does(head, monkeypatch):
    head.ask("python", "-c", "x = b'x' * (300 << 20); print('up', flush=True); import time; time.sleep(60)")
    head.ask("sleep", "60", number=1)
    for number in (0, 1):
        head.until("running", number)
    while "up" not in head.log():
        time.sleep(0.02)
    head.jobs.look()
    assert head.jobs._running.keys() == {"job-0", "job-1"}
    head.jobs._size = 200 * MIB
    job = head.until("failed")
    assert job.code == 143
    assert job.why.endswith("MiB of the 100 MiB asked for, and the head's container was full")
    assert head.seen(1).state == "running"


def test_nothing_runs_twice_when_the_master_does_not_hear(head):
    head.ask("sh", "-c", "echo once")
    write = head.master.write
    head.master.write = silent
    end = time.monotonic() + 20
    while "job-0" not in head.jobs._latest or not head.jobs._latest["job-0"].over:
        assert time.monotonic() < end
        head.jobs.look()
        time.sleep(0.02)
    assert head.seen().state == "pending"
    head.master.write = write
    head.until("succeeded")
    assert head.log() == "once\n"


def test_a_program_that_cannot_be_started_does_not_take_the_head_along(head):
    (head.logs / "job-0.log").mkdir()  # as a full disk: nothing can be written there
    head.ask("true")
    job = head.until("failed")
    assert (job.code, job.why.startswith("it could not be started: [Errno 21]")) == (None, True)


def test_a_hundred_are_remembered(head):
    for number in range(103):
        job = Job(f"job-{number}", ("true",), MIB, float(number), state="succeeded", code=0)
        head.master.keys[store.job_key(job.id, "asked")] = job.to_json()
        head.master.keys[store.job_key(job.id, "now")] = job.to_json()
    head.jobs.look()
    assert [job.id for job in store.jobs(head.master.keys)] == [f"job-{number}" for number in range(3, 103)]


def test_before_the_cluster_is_usable_nothing_runs(head):
    del head.master.keys[store.CONNECTION]
    head.ask("true")
    head.jobs.look()
    assert head.seen().state == "pending"
    head.master.keys[store.CONNECTION] = DOCUMENT
    head.until("succeeded")
