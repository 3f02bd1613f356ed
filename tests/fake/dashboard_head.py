"""A head's container with a dashboard and without Ray: real processes play Ray's, a dictionary the master."""

import json
import sys
import time
from pathlib import Path

from supervised import Master

from rayyarn import store
from rayyarn.container import dashboard, ray_hook
from rayyarn.container.dashboard import Dashboard
from rayyarn.container.dashboard_state import Board
from rayyarn.container.jobs import Jobs
from rayyarn.container.post import Post
from rayyarn.store import Job

MIB, GIB = 1 << 20, 1 << 30
# Ray's dashboard: it has children, and a port of its own choice.
PROGRAM = """
import os, socket, subprocess, sys, time
words = dict(word.partition("=")[::2] for word in sys.argv[1:])
open(words["--log-dir"] + "/argv", "w").write(repr(sys.argv[1:]) + os.environ["DASHBOARD_METRIC_PORT"])
if os.path.exists(words["--log-dir"] + "/broken"):
    sys.exit("no")
subprocess.Popen(["sleep", "601"])
server = socket.create_server((words["--host"], int(words["--port"])))
time.sleep(600)
"""


class Here:
    """A head's container without Ray: ``look`` is one of its supervisor's beats."""

    def __init__(self, folder, *, size=4 * GIB, room=3 * GIB, minimal=False):
        self.now, self.folder, self.logs = 1000.0, folder, folder / "logs"
        self.logs.mkdir()
        (folder / "token").write_text("t" * 64)
        script = folder / "ray" / "dashboard" / "dashboard.py"
        script.parent.mkdir(parents=True)
        script.write_text(PROGRAM)
        self.environ = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        words = [
            "--host=127.0.0.1",
            "--port=8265",
            f"--log-dir={self.logs}",
            f"--stdout-filepath={self.logs}/dashboard.out",
            "--modules-to-load=UsageStatsHead",
            "--disable-frontend",
            *(["--minimal"] if minimal else []),
        ]
        (folder / ray_hook.DASHBOARD).write_text(json.dumps([sys.executable, str(script), *words]))
        self.master = Master()
        self.master.pages = []
        self.master.add_page = lambda *page: self.master._reach() or self.master.pages.append(page)
        state = store.NodeState("container_0", "head_0", "head", "n1", "127.0.0.1", memory=size)
        self.post = Post(self.master, state)
        clock = lambda: self.now  # noqa: E731
        self.jobs = Jobs(self.post, folder, self.logs, self.environ, size=size, room=room, clock=clock)
        self.made = Dashboard(self.post, self.jobs, folder, self.logs, self.environ, users=["me"], clock=clock)
        self.board = Board(folder / "dashboard")

    def look(self):
        self.made.look()
        return self.board.told()

    def until(self, state, limit=20):
        end = time.monotonic() + limit
        while (seen := self.look()).state != state:
            assert time.monotonic() < end, seen
            time.sleep(0.05)
        return seen

    def on(self):
        self.look()
        self.board.want()
        return self.until("on")

    def ask_for_job(self, memory):
        job = Job("job-0", ("true",), memory, 0.0)
        self.master.keys[store.job_key(job.id, "asked")] = job.to_json()
        self.jobs.look()

    def close(self):
        for process in (self.made._pages, self.made._gate):
            if process is not None:
                dashboard._end(process)
        if self.made._listener is not None:
            self.made._listener.close()
