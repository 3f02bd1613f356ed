"""The envelope of ``--json``: the same keys from every command, whether it succeeds or fails."""

import json
import signal
from pathlib import Path

import click
import pytest
from rayyarn_cli import main, output, reference

KEYS = ["schema", "command", "status", "exit_code", "data", "errors"]
ERROR_KEYS = ["code", "message", "log", "hint"]
COMMANDS = dict(reference.commands())
WITH_JSON = [words for words, command in COMMANDS.items() if "as_json" in {p.name for p in command.params}]


@pytest.fixture(autouse=True)
def calm(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    kept = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for signum, handler in kept.items():
        signal.signal(signum, handler)


@pytest.mark.parametrize("words", WITH_JSON)
def test_wrong_use_of_every_command_speaks_the_envelope(words, capsys):
    assert main.run([*words.split(), "--no-such-option", "--json"]) == 2
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert list(document) == KEYS
    assert list(document["errors"][0]) == ERROR_KEYS
    assert (document["schema"], document["command"], document["status"]) == (1, words, "error")
    assert err == ""


# `mini` and `env` ask for no settings, so nothing here would stop them from doing their work.
@pytest.mark.parametrize("words", [words for words in WITH_JSON if words.split()[0] not in ("mini", "env")])
def test_a_failure_inside_every_command_speaks_the_envelope(words, capsys, monkeypatch):
    """Whatever a command does first, here it meets a failure there: its own Output has to tell of it."""
    command = COMMANDS[words]

    def fail(*_args, **_given):
        raise RuntimeError("no")

    monkeypatch.setattr(output.Output, "result", fail)
    monkeypatch.setattr("rayyarn.settings.resolve", fail)
    monkeypatch.setattr("rayyarn.settings.pick", fail)
    arguments = [needed(p) for p in command.params if isinstance(p, click.Argument) and p.required]
    code = main.run([*words.split(), "--json", *arguments])
    document = json.loads(capsys.readouterr().out)
    assert (code, document["exit_code"], document["command"]) == (1, 1, words)
    assert list(document) == KEYS


def needed(argument):
    return argument.type.choices[0] if isinstance(argument.type, click.Choice) else "x"


@pytest.mark.parametrize("argv", [["config"], ["completion", "zsh"]])
def test_success_speaks_the_same_envelope(argv, capsys):
    assert main.run([*argv, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document) == KEYS
    assert (document["status"], document["exit_code"], document["errors"]) == ("success", 0, [])


def test_config_has_every_setting(capsys):
    from rayyarn.settings import ALL_SETTINGS

    main.run(["config", "--json"])
    data = json.loads(capsys.readouterr().out)["data"]
    assert list(data) == [setting.keyword for setting in ALL_SETTINGS.values()]
    assert {tuple(entry) for entry in data.values()} == {("value", "origin")}


def test_only_plain_values_get_into_an_answer():
    assert output.plain({"a": (Path("/x"), {1: None})}) == {"a": ["/x", {"1": None}]}
    with pytest.raises(TypeError, match="object has no place"):
        output.plain(object())
