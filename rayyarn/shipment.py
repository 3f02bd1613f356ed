"""What travels to the containers, as the plan and the connection document name it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rayyarn import archives, environment, fingerprint, layer, runtime, sent_files, stage
from rayyarn.archives import ShippedEnvironment, ShippedLayer
from rayyarn.connection import FILES_FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rayyarn.app_folder import AppFolder
    from rayyarn.environment import Environment
    from rayyarn.errors import RayYarnError
    from rayyarn.filesystem import FileSystem
    from rayyarn.fingerprint import Fingerprint
    from rayyarn.hadoop import Hadoop
    from rayyarn.stage import Staged


@dataclass(frozen=True)
class Shipment:
    """A staged file and its name in the container's folder; ``paths`` below that name belong on PYTHONPATH."""

    alias: str
    uri: str
    visibility: str
    archive: bool
    paths: tuple[str, ...] = ()  # "" is the file itself


def shipments(shipped: ShippedEnvironment) -> tuple[Shipment, ...]:
    """The environment, our runtime and the user's code, in the order of PYTHONPATH: the user's code goes first."""
    code = tuple(
        Shipment(f"code{number or ''}", one.staged.uri, one.staged.visibility, archive=True, paths=one.python_paths)
        for number, one in enumerate(shipped.layers)
    )
    ours = shipped.runtime.staged
    return (
        *code,
        Shipment("runtime.zip", ours.uri, ours.visibility, archive=False, paths=("",)),
        Shipment("environment", shipped.archive.uri, shipped.archive.visibility, archive=True),
        *(
            # Not the visibility of the staged file: each node deletes it with the application.
            Shipment(one.name, one.staged.uri, "application", archive=False)
            for one in shipped.files
            if one.staged is not None
        ),
    )


def sections(shipped: ShippedEnvironment, folder: AppFolder) -> dict[str, Any]:
    """The sections ``environment``, ``code``, ``files``, ``runtime`` and ``spark`` of the connection document.

    ``folder``: the application's, where its small files are.
    """
    files = [one.entry(one.staged.uri if one.staged else folder.uri(f"files/{one.name}")) for one in shipped.files]
    found = shipped.environment
    archives_to_ship = [f"{ship.uri}#{ship.alias}" for ship in shipments(shipped) if ship.archive]
    return {
        "environment": {
            "prefix": found.location if found.kind == "prefix" else None,
            "uri": shipped.archive.uri,
            "fingerprint": str(shipped.fingerprint),
            "python": found.python,
            "ray": found.ray,
            "pyspark": found.pyspark,
        },
        "code": [
            {"uri": one.staged.uri, "fingerprint": str(one.fingerprint), "paths": list(one.python_paths)}
            for one in shipped.layers
        ],
        "files": files,
        "runtime": {"uri": shipped.runtime.staged.uri, "fingerprint": str(shipped.runtime.fingerprint)},
        "spark": {
            "conf": {
                "spark.yarn.dist.archives": ",".join(archives_to_ship),
                **_python_path(shipped),
                **_dist_files(files),
            },
            "environ": {"PYSPARK_PYTHON": "./environment/bin/python"},
        },
    }


def _python_path(shipped: ShippedEnvironment) -> dict[str, str]:
    paths = [f"./{ship.alias}/{path}" for ship in shipments(shipped) if ship.archive for path in ship.paths]
    return {"spark.executorEnv.PYTHONPATH": ":".join(paths)} if paths else {}


def _dist_files(files: Sequence[dict[str, Any]]) -> dict[str, str]:
    if not files:
        return {}
    listed = ",".join(f"{one['uri']}#{one['name']}" for one in files)
    # Relative: PySpark hands the value on to its workers as it is, and they run in the executor's folder.
    return {"spark.yarn.dist.files": listed, f"spark.executorEnv.{FILES_FOLDER}": "."}


def identify(source: str | None, *, recheck: bool = False) -> tuple[Environment, Fingerprint | None]:
    """The environment and its fingerprint, without staging it; None for one on a file system (known by its place)."""
    found = environment.inspect(source)
    environment.require(found)
    if found.kind == "prefix":
        return found, fingerprint.of(found.path, recheck=recheck)
    return found, fingerprint.of_archive(found.path) if found.kind == "archive" else None


def foresee(
    site: Hadoop, fs: FileSystem, source: str | None, code: Sequence[str], files: Sequence[str] = ()
) -> ShippedEnvironment:
    """What would be shipped, with nothing packed or sent: for ``--dry-run``."""
    found, known = identify(source)
    sent = sent_files.foresee(site, fs, files)
    if known is None:  # it lies there already: nothing to make
        return replace(archives.environment(site, fs, source, code=code), files=sent)
    suffix = ".tar.gz"
    if found.kind == "archive":
        suffix = next(end for end in environment.ARCHIVE_SUFFIXES if found.location.endswith(end))
    code_layer = layer.code_layer(found.editable, code)
    layers = () if code_layer is None else (_foreseen(site, fs, "code", code_layer),)
    archive = stage.foreseen(fs, f"{stage.folder(site, 'envs')}/{known}{suffix}")
    return ShippedEnvironment(
        found, known, archive, layers, _foreseen(site, fs, "runtime", runtime.runtime_layer()), sent
    )


def missing(fs: FileSystem, shipped: ShippedEnvironment) -> list[str]:
    """The files of a foreseen shipment that are not staged yet."""
    return [one.uri for one in _all_staged(shipped) if fs.stat(one.path) is None]


def is_gone(shipped: ShippedEnvironment, error: RayYarnError) -> bool:
    """True when ``error``, of a submit, says that a staged file is missing; it is then no longer believed to be there.

    Where looking costs a JVM, ``stage`` trusts what it saw before: this is where that trust is paid for.
    """
    said = f"{error} {error.log or ''} {error.__cause__ or ''}"
    if "does not exist" not in said and "FileNotFound" not in said:
        return False
    missing = [one for one in _all_staged(shipped) if one.path in said]
    for one in missing:
        stage.forget(one.uri)
    return bool(missing)


def _all_staged(shipped: ShippedEnvironment) -> list[Staged]:
    files = [one.staged for one in shipped.files if one.staged is not None]
    return [shipped.archive, *(one.staged for one in shipped.layers), shipped.runtime.staged, *files]


def _foreseen(site: Hadoop, fs: FileSystem, kind: str, made: layer.Layer) -> ShippedLayer:
    return ShippedLayer(
        made.fingerprint, stage.foreseen(fs, f"{stage.folder(site, kind)}/{made.name}"), made.python_paths
    )
