"""The house rules that a reader relies on: who may import whom, one door to each outside thing, sizes."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = sorted((ROOT / "rayyarn").rglob("*.py"))
CLI = sorted((ROOT / "cli").rglob("*.py"))

# The level of every module and package of the library: each imports only from lower levels. Inside a package
# (mini, skein_am, container) any order without circles will do.
LEVELS = {
    "errors": 0,
    "units": 1, "home": 1, "store": 1, "sizing": 1, "editable": 1, "loose_version": 1, "gzip_stream": 1,
    "prctl": 1, "grpc_import": 1, "up_result": 1, "web_link": 1,
    "yarn_report": 2, "extra_file": 2, "steps": 2, "setting": 2, "diagnose": 2, "memo": 2, "connection": 2,
    "spec": 3, "settings_file": 3, "fingerprint": 3, "archive_index": 3, "hadoop": 3,
    "settings": 4, "environment": 4, "layer": 4, "rm": 4, "filesystem": 4, "skein_am": 4, "mini": 4,
    "pack": 5, "register": 5, "runtime": 5, "vault": 5, "stage": 5, "preflight": 5, "lease": 5, "room": 5,
    "spark_apps": 5,
    "archives": 7, "sent_files": 6, "placement": 6, "state": 6, "app_folder": 6,
    "exchange": 7, "access": 7, "files_here": 7, "inventory": 7, "shipment": 8, "waiting": 7,
    "logs": 8, "plan": 9, "sameness": 9, "doctor": 9, "teardown": 8, "edge": 8, "spark": 8,
    "launch": 10, "spark_defaults": 9, "ray_init": 9,
    "cluster": 11,
    "session": 11,
    "program": 12, "handover": 12, "jobs": 12, "dashboard": 12,
    "batch": 13,
}  # fmt: skip
# What runs in containers, where only ray, pyarrow and skein's client are there. The doors of
# the file system and of the ResourceManager need nothing.
CONTAINER_MAY_IMPORT = {
    "errors", "prctl", "grpc_import", "units", "home", "store", "connection", "skein_am", "hadoop", "filesystem", "rm",
    "spark_apps", "yarn_report",
}  # fmt: skip
# (who, whom): imported inside a function, upwards, for a reason that stands there.
EXCEPTIONS = {("hadoop", "mini")}  # the mini cluster is a Hadoop to be found like any other


def imports(path):
    """Every module that ``path`` imports anywhere, in full."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part(module):
    """``pack`` for ``rayyarn.pack.pack``, ``mini`` for ``rayyarn.mini.cluster``."""
    return module.split(".")[1]


def ours(path):
    """The part of the library that ``path`` belongs to; None for ``rayyarn`` itself."""
    inside = path.relative_to(ROOT / "rayyarn").with_suffix("").parts
    return None if inside == ("__init__",) else inside[0]


def test_every_module_has_a_level():
    parts = {ours(path) for path in LIBRARY} - {None, "container"}
    assert parts - LEVELS.keys() == set(), "give the new module its level in LEVELS above"


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    me = ours(path)
    for module in imports(path):
        if not module.startswith("rayyarn."):
            assert module.split(".")[0] not in ("rayyarn_cli", "click", "rich"), f"{module} belongs to the command line"
            continue
        other = part(module)
        if other == me or other.startswith("__") or (me, other) in EXCEPTIONS:
            continue
        if me == "container":
            assert other in CONTAINER_MAY_IMPORT, f"{module} is not there in a container"
        elif me is not None:
            assert other != "container", f"{module} runs in containers only"
            assert LEVELS[other] < LEVELS[me], f"{me} is not above {other}"


@pytest.mark.parametrize("path", [*LIBRARY, *CLI], ids=lambda path: str(path.relative_to(ROOT)))
def test_skein_and_grpc_have_one_door(path):
    assert {"skein", "grpc"} & {module.split(".")[0] for module in imports(path)} == set()  # grpc_import.load does it
    if "skein_am" not in path.parts:
        assert 'load("skein' not in path.read_text()


@pytest.mark.parametrize("path", CLI, ids=lambda path: str(path.relative_to(ROOT)))
def test_rich_has_one_door(path):
    if path.name != "grid.py":
        assert "rich" not in {module.split(".")[0] for module in imports(path)}


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_never_prints(path):
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    printed = [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
    if ours(path) != "container":  # a container's stdout is its log
        assert printed == []


HEAVY = {"skein", "conda_pack", "jgo", "pyarrow", "ray", "pyspark", "requests", "grpc", "pandas", "yaml", "isal"}


@pytest.mark.parametrize("path", [*LIBRARY, *CLI], ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_modules_are_imported_where_they_are_used(path):
    if path.name == "settings_file.py":  # imported only when there is a file
        return
    tops = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in tops if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in tops if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} & HEAVY == set()


@pytest.mark.parametrize("path", [*LIBRARY, *CLI], ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    limit = 120 if path.name == "main.py" else 300
    assert len(text.splitlines()) <= limit
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, f"{node.name} is too long"


@pytest.mark.parametrize("path", [*LIBRARY, *CLI], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_called_utils(path):
    assert path.stem not in ("utils", "util", "helpers", "misc", "common")
