"""`ray job submit` of a trivial program to a head with a dashboard: what `submit` is compared with.

Imports nothing of rayyarn. usage: ray_job.py PREFIX PROGRAM; starts a head of its own; prints seconds as JSON
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    prefix, program = sys.argv[1:]
    ray = f"{prefix}/bin/ray"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="b", dir="/var/tmp") as folder:
        log = Path(folder, "log")
        address = f"http://127.0.0.1:{port}"
        environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith("RAY")},
            "PATH": f"{prefix}/bin:{os.environ['PATH']}",
            "RAY_API_SERVER_ADDRESS": address,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",  # as ours always is
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }
        command = [ray, "start", "--head", "--block", "--port", "0", "--num-cpus", "2", "--dashboard-port", str(port),
                   "--node-ip-address", "127.0.0.1", "--object-store-memory", "100000000",
                   "--temp-dir", f"{folder}/t"]  # fmt: skip
        with log.open("wb") as out:
            node = subprocess.Popen(command, env=environ, stdout=out, stderr=out, start_new_session=True)
        try:
            submit(ray, environ, "print(0)", until=time.monotonic() + 120)  # the first waits for the dashboard
            began = time.monotonic()
            submit(ray, environ, program)
            took = time.monotonic() - began
        finally:
            node.terminate()
            node.wait(30)
    print(json.dumps({"ray job submit": took}))


def submit(ray: str, environ: dict[str, str], program: str, until: float = 0.0) -> None:
    command = [ray, "job", "submit", "--", "python", "-c", program]
    while True:
        done = subprocess.run(command, env=environ, capture_output=True, text=True)
        if done.returncode == 0:
            return
        if time.monotonic() > until:
            raise SystemExit(done.stderr + done.stdout)
        time.sleep(1)


main()
