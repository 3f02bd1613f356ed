"""Called by ``ray start`` before it starts anything (RAY_START_HOOK, ray/_private/ray_constants.py).

The only seam through which Ray Client's server can be left out: ``--ray-client-server-port 0`` is rejected and leaving
the flag away means port 10001 (ray 2.60). Ray Client would be one more open port and 90 MB for nobody. And the only one
through which the session gets a name that is known before, so that its ``logs`` can be put elsewhere. And through which
a head need not wait for what nobody asked for (Ray 2.60): its dashboard's process, which ``--include-dashboard=false``
leaves without pages and not out, 110 MB with one module that says that usage is not reported; two other processes; and,
as on every node, its raylet's agents.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOGS = "RAYYARN_RAY_LOGS"  # the folder that shall hold the log files of Ray's session
# How this Ray would have started its dashboard: a list of words, in the container's folder. For ``dashboard``.
DASHBOARD = "ray-dashboard.json"
# Python processes that start beside the raylet's own two, and compete with them for a second or two of each core: what
# prints workers' output at drivers, and what answers `ray status`.
_LATER = ("start_log_monitor", "start_monitor")
# The agent's script in the command line that a raylet is given for it.
_AGENT = re.compile(r" (\S*/dashboard/agent\.py )")


def prepare(ray_params: Any, head: bool) -> None:
    """Leave out and put off what is said above, and have Ray write its log files where YARN keeps a container's."""
    from ray._private.node import Node

    if head:
        ray_params.ray_client_server_port = None
    if ray_params.include_dashboard is False:
        Node.start_api_server = _noting(Node.start_api_server, Path.cwd() / DASHBOARD)
    _put_off(Node)
    _prepare_raylet(Node, ray_params.dashboard_agent_listen_port)
    if folder := os.environ.get(LOGS):
        _keep_logs(ray_params, folder)


def _keep_logs(ray_params: Any, folder: str) -> None:
    """Make the session's ``logs`` a link to ``folder`` itself.

    YARN shows and aggregates the files right in a container's log folder and passes over folders in it
    (AggregatedLogFormat.LogValue.write, Hadoop 3.5.0). ``RayNode.keep_closed`` sees to the folder's mode.
    """
    application = os.environ.get("SKEIN_APPLICATION_ID", "application_0").removeprefix("application_")
    ray_params.session_name = f"session_{application}"  # the head tells it to nodes that have no name of their own
    session = Path(ray_params.temp_dir, ray_params.session_name)
    session.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (session / "logs").symlink_to(folder, target_is_directory=True)


class _Noted(BaseException):
    """Ends ``start_api_server`` where it would start the process; it catches and logs what is an Exception."""


def _noting(start: Any, file: Path) -> Any:
    """``start``, which starts Ray's dashboard, without the start: the command is written to ``file``."""

    def note(command: list[str], *_: Any, **__: Any) -> None:
        file.write_text(json.dumps(command))
        raise _Noted

    @wraps(start)
    def noted(self: Any, **options: Any) -> None:
        with _starting(lambda _: note), contextlib.suppress(_Noted):
            start(self, **options)
        _say_none(self)

    return noted


@contextlib.contextmanager
def _starting(other: Callable[[Any], Any]) -> Iterator[None]:
    """Meanwhile, Ray starts its processes by what ``other`` makes of its own function for that."""
    from ray._private import services

    whole = services.start_ray_process
    services.start_ray_process = other(whole)
    try:
        yield
    finally:
        services.start_ray_process = whole


def _say_none(node: Any) -> None:
    """Tell who looks for the dashboard's address that there is none; one that starts later writes its own there.

    Without the entry he looks 20 times in 40 s (``internal_kv_get_with_retry``, Ray 2.60), and each fit of Ray Train
    waits 12 s at its end for its own such look.
    """
    from ray._private import ray_constants

    with contextlib.suppress(Exception):  # he waits, then
        space = ray_constants.KV_NAMESPACE_DASHBOARD
        node.get_gcs_client().internal_kv_put(ray_constants.DASHBOARD_ADDRESS.encode(), b"", True, space)


def _prepare_raylet(node: Any, port: int | None) -> None:
    """Have ``node``, the class of Ray's nodes, start its raylet as one that need not wait and an agent that is quiet.

    A raylet joins when it knows the ports of its agents. Three of them it is told; this one it reads from a file, which
    the agent writes when it has started (NodeManager::WaitForDashboardAgentPorts, ``services.start_raylet``, Ray 2.60).
    """
    start = node.start_raylet

    @wraps(start)
    def prepared(self: Any, *args: Any, **options: Any) -> Any:
        with contextlib.suppress(Exception):  # it waits for its agent, then, or is of a Ray that does not wait
            from ray._raylet import DASHBOARD_AGENT_LISTEN_PORT_NAME, persist_port

            if port:
                persist_port(self.get_session_dir_path(), self.node_id, DASHBOARD_AGENT_LISTEN_PORT_NAME, port)
        with _starting(lambda whole: partial(_with_quiet_agent, whole)):
            return start(self, *args, **options)

    node.start_raylet = prepared


def _with_quiet_agent(start: Any, command: list[str], *args: Any, **options: Any) -> Any:
    """``start``, with the raylet's agent run by ``ray_agent``."""
    given = next((place for place, word in enumerate(command) if word.startswith("--dashboard_agent_command=")), None)
    if given is not None:
        quiet = _AGENT.sub(r" -m rayyarn.container.ray_agent \1", command[given], count=1)
        command = [*command[:given], quiet, *command[given + 1 :]]
    return start(command, *args, **options)


def _put_off(node: Any) -> None:
    """Have ``node``, the class of Ray's nodes, start what can wait at the end of what it does when it is made."""
    wait: list[Any] = []
    made = node.__init__

    def held(start: Any) -> Any:
        return lambda self: wait.append(partial(start, self))

    @wraps(made)
    def make(self: Any, *args: Any, **options: Any) -> None:
        made(self, *args, **options)  # returns when the raylet has joined
        while wait:
            wait.pop(0)()

    for name in _LATER:
        if hasattr(node, name):
            setattr(node, name, held(getattr(node, name)))
    node.__init__ = make
