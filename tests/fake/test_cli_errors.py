"""The command line with a library that answers at once: how it says that something is wrong."""

import json

import pytest

from rayyarn import errors


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
