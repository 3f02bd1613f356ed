"""The command line with a library that answers at once: what is said where, and the exit code."""

import json
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from rayyarn_cli import main

from rayyarn import errors


@dataclass(frozen=True)
class UpResult:
    name: str = "demo"
    application: str = "application_1_0001"
    address: str | None = "10.0.0.1:6379"
    connection_file: Path | None = Path("/home/me/demo.json")
    changed: bool = True
    state: str = "ready"
    workers: int = 2
    timeline: tuple[tuple[str, float, float], ...] = (("submit", 0.0, 1.5),)
    plan: dict[str, str] | None = None
    remarks: tuple[str, ...] = ()

    def to_dict(self):
        return asdict(self)


@dataclass(frozen=True)
class DownResult:
    stopped: tuple[SimpleNamespace, ...] = ()
    changed: bool = False

    def to_dict(self):
        return {"stopped": [vars(one) for one in self.stopped], "changed": self.changed}


@dataclass(frozen=True)
class StatusList:
    clusters: tuple[object, ...] = ()

    def to_dict(self):
        return {"clusters": list(self.clusters)}


@pytest.fixture
def library(monkeypatch, tmp_path):
    """``rayyarn.cluster`` and ``rayyarn.program`` that remember the call and return or raise what a test sets."""
    seen = SimpleNamespace(calls=[], answer=None)

    def answers(name):
        def call(*args, **kwargs):
            seen.calls.append((name, args, kwargs))
            if isinstance(seen.answer, BaseException):
                raise seen.answer
            return seen.answer(**kwargs) if callable(seen.answer) else seen.answer

        return call

    import rayyarn

    for module, names in {"cluster": ("up", "down", "status"), "program": ("run",)}.items():
        fake = ModuleType(f"rayyarn.{module}")
        for name in names:
            setattr(fake, name, answers(name))
        monkeypatch.setitem(sys.modules, f"rayyarn.{module}", fake)
        monkeypatch.setattr(rayyarn, module, fake, raising=False)
    for variable in ("NO_COLOR", "FORCE_COLOR", "RAYYARN_NAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return seen


@pytest.fixture
def ry(capsys):
    """Run a command line in this process: its exit code and both streams."""
    kept = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def run(*argv):
        code = main.run(list(argv))
        out, err = capsys.readouterr()
        return SimpleNamespace(rc=code, out=out, err=err)

    yield run
    for signum, handler in kept.items():
        signal.signal(signum, handler)


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
    assert done.err.splitlines()[-1] == "rayyarn up demo"


def test_a_dry_run_prints_scripts_that_can_be_read(library, ry):
    library.answer = UpResult(plan={"name": "rayyarn-demo", "script": "set -e\nexec python\n"})
    done = ry("up", "--dry-run")
    assert done.out == "name: rayyarn-demo\nscript: |\n  set -e\n  exec python\n"
    assert done.err == ""


def test_verbose_shows_the_timeline_and_quiet_shows_nothing(library, ry):
    library.answer = UpResult()
    assert "0.00s    1.50s  submit" in ry("up", "-v").err
    assert ry("up", "-q").err == ""


def test_a_wrong_spec_never_reaches_the_library(library, ry):
    done = ry("up", "demo", "--workers", "many", "--worker-memory", "1 MiB")
    assert (done.rc, done.out, library.calls) == (2, "", [])
    assert done.err.startswith("error: 2 problems:\n  - workers: 'many' is not a whole number")


def test_an_error_has_three_lines_and_its_exit_code(library, ry):
    library.answer = errors.ClusterNotFound("no cluster named 'demo'", log="404", hint="rayyarn status")
    done = ry("status", "demo")
    assert (done.rc, done.out) == (3, "")
    assert done.err == "error: no cluster named 'demo'\nlog: 404\ntry: rayyarn status\n"


def test_an_error_in_json_is_on_stdout_alone(library, ry):
    library.answer = errors.NotReady("not ready", hint="wait")
    done = ry("up", "--json")
    assert (done.rc, done.err) == (4, "")
    assert json.loads(done.out) == {
        "schema": 1, "command": "up", "status": "error", "exit_code": 4, "data": None,
        "errors": [{"code": "not_ready", "message": "not ready", "log": None, "hint": "wait"}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["up", "--nonsense", "--json"], "up"),
        (["nonsense", "--json"], ""),
        (["completion", "ksh", "--json"], "completion"),
    ],
)
def test_a_wrong_command_line_speaks_json_too(library, ry, argv, command):
    done = ry(*argv)
    document = json.loads(done.out)
    assert (done.rc, document["exit_code"], document["command"], document["errors"][0]["code"]) == (
        2, 2, command, "bad_usage",
    )  # fmt: skip
    assert done.err == ""


