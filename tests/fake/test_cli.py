"""The command line with a library that answers at once: what is said where, and the exit code."""

import json
import time
from types import SimpleNamespace

import pytest
from answers import DownResult, StatusList, UpResult

from rayyarn import errors
from rayyarn.store import Kept


def test_up_answers_with_one_line_and_ends_with_one_to_paste(library, ry):
    library.answer = UpResult()
    done = ry("up", "demo", "--worker-memory", "8g", "--env-vars", "A=1", "--env-vars", "B=2")
    assert done.rc == 0
    assert done.out == "demo\t10.0.0.1:6379\t/home/me/demo.json\n"
    assert done.err == "demo is up\nrayyarn exec demo -- python your_program.py\n"
    ((_, (spec,), given),) = library.calls
    assert (spec.name, spec.worker.memory, spec.env_vars) == ("demo", 8 << 30, {"A": "1", "B": "2"})
    given.pop("reporter")
    assert given == {
        "hadoop_conf": None, "wait": True, "keep": False, "dry_run": False, "recheck": False, "connection_file": None,
    }  # fmt: skip


def test_up_of_what_runs_says_so(library, ry):
    library.answer = UpResult(changed=False, remarks=("the environment was checked quickly",))
    done = ry("up")
    assert done.err.splitlines()[:2] == ["the environment was checked quickly", "demo is already up"]


def test_up_without_waiting_says_how_to_wait(library, ry):
    library.answer = UpResult(state="starting", address=None, connection_file=None)
    done = ry("up", "--no-wait")
    assert done.out == "demo\t-\t-\n"
    assert done.err.splitlines()[-1] == "rayyarn status demo"


def test_a_dry_run_prints_scripts_that_can_be_read(library, ry):
    library.answer = UpResult(plan={"name": "rayyarn-demo", "script": "set -e\nexec python\n"})
    done = ry("up", "--dry-run")
    assert done.out == "name: rayyarn-demo\nscript: |\n  set -e\n  exec python\n"
    assert done.err == ""


def test_verbose_shows_the_timeline_and_quiet_shows_nothing(library, ry):
    library.answer = UpResult()
    assert "0.00s    1.50s  submit" in ry("up", "-v").err
    assert ry("up", "-q").err == ""


def test_version_is_one_line(ry):
    done = ry("--version")
    assert (done.rc, done.out, done.err) == (0, "rayyarn 0.1.0\n", "")


def test_down_of_nothing_is_fine(library, ry):
    library.answer = DownResult()
    done = ry("down", "demo")
    assert (done.rc, done.out, done.err) == (0, "", "demo is not running: nothing to stop\n")


def test_down_lists_what_it_stopped(library, ry):
    library.answer = DownResult((SimpleNamespace(name="demo", application="application_1_0001"),), changed=True)
    done = ry("down")
    assert (done.out, done.err) == ("demo\tapplication_1_0001\n", "")
    assert library.calls[0][1] == ("default",)


def test_down_all_needs_a_yes_when_nobody_can_be_asked(library, ry):
    done = ry("down", "--all")
    assert (done.rc, library.calls) == (2, [])
    assert done.err.endswith("try: rayyarn down --all --yes\n")
    library.answer = DownResult()
    assert ry("down", "--all", "--yes").err == "no cluster is running: nothing to stop\n"
    assert library.calls[0][2]["everything"] is True
    assert ry("down", "demo", "--all").rc == 2


def cluster(**changes):
    nodes = changes.pop("nodes", ())
    facts = {
        "name": "demo", "state": "ready", "why": "", "application": "application_1_0001", "queue": "etl", "workers": 2,
        "wanted": 2, "environment": "9f31c0a2beef", "age": 3700.0, "connection_file": None,
        "idle": None, "drivers": (), "beside": None, "kept": None, "jobs": (),
        "queue_used": None, "dashboard": None,
    }  # fmt: skip
    return SimpleNamespace(**facts | changes, nodes=nodes)


def test_status_in_a_pipe_is_tabs_and_whole_ids(library, ry):
    library.answer = StatusList((cluster(),))
    assert ry("status").out == "demo\tready\t2/2\tetl\t9f31c0a2beef\t3700\tapplication_1_0001\n"


