"""Where each setting comes from: flag or keyword, environment variable, file, user file, site file, default.

The first of these that names a setting wins, whole: lists and mappings are not merged. Every source is checked, and
all that is wrong in any of them is told together, each with its origin.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rayyarn.connection import FILES_FOLDER
from rayyarn.errors import SpecError
from rayyarn.setting import Setting
from rayyarn.spec import SETTINGS, ClusterSpec, HeadSpec, WorkerSpec, name_problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# About this edge rather than about the cluster, so they are not part of its spec.
EDGE_SETTINGS = {
    "hadoop-conf": Setting(
        key="hadoop-conf",
        kind="path",
        help="Hadoop's client configuration folder. Default: HADOOP_CONF_DIR, YARN_CONF_DIR, $HADOOP_HOME/etc/hadoop, "
        "/etc/hadoop/conf, a running mini cluster.",
        example="/etc/hadoop/conf",
        default=None,
    ),
    "connection-file": Setting(
        key="connection-file",
        kind="path",
        help="Where the connection file is written. Default: ~/.rayyarn/clusters/<yarn>/<name>.json.",
        example="./ray.json",
        default=None,
    ),
}
ALL_SETTINGS: Mapping[str, Setting] = {**SETTINGS, **EDGE_SETTINGS}
# Variables of ours that are not settings of a cluster; containers and `exec` set some of them.
_OTHER_VARIABLES = {"RAYYARN_HOME", "RAYYARN_CONNECTION", "RAYYARN_SITE_FILE", FILES_FOLDER}


@dataclass(frozen=True)
class Origin:
    """Where a value was found, in the words a person would look for it with."""

    text: str

    def __str__(self) -> str:
        return self.text


DEFAULT = Origin("default")


@dataclass(frozen=True)
class Resolved:
    """A checked spec, what else this edge needs, and the origin of every value by YAML key."""

    spec: ClusterSpec
    hadoop_conf: str | None
    connection_file: str | None
    origins: Mapping[str, Origin]

    def value(self, key: str) -> Any:
        """The value of any setting by its YAML key."""
        return getattr(self, key.replace("-", "_")) if key in EDGE_SETTINGS else self.spec.get(key)

    def to_dict(self) -> dict[str, Any]:
        """``{"worker_memory": {"value": 4294967296, "origin": "default"}, ...}``; values of env-vars are hidden."""
        found = {}
        for key, setting in ALL_SETTINGS.items():
            value = self.value(key)
            shown = dict.fromkeys(value, "***") if setting.kind == "mapping" else value
            found[setting.keyword] = {"value": shown, "origin": self.origins[key].text}
        return found


class _Given(NamedTuple):
    """A value as one source has it, and the folder that its relative paths mean."""

    value: Any
    origin: Origin
    base: Path


def resolve(
    overrides: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    file: str | Path | None = None,
    cwd: str | Path | None = None,
    spoken: str = "keyword",
) -> Resolved:
    """The spec that ``overrides`` and all other sources give together.

    ``overrides`` go by keyword (``worker_memory``); those that are None were not given. ``spoken`` is ``flag`` when a
    command line gave them. Raises SpecError with every problem of every source.
    """
    problems: list[str] = []
    sources = _sources(overrides or {}, os.environ if environ is None else environ, file, cwd, spoken, problems)
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    bad: set[str] = set()
    for source in sources:
        for key, given in source.items():
            value = _read(key, given, problems, bad)
            if key not in origins:
                values[key], origins[key] = value, given.origin
    if "workers" in bad:
        bad.add("min-workers")  # nothing to compare it with
    spec = _build({key: value for key, value in values.items() if key not in bad | EDGE_SETTINGS.keys()})
    problems += spec.problems(origins)
    if problems:
        raise SpecError(problems)
    return Resolved(
        spec=spec,
        hadoop_conf=values.get("hadoop-conf"),
        connection_file=values.get("connection-file"),
        origins={key: origins.get(key, DEFAULT) for key in ALL_SETTINGS},
    )


def pick(environ: Mapping[str, str] | None = None, cwd: str | Path | None = None, **overrides: Any) -> dict[str, Any]:
    """Only the settings named by the keywords, from all sources: for commands that need a name, not a whole spec.

    ``pick(name=None, hadoop_conf="/etc/hadoop/conf")``. A value of another setting that makes no sense does not matter
    here; an unknown key or a file that cannot be read does, for it may be what was meant to give the name.
    """
    trouble: list[str] = []
    sources = _sources(overrides, os.environ if environ is None else environ, None, cwd, "flag", trouble)
    found: dict[str, Any] = {}
    for keyword in overrides:
        setting = _BY_KEYWORD[keyword]
        given = next((source[setting.key] for source in sources if setting.key in source), None)
        found[keyword] = setting.default if given is None else _read(setting.key, given, trouble, set())
        if keyword == "name" and (sentence := name_problem(str(found["name"]))):
            trouble.append(f"name: {sentence}" + (f" ({given.origin})" if given else ""))
    if trouble:
        raise SpecError(trouble)
    return found


_BY_KEYWORD = {setting.keyword: setting for setting in ALL_SETTINGS.values()}


def _sources(
    overrides: Mapping[str, Any],
    environ: Mapping[str, str],
    file: str | Path | None,
    cwd: str | Path | None,
    spoken: str,
    problems: list[str],
) -> list[dict[str, _Given]]:
    """What each source says, the strongest first."""
    here = Path(cwd or Path.cwd())
    sources = [
        _from_overrides(overrides, spoken, here, problems),
        _from_environment(environ, here, problems),
    ]
    for path, shown in _files(environ, file, here, problems):
        from rayyarn import settings_file  # it imports yaml, which only those with a file pay for

        source: dict[str, _Given] = {}
        for key, value, line in settings_file.read(path, shown, ALL_SETTINGS, problems):
            source[key] = _Given(value, Origin(f"{shown}:{line}"), path.parent)
        sources.append(source)
    return sources


def _from_overrides(given: Mapping[str, Any], spoken: str, here: Path, problems: list[str]) -> dict[str, _Given]:
    found = {}
    for keyword, value in given.items():
        setting = _BY_KEYWORD.get(keyword)
        if setting is None:
            problems.append(f"{keyword}: no such setting{_nearest(keyword, _BY_KEYWORD)} (keyword {keyword})")
        elif value is not None:
            said = f"keyword {keyword}" if spoken == "keyword" else f"{spoken} {setting.flag}"
            found[setting.key] = _Given(value, Origin("argument NAME" if said == "flag --name" else said), here)
    return found


def _from_environment(environ: Mapping[str, str], here: Path, problems: list[str]) -> dict[str, _Given]:
    by_variable = {setting.variable: setting for setting in ALL_SETTINGS.values()}
    found = {}
    for variable in sorted(name for name in environ if name.startswith("RAYYARN_") and environ[name]):
        setting, text = by_variable.get(variable), environ[variable]
        if setting is not None:
            value: Any = text
            if setting.kind == "mapping":  # OMP_NUM_THREADS=4,LIST=a,b: a comma separates where a name follows
                value = re.split(r",(?=[A-Za-z_][A-Za-z0-9_]*=)", text)
            elif setting.kind == "paths":
                value = text.split(os.pathsep)
            found[setting.key] = _Given(value, Origin(variable), here)
        elif variable not in _OTHER_VARIABLES and not variable.startswith("RAYYARN_TEST_"):
            near = _nearest(variable, by_variable, 0.9)  # others of ours are in containers: only what looks mistyped
            if near:
                problems.append(f"{variable}: no such variable{near}")
    return found


def _files(
    environ: Mapping[str, str], file: str | Path | None, here: Path, problems: list[str]
) -> Iterator[tuple[Path, str]]:
    """The files to read, the strongest first, each with the name it is called by."""
    home = Path(environ.get("HOME") or Path.home())
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "rayyarn" / "config.yaml"
    site = environ.get("RAYYARN_SITE_FILE")
    wanted = [
        (here / Path(file).expanduser() if file else here / "rayyarn.yaml", str(file or "rayyarn.yaml"), bool(file)),
        (config, str(config).replace(f"{home}/", "~/", 1), False),
        (Path(site or "/etc/rayyarn/config.yaml"), site or "/etc/rayyarn/config.yaml", bool(site)),
    ]
    for path, shown, asked_for in wanted:
        if path.is_file():
            yield path, shown
        elif asked_for or path.exists():
            problems.append(f"{shown}: no such file" if not path.exists() else f"{shown}: not a file")


def _read(key: str, given: _Given, problems: list[str], bad: set[str]) -> Any:
    """The value meant; its problem goes to ``problems`` and its key to ``bad``."""
    setting = ALL_SETTINGS[key]
    try:
        value = setting.read(given.value)
    except (ValueError, TypeError) as problem:
        problems.append(f"{key}: {problem} ({given.origin})")
        bad.add(key)
        return setting.default
    if setting.kind == "path":
        return _place(value, given.base)
    return tuple(_place(path, given.base) for path in value) if setting.kind in ("paths", "files") else value


def _place(text: str, base: Path) -> str:
    """A path made absolute where it was written; a URI as it is."""
    if "://" in text or text.startswith("file:"):
        return text
    return os.path.normpath(base / Path(text).expanduser())


def _build(values: dict[str, Any]) -> ClusterSpec:
    tree: dict[str, dict[str, Any]] = {"": {}, "head": {}, "worker": {}}
    for key, value in values.items():
        section, _, leaf = key.rpartition(".")
        tree[section][leaf.replace("-", "_")] = value
    return ClusterSpec(**tree[""], head=HeadSpec(**tree["head"]), worker=WorkerSpec(**tree["worker"]))


def _nearest(word: str, known: Mapping[str, object], cutoff: float = 0.6) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, known, 1, cutoff)
    return f"; did you mean {near[0]}?" if near else ""
