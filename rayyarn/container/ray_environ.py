"""The environment of Ray in a container: where it finds its token and writes its logs, and how it behaves on YARN."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from rayyarn.connection import FILES_FOLDER
from rayyarn.container import ray_hook

if TYPE_CHECKING:
    from pathlib import Path


# With which a Ray node joins as soon as it can.
PROMPT = {
    "RAY_START_HOOK": "rayyarn.container.ray_hook.prepare",
    # A raylet connects to its own store, which it has just started, and looks again after a second where that was too
    # early: two of three did here (Ray 2.60). Ray's 10 tries a second apart are 100, a tenth apart.
    "RAY_raylet_client_num_connect_attempts": "100",
    "RAY_raylet_client_connect_timeout_milliseconds": "100",
}


def of(folder: Path, logs: Path) -> dict[str, str]:
    """The environment of Ray and of everything that runs in it; Ray's log files go to ``logs``."""
    variables = folder / "variables.json"
    users = json.loads(variables.read_text()) if variables.exists() else {}
    scratch = folder / "t"
    scratch.mkdir(mode=0o700, exist_ok=True)
    return {
        # A log file that is full is moved aside, twice: 96 MiB each, where Ray would keep 3 GiB of its own processes'
        # and rotate none of its workers'. It is YARN's disk.
        "RAY_ROTATION_MAX_BYTES": str(32 << 20),
        "RAY_ROTATION_BACKUP_COUNT": "2",
        **os.environ,
        **PROMPT,
        # Each process that spills or restores maps the whole store, which YARN counts for each. Of Ray's four and four
        # the first two were enough to have a container killed (5 GB through a store of 0.9 GB in 3.5 GB, Ray 2.60).
        "RAY_max_io_workers": "1",
        # A head that is lost ends the application, and is not waited for: one of Ray's agents whose raylet was killed
        # with the head's supervisor wanted to tell the GCS, for Ray's 60 s, and was left behind for as long.
        "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
        **users,
        FILES_FOLDER: str(folder),
        "HOME": str(folder),  # YARN says /home/, which nobody may write
        "TMPDIR": f"/proc/{os.getpid()}/cwd/t",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        ray_hook.LOGS: str(logs),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray's default of 15 starves its tasks beside Spark executors, which run at 0.
        "RAY_worker_niceness": "0",
        # A NodeManager gives 250 ms; a drain of 30 s would only delay `down`.
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        # A node killed without a word is noticed after 5 s instead of 15.
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_timeout_ms": "4000",
        "RAY_health_check_failure_threshold": "3",
    }