def test_status_of_one_shows_why_and_its_nodes(library, ry):
    node = SimpleNamespace(
        role="worker", state="restarting", host="n1", cpus=2.0, memory=4 << 30, object_store=1 << 30, restarts=3,
        localization={"bytes_fetched": 10, "bytes_cached": 900}, container="container_1_0001_01_000003",
        last_words="out of memory", executors=None, used=3 << 30, since=time.time() - 3700,
    )  # fmt: skip
    library.answer = StatusList((cluster(state="degraded", why="1 of 2 workers", nodes=(node,), queue_used=43.7),))
    lines = ry("status", "demo").out.splitlines()
    assert "why\t1 of 2 workers" in lines
    assert "queue\tetl, 44% used" in lines
    assert lines[-1].split("\t") == [
        "worker", "restarting", "n1", "2", "3221225472", "4294967296", "1073741824", "3700", "3", "10", "900",
        "container_1_0001_01_000003", "out of memory",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kept", "line"),
    [
        ({}, "a worker is where its executors are"),
        ({"over": True, "did": "n3 got a worker"}, "that Spark application has ended; the workers stay"),
        (
            {"did": "n3 got a worker", "at": 120, "without": {"n1": 180, "n2": 600}, "stays": {"n2": "in use: a task"}},
            "n3 got a worker 2m ago; n1 without executors for 3m; n2 without executors for 10m, in use: a task",
        ),
        (
            {"lacks": {"n4": "max-workers is reached"}, "trouble": "no ResourceManager answers"},
            "n4 has executors and no worker: max-workers is reached; "
            "nobody can say where its executors are: no ResourceManager answers",
        ),
    ],
)
def test_status_says_how_workers_are_kept_beside_spark(library, ry, kept, line):
    now = time.time()
    if "at" in kept:
        kept |= {"at": now - kept["at"], "without": {host: now - ago for host, ago in kept["without"].items()}}
    library.answer = StatusList((cluster(beside="application_1_0007", kept=Kept(**kept)),))
    assert f"kept\t{line}" in ry("status", "demo").out.splitlines()


def test_status_is_shown_again_until_it_is_enough(library, ry, monkeypatch):
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            raise errors.Interrupted(2)

    monkeypatch.setattr("time.sleep", sleep)
    library.answer = StatusList((cluster(),))
    done = ry("status", "--watch")
    assert (done.rc, done.out.count("\ndemo\t"), looks) == (0, 3, [2.0] * 3)
    refused = ry("status", "--watch", "--json")
    assert json.loads(refused.out)["errors"][0]["code"] == "bad_usage"


def test_status_of_nothing_is_fine(library, ry):
    library.answer = StatusList()
    done = ry("status")
    assert (done.rc, done.out) == (0, "")
    assert "rayyarn up" in done.err
    assert json.loads(ry("status", "--json").out)["data"] == {"clusters": []}


def test_status_takes_no_name_from_the_surroundings(library, ry, monkeypatch):
    monkeypatch.setenv("RAYYARN_NAME", "demo")
    library.answer = StatusList()
    assert ry("status").rc == 0
    assert library.calls[0][1] == (None,)
    assert ry("status", "No-Name").rc == 2


def test_exec_ends_with_its_programs_code(library, ry):
    library.answer = 42
    done = ry("exec", "demo", "--", "python", "p.py", "--json", "--help")
    assert (done.rc, done.out, done.err) == (42, "", "")
    assert library.calls[0][1] == ("demo", ["python", "p.py", "--json", "--help"])


@pytest.mark.parametrize(
    ("argv", "answer"),
    [
        (["exec", "demo", "--", "true"], errors.ClusterNotFound("no cluster named 'demo'")),
        (["exec", "demo", "--", "true"], RuntimeError("a bug")),
        (["exec", "demo"], 0),
        (["exec", "--nonsense", "demo", "--", "true"], 0),
    ],
)
def test_a_failure_of_ours_in_exec_is_125(library, ry, argv, answer):
    library.answer = answer
    assert ry(*argv).rc == 125


def test_exec_writes_its_document_to_a_file(library, ry, tmp_path):
    library.answer = 3
    assert ry("exec", "--json-file", "run.json", "demo", "--", "false").rc == 3
    document = json.loads((tmp_path / "run.json").read_text())
    assert (document["exit_code"], document["status"], document["errors"]) == (3, "error", [])
    assert document["data"] == {"cluster": "demo", "program": ["false"]}
    library.answer = errors.ClusterNotFound("gone")
    assert ry("exec", "--json-file", "run.json", "demo", "--", "false").rc == 125
    document = json.loads((tmp_path / "run.json").read_text())
    assert (document["exit_code"], document["errors"][0]["code"]) == (125, "cluster_not_found")


def test_exec_does_not_start_when_its_document_has_no_place(library, ry):
    done = ry("exec", "--json-file", "/none/run.json", "demo", "--", "true")
    assert (done.rc, library.calls) == (125, [])


def test_config_shows_origins(library, ry, monkeypatch):
    monkeypatch.setenv("RAYYARN_QUEUE", "etl")
    lines = ry("config", "x", "--workers", "3").out.splitlines()
    assert {"name\tx\targument NAME", "queue\tetl\tRAYYARN_QUEUE", "workers\t3\tflag --workers"} <= set(lines)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(library, ry, shell):
    done = ry("completion", shell)
    assert done.rc == 0
    assert "_RAYYARN_COMPLETE" in done.out
