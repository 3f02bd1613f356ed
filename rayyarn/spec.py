"""What a cluster shall be: one frozen tree of plain values, checked all at once.

``SETTINGS`` describes every leaf of the tree, and is the one source of the YAML keys, flags, environment variables,
keywords and their documentation. A leaf joins its path differently for each of them: ``worker.object-store`` in YAML
is ``--worker-object-store``, ``RAYYARN_WORKER_OBJECT_STORE`` and ``worker_object_store=``.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from rayyarn import extra_file, sizing
from rayyarn.setting import Setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GIB = 2**30
_NAME = re.compile(r"[a-z][a-z0-9-]{0,38}")  # also a YARN tag, a file name and part of YARN's application name
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OURS = ("RAY_AUTH_", "RAYYARN_", "PYTHONPATH")  # set in each container by rayyarn itself; another value breaks it


def _leaf(default: Any, kind: str, text: str, example: str, *, same_cluster: bool = False) -> Any:
    """A leaf of the tree. ``same_cluster``: a change of it does not make another cluster."""
    told = {"kind": kind, "help": text, "example": example, "same_cluster": same_cluster}
    return field(default_factory=dict, metadata=told) if kind == "mapping" else field(default=default, metadata=told)


@dataclass(frozen=True)
class HeadSpec:
    """The head's container. Sizes in bytes; memory is the whole container."""

    memory: int = _leaf(2 * GIB, "size", "Memory of the head's container, all of it.", "4 GiB")
    cpus: int = _leaf(0, "int", "CPUs Ray may schedule on the head; 0 keeps tasks away from it.", "2")
    object_store: int | None = _leaf(
        None, "size", "Shared memory for objects, out of the head's memory. Default: a share of it.", "512 MiB"
    )


@dataclass(frozen=True)
class WorkerSpec:
    """One worker's container. Sizes in bytes; memory is the whole container."""

    memory: int = _leaf(4 * GIB, "size", "Memory of each worker's container, all of it.", "16 GiB")
    cpus: int = _leaf(2, "int", "CPUs of each worker, for YARN and for Ray.", "4")
    gpus: int = _leaf(0, "int", "GPUs of each worker, for YARN and for Ray.", "1")
    object_store: int | None = _leaf(
        None, "size", "Shared memory for objects, out of the worker's memory. Default: a share of it.", "4 GiB"
    )


