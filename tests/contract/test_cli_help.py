"""``--help`` works for every command, says what it is for, and answers at once."""

import os
import re
import statistics
import subprocess
import sys
import time

import click
import pytest
from rayyarn_cli import lazy, main, reference

COMMANDS = dict(reference.commands())
# Importing any of these takes longer than all of click.
SLOW = [
    "rich",
    "skein",
    "requests",
    "yaml",
    "grpc",
    "conda_pack",
    "ray",
    "pyspark",
    "pyarrow",
    "asyncio",
    "urllib.request",
]
# Each module is compiled once and not by each process, as for whoever has the package installed.
COMPILED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@pytest.mark.parametrize("words", COMMANDS)
def test_help_of_each_command(words, capsys):
    assert main.run([*words.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: rayyarn {words}")


@pytest.mark.parametrize("name", lazy.COMMANDS)
def test_the_list_of_commands_says_what_they_say(name):
    command = main.cli.get_command(click.Context(main.cli), name)
    assert (command.help or "").splitlines()[0] == lazy.COMMANDS[name]


@pytest.mark.parametrize("words", COMMANDS)
def test_every_option_says_what_it_does(words):
    for parameter in COMMANDS[words].params:
        if isinstance(parameter, click.Option):
            assert (parameter.help or "").endswith("."), parameter.name


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_has_the_common_options(words):
    names = {parameter.name for parameter in COMMANDS[words].params}
    assert {"color", "quiet", "verbose", "debug"} <= names
    assert ("as_json" in names) != ("json_file" in names)


def test_every_command_module_is_in_the_list():
    from pathlib import Path

    from rayyarn_cli import commands

    files = {path.stem for path in Path(commands.__file__).parent.glob("*.py")}
    assert lazy.COMMANDS.keys() <= files


def loaded_after(*argv):
    code = (
        "import sys\nfrom rayyarn_cli import main\ncode = main.run(sys.argv[1:])\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], env=COMPILED, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines())


@pytest.mark.parametrize("argv", [["--help"], ["--version"]])
def test_nothing_slow_is_imported_for_help(argv):
    loaded = loaded_after(*argv)
    assert [name for name in SLOW if name in loaded] == []
    ours = {name for name in loaded if re.match("rayyarn", name)}
    cli = {"rayyarn_cli", *(f"rayyarn_cli.{name}" for name in ("lazy", "main", "signals", "terminal"))}
    assert ours <= {"rayyarn", "rayyarn.errors", *cli}


@pytest.mark.parametrize("name", lazy.COMMANDS)
def test_nothing_slow_is_imported_for_the_help_of_a_command(name):
    assert [slow for slow in SLOW if slow in loaded_after(name, "--help")] == []


def test_help_takes_at_most_two_and_a_half_times_the_import_of_click():
    commands = {
        "click": [sys.executable, "-c", "import click"],
        "help": [sys.executable, "-c", "from rayyarn_cli.main import main; main()", "--help"],
    }
    taken = {name: [] for name in commands}
    for _ in range(9):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, env=COMPILED, stdout=subprocess.DEVNULL, check=True)
            taken[name].append(time.perf_counter() - start)
    assert statistics.median(taken["help"]) <= 2.5 * statistics.median(taken["click"])
