"""What is inside a Python environment, read from disk without starting its Python.

A prefix is judged by its package records (``conda-meta/*.json``, ``*.dist-info``); an archive by its member names.
Which modules Ray's ``[default]`` needs is taken from Ray's own METADATA. A partly installed ``[default]`` makes every
raylet die after 30 s without saying why (seen with Ray 2.60), so it is looked for here.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rayyarn import editable as editables
from rayyarn.errors import EnvironmentUnusable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rayyarn.editable import Editable

OLDEST_RAY = (2, 52)  # before, there is no token authentication
PYTHONS = ((3, 11), (3, 13))  # what rayyarn's part in the containers runs on
ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")  # those a NodeManager unpacks (FSDownload.java of Hadoop 3.5.0)
# In [default] and yet never imported by Ray's agent: a profiler that people start by hand, and what builds run-time
# environments on demand. conda-forge's ray-default goes without some of them.
_NOT_NEEDED = {"py-spy", "virtualenv", "smart-open"}
# Parts of [default] that come with many other things; they do not show that somebody wanted [default].
_COMMON = {"requests", "pydantic", "grpcio", "aiohttp"}


@dataclass(frozen=True)
class Environment:
    """A conda prefix, a ready archive of one, or an archive on a remote file system, and what is known of it."""

    kind: str  # "prefix", "archive" or "remote"
    location: str
    python: str | None = None
    ray: str | None = None
    pyspark: str | None = None
    editable: tuple[Editable, ...] = ()
    overwritten: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()  # files of editable installs, relative to the prefix: the code layer replaces them
    default_missing: tuple[str, ...] = ()
    default_wanted: bool = True
    obstacle: str | None = None  # why it is no environment at all

    @property
    def path(self) -> Path:
        """Where a prefix or a local archive lies."""
        return Path(self.location)


def inspect(source: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Environment:
    """Look at ``source``: a conda prefix, an archive here or at ``hdfs://...``; None means the active environment.

    Takes under 50 ms for a prefix. A local archive is read through once (seconds) and remembered. Never raises for a
    bad environment: ``problems`` says what is wrong with it.
    """
    environ = os.environ if environ is None else environ
    remarks: list[str] = []
    if source is None:
        source, remark = _active(environ)
        remarks += [remark] if remark else []
    text = os.fspath(source)
    text = re.sub(r"^file:(//(localhost)?)?(?=/)", "", text)  # this machine's, as spark-submit and yarn take it
    if re.match(r"[a-z][a-z0-9+]+:/", text):
        return Environment("remote", text)
    path = Path(text).expanduser().absolute()
    if path.is_dir():
        return _prefix(path, remarks)
    if path.is_file():
        return _archive(path)
    return Environment("prefix", str(path), obstacle=f"{path} does not exist")


def problems(environment: Environment) -> list[str]:
    """Every reason why ``environment`` cannot be shipped or Ray cannot run in it, one sentence each."""
    if environment.obstacle:
        return [environment.obstacle]
    if environment.kind == "remote":
        return [] if environment.location.endswith(ARCHIVE_SUFFIXES) else [_suffix_problem(environment.location)]
    found = []
    if environment.kind == "archive" and not environment.location.endswith(ARCHIVE_SUFFIXES):
        found.append(_suffix_problem(environment.location))
    if environment.python and not PYTHONS[0] <= _numbers(environment.python)[:2] <= PYTHONS[1]:
        found.append(f"{environment.location} holds Python {environment.python}; rayyarn runs on 3.11 to 3.13")
    return found + _ray_problems(environment)


def require(environment: Environment) -> None:
    """Raise EnvironmentUnusable with all ``problems`` of it together."""
    found = problems(environment)
    if found:
        text = found[0] if len(found) == 1 else "\n  - ".join([f"{len(found)} problems:", *found])
        raise EnvironmentUnusable(text, hint=_hint(environment))


def _hint(environment: Environment) -> str:
    if environment.obstacle or environment.kind != "prefix":
        return "conda create -n ray python=3.11 pip && conda run -n ray pip install 'ray[default]' pyspark"
    return f"{environment.location}/bin/python -m pip install 'ray[default]>={OLDEST_RAY[0]}.{OLDEST_RAY[1]}'"


def _suffix_problem(location: str) -> str:
    return f"{location} does not end in {' or '.join(ARCHIVE_SUFFIXES)}: YARN would not unpack it"


def _ray_problems(environment: Environment) -> list[str]:
    if environment.ray is None:
        return [f"there is no ray in {environment.location}"]
    if _numbers(environment.ray)[:2] < OLDEST_RAY:
        return [
            f"{environment.location} holds ray {environment.ray}; before {OLDEST_RAY[0]}.{OLDEST_RAY[1]} Ray has no "
            "token authentication, and anybody on the network could run code as you"
        ]
    if environment.default_missing:
        names = ", ".join(environment.default_missing)
        how = "only a part of ray[default]" if environment.default_wanted else "ray without [default]"
        return [f"{environment.location} holds {how} (missing: {names}); Ray's agents would not start"]
    return []


def _active(environ: Mapping[str, str]) -> tuple[str, str | None]:
    conda = environ.get("CONDA_PREFIX")
    if conda:
        venv = environ.get("VIRTUAL_ENV")
        remark = f"both a conda environment and the venv {venv} are active: {conda} is shipped" if venv else None
        return conda, remark
    return sys.prefix, None


def _prefix(path: Path, remarks: list[str]) -> Environment:
    records = path / "conda-meta"
    if not records.is_dir():
        return Environment("prefix", str(path), obstacle=_not_conda(path))
    conda = _records(entry.name for entry in os.scandir(records))
    site = next(iter(sorted(path.glob("lib/python3.*/site-packages"))), None)
    if "python" not in conda or site is None:
        return Environment("prefix", str(path), obstacle=f"there is no Python in the conda environment {path}")
    dists = _distributions(entry.name for entry in os.scandir(site))
    modules = {entry.name.split(".", 1)[0] for entry in os.scandir(site)}
    missing, wanted = _default(_read(site / f"{dists.get('ray', ('', ''))[1]}" / "METADATA"), dists, modules)
    found, left_out = editables.find(path, site)
    overwritten = tuple(
        f"{name} {conda[name]}" + (f" by {dists[name][0]}" if dists[name][0] != conda[name] else "")
        for name in sorted(conda.keys() & dists.keys())
        if _read(site / dists[name][1] / "INSTALLER").strip() == "pip"
    )
    if overwritten:
        remarks.append(f"pip overwrote conda's {', '.join(overwritten)}: the files that are in the prefix are packed")
    remarks += [f"{one.name} is an editable install: its code travels as a code layer" for one in found]
    return Environment(
        "prefix", str(path), conda["python"], _version(dists, "ray"), _version(dists, "pyspark"), found, overwritten,
        tuple(remarks), left_out, missing, wanted,
    )  # fmt: skip


def _not_conda(path: Path) -> str:
    make = "make a conda environment (conda create -n ray python=3.11 pip) and install ray[default] into it"
    if (path / "pyvenv.cfg").is_file():
        return f"{path} is a venv: it has no interpreter of its own, so an archive of it runs nowhere else; {make}"
    return f"{path} is not a conda environment (it has no conda-meta folder); {make}"


def _archive(path: Path) -> Environment:
    from rayyarn.archive_index import contents

    index = contents(path)
    if index is None:
        return Environment("archive", str(path), obstacle=f"{path} is neither a tar nor a zip archive")
    if not index.has_python:
        return Environment("archive", str(path), obstacle=(
            f"there is no bin/python at the top of {path}; pack the environment's content, not its folder "
            "(rayyarn env pack -o FILE does)"))  # fmt: skip
    conda = _records(index.records)
    dists = _distributions(index.site)
    missing, wanted = _default(index.ray_metadata, dists, {name.split(".", 1)[0] for name in index.site})
    remarks = () if path.suffix != ".zip" else (f"{path} is a zip: links become copies, and imports get slower",)
    python = conda.get("python") or index.python
    return Environment(
        "archive", str(path), python, _version(dists, "ray"), _version(dists, "pyspark"), remarks=remarks,
        default_missing=missing, default_wanted=wanted,
    )  # fmt: skip


def _records(names: Iterable[str]) -> dict[str, str]:
    """Version by package from names such as ``python-3.11.7-h0_0.json``."""
    parts = (name.removesuffix(".json").rsplit("-", 2) for name in names if name.endswith(".json"))
    return {_normal(part[0]): part[1] for part in parts if len(part) == 3}


def _distributions(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """(version, folder) by normalised name from names such as ``ray-2.60.0.dist-info``."""
    found = {}
    for name in names:
        if name.endswith(".dist-info") and "-" in name.removesuffix(".dist-info"):
            dist, version = name.removesuffix(".dist-info").split("-", 1)
            found[_normal(dist)] = (version, name)
    return found


def _default(metadata: str, dists: Mapping[str, object], modules: set[str]) -> tuple[tuple[str, ...], bool]:
    """Which parts of ray[default] are not there, and whether any part that shows the wish for it is."""
    wanted = re.findall(r"^Requires-Dist: ([A-Za-z0-9._-]+).*extra == ['\"]default['\"]", metadata, re.MULTILINE)
    needed = {_normal(name) for name in wanted} - _NOT_NEEDED
    missing = {name for name in needed if name not in dists and name.replace("-", "_") not in modules}
    return tuple(sorted(missing)), bool(needed - missing - _COMMON)


def _version(dists: Mapping[str, tuple[str, str]], name: str) -> str | None:
    return dists[name][0] if name in dists else None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