@dataclass(frozen=True)
class ClusterSpec:
    """A whole cluster. Sizes in bytes, durations in seconds; ``problems()`` says what cannot work."""

    name: str = _leaf("default", "str", "The cluster's name, yours alone on this YARN.", "nightly", same_cluster=True)
    environment: str | None = _leaf(
        None,
        "path",
        "The Python environment to ship: a conda prefix, or a packed archive (a file, or a URI such as hdfs://...). "
        "Default: the active conda environment.",
        "~/envs/ml",
        same_cluster=True,  # its content counts, not its place: the fingerprint is compared on its own
    )
    queue: str | None = _leaf(None, "str", "The YARN queue. Default: the one YARN gives you.", "etl")
    head: HeadSpec = field(default_factory=HeadSpec)
    workers: int = _leaf(2, "int", "How many workers.", "8")
    worker: WorkerSpec = field(default_factory=WorkerSpec)
    beside: str | None = _leaf(
        None,
        "str",
        "Place the workers where this Spark application, by id or name, runs executors.",
        "nightly-etl",
        same_cluster=True,  # the application counts, not how it is called: its id is compared on its own
    )
    beside_or_anywhere: bool = _leaf(
        False, "flag", "Those hosts are a wish: what finds no room there goes elsewhere.", "yes"
    )
    keep_beside: bool = _leaf(
        False, "flag", "With `beside`: keep it so, as executors come to other hosts and leave theirs.", "yes"
    )
    keep_beside_grace: float = _leaf(
        300.0, "duration", "With `keep-beside`: release a host's workers after so long without executors.", "15 min"
    )
    hosts: tuple[str, ...] = _leaf((), "names", "Place the workers on these hosts.", "n1,n2")
    workers_per_host: int = _leaf(1, "int", "With `beside` or `hosts`: how many workers each host gets.", "2")
    racks: tuple[str, ...] = _leaf((), "names", "Place the workers on these racks.", "/dc1/r7")
    node_label: str | None = _leaf(None, "str", "Place all containers on nodes with this YARN label.", "gpu")
    min_workers: int | None = _leaf(
        None, "int", "The cluster is usable from this many workers on. Default: all.", "6", same_cluster=True
    )
    max_workers: int | None = _leaf(
        None, "int", "With `beside`: no more workers than this. Default: one for each host of its executors.", "20"
    )
    ready_timeout: float = _leaf(
        600.0, "duration", "How long `up` waits until the cluster is usable.", "15 min", same_cluster=True
    )
    idle_timeout: float = _leaf(
        0.0, "duration", "End the cluster after so long without a running task or actor call.", "30 min"
    )
    max_lifetime: float = _leaf(0.0, "duration", "End the cluster after so long, whatever it does.", "12 h")
    env_vars: Mapping[str, str] = _leaf(
        None, "mapping", "Environment variables of every Ray process. The values are never shown.", "OMP_NUM_THREADS=4"
    )
    code: tuple[str, ...] = _leaf(
        (), "paths", "Folders of your own code, put on every node's PYTHONPATH and shipped apart.", "./src"
    )
    files: tuple[str, ...] = _leaf(
        (),
        "files",
        "Small extra files, paths or URIs, found in the working folder of every container, job and Spark executor; "
        "`#NAME` renames one.",
        "models/base.pt",
    )

    @property
    def bound(self) -> bool:
        """True when the workers go to certain hosts, which then say how many there are."""
        return bool(self.beside or self.hosts)

    def get(self, key: str) -> Any:
        """The value at a YAML key such as ``worker.memory``."""
        value: Any = self
        for part in key.split("."):
            value = getattr(value, part.replace("-", "_"))
        return value

    def problems(self, origins: Mapping[str, object] | None = None) -> list[str]:
        """All that cannot work in one sentence each, with its origin (by YAML key) when that is known."""
        found = []
        given = origins or {}
        if "workers" in given and self.bound:
            found.append(f"workers: {'beside' if self.beside else 'hosts'} says how many ({given['workers']})")
        for key, sentence in _problems(self):
            origin = (origins or {}).get(key)
            found.append(f"{key}: {sentence}" + (f" ({origin})" if origin else ""))
        return found

    def digest(self) -> str:
        """12 hex digits over everything that makes it another cluster; the same on every machine.

        Not in it: ``name``, ``min-workers``, ``ready-timeout``; where the environment lies (its fingerprint is compared
        on its own) and how the application of ``beside`` is called (its id is).
        """
        values = {
            key: self.get(key)
            for key, setting in SETTINGS.items()
            # Without defaults, so that a version with more settings still knows the clusters of this one.
            if not setting.same_cluster and self.get(key) != setting.default
        }
        text = json.dumps(values, sort_keys=True, default=dict).encode()
        if self.env_vars:  # the digest is public, a YARN tag: guessing passwords against it must be slow
            return hashlib.pbkdf2_hmac("sha256", text, self.name.encode(), 100_000, 6).hex()
        return hashlib.sha256(text).hexdigest()[:12]

    def differences(self, running: ClusterSpec) -> list[str]:
        """How this spec differs from that of the ``running`` cluster: ``worker.memory: 4 GiB here, 8 GiB running``."""
        found = []
        for key, setting in SETTINGS.items():
            here, there = self.get(key), running.get(key)
            if setting.same_cluster or here == there:
                continue
            if setting.kind == "mapping":
                names = sorted(name for name in {*here, *there} if here.get(name) != there.get(name))
                found.append(f"{key}: {', '.join(names)} differ")  # names only: values may be secrets
            else:
                shown = [setting.show(here), setting.show(there)]
                if shown[0] == shown[1]:  # 4300 MiB and 4301 MiB are both 4.2 GiB for eyes
                    shown = [str(here), str(there)]
                found.append(f"{key}: {shown[0]} here, {shown[1]} running")
        return found

    def to_dict(self) -> dict[str, Any]:
        """JSON's own types, nested as the YAML is, with underscores. Holds the values of ``env_vars``: keep it 0600."""
        return _to_dict(self)

    def masked(self) -> dict[str, Any]:
        """``to_dict()`` for eyes: the values of ``env_vars`` are hidden."""
        return _to_dict(self) | {"env_vars": dict.fromkeys(self.env_vars, "***")}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> ClusterSpec:
        """The spec that ``to_dict`` wrote, here or in another version: what this one does not know is left out."""
        return cls(
            **_known(cls, document)
            | {
                "head": HeadSpec(**_known(HeadSpec, document.get("head", {}))),
                "worker": WorkerSpec(**_known(WorkerSpec, document.get("worker", {}))),
            }
        )


