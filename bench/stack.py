"""The mini cluster, the environment and the clean edge that the benchmarks run on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

from rayyarn.mini import cluster as mini

HERE = Path(__file__).parent


class Stack:
    """An own mini cluster and HOME for one benchmark run, gone at its end."""

    def __init__(self, memory: str | None = None, *, environment: str = "test", hdfs: bool = False) -> None:
        """``memory``: of each node; default: what fits the machine. ``environment``: its name in envs/."""
        self._memory, self._environment, self._hdfs = memory, environment, hdfs

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="rayyarn-bench-", dir="/var/tmp"))
        build = [sys.executable, HERE.parent / "envs" / "build.py", self._environment]
        self.prefix = subprocess.run(build, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        os.environ["RAYYARN_HOME"] = str(self.folder)
        # Byte code is written as for any user: without it every start of Python would compile its imports anew.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        mini.up("bench", hdfs=self._hdfs, **({"memory": self._memory} if self._memory else {}))
        self.environ = {**os.environ, **mini.environ("bench")}
        return self

    def __exit__(self, *_: object) -> None:
        self.run([self.program(), "down", "--all", "--yes"])
        mini.down("bench")
        shutil.rmtree(self.folder, ignore_errors=True)

    def rayyarn(self, *arguments: str) -> str:
        """Run the command line; its standard output."""
        return self.run([self.program(), *arguments])

    def python(self, program: str, name: str) -> str:
        """Run a program on the cluster ``name``."""
        return self.rayyarn("exec", name, "--", "python", "-c", program)

    def run(self, command: list[object], environ: dict[str, str] | None = None) -> str:
        """Run any command; what it prints on standard error is shown when it fails."""
        done = subprocess.run(
            [str(word) for word in command], env={**self.environ, **(environ or {})}, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout

    @staticmethod
    def program() -> str:
        """The command ``rayyarn`` of this checkout."""
        return str(Path(sys.executable).with_name("rayyarn"))


def table(title: str, rows: list[tuple[str, float, str]]) -> None:
    """Print ``what, seconds, ratio`` as Markdown."""
    print(f"\n| {title} | s | |\n|---|---|---|")
    for what, seconds, ratio in rows:
        print(f"| {what} | {seconds:.2f} | {ratio} |")
