"""Running a program on the edge with a cluster at hand: what ``rayyarn exec`` does."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from functools import partial
from typing import TYPE_CHECKING

from rayyarn import edge, prctl, session
from rayyarn.steps import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rayyarn.connection import Connection

NOT_FOUND, NOT_EXECUTABLE = 127, 126


def run(
    name: str,
    command: Sequence[str],
    *,
    hadoop_conf: str | None = None,
    log: Path | None = None,
    reporter: Reporter = SILENT,
) -> int:
    """Run ``command`` with the cluster's connection in its environment; its exit code (128 + n after signal n).

    ``log``: the file that both of its outputs are added to, instead of our own.

    A raylet without CPUs is started beside it unless this machine has one of the cluster's already: ``ray.init()``
    in the program waits for it, so the two start together. Both end together.
    """
    found = session.find(name, hadoop_conf=hadoop_conf)
    edge.reach(found.ray["address"])
    for remark in session.drift(found):
        reporter.note(remark)
    environ = edge.environment(found)
    if edge.has_raylet(found.ray["address"]):
        return _call(command, environ, log, reporter)
    with edge.Edge(found, [_python(found)], environ):
        return _call(command, environ, log, reporter)


def _python(found: Connection) -> str:
    prefix = found.environment["prefix"]
    return f"{prefix}/bin/python" if prefix else "python"


def _call(command: Sequence[str], environ: dict[str, str], log: Path | None, reporter: Reporter) -> int:
    """Run ``command`` on our own terminal. Ctrl-C is the program's to handle; SIGTERM and SIGHUP are passed on."""
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def forward(signum: int, _: object) -> None:
        early.append(signum) if process is None else process.send_signal(signum)

    before = {signum: signal.signal(signum, _let_the_program_decide) for signum in (signal.SIGINT, signal.SIGQUIT)}
    before |= {signum: signal.signal(signum, forward) for signum in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with log.open("ab") if log else contextlib.nullcontext() as output:
            process = subprocess.Popen(
                list(command), env=environ, stdout=output, stderr=output,
                preexec_fn=partial(prctl.end_with_parent, signal.SIGTERM),  # its Ray node ends with us, too
            )  # fmt: skip
        for signum in early:  # they came while the program was being started
            process.send_signal(signum)
        while process.poll() is None:
            # In turns: a signal that comes between Python's look for signals and waitpid(2) would otherwise be
            # handled only when the program ends.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
        code = process.returncode
    except FileNotFoundError:
        reporter.note(f"{command[0]}: not found")
        return NOT_FOUND
    except OSError as error:
        reporter.note(f"{command[0]}: {error.strerror}")
        return NOT_EXECUTABLE
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    return code if code >= 0 else 128 - code


def _let_the_program_decide(signum: int, frame: object) -> None:
    """A handler and not SIG_IGN, which the program would inherit."""
