"""Becomes a program of the user's, in the head's container: ``python -m rayyarn.container.job``, for ``Jobs``.

It fetches what was sent along, unpacks it into the folder that it is started in, and is replaced by the program, so
that its process id and its exit status are the program's. What it is told comes in a line of JSON on its input.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
from typing import TYPE_CHECKING, NoReturn

from rayyarn.errors import RayYarnError

if TYPE_CHECKING:
    from rayyarn.filesystem import FileSystem

# As in a shell, and as `rayyarn exec` does.
_OURS, _NOT_EXECUTABLE, _NOT_FOUND = 125, 126, 127


def main() -> NoReturn:
    """Be the program. What goes wrong before is said in its log."""
    told = json.loads(sys.stdin.readline())
    environ = dict(os.environ)
    try:
        if told["folder"]:
            environ.update(_fetch(told["folder"]))
        _link(told["files"])
    except (RayYarnError, OSError, tarfile.TarError) as error:
        _leave(_OURS, f"what was sent along with this program cannot be had: {error}")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    command = [str(word) for word in told["command"]]
    try:
        os.execvpe(command[0], command, environ)  # noqa: S606 - it is what the user asked for, and no shell's to read
    except FileNotFoundError:
        _leave(_NOT_FOUND, f"{command[0]}: not found")
    except OSError as error:
        _leave(_NOT_EXECUTABLE, f"{command[0]}: {error.strerror}")


def _fetch(folder: str) -> dict[str, str]:
    """Unpack the files of ``folder`` here, and remove it; the variables that were sent along."""
    from rayyarn import filesystem, hadoop

    fs = filesystem.open(hadoop.find(None))
    there = fs.list(folder)
    if "files.tar.gz" in there:
        with tarfile.open(fileobj=io.BytesIO(fs.read(f"{folder}/files.tar.gz"))) as archive:
            archive.extractall(filter="data")
    found = json.loads(fs.read(f"{folder}/variables.json")) if "variables.json" in there else {}
    _remove(fs, folder)
    return {str(name): str(value) for name, value in found.items()}


def _link(files: dict[str, str]) -> None:
    """The cluster's extra files under their names; what was sent along with this program goes first."""
    for name, path in files.items():
        if not os.path.lexists(name):
            os.symlink(path, name)  # noqa: PTH211


def _remove(fs: FileSystem, folder: str) -> None:
    try:
        fs.remove(folder, recursive=True)
    except RayYarnError as error:  # it goes with the cluster's folder
        sys.stderr.write(f"{folder} stays: {error}\n")


def _leave(code: int, why: str) -> NoReturn:
    sys.stderr.write(f"rayyarn: {why}\n")
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
