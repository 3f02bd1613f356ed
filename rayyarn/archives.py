"""From what the user named to what YARN can take: inspect, fingerprint, pack and stage, each once per content.

Where things lie, below ``/user/<user>/.rayyarn``: ``envs/<fp>.tar.gz``, ``code/<fp>.tar.gz``,
``runtime/rayyarn-runtime-<fp>.zip`` and ``spark/``. A file that is there is finished and is never written again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from rayyarn import environment as environments
from rayyarn import filesystem, fingerprint, layer, pack, runtime, stage
from rayyarn import hadoop as hadoops
from rayyarn.errors import EnvironmentUnusable
from rayyarn.steps import SILENT, Steps
from rayyarn.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rayyarn.environment import Environment
    from rayyarn.filesystem import FileSystem
    from rayyarn.fingerprint import Fingerprint
    from rayyarn.hadoop import Hadoop
    from rayyarn.layer import Layer
    from rayyarn.sent_files import SentFile
    from rayyarn.stage import Staged
    from rayyarn.steps import Reporter, Step

# 20 GB over a slow line; a healthy edge node packs and sends 1.3 GB in 10 s.
_LIMIT = 3600.0


@dataclass(frozen=True)
class ShippedLayer:
    """A staged code layer or runtime, and the folders in it that belong on PYTHONPATH."""

    fingerprint: Fingerprint
    staged: Staged
    python_paths: tuple[str, ...]


@dataclass(frozen=True)
class ShippedEnvironment:
    """All that containers need to run this environment's Python, staged."""

    environment: Environment
    fingerprint: Fingerprint
    archive: Staged
    layers: tuple[ShippedLayer, ...]  # the code layer, when there is code
    runtime: ShippedLayer
    files: tuple[SentFile, ...] = ()


class _Changed(Exception):
    """Files of the environment changed while they were packed."""


def environment(
    hadoop: Hadoop,
    fs: FileSystem,
    source: str | Path | None,
    *,
    code: Sequence[str | Path] = (),
    steps: Steps | None = None,
    recheck: bool = False,
    limit: float = _LIMIT,
) -> ShippedEnvironment:
    """Everything of ``source`` (a prefix, an archive here or on a file system; None: the active one) on ``fs``.

    Raises EnvironmentUnusable with all problems together, StagingFailed, NotReady. Warm, it neither packs nor sends.
    """
    steps = steps or Steps()
    found = environments.inspect(source)
    environments.require(found)
    code_layer = layer.code_layer(found.editable, code)
    with steps.step("environment", limit=limit) as step:
        known, archive = _archive(hadoop, fs, found, steps, step, recheck=recheck)
        step.result = _result(known, archive, fs)
    layers = []
    if code_layer is not None:
        with steps.step("code", limit=limit) as step:
            layers.append(_layer(fs, stage.folder(hadoop, "code"), code_layer, step, recheck=recheck))
            step.result = _result(code_layer.fingerprint, layers[0].staged, fs)
    return ShippedEnvironment(found, known, archive, tuple(layers), ship_runtime(hadoop, fs, recheck=recheck))


def ship_runtime(hadoop: Hadoop, fs: FileSystem, *, recheck: bool = False) -> ShippedLayer:
    """Our own part of what runs in containers, staged."""
    with Steps().step("runtime", limit=120.0) as step:
        return _layer(fs, stage.folder(hadoop, "runtime"), runtime.runtime_layer(), step, recheck=recheck)


@dataclass(frozen=True)
class Written:
    """A local archive: what it was made from, its fingerprint, its bytes."""

    environment: Environment
    fingerprint: Fingerprint
    size: int


def write(source: str | Path | None, target: Path, *, reporter: Reporter = SILENT, recheck: bool = False) -> Written:
    """Pack a prefix into the local file ``target`` (.tar.gz), which ``--environment`` then takes as it is.

    Raises EnvironmentUnusable and StagingFailed; nothing half-written stays.
    """
    found = environments.inspect(source)
    environments.require(found)
    if found.kind != "prefix":
        raise EnvironmentUnusable(f"{found.location} is an archive already", hint="rayyarn env check")
    if not target.name.endswith((".tar.gz", ".tgz")):
        raise EnvironmentUnusable(f"{target} does not end in .tar.gz: YARN would not unpack it")
    local, steps = filesystem.local(), Steps(reporter)
    with steps.step("environment", limit=_LIMIT) as step:

        def make(known: Fingerprint) -> None:
            with local.create(str(target.expanduser().absolute()), 0o644, overwrite=True) as sink:
                _packer(found, known, step)(sink)

        known = _unchanging(found, steps, make, recheck=recheck)
        size = target.expanduser().stat().st_size
        step.result = f"{known.short}, {format_size(size)}"
    return Written(found, known, size)


