"""Called by ``ray start`` before it starts anything (RAY_START_HOOK, ray/_private/ray_constants.py).

The only seam through which Ray Client's server can be left out: ``--ray-client-server-port 0`` is rejected and leaving
the flag away means port 10001 (ray 2.60). Ray Client would be one more open port and 90 MB for nobody. And the only one
through which the session gets a name that is known before, so that its ``logs`` can be put elsewhere. Of a Ray without
its dashboard it leaves out the dashboard's process, whose only module then says that usage is not reported: 110 MB, and
a head that waits for it. And it puts off what nobody waits for until the node has joined (Ray 2.60).
"""

from __future__ import annotations

import contextlib
import os
from functools import partial, wraps
from pathlib import Path
from typing import Any

LOGS = "RAYYARN_RAY_LOGS"  # the folder that shall hold the log files of Ray's session
# Python processes that start beside the raylet's own two, and compete with them for a second or two of each core: what
# prints workers' output at drivers, and what answers `ray status`.
_LATER = ("start_log_monitor", "start_monitor")


def prepare(ray_params: Any, head: bool) -> None:
    """Turn Ray Client's server off, and have Ray write its log files where YARN keeps a container's."""
    from ray._private.node import Node

    if head:
        ray_params.ray_client_server_port = None
    if ray_params.include_dashboard is False:
        Node.start_api_server = lambda *_, **__: None
    _put_off(Node)
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