def test_an_unknown_command_names_the_nearest(ry):
    done = ry("stauts")
    assert done.rc == 2
    assert done.err == "error: no command 'stauts'; did you mean 'status'?\ntry: rayyarn --help\n"


def test_a_bare_rayyarn_is_wrong_use_and_shows_the_help(ry):
    done = ry()
    assert (done.rc, done.out) == (2, "")
    assert done.err.startswith("Usage: rayyarn")


def test_version_is_one_line(ry):
    done = ry("--version")
    assert (done.rc, done.out, done.err) == (0, "rayyarn 0.1.0\n", "")


def test_a_bug_is_told_without_a_traceback(library, ry):
    library.answer = ZeroDivisionError("division by zero")
    done = ry("up")
    assert done.rc == 1
    assert done.err == "error: unexpected ZeroDivisionError: division by zero\ntry: the same command with --debug\n"


def test_debug_shows_the_traceback_of_an_error_and_of_a_bug(library, ry):
    library.answer = ZeroDivisionError("division by zero")
    assert "Traceback" in ry("up", "--debug").err
    library.answer = errors.YarnRefused("no")
    told = ry("up", "--debug").err
    assert "Traceback" in told
    assert told.endswith("error: no\n")


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
    }  # fmt: skip
    return SimpleNamespace(**facts | changes, nodes=nodes)


def test_status_in_a_pipe_is_tabs_and_whole_ids(library, ry):
    library.answer = StatusList((cluster(),))
    assert ry("status").out == "demo\tready\t2/2\tetl\t9f31c0a2beef\t3700\tapplication_1_0001\n"


def test_status_of_one_shows_why_and_its_nodes(library, ry):
    node = SimpleNamespace(
        role="worker", state="restarting", host="n1", cpus=2.0, memory=4 << 30, object_store=1 << 30, restarts=3,
        localization={"bytes_fetched": 10, "bytes_cached": 900}, container="container_1_0001_01_000003",
        last_words="out of memory",
    )  # fmt: skip
    library.answer = StatusList((cluster(state="degraded", why="1 of 2 workers", nodes=(node,)),))
    lines = ry("status", "demo").out.splitlines()
    assert "why\t1 of 2 workers" in lines
    assert lines[-1] == (
        "worker\trestarting\tn1\t2\t4294967296\t1073741824\t3\t10\t900\tcontainer_1_0001_01_000003\tout of memory"
    )


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


def test_the_error_is_coloured_only_when_asked_for(library, ry, monkeypatch):
    library.answer = errors.YarnRefused("no")
    assert "\x1b" not in ry("up").err
    assert ry("up", "--color", "always").err == "\x1b[1;31merror:\x1b[0m no\n"
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" in ry("up").err
    assert "\x1b" not in ry("up", "--color=never").err
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in ry("up").err


def test_brackets_and_long_lines_come_out_as_they_are(library, ry):
    text = "list[int] [bold]x[/bold] " + "/a/very/long/path" * 30
    library.answer = errors.YarnRefused(text)
    assert ry("up").err == f"error: {text}\n"
