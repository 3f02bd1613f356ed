"""`submit` and `jobs` on the edge: what is asked for, what is sent along, and what is said of it."""

import io
import json
import tarfile
import threading
import time
from dataclasses import replace

import pytest
from rayyarn_cli import main  # noqa: F401 - `ry` runs it

from rayyarn import cluster, jobs, store
from rayyarn.errors import (
    ClusterFailed,
    ClusterNotFound,
    JobNotFound,
    NotReady,
    RequestTooLarge,
    UsageError,
    YarnUnreachable,
)
from rayyarn.spec import ClusterSpec
from rayyarn.steps import Reporter

GIB = 1 << 30
LOG = b"one\ntwo\n"


@pytest.fixture
def there(site, yarn, manager, monkeypatch):
    """The jobs of a cluster whose head has 2 GiB."""
    cluster.up(ClusterSpec(name="demo", workers=1, environment="/envs/ml"))
    (app_id,) = yarn.apps
    keys = yarn.stores[app_id]
    head = store.NodeState("container_head_0", "head_0", "head", "n1", "127.0.0.1", "ready",
                           memory=2 * GIB, object_store=GIB // 4)  # fmt: skip
    keys[store.NODE + head.container] = head.to_json()
    yarn.containers[app_id] = [{"service": "head_0", "state": "RUNNING", "container": "container_h",
                                "web": manager.address, "exit_message": ""}]  # fmt: skip
    manager.logs = {"container_h": {}}
    monkeypatch.setattr(jobs, "_EVERY", 0.01)
    made = jobs.Jobs("demo")
    made.keys, made.yarn, made.app_id, made.written = keys, yarn, app_id, manager.logs["container_h"]
    return made


def asked(there):
    return store.jobs(there.keys)


def sent(tmp_path, job):
    folder = tmp_path / "fs" / job.folder.lstrip("/")
    with tarfile.open(fileobj=io.BytesIO((folder / "files.tar.gz").read_bytes())) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def test_a_command_of_the_environment_is_sent_as_it_is(there):
    job = there.submit(["python", "-c", "print(1)"])
    assert asked(there) == [job]
    assert (job.command, job.folder, job.memory, job.state) == (
        ("python", "-c", "print(1)"),
        "",
        jobs.MEMORY,
        "pending",
    )


def test_a_script_goes_along_and_so_do_its_words(there, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "train.py").write_text("x")
    job = there.submit([str(tmp_path / "here" / "train.py"), "--epochs", "3"])
    assert job.command == ("python", "train.py", "--epochs", "3")
    assert sent(tmp_path, job) == {"train.py": b"x"}


def test_a_working_folder_goes_along_whole_without_what_is_no_code(there, tmp_path):
    here = tmp_path / "project"
    for name in ("pkg/a.py", "train.py", ".git/config", "pkg/__pycache__/a.pyc"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(name)
    job = there.submit(["train.py"], working_dir=here, env_vars={"KEY": "hush"})
    assert job.command == ("python", "train.py")
    assert sent(tmp_path, job) == {"pkg/a.py": b"pkg/a.py", "train.py": b"train.py"}
    variables = tmp_path / "fs" / job.folder.lstrip("/") / "variables.json"
    assert json.loads(variables.read_text()) == {"KEY": "hush"}
    assert variables.stat().st_mode & 0o777 == 0o600
    assert b"hush" not in b"".join(there.keys.values())


def test_what_cannot_work_is_refused_before_anything_is_asked(there, tmp_path):
    with pytest.raises(UsageError, match=r"no script nowhere\.py"):
        there.submit(["nowhere.py"])
    with pytest.raises(UsageError, match=r"no script nowhere\.py in "):
        there.submit(["nowhere.py"], working_dir=tmp_path)
    with pytest.raises(UsageError, match=r"the working folder .* is not there"):
        there.submit(["true"], working_dir=tmp_path / "none")
    with pytest.raises(RequestTooLarge) as caught:
        there.submit(["python", "a b.py"], memory=2 * GIB)
    assert caught.value.message == ("a program of 2 GiB cannot run beside the head of demo: its container of 2 GiB has "
                                    "1.1 GiB for programs")  # fmt: skip
    assert caught.value.hint.startswith("rayyarn exec demo -- python 'a b.py'")
    assert asked(there) == []


def test_a_small_head_gives_what_it_has(there):
    head = store.NodeState("container_head_0", "head_0", "head", "n1", "127.0.0.1", "ready",
                           memory=GIB, object_store=100 << 20)  # fmt: skip
    there.keys[store.NODE + head.container] = head.to_json()
    assert there.submit(["true"]).memory == (1024 - 680 - 100) << 20


def test_a_cluster_that_is_not_there(site, yarn):
    with pytest.raises(ClusterNotFound, match="no cluster named 'demo' runs"):
        jobs.Jobs("demo")


def play(there, *steps):
    """What the head would do, a step every 50 ms."""

    def run():
        for step in steps:
            time.sleep(0.05)
            step(asked(there)[0])

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def say(there, **news):
    return lambda job: there.keys.update({store.job_key(job.id, "now"): replace(job, **news).to_json()})


def test_its_output_is_shown_as_it_comes_and_to_the_end(there):
    job = there.submit(["true"])
    shown = []
    thread = play(
        there,
        say(there, state="running", started=1.0),
        lambda job: there.written.update({job.log: b"one\n"}),
        lambda job: there.written.update({job.log: LOG}),
        say(there, state="failed", code=7, why="ended with 7"),
    )
    ended = there.follow(job.id, shown.append)
    thread.join()
    assert b"".join(shown) == LOG
    assert (ended.code, ended.why) == (7, "ended with 7")


def test_a_node_that_does_not_show_the_output_is_no_reason_to_miss_the_end(there, monkeypatch):
    job = there.submit(["true"])
    thread = play(there, say(there, state="running"), say(there, state="failed", code=7))
    said = []
    monkeypatch.setattr(jobs.logs, "tail", lambda *_: (_ for _ in ()).throw(YarnUnreachable("a firewall")))
    reporter = Reporter()
    reporter.note = said.append
    assert there.follow(job.id, lambda _: None, reporter=reporter).code == 7
    thread.join()
    assert said == [f"what {job.id} writes cannot be shown now: a firewall"]


def test_a_cluster_that_ends_before_its_job(there):
    job = there.submit(["true"])
    thread = play(there, lambda _: there.yarn.end(there.app_id, "FINISHED", "FAILED", "the Ray head was lost: x"))
    with pytest.raises(ClusterFailed, match=f"the cluster demo ended while {job.id} ran") as caught:
        there.follow(job.id, lambda _: None)
    thread.join()
    assert "the Ray head was lost" in caught.value.log


def test_stop_returns_when_it_is_over(there, monkeypatch):
    job = there.submit(["true"])
    thread = play(there, say(there, state="running"), say(there, state="stopped", code=143))
    assert there.stop(job.id).code == 143
    thread.join()
    assert there.stop(job.id).state == "stopped"  # again: it stays as it is
    with pytest.raises(JobNotFound, match=f"no job 'job-x'; there are: {job.id}"):
        there.stop("job-x")
    monkeypatch.setattr(jobs, "_STOP_LIMIT", 0.1)
    other = there.submit(["true"])
    with pytest.raises(NotReady, match=f"for the end of {other.id}; last seen: it was told to end"):
        there.stop(other.id)


def test_the_command_line_prints_what_the_job_writes_and_ends_with_its_code(there, ry):
    def run():
        while not asked(there):
            time.sleep(0.02)
        job = asked(there)[0]
        there.written[job.log] = LOG
        say(there, state="failed", code=7, why="ended with 7")(job)

    thread = threading.Thread(target=run)
    thread.start()
    done = ry("submit", "demo", "--", "python", "-c", "x")
    thread.join()
    assert (done.rc, done.out) == (7, LOG.decode())
    assert "failed: ended with 7" in done.err
    listed = ry("jobs", "demo")
    assert (listed.rc, listed.out.split("\t")[1:3]) == (0, ["failed", "7"])
    assert listed.out.endswith("\tpython -c x\tended with 7\n")


def test_without_waiting_it_prints_the_id(there, ry):
    done = ry("submit", "demo", "--no-wait", "--memory", "100 MiB", "--", "true")
    assert (done.rc, done.out) == (0, asked(there)[0].id + "\n")
    assert asked(there)[0].memory == 100 << 20
    assert f"jobs\t{asked(there)[0].id} pending: true\n" in ry("status", "demo").out


def test_words_that_make_no_sense(there, ry):
    assert ry("submit", "demo", "--memory", "much", "--", "true").rc == 125
    done = ry("submit", "demo", "--env-vars", "KEY", "--", "true")
    assert done.rc == 125
    assert "'KEY' has no '='" in done.err
    done = ry("jobs", "demo", "--stop", "job-9")
    assert (done.rc, "no job 'job-9'; there are: none" in done.err) == (3, True)
    assert "no jobs in demo" in ry("jobs", "demo").err
