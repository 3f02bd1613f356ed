"""Make a conda environment from one of the files in this folder, once per content, and print its prefix.

    python envs/build.py test [--python 3.13] [--interpreter PATH]

With conda, mamba or micromamba on PATH they do it. Without, py-rattler installs a Python of this machine from a channel
made on the spot (see local_channel.py), and pip does the rest. Environments lie in ~/.cache/rayyarn/envs.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import local_channel
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
FORMAT = 2  # raise it when the same input makes another environment
_WAIT = 1800.0  # seconds; a slow line needs ten minutes for the wheels
_TOOLS = ("micromamba", "mamba", "conda")


def main() -> None:
    """Parse, build, print the prefix as the only line on stdout."""
    parser = argparse.ArgumentParser(description="Make a conda environment, once per content; prints its prefix.")
    parser.add_argument("name", choices=sorted(path.stem for path in HERE.glob("*.yaml")))
    parser.add_argument("--python", metavar="X.Y", help="its Python; default: the one that runs this")
    parser.add_argument("--interpreter", metavar="PATH", help="the Python to put in, where there is no conda")
    given = parser.parse_args()
    print(build(given.name, given.python, given.interpreter))


def build(name: str, python: str | None = None, interpreter: str | None = None) -> Path:
    """The prefix of the environment ``name``; made if it is not there, found otherwise (0.1 s)."""
    spec = yaml.safe_load((HERE / f"{name}.yaml").read_text())
    plain = [entry for entry in spec["dependencies"] if isinstance(entry, str)]
    by_pip: list[str] = next((entry["pip"] for entry in spec["dependencies"] if isinstance(entry, dict)), [])
    by_pip = [f"-e {HERE / entry[3:]}" if entry.startswith("-e ") else entry for entry in by_pip]
    tool = None if interpreter else next((found for found in map(shutil.which, _TOOLS) if found), None)
    if tool is not None:
        version = python or "{}.{}".format(*sys.version_info[:2])
        with _made(_key(name, plain, by_pip, version, tool)) as (prefix, missing):
            if missing and not _by_conda(tool, prefix, spec, version, by_pip):
                print(f"{tool} could not make it; making it from a Python of this machine", file=sys.stderr)
                _by_rattler(prefix, plain, by_pip, local_channel.ask(_interpreter(python)))
        return prefix
    base = local_channel.ask(interpreter or _interpreter(python))
    if python and base.minor != python:
        raise SystemExit(f"error: {interpreter} is Python {base.version}, and --python says {python}")
    with _made(_key(name, plain, by_pip, base.version, str(base.base))) as (prefix, missing):
        if missing:
            _by_rattler(prefix, plain, by_pip, base)
    return prefix


def _interpreter(python: str | None) -> str:
    """A program of the wanted version: this one, one on PATH, or one of pyenv's."""
    if python in (None, "{}.{}".format(*sys.version_info[:2])):
        return sys.executable
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{python}.*/bin/python{python}"))
    for found in [*pyenv, shutil.which(f"python{python}")]:
        if found and _runs(str(found)):
            return str(found)
    raise SystemExit(f"error: no Python {python} here\ntry: envs/build.py ... --interpreter PATH")


def _runs(program: str) -> bool:
    try:  # pyenv's shims are there for versions that are not
        return subprocess.run([program, "-c", ""], capture_output=True, timeout=60).returncode == 0
    except OSError:
        return False


def _by_conda(tool: str, prefix: Path, spec: dict[str, Any], version: str, by_pip: list[str]) -> bool:
    plain = [f"python={version}" if entry == "python" else entry for entry in spec["dependencies"] if entry != "python"]
    wanted = [f"python={version}", *(entry for entry in plain if isinstance(entry, str)), {"pip": by_pip}]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump({**spec, "dependencies": wanted}, file)
        file.flush()
        command = [tool, *([] if "micromamba" in tool else ["env"]), "create", "-y", "-p", str(prefix), "-f", file.name]
        return subprocess.run(command, stdout=sys.stderr, stdin=subprocess.DEVNULL).returncode == 0


def _by_rattler(prefix: Path, plain: list[str], by_pip: list[str], base: local_channel.Interpreter) -> None:
    shutil.rmtree(prefix, ignore_errors=True)
    strange = [entry for entry in plain if entry.split("=")[0] not in ("python", "pip", "setuptools")]
    if strange:
        raise SystemExit(f"error: {', '.join(strange)} can only come from conda\ntry: install miniforge")
    with _made(_key("channel", [], [], base.version, str(base.base)), "channel") as (channel, missing):
        if missing:
            print(f"making a channel from {base.base} (Python {base.version})", file=sys.stderr)
            local_channel.make(channel, base)
    print(f"making {prefix}", file=sys.stderr)
    specs = [f"python=={base.version}", *(entry for entry in plain if entry != "python"), "setuptools"]
    asyncio.run(local_channel.install(channel, prefix, channel.parent / "packages", specs))
    if by_pip:
        words = [word for entry in by_pip for word in entry.split(" ", 1)]
        quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore", "PYTHONNOUSERSITE": "1"}
        environ = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
        command = [f"{prefix}/bin/python", "-m", "pip", "install", "--quiet", *words]
        subprocess.run(command, check=True, stdout=sys.stderr, env={**environ, **quiet})


def _key(name: str, plain: list[str], by_pip: list[str], version: str, origin: str) -> str:
    here = [str(HERE)] if any(entry.startswith("-e ") for entry in by_pip) else []
    text = repr((FORMAT, name, plain, by_pip, version, origin, here))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@contextmanager
def _made(key: str, kind: str = "prefix") -> Iterator[tuple[Path, bool]]:
    """The folder for ``key`` and whether its content must be made; held by one process at a time.

    A prefix holds its own path and cannot be moved into place: a mark that is written last says that it is whole.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rayyarn" / "envs" / key
    root.mkdir(parents=True, exist_ok=True)
    folder, mark = root / kind, root / "whole"
    with (root / "lock").open("w") as lock:
        _hold(lock.fileno(), folder)
        missing = not mark.is_file()
        if missing:
            shutil.rmtree(folder, ignore_errors=True)
        yield folder, missing
        mark.touch()


def _hold(handle: int, folder: Path) -> None:
    deadline = time.monotonic() + _WAIT
    said = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise SystemExit(f"error: another process has been making {folder} for {_WAIT:.0f} s") from None
            if not said:
                print(f"another process makes {folder}; waiting for it", file=sys.stderr)
            said = True
            time.sleep(0.2)
        else:
            return


if __name__ == "__main__":
    main()
