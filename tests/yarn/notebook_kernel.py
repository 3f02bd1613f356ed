"""Drives a notebook's kernel on a cluster: cells, an interrupt, a restart, a kill. For test_edge.

usage: notebook_kernel.py PYTHON CLUSTER   (the kernel's Python); prints one JSON document of what was seen
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

# The kernel's own packages are those of the tests, behind the environment's, which stays as it is.
LAUNCH = (
    "import sys; sys.path.append({site!r}); from ipykernel.kernelapp import launch_new_instance; launch_new_instance()"
)
BEGIN = """
import os, time, ray, rayyarn
cluster = rayyarn.connect({cluster!r})
cluster.ray()

@ray.remote(num_cpus=1)
def slow(seconds):
    time.sleep(seconds)
    return os.environ["CONTAINER_ID"]

print(ray.get(slow.remote(0)))
"""
# Says so when the task runs: from then on the cell does nothing but wait in ray.get.
WAITING = """
@ray.remote(num_cpus=0)
class Begun:
    def __init__(self):
        self.is_so = False
    def say(self):
        self.is_so = True
    def ask(self):
        return self.is_so

@ray.remote(num_cpus=1)
def long(begun):
    ray.get(begun.say.remote())
    time.sleep(600)

begun = Begun.remote()
result = long.remote(begun)
while not ray.get(begun.ask.remote()):
    time.sleep(0.05)
print("waiting", flush=True)
ray.get(result)
"""
CELL_LIMIT, GONE_LIMIT = 180, 60


class Notebook:
    def __init__(self, python: str) -> None:
        command = [python, "-c", LAUNCH.format(site=sysconfig.get_path("purelib")), "-f", "{connection_file}"]
        self.manager = KernelManager()
        self.manager._kernel_spec = KernelSpec(argv=command, display_name="test", language="python")
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def cell(self, code: str) -> dict[str, Any]:
        said: list[str] = []

        def hear(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
                said.append(message["content"]["text"])

        reply = self.client.execute_interactive(code, timeout=CELL_LIMIT, output_hook=hear)["content"]
        return {"status": reply["status"], "error": reply.get("ename"), "said": "".join(said).split()}

    def hear_said(self, word: str) -> None:
        """Wait until the cell that runs has printed ``word``."""
        end = time.monotonic() + CELL_LIMIT
        while time.monotonic() < end:
            message = self.client.get_iopub_msg(timeout=CELL_LIMIT)
            if message["msg_type"] == "stream" and word in message["content"]["text"].split():
                return
            if message["msg_type"] == "error":
                raise RuntimeError("\n".join(message["content"]["traceback"]))
        raise TimeoutError(f"the cell did not say {word!r} within {CELL_LIMIT} s")

    def restart(self) -> None:
        self.manager.restart_kernel()
        self.client.wait_for_ready(timeout=60)


def raylets() -> int:
    """In this PID namespace, where a worker's is not to be seen."""
    return subprocess.run(["ps", "-e", "-o", "comm="], capture_output=True, text=True).stdout.split().count("raylet")


def main() -> None:
    python, cluster = sys.argv[1:]
    seen: dict[str, Any] = {}
    notebook = Notebook(python)
    seen["first"] = notebook.cell(BEGIN.format(cluster=cluster)) | {"raylets": raylets()}
    notebook.client.execute(WAITING)
    notebook.hear_said("waiting")
    notebook.manager.interrupt_kernel()
    reply = notebook.client.get_shell_msg(timeout=CELL_LIMIT)
    seen["interrupted"] = {"error": reply["content"].get("ename"), "raylets": raylets()}
    seen["after"] = notebook.cell("print(sum([20, 22]), ray.is_initialized())")
    notebook.restart()
    seen["again"] = notebook.cell(BEGIN.format(cluster=cluster)) | {"raylets": raylets()}
    pid = notebook.manager.provisioner.process.pid
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + GONE_LIMIT
    while raylets() and time.monotonic() < end:
        time.sleep(0.2)
    seen["dead"] = {"raylets": raylets()}
    notebook.client.stop_channels()
    notebook.manager.cleanup_resources()
    print(json.dumps(seen))


main()
