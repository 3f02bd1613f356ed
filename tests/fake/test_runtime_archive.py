"""The runtime archive in a Python of its own, with nothing but the libraries that ray brings."""

import subprocess
import sys

import pytest

from rayyarn.runtime import runtime_layer

SEEN = """
import sys
sys.path = [entry for entry in sys.path if not entry.endswith("site-packages")] + [SITE]
class Absent:  # rayyarn and skein as installed beside the tests are out of reach
    def find_spec(self, name, path=None, target=None):
        if name in ("click", "rich", "conda_pack", "isal", "setuptools", "distutils", "cryptography"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
import rayyarn, skein, rayyarn.connection, rayyarn.filesystem
from skein.core import ApplicationClient
from rayyarn.runtime import runtime_layer
print(rayyarn.__file__, skein.__file__, runtime_layer().name, sep="\\n")
"""


def test_it_imports_where_neither_rayyarn_nor_skein_is_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "home"))
    grpc = pytest.importorskip("grpc")
    site = grpc.__file__.rsplit("/", 2)[0]
    made = runtime_layer()
    archive = tmp_path / made.name
    with archive.open("wb") as sink:
        made.write(sink)
    program = SEEN.replace("SITE", repr(site))
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(archive)}
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [f"{archive}/rayyarn/__init__.pyc", f"{archive}/skein/__init__.pyc", archive.name]
