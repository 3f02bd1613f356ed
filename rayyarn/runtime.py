"""The runtime archive: what of ours runs inside containers, as one small zip on PYTHONPATH.

It holds rayyarn (without the mini cluster) and the Python part of skein, and imports with what ``ray[default]`` brings
(grpcio, protobuf, PyYAML) on Python 3.11 to 3.13. The user's environment needs neither rayyarn nor skein.
"""

from __future__ import annotations

import py_compile
import sys
import tempfile
import zipfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import rayyarn
from rayyarn import fingerprint
from rayyarn.layer import Layer
from rayyarn.skein_am import package

if TYPE_CHECKING:
    from collections.abc import Iterator

# A zip stores local times with a two-second grain: one fixed moment keeps the bytes equal everywhere.
_TIME = (1980, 1, 1, 0, 0, 0)
_SKEIN_LEFT_OUT = ("cli.py", "tornado.py")  # skein's own command line and a web framework nobody has here
_OURS_LEFT_OUT = ("mini",)  # the mini cluster is the edge's
# Python 3.12 has no distutils, and setuptools' costs 0.3 s; nothing named distutils goes on anybody's path.
_DISTUTILS = (b"from distutils.version import", b"from rayyarn.loose_version import")


def runtime_layer() -> Layer:
    """The layer ``rayyarn-runtime-<fingerprint>.zip``, a plain file for PYTHONPATH. Fast when nothing changed.

    A program that runs from such a zip (under ``rayyarn exec``) hands on the zip that it runs from.
    """
    loader = getattr(rayyarn.__spec__, "loader", None)
    archive = getattr(loader, "archive", None)
    if archive is not None:
        return _as_it_is(Path(archive))
    files = dict(_members())
    known = fingerprint.of_tree(files.items(), salt=sys.implementation.cache_tag)
    size = sum(path.stat().st_size for path in files.values())
    return Layer(known, f"rayyarn-runtime-{known}.zip", size, (), lambda sink: _write(files, sink))


def _as_it_is(path: Path) -> Layer:
    known = fingerprint.Fingerprint(path.stem.removeprefix("rayyarn-runtime-"))
    if path.stem == known:  # renamed by somebody
        known = fingerprint.of_archive(path)
    return Layer(known, f"rayyarn-runtime-{known}.zip", path.stat().st_size, (), lambda sink: _copy(path, sink))


def _copy(path: Path, sink: BinaryIO) -> None:
    sink.write(path.read_bytes())


def _members() -> Iterator[tuple[str, Path]]:
    ours = Path(rayyarn.__file__).parent
    for path in sorted(ours.rglob("*.py")):
        inner = path.relative_to(ours)
        if inner.parts[0] not in _OURS_LEFT_OUT:
            yield f"rayyarn/{inner}", path
    skein = package.folder()
    for path in sorted([*skein.glob("*.py"), *skein.glob("proto/*.py")]):
        if path.name not in _SKEIN_LEFT_OUT:
            yield f"skein/{path.relative_to(skein)}", path
    for licence in skein.parent.glob("skein-*.dist-info/LICENSE"):  # BSD: it travels with the code
        yield "skein/LICENSE", licence


def _write(files: dict[str, Path], sink: BinaryIO) -> None:
    whole = BytesIO()  # ZipFile seeks, uploads cannot
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, path in sorted(files.items()):
            data = path.read_bytes()
            data = data.replace(*_DISTUTILS) if name == "skein/utils.py" else data
            _add(archive, name, data)
            if name.endswith(".py"):
                _add(archive, f"{name}c", _compiled(name, data))
    sink.write(whole.getvalue())


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    member = zipfile.ZipInfo(name, _TIME)
    member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    archive.writestr(member, data)


def _compiled(name: str, source: bytes) -> bytes:
    """Byte code for this Python: a zip cannot keep a __pycache__, and compiling costs each supervisor 0.1 s.

    Another Python finds a foreign magic number in it and takes the source (zipimport does so by itself).
    """
    with tempfile.TemporaryDirectory() as folder:
        plain, made = Path(folder, "source"), Path(folder, "code")
        plain.write_bytes(source)
        py_compile.compile(
            str(plain), str(made), name, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )
        return made.read_bytes()
