"""What it costs to ask for help: `rayyarn --help` against Python importing click."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from stack import table

ROUNDS = 15


def main() -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    commands = {
        "python -c 'import click'": [sys.executable, "-c", "import click"],
        "rayyarn --help": [str(Path(sys.executable).with_name("rayyarn")), "--help"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            started = time.monotonic()
            subprocess.run(command, check=True, capture_output=True)
            seconds[name].append(time.monotonic() - started)
    click, ours = (statistics.median(seconds[name]) for name in commands)
    rows = [(name, statistics.median(values), "") for name, values in seconds.items()]
    table(f"medians of {ROUNDS}", [rows[0], (*rows[1][:2], f"{ours / click:.2f} x")])


if __name__ == "__main__":
    main()