def name_problem(name: str) -> str | None:
    """Why ``name`` cannot be a cluster's; None when it can."""
    if _NAME.fullmatch(name):
        return None
    return f"{name!r} must be 1 to 39 of a-z, 0-9 and '-', beginning with a letter"


def _problems(spec: ClusterSpec) -> Iterator[tuple[str, str]]:
    if sentence := name_problem(spec.name):
        yield "name", sentence
    for key in ("head.cpus", "workers", "worker.cpus", "worker.gpus"):
        if spec.get(key) < 0:
            yield key, f"{spec.get(key)} is less than 0"
    yield from _misplaced(spec)
    most = float("inf") if spec.bound else spec.workers  # how many hosts there are is YARN's to say
    if spec.min_workers is not None and not 0 <= spec.min_workers <= most:
        yield "min-workers", f"{spec.min_workers} is not between 0 and workers, {spec.workers}"
    if spec.ready_timeout <= 0:
        yield "ready-timeout", "a wait without limit is not possible; write for example '10 min'"
    for role, node in (("head", spec.head), ("worker", spec.worker)):
        sentence = sizing.problem(node.memory, head=role == "head", object_store=node.object_store)
        if sentence:
            yield f"{role}.memory", sentence
    for variable in spec.env_vars:
        if not _VARIABLE.fullmatch(variable):
            yield "env-vars", f"{variable!r} is no name for an environment variable"
        elif variable.startswith(OURS):
            yield "env-vars", f"{variable} is set by rayyarn itself"
    for sentence in extra_file.problems(spec.files):
        yield "files", sentence


def _misplaced(spec: ClusterSpec) -> Iterator[tuple[str, str]]:
    if spec.beside and spec.hosts:
        yield "beside", "it names the hosts, and so does hosts"
    for key in ("racks", "beside-or-anywhere", "workers-per-host"):
        if spec.get(key) != SETTINGS[key].default and spec.bound is (key == "racks"):
            yield key, "it does not go with beside or hosts" if spec.bound else "it needs beside or hosts"
    if spec.workers_per_host < 1:
        yield "workers-per-host", f"{spec.workers_per_host} is less than 1"
    for key, needed in (("keep-beside", "beside"), ("keep-beside-grace", "keep-beside"), ("max-workers", "beside")):
        if spec.get(key) != SETTINGS[key].default and not spec.get(needed):
            yield key, f"it needs {needed}"
    if spec.keep_beside and spec.beside_or_anywhere:
        yield "keep-beside", "it does not go with beside-or-anywhere: a worker elsewhere is beside nobody"
    least = max(spec.min_workers or 0, spec.workers_per_host)
    if spec.max_workers is not None and spec.max_workers < least:
        yield "max-workers", f"{spec.max_workers} is less than {least}, which there must be"


def _leaves(kind: type, prefix: str = "") -> Iterator[Setting]:
    default: Any = kind()
    for one in fields(kind):
        key = prefix + one.name.replace("_", "-")
        value = getattr(default, one.name)
        if is_dataclass(value):
            yield from _leaves(type(value), key + ".")
        else:
            yield Setting(key=key, default=value, **one.metadata)


def _to_dict(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in fields(value):
        item = getattr(value, one.name)
        found[one.name] = _to_dict(item) if is_dataclass(item) else list(item) if isinstance(item, tuple) else item
        if one.name == "env_vars":
            found[one.name] = dict(item)
    return found


def _known(kind: type, document: Mapping[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(kind) if not is_dataclass(one.default_factory)}
    return {n: tuple(v) if isinstance(v, list) else v for n, v in document.items() if n in names}


SETTINGS: Mapping[str, Setting] = {setting.key: setting for setting in _leaves(ClusterSpec)}
