"""Programs inside a cluster: they run beside its head, whatever becomes of the machine that submitted them.

A job is asked for in the cluster's store; what it is sent along lies in the cluster's folder on the default file system
until the head has fetched it. Its log is a file of the head's container, and goes where YARN collects logs.
"""

from __future__ import annotations

import json
import secrets
import shlex
import time
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayyarn import access, diagnose, filesystem, hadoop, layer, logs, register, session, sizing, store
from rayyarn.app_folder import AppFolder
from rayyarn.errors import (
    ClusterFailed,
    ClusterNotFound,
    JobNotFound,
    RayYarnError,
    RequestTooLarge,
    UsageError,
    YarnUnreachable,
)
from rayyarn.rm import ResourceManager
from rayyarn.steps import SILENT, Reporter, Steps
from rayyarn.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rayyarn.logs.following import Tail
    from rayyarn.skein_am import AppMaster
    from rayyarn.store import Job

# What a driver is given room for when nobody says: Ray's own part is 123 MB, pandas and pyarrow 200 (measured, 2.60).
MEMORY = 512 * sizing.MIB
_EVERY = 0.3  # seconds between two looks at a job that somebody waits for
_AWAY_LIMIT = 60.0  # seconds for which a cluster that does not answer is believed to come back
_STOP_LIMIT = 30.0


