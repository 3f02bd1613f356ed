"""The programs that run beside the head: each in a session of its own, in the head's container, watched from outside.

A program that wants more than there is must not take the cluster along: when the container is nearly full, the one that
is furthest above what it asked for ends, before the NodeManager ends the head.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rayyarn import connection, store
from rayyarn.container import processes
from rayyarn.errors import RayYarnError
from rayyarn.units import format_size

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rayyarn.connection import Connection
    from rayyarn.container.post import Post
    from rayyarn.store import Job

# What a program has to end after SIGTERM, before it is killed. Ray gives its jobs 3 s; a Spark driver wants more.
_GRACE = 10.0
# Of the container's memory. The NodeManager looks every 3 s and we every second.
_FULL = 0.92
# So many that are over stay listed.
_REMEMBERED = 100


@dataclass
class _Running:
    """``told``: why it was told to end, ``at`` which moment."""

    job: Job
    process: subprocess.Popen[bytes]
    folder: Path
    told: str = ""
    at: float = 0.0


class Jobs:
    """Those of the head in ``folder``; ``room`` bytes of its container of ``size`` are for them."""

    def __init__(
        self,
        post: Post,
        folder: Path,
        logs: Path,
        environ: Mapping[str, str],
        *,
        size: int,
        room: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._post, self._folder, self._logs, self._environ = post, folder, logs, dict(environ)
        self._size, self._room, self._clock = size, room, clock
        self._running: dict[str, _Running] = {}
        self._latest: dict[str, Job] = {}  # of every job that the store tells of, what is true of it
        self._unheard: set[str] = set()
        self.lent = 0  # bytes of ``room`` that the dashboard has, as long as no job wants them
        self.crowded = False  # a job waits for them

    @property
    def pids(self) -> set[int]:
        """The processes whose exit status is waited for here."""
        return {one.process.pid for one in self._running.values()}

    @property
    def free(self) -> int:
        """Bytes of ``room`` that nothing has."""
        return self._room - self.lent - sum(one.job.memory for one in self._running.values())

    def look(self) -> None:
        """Start what was asked for and has room, end what shall end, tell of what has ended."""
        for job_id in list(self._unheard):
            self._say(self._latest[job_id])
        keys = self._post.keys(store.JOB)
        if keys is None:
            return
        for one in list(self._running.values()):
            self._watch(one, stop=store.job_key(one.job.id, "stop") in keys)
        self._spare_the_head()
        self.crowded = False
        known = [self._latest.get(job.id, job) for job in store.jobs(keys)]
        for job in known:
            if job.state == "pending":
                self._begin(job, stop=store.job_key(job.id, "stop") in keys)
        for job in [job for job in known if job.over][:-_REMEMBERED]:
            if self._post.forget(f"{store.JOB}{job.id}/"):
                self._latest.pop(job.id, None)

    def _begin(self, job: Job, *, stop: bool) -> None:
        if stop:
            self._say(replace(job, state="stopped", ended=time.time(), why="stopped before it ran"))
            return
        left = self.free
        if job.memory > left:
            self.crowded = self.crowded or job.memory <= left + self.lent
            why = f"{format_size(job.memory)} asked, {format_size(max(0, left))} free beside the head"
            if why != job.why:
                self._say(replace(job, why=why))
            return
        try:
            started = self._start(job)
        except (OSError, RayYarnError) as error:  # a full disk, for one: it must not take the head along
            started = replace(job, state="failed", ended=time.time(), why=f"it could not be started: {error}")
        if started is not None:
            logging.info("job %s: %s", job.id, started.why or " ".join(job.command))
            self._say(started)

    def _start(self, job: Job) -> Job | None:
        """Start it; None while the cluster is not usable."""
        found = self._connection()
        if found is None:
            return None
        folder = self._folder / "jobs" / job.id
        folder.mkdir(mode=0o700, parents=True)
        log = self._logs / job.log
        process = processes.start(
            ["python", "-m", "rayyarn.container.job"], self._environ_of(job, found), log,
            new_session=True, told=True, folder=folder,
        )  # fmt: skip
        files = {one["name"]: str(self._folder / one["name"]) for one in found.files}
        started = replace(job, state="running", started=time.time(), why="")
        self._running[job.id] = _Running(started, process, folder)
        assert process.stdin is not None  # noqa: S101 - told
        with contextlib.suppress(OSError), process.stdin as line:  # it has ended already: _watch tells
            line.write(json.dumps({"command": job.command, "folder": job.folder, "files": files}).encode() + b"\n")
        return started

    def _connection(self) -> Connection | None:
        """The cluster's document as it is in here, written down; None while the cluster is not usable."""
        document = self._post.read(store.CONNECTION)
        if document is None:
            return None
        path = self._folder / "connection.json"
        found = connection.parse(document, path)
        conf = os.environ.get("HADOOP_CONF_DIR") or found.yarn["conf_dir"]
        # In here the environment is `environment`, Hadoop is the node's, and the token is where Ray has it.
        inside = replace(
            found,
            secrets={"token": "token"},
            copies=[],
            environment={**found.environment, "prefix": None},
            yarn={**found.yarn, "conf_dir": conf},
        )
        return inside.write(path)

    def _environ_of(self, job: Job, found: Connection) -> dict[str, str]:
        return {
            **self._environ,
            **found.environ(),
            "RAYYARN_HOME": str(self._folder / ".rayyarn"),
            "RAYYARN_JOB": job.id,
            "PYTHONUNBUFFERED": "1",  # who follows the log wants each line when it is said
            "PYSPARK_DRIVER_PYTHON": str(self._folder / "environment/bin/python"),
        }

    def _watch(self, one: _Running, *, stop: bool) -> None:
        code = one.process.poll()
        if code is not None:
            self._over(one, code)
        elif stop and not one.told:
            self._tell(one, "stopped by `rayyarn jobs --stop`")
        elif one.told and self._clock() - one.at > _GRACE:
            _signal(one, signal.SIGKILL)

    def _over(self, one: _Running, code: int) -> None:
        _signal(one, signal.SIGKILL)  # what it left running
        shutil.rmtree(one.folder, ignore_errors=True)
        del self._running[one.job.id]
        code = code if code >= 0 else 128 - code
        state = "stopped" if one.told.startswith("stopped") else "failed" if code or one.told else "succeeded"
        why = one.told or (f"ended with {code}" if code else "")
        logging.info("job %s: %s", one.job.id, why or state)
        self._say(replace(one.job, state=state, ended=time.time(), code=code, why=why))

    def _spare_the_head(self) -> None:
        """End the program that is furthest above what it asked for, when the container is nearly full."""
        asked = [one for one in self._running.values() if not one.told]
        if not asked or processes.resident() < self._size * _FULL:
            return
        used = {one.job.id: processes.resident(processes.of_session(one.process.pid)) for one in asked}
        worst = max(asked, key=lambda one: used[one.job.id] - one.job.memory)
        took, given = used[worst.job.id], worst.job.memory
        if took <= given:
            return  # it is not the programs
        self._tell(
            worst,
            f"it took {format_size(took)} of the {format_size(given)} asked for, and the head's container was full",
        )

    def _tell(self, one: _Running, why: str) -> None:
        one.told, one.at = why, self._clock()
        _signal(one, signal.SIGTERM)

    def _say(self, job: Job) -> None:
        """Tell the cluster; what the master did not hear is told again at the next look."""
        self._latest[job.id] = job
        heard = self._post.publish(store.job_key(job.id, "now"), job.to_json(), owned=False)
        (self._unheard.discard if heard else self._unheard.add)(job.id)


def _signal(one: _Running, signum: int) -> None:
    for pid in processes.of_session(one.process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)
