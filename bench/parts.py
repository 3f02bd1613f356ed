"""The unavoidable parts of bringing Ray up on YARN, each alone and bare. Imports nothing of rayyarn.

usage: parts.py PREFIX   (HADOOP_CONF_DIR and a `yarn` program in the environment); prints seconds as JSON
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import skein

WORKERS = (3, 4)  # the last byte of their addresses
QUICK = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]


def main() -> None:
    prefix = sys.argv[1]
    print(json.dumps({**yarn_parts(), **ray_parts(prefix)}))


def yarn_parts() -> dict[str, float]:
    """Driver, submit, master, container: an application whose one container writes down when it runs."""
    mark = Path(tempfile.mkdtemp(prefix="bench-")) / "ran"
    security = skein.Security.new_credentials()
    spec = skein.ApplicationSpec.from_dict(
        {
            "name": "bench-parts",
            "master": {
                "resources": {"memory": "512 MiB", "vcores": 1},
                "env": {"JAVA_TOOL_OPTIONS": " ".join(QUICK)},
            },
            "services": {
                "one": {
                    "instances": 1,
                    "resources": {"memory": "256 MiB", "vcores": 1},
                    "script": f"touch {mark}; sleep 60",
                }
            },
        }
    )
    t0 = time.monotonic()
    client = skein.Client(security=security, log=False, java_options=QUICK)
    t1 = time.monotonic()
    app = client.submit(spec)
    t2 = time.monotonic()
    while str(client.application_report(app).state) != "RUNNING":
        time.sleep(0.05)
    t3 = time.monotonic()
    while not mark.exists():
        time.sleep(0.02)
    t4 = time.monotonic()
    client.kill_application(app)
    client.close()
    shutil.rmtree(mark.parent)
    return {"driver JVM": t1 - t0, "submit": t2 - t1, "master": t3 - t2, "one container": t4 - t3}


def ray_parts(prefix: str) -> dict[str, float]:
    """`ray start --head` until its GCS has a port; then two workers' `ray start` at once, until both have joined.

    The head is not through by then, as it is not in an `up`: three nodes share this machine's cores in both.
    """
    with tempfile.TemporaryDirectory(prefix="b", dir="/var/tmp") as folder:
        token = Path(folder, "token")
        token.write_text(secrets.token_hex(32))
        environ = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
            "PATH": f"{prefix}/bin:{os.environ['PATH']}",
        }
        ray = [f"{prefix}/bin/python", "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus", "1",
               "--object-store-memory", "200000000", "--min-worker-port", "0", "--max-worker-port", "0",
               "--dashboard-agent-listen-port", "0"]  # fmt: skip
        t0 = time.monotonic()
        head = start([*ray, "--head", "--port", "0", "--include-dashboard=false", "--node-ip-address", "127.77.0.2",
                      "--temp-dir", f"{folder}/h"], environ, f"{folder}/head.log")  # fmt: skip
        workers: list[subprocess.Popen[bytes]] = []
        try:
            port = ""
            while not port:
                time.sleep(0.02)
                port = "".join(path.read_text() for path in Path(folder, "h").glob("session_2*/gcs_server_port_*"))
            t1 = time.monotonic()
            address = f"127.77.0.2:{port}"
            for number in WORKERS:
                place = ["--node-ip-address", f"127.77.0.{number}", "--temp-dir", f"{folder}/w{number}"]
                workers.append(start([*ray, "--address", address, *place], environ, f"{folder}/{number}.log"))
            for number in WORKERS:
                joined(f"{folder}/{number}.log")
            t2 = time.monotonic()
        finally:
            for node in [*workers, head]:
                end(node)
        return {"head to GCS": t1 - t0, "workers' ray start": t2 - t1}


def start(command: list[str], environ: dict[str, str], log: str) -> subprocess.Popen[bytes]:
    with Path(log).open("wb") as out:
        return subprocess.Popen(command, env=environ, stdout=out, stderr=out, start_new_session=True)


def joined(log: str) -> None:
    end_at = time.monotonic() + 90
    while "Ray runtime started" not in Path(log).read_text():
        if time.monotonic() > end_at:
            raise SystemExit(Path(log).read_text())
        time.sleep(0.02)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()


main()
