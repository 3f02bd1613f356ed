"""Called by ``ray start`` before it starts anything (RAY_START_HOOK, ray/_private/ray_constants.py).

The only seam through which Ray Client's server can be left out: ``--ray-client-server-port 0`` is rejected and leaving
the flag away means port 10001 (ray 2.60). Ray Client would be one more open port and 90 MB for nobody. And the only one
through which the session gets a name that is known before, so that its ``logs`` can be put elsewhere.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

LOGS = "RAYYARN_RAY_LOGS"  # the folder that shall hold the log files of Ray's session


def prepare(ray_params: Any, head: bool) -> None:
    """Turn Ray Client's server off, and have Ray write its log files where YARN keeps a container's."""
    if head:
        ray_params.ray_client_server_port = None
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
