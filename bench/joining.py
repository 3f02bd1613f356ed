"""`ray start --address`, then a trivial program beside it: what a user without rayyarn types. Imports nothing of it.

usage: joining.py PREFIX ADDRESS TOKEN_FILE PROGRAM   (a running Ray cluster); prints seconds as JSON
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    prefix, address, token, program = sys.argv[1:]
    environ = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": token,
        "RAY_ADDRESS": address,
        "RAY_USAGE_STATS_ENABLED": "0",
        "PATH": f"{prefix}/bin:{os.environ['PATH']}",
    }
    with tempfile.TemporaryDirectory(prefix="b", dir="/var/tmp") as folder:
        log = Path(folder, "log")
        command = [f"{prefix}/bin/python", "-m", "ray.scripts.scripts", "start", "--block", "--address", address,
                   "--num-cpus", "0", "--object-store-memory", "100000000", "--node-ip-address", "127.77.0.9",
                   "--min-worker-port", "0", "--max-worker-port", "0", "--dashboard-agent-listen-port", "0",
                   "--temp-dir", f"{folder}/t"]  # fmt: skip
        t0 = time.monotonic()
        with log.open("wb") as out:
            node = subprocess.Popen(command, env=environ, stdout=out, stderr=out, start_new_session=True)
        try:
            while "Ray runtime started" not in log.read_text():
                if time.monotonic() > t0 + 90:
                    raise SystemExit(log.read_text())
                time.sleep(0.02)
            t1 = time.monotonic()
            subprocess.run([f"{prefix}/bin/python", "-c", program], env=environ, check=True, stdout=subprocess.DEVNULL)
            t2 = time.monotonic()
        finally:
            node.terminate()
            node.wait(20)
    print(json.dumps({"ray start": t1 - t0, "program": t2 - t1}))


main()
