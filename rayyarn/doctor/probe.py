"""A small container on a node, which calls this machine and is called from it: the two ways that no web port tells of.

One application of one container: Skein's master, and beside it a shell that opens a connection to this machine. It
needs neither Python nor an environment there. The shell ends when the connection does, so that nothing is left also
when this process is killed; where it cannot connect it gives up by itself.
"""

from __future__ import annotations

import contextlib
import secrets
import select
import shlex
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rayyarn import edge, filesystem, teardown
from rayyarn.doctor.finding import OK, PROBLEM, Finding, of_error
from rayyarn.errors import NotReady, RayYarnError
from rayyarn.hadoop import QUICK_JVM
from rayyarn.skein_am import Driver, new_credentials
from rayyarn.steps import SILENT, Reporter, Steps, signals_held

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rayyarn.hadoop import Hadoop
    from rayyarn.rm import ResourceManager
    from rayyarn.yarn_report import App

# Until the container runs: a master needs 3 s where there is room.
_RUNS_LIMIT = 60.0
# From then on, for both ways. A packet that was lost is sent again after 1, 3, 7 and 15 s.
_CALL_LIMIT = 20.0
_KNOCK = 2.0
_TAG = "rayyarn.probe-"
# Skein's master has a fixed heap of 128 MB and comes to about 300 MB.
_MIB = 512
# `read` returns at the end of the connection. What cannot connect waits, so that the other way can be tried meanwhile.
_SCRIPT = """\
timeout 75 bash -c 'exec 3<>/dev/tcp/{host}/{port} && echo {word} >&3 && {{ read -t 60 -u 3; true; }}' || sleep 25
"""


@dataclass(frozen=True)
class _Seen:
    """What the two ways came to; ``app``: where the container was."""

    app: App
    there: bool
    back: bool


def probe(site: Hadoop, rm: ResourceManager, queue: str | None, *, reporter: Reporter = SILENT) -> list[Finding]:
    """Start the container, try both ways, end it. What goes wrong with YARN is a finding too."""
    try:
        nodes = rm.nodes()
        address = edge.own_ip(f"{nodes[0].host}:1") if nodes else socket.gethostbyname(socket.gethostname())
        with socket.create_server((address, 0)) as server:
            return _findings(_seen(site, rm, queue, server, reporter), address)
    except RayYarnError as error:
        return [of_error("probe", "probe container", error, "nothing is known of the ways between it and here")]
    except OSError as error:
        text = f"this machine has no address for the nodes to call: {error}"
        return [Finding("probe", "probe container", PROBLEM, text, "", "getent hosts $(hostname)")]


def _seen(site: Hadoop, rm: ResourceManager, queue: str | None, server: socket.socket, reporter: Reporter) -> _Seen:
    word, steps = secrets.token_hex(8), Steps(reporter)
    tag = f"{_TAG}{word}"
    try:
        with Driver(site, new_credentials()) as driver:
            with steps.step("skein's driver", limit=60):
                driver.ready()
            with steps.step("probe container", limit=_RUNS_LIMIT) as step:
                app_id = driver.submit(_document(queue, tag, server, word))
                step.result = app_id
                app = step.wait(lambda: _running(rm, app_id, step.update), every=0.2, hint="rayyarn doctor")
        with steps.step("both ways", limit=_CALL_LIMIT) as step:
            return _try(app, server, word, until=time.monotonic() + _CALL_LIMIT)
    finally:
        with signals_held():
            _end(site, rm, tag)


def _document(queue: str | None, tag: str, server: socket.socket, word: str) -> dict[str, Any]:
    host, port = server.getsockname()[:2]
    document: dict[str, Any] = {
        "name": "rayyarn-probe",
        "tags": [tag],
        "max_attempts": 1,
        "master": {
            "resources": {"memory": f"{_MIB} MiB", "vcores": 1},
            "env": {"JAVA_TOOL_OPTIONS": " ".join(QUICK_JVM)},
            "script": _SCRIPT.format(host=shlex.quote(host), port=port, word=word),
        },
        "services": {},
    }
    return document | ({"queue": queue} if queue else {})


def _running(rm: ResourceManager, app_id: str, say: Any) -> App | None:
    app = rm.app(app_id)
    if app is not None and not app.live:
        raise NotReady(f"{app_id} ended before its container ran", log=app.diagnostics.strip() or app.final)
    if app is None or app.state != "RUNNING" or app.am is None:
        say(f"{app.state} in queue {app.queue!r}" if app else "submitted")
        return None
    return app


def _try(app: App, server: socket.socket, word: str, *, until: float) -> _Seen:
    """Both ways until both are open, or the time is over."""
    there = back = False
    assert app.am is not None  # noqa: S101 - it runs
    with contextlib.ExitStack() as open_until_the_end:
        while time.monotonic() < until and not (there and back):
            there = there or _reached(app.am)
            if not back:
                for link in _callers(server):
                    open_until_the_end.enter_context(link)
                    back = back or _said(link) == word
    return _Seen(app, there, back)


def _reached(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_KNOCK).close()
    except OSError:
        return False
    return True


def _callers(server: socket.socket) -> Iterator[socket.socket]:
    if select.select([server], [], [], 0.3)[0]:
        yield server.accept()[0]


def _said(link: socket.socket) -> str:
    """The line that a caller says; somebody else may have called this port."""
    link.settimeout(_KNOCK)
    with contextlib.suppress(OSError):
        return link.makefile("rb").readline(100).decode(errors="replace").strip()
    return ""


def _end(site: Hadoop, rm: ResourceManager, tag: str) -> None:
    """End what was submitted, also when its id never came back, and remove what the submit staged."""
    for app in rm.apps(tag=tag):
        teardown.kill(rm, app.id, "the probe of `rayyarn doctor` is over")
        with contextlib.suppress(RayYarnError):
            teardown.remove_staging(site, filesystem.open(site), app.id)


def _findings(seen: _Seen, address: str) -> list[Finding]:
    assert seen.app.am is not None  # noqa: S101 - it ran
    host = seen.app.am.rpartition(":")[0]
    if seen.there:
        there = Finding("way_there", "way to a container", OK, f"{seen.app.am}, a port that the kernel chose, answers")
    else:
        text = f"{seen.app.am}, a port that the kernel chose, does not answer within {_CALL_LIMIT:.0f} s"
        means = "`rayyarn up`, `exec`, `submit` and `status` talk to the cluster's master at such a port, and cannot"
        fix = f"nc -zv {seen.app.am.replace(':', ' ')}   # while a cluster runs; open all ports from here to the nodes"
        there = Finding("way_there", "way to a container", PROBLEM, text, means, fix)
    if seen.back:
        return [there, Finding("way_back", "way back", OK, f"a container on {host} reaches {address} here")]
    text = f"a container on {host} does not reach {address} here within {_CALL_LIMIT:.0f} s"
    means = (
        "programs on this machine (`exec`, `run`, notebooks, a Spark driver) wait for nodes that cannot call back; "
        "`rayyarn submit` and `spark-submit --deploy-mode cluster` work"
        if seen.there
        else "programs on this machine cannot work either"
    )
    fix = "rayyarn submit NAME -- program.py   # or have the ports of this machine opened to the nodes"
    return [there, Finding("way_back", "way back", PROBLEM, text, means, fix)]
