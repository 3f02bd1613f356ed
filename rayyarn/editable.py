"""Editable installs of an environment: which folders they point to, and which files in the prefix do the pointing.

Ways in use (setuptools, hatchling, poetry, flit, pdm, conda develop): a ``.pth`` file with a folder in it, or a
generated finder module whose ``MAPPING`` names package folders. Both are read, never run.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CodeTree:
    """A folder or file of code. ``target`` is its dotted import name; empty for a folder that is on sys.path."""

    source: Path
    target: str = ""


@dataclass(frozen=True)
class Editable:
    """An editable install: its name and where its code really is."""

    name: str
    trees: tuple[CodeTree, ...]

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders and files that its code is in."""
        return tuple(tree.source for tree in self.trees)


def find(prefix: Path, site: Path) -> tuple[tuple[Editable, ...], tuple[str, ...]]:
    """The editable installs in ``site``, and the files to leave out of an archive, relative to ``prefix``.

    rayyarn's own editable install is not among the first (the runtime archive carries rayyarn), yet its files are
    among the second.
    """
    trees: dict[str, list[CodeTree]] = {}
    left_out: list[str] = []
    owners = _owners(site)
    for path in sorted([*site.glob("*.pth"), *site.glob("__editable__*_finder.py"), *site.glob("*.egg-link")]):
        found = _mapping(path) if path.suffix == ".py" else _folders(path, prefix)
        starter = path.suffix == ".pth" and re.search(r"__editable__\w*_finder", _text(path))
        if not found and not starter:
            continue
        left_out.append(str(path.relative_to(prefix)))
        name = owners.get(path.name) or _name(path)
        known = trees.setdefault(name, [])
        known += [tree for tree in found if tree not in known]
    ours = [name for name in trees if re.sub(r"[-_.]+", "-", name).lower() == "rayyarn"]
    for name in ours:
        del trees[name]
    return tuple(Editable(name, tuple(found)) for name, found in sorted(trees.items()) if found), tuple(left_out)


def _owners(site: Path) -> dict[str, str]:
    """Distribution name by file at the top of site-packages, for the distributions installed as editable."""
    owners = {}
    for path in site.glob("*.dist-info/direct_url.json"):
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if not document.get("dir_info", {}).get("editable"):
            continue
        name = path.parent.name.split("-", 1)[0]
        for line in _text(path.parent / "RECORD").splitlines():
            owners[line.split(",", 1)[0]] = name
    return owners


def _folders(path: Path, prefix: Path) -> list[CodeTree]:
    """Folders outside the prefix that a .pth or .egg-link file puts on sys.path."""
    lines = (line.strip() for line in _text(path).splitlines())
    folders = (Path(line) for line in lines if line.startswith("/"))
    return [CodeTree(folder) for folder in folders if folder.is_dir() and not folder.is_relative_to(prefix)]


def _mapping(path: Path) -> list[CodeTree]:
    """Packages that a generated finder maps to folders or files: its ``MAPPING`` is a literal dict."""
    try:
        body = ast.parse(_text(path)).body
    except SyntaxError:
        return []
    for node in body:
        target: ast.expr
        if isinstance(node, ast.AnnAssign):
            target, value = node.target, node.value
        elif isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
        else:
            continue
        if isinstance(target, ast.Name) and target.id == "MAPPING" and value is not None:
            mapping = ast.literal_eval(value)
            return [CodeTree(_real(Path(where)), name) for name, where in sorted(mapping.items())]
    return []


def _real(path: Path) -> Path:
    # setuptools maps a single-module distribution to the path without ".py"
    return path if path.exists() else path.with_name(path.name + ".py")


def _name(path: Path) -> str:
    if path.name in ("easy-install.pth", "conda.pth"):
        return path.stem
    return re.sub(r"^(__editable__+|_editable_impl_|_)|[_-]\d.*$|_finder$", "", path.stem) or path.stem


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