def send(
    source: str | Path | None, conf: str | None = None, *, reporter: Reporter = SILENT, recheck: bool = False
) -> ShippedEnvironment:
    """What ``up`` does with an environment, without a cluster: pack it and send it, unless it is there."""
    site = hadoops.find(conf)
    return environment(site, filesystem.open(site), source, steps=Steps(reporter), recheck=recheck)


def check(
    source: str | Path | None, *, note: Callable[[str], None] | None = None
) -> tuple[Environment, list[str], Fingerprint | None]:
    """An environment, all reasons why it would not run on a cluster, and its fingerprint when there is none."""
    found = environments.inspect(source)
    problems = environments.problems(found)
    if problems or found.kind == "remote":
        return found, problems, None
    try:
        layer.code_layer(found.editable)
    except EnvironmentUnusable as error:
        problems.append(error.message)
    known = fingerprint.of_archive(found.path) if found.kind == "archive" else fingerprint.of(found.path, note=note)
    return found, problems, known


def _archive(
    hadoop: Hadoop, fs: FileSystem, found: Environment, steps: Steps, step: Step, *, recheck: bool
) -> tuple[Fingerprint, Staged]:
    if found.kind == "remote":
        return _in_place(hadoop, found.location)
    if found.kind == "archive":
        known = fingerprint.of_archive(found.path)
        suffix = next(end for end in environments.ARCHIVE_SUFFIXES if found.location.endswith(end))
        path = f"{stage.folder(hadoop, 'envs')}/{known}{suffix}"
        return known, stage.ensure(fs, path, _copier(found.path, step), limit=step.limit or _LIMIT, step=step,
                                   recheck=recheck)  # fmt: skip
    staged: list[Staged] = []

    def make(known: Fingerprint) -> None:
        path = f"{stage.folder(hadoop, 'envs')}/{known}.tar.gz"
        staged.append(stage.ensure(fs, path, _packer(found, known, step), limit=step.limit or _LIMIT, step=step,
                                   recheck=recheck))  # fmt: skip

    known = _unchanging(found, steps, make, recheck=recheck)
    return known, staged[-1]


def _in_place(hadoop: Hadoop, uri: str) -> tuple[Fingerprint, Staged]:
    """An archive on a file system: used where it lies, known by its name, size and time."""
    scheme, authority, path = urlsplit(uri)[:3]
    other = filesystem.open(hadoop, f"{scheme}://{authority}" if authority else "")
    staged = stage.existing(other, path)
    known = fingerprint.of_text(f"{staged.uri} {staged.size} {staged.mtime_ms}")
    return known, staged


def _unchanging(found: Environment, steps: Steps, make: Callable[[Fingerprint], None], *, recheck: bool) -> Fingerprint:
    """Call ``make(fingerprint)``; once more, with the new one, when the files changed under it."""
    for _ in range(2):
        known = fingerprint.of(found.path, recheck=recheck, note=steps.reporter.note)
        try:
            make(known)
        except _Changed:
            steps.reporter.note(f"{found.location} changed while it was packed: packing it again")
            recheck = True
        else:
            return known
    raise EnvironmentUnusable(
        f"{found.location} keeps changing while it is packed; nothing was left behind",
        hint="wait for pip or conda to end, then run this again",
    )


def _packer(found: Environment, known: Fingerprint, step: Step) -> Callable[[BinaryIO], None]:
    def progress(done: int, total: int) -> None:
        step.update(f"packing {known.short}: {done >> 20} of {total >> 20} MiB")

    def write_to(sink: BinaryIO) -> None:
        try:
            pack.pack(found, sink, progress)
        except OSError:
            # A file that vanished or shrank under the packer, unless nothing changed and it is a real failure.
            if fingerprint.of(found.path, recheck=True) != known:
                raise _Changed from None
            raise
        if fingerprint.of(found.path, recheck=True) != known:
            raise _Changed

    return write_to


def _copier(path: Path, step: Step) -> Callable[[BinaryIO], None]:
    def write_to(sink: BinaryIO) -> None:
        total, done = path.stat().st_size, 0
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                sink.write(block)
                done += len(block)
                step.update(f"sending {path.name}: {done >> 20} of {total >> 20} MiB")

    return write_to


def _layer(fs: FileSystem, where: str, made: Layer, step: Step, *, recheck: bool) -> ShippedLayer:
    path = f"{where}/{made.name}"
    staged = stage.ensure(fs, path, made.write, limit=step.limit or 120.0, step=step, recheck=recheck)
    return ShippedLayer(made.fingerprint, staged, made.python_paths)


def _result(known: Fingerprint, staged: Staged, fs: FileSystem) -> str:
    if staged.made:
        return f"{known.short} sent to {fs.root} ({format_size(staged.size)})"
    return f"{known.short} already on {fs.root}"