@dataclass(frozen=True)
class JobList:
    """The jobs of a cluster, the first asked for first."""

    cluster: str
    application: str
    jobs: tuple[Job, ...]

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` shows it."""
        return asdict(self)


class Jobs:
    """The jobs of the cluster ``name``. Raises ClusterNotFound when it does not run."""

    def __init__(self, name: str, *, hadoop_conf: str | None = None) -> None:
        self._site = hadoop.find(hadoop_conf)
        self._rm = ResourceManager(self._site)
        found = register.find(self._rm, name)
        if found is None:
            raise ClusterNotFound(
                f"no cluster named {name!r} runs for user {self._site.user}", hint=f"rayyarn up {name}"
            )
        self.name, self._app = name, found

    def list(self) -> JobList:
        """All of them, those that are over too."""
        with self._master() as master:
            return JobList(self.name, self._app.id, tuple(store.jobs(master.read(store.JOB))))

    def submit(
        self,
        command: Sequence[str],
        *,
        working_dir: str | Path | None = None,
        env_vars: Mapping[str, str] | None = None,
        memory: int | None = None,
    ) -> Job:
        """Ask for ``command`` to be run beside the head, and return at once.

        A first word that ends with ``.py`` is a script for the environment's Python: one of this machine, or a file in
        ``working_dir``, which is sent along whole and is where the program starts. ``memory``: bytes to hold free for
        it in the head's container, by default 512 MiB or what there is; it waits until there is so much. ``env_vars``
        travel in a file of mode 0600.
        Raises RequestTooLarge when the head can never hold it, UsageError for a script that is not there.
        """
        code, words = _packed(command, Path(working_dir) if working_dir else None)
        with self._master() as master:
            keys = master.read()
            memory = self._fitting(keys, memory, command)
            if store.CONNECTION not in keys:  # nobody waited for this cluster (`up --no-wait`): see that it is usable
                session.find(self.name, hadoop_conf=str(self._site.conf_dir))
            job = store.Job(f"job-{secrets.token_hex(3)}", tuple(words), memory, time.time())
            if code or env_vars:
                there = AppFolder(filesystem.open(self._site), self._site, self._app.id)
                variables = json.dumps(dict(env_vars)).encode() if env_vars else b""
                job = replace(job, folder=there.save_job(job.id, code, variables))
            master.write(store.job_key(job.id, "asked"), job.to_json())
        return job

    def follow(self, job_id: str, show: Callable[[bytes], Any], *, reporter: Reporter = SILENT) -> Job:
        """Give ``show`` what the job writes, as it comes, until it is over; the job then.

        Raises JobNotFound, and ClusterFailed when the cluster ends before the job.
        """
        output, answered = _Output(self._tail, show, reporter), time.monotonic()
        with self._master() as master:
            while True:
                try:
                    job = self._find(master, job_id)
                except JobNotFound:
                    raise
                except RayYarnError:  # a packet that was lost, or the cluster's end
                    self._refuse_dead(job_id)
                    if time.monotonic() - answered > _AWAY_LIMIT:
                        raise
                else:
                    answered = time.monotonic()
                    output.news(job)
                    if job.over:
                        return job
                time.sleep(_EVERY)

    def _tail(self, file: str) -> Tail:
        return logs.tail(self._site, self._rm, self._app, "head", file)

    def _refuse_dead(self, job_id: str) -> None:
        """Raise ClusterFailed when the application is over."""
        try:
            app = self._rm.app(self._app.id)
        except YarnUnreachable:
            return
        if app is None or not app.live:
            raise ClusterFailed(
                f"the cluster {self.name} ended while {job_id} ran",
                log=diagnose.telling_line(app.diagnostics) if app else None,
                hint=f"rayyarn logs {self.name} --node head",
            )

    def stop(self, job_id: str) -> Job:
        """Have the job ended, first asked by SIGTERM; returns when it is over. One that is over stays as it is."""
        with (
            self._master() as master,
            Steps(SILENT) as steps,
            steps.step(f"the end of {job_id}", limit=_STOP_LIMIT) as step,
        ):
            if not self._find(master, job_id).over:
                master.write(store.job_key(job_id, "stop"), b"")
            step.update("it was told to end")
            ended: Job = step.wait(lambda: job if (job := self._find(master, job_id)).over else None, every=_EVERY)
        return ended

    def _find(self, master: AppMaster, job_id: str) -> Job:
        mine = store.jobs(master.read(store.job_key(job_id, "")))  # asked for often: not the keys of a hundred others
        if mine:
            return mine[0]
        there = ", ".join(job.id for job in store.jobs(master.read(store.JOB))) or "none"
        raise JobNotFound(f"{self.name} has no job {job_id!r}; there are: {there}", hint=f"rayyarn jobs {self.name}")

    def _master(self) -> AppMaster:
        return access.master(self._site, self.name, self._app)

    def _fitting(self, keys: Mapping[str, bytes], memory: int | None, command: Sequence[str]) -> int:
        """The bytes to ask for. Raises RequestTooLarge when the head can never hold ``memory`` bytes more."""
        nodes = (store.NodeState.from_json(value) for key, value in keys.items() if key.startswith(store.NODE))
        head = next((node for node in nodes if node.role == "head"), None)
        if head is None:
            return memory or MEMORY
        room = sizing.ray_size(head.memory, head=True, object_store=head.object_store).heap
        if memory is not None and memory > room:
            raise RequestTooLarge(
                f"a program of {format_size(memory)} cannot run beside the head of {self.name}: its container of "
                f"{format_size(head.memory)} has {format_size(room)} for programs",
                hint=f"rayyarn exec {self.name} -- {shlex.join(command)}   # here; or up with a larger --head-memory",
            )
        return min(MEMORY, room) if memory is None else memory


class _Output:
    """What a job writes, shown as it comes. A node that does not show it is no reason to miss the job's end."""

    def __init__(self, opened: Callable[[str], Tail], show: Callable[[bytes], Any], reporter: Reporter) -> None:
        self._opened, self._show, self._reporter = opened, show, reporter
        self._tail: Tail | None = None
        self._silent = False

    def news(self, job: Job) -> None:
        if job.state == "pending":
            return
        try:
            self._tail = self._tail or self._opened(job.log)
            data = self._tail.news()
        except RayYarnError as error:
            if not self._silent:
                self._reporter.note(f"what {job.id} writes cannot be shown now: {error.message}")
            self._silent = True
            return
        self._silent = False
        self._show(data)


def _packed(command: Sequence[str], folder: Path | None) -> tuple[bytes, list[str]]:
    """What is sent along with ``command``, as a ``.tar.gz``, and the words that run there."""
    first, *rest = command
    if folder is not None and not folder.is_dir():
        raise UsageError(f"the working folder {folder} is not there", hint=f"ls -d {folder.absolute().parent}/*/")
    if first.endswith(".py"):
        script = Path(first) if folder is None else folder / first
        if not script.is_file():
            where = "" if folder is None else f" in {folder}"
            raise UsageError(f"no script {first}{where}", hint=f"ls {folder or script.absolute().parent}")
        words = ["python", script.name if folder is None else first, *rest]
        source = folder or script
    elif folder is None:
        return b"", list(command)
    else:
        words, source = list(command), folder
    sink = BytesIO()
    layer.of_folder(source).write(sink)
    return sink.getvalue(), words
