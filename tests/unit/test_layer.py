"""Code layers and the runtime archive: what is in them, and that equal code gives equal bytes."""

import io
import os
import tarfile
import zipfile

import pytest

from rayyarn import layer, loose_version
from rayyarn.editable import CodeTree, Editable
from rayyarn.errors import EnvironmentUnusable
from rayyarn.runtime import runtime_layer


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "home"))


def project(folder):
    (folder / "mine").mkdir(parents=True)
    (folder / "mine" / "__init__.py").write_text("x = 1\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    return folder


def data(made):
    sink = io.BytesIO()
    made.write(sink)
    return sink.getvalue()


def names(made):
    with tarfile.open(fileobj=io.BytesIO(data(made)), mode="r:gz") as tar:
        return sorted(tar.getnames())


def test_no_code_no_layer():
    assert layer.code_layer((), ()) is None


def test_a_folder_is_put_on_the_path(tmp_path):
    made = layer.code_layer(code=[project(tmp_path / "src")])
    assert names(made) == ["code/mine/__init__.py", "code/run.sh"]
    assert made.python_paths == ("code",)
    assert made.name == f"{made.fingerprint}.tar.gz"


def test_a_package_is_imported_by_its_name_and_a_file_by_its_own(tmp_path):
    root = project(tmp_path / "src")
    (root / "alone.py").write_text("")
    made = layer.code_layer(code=[root / "mine", root / "alone.py"])
    assert names(made) == ["code/mine/__init__.py", "code2/alone.py"]
    assert made.python_paths == ("code", "code2")


def test_editable_installs_by_folder_by_package_and_by_module(tmp_path):
    root = project(tmp_path / "src")
    (root / "alone.py").write_text("")
    flat = Editable("flat", (CodeTree(root / "mine", "top.mine"), CodeTree(root / "alone.py", "alone")))
    path = Editable("path", (CodeTree(root),))
    made = layer.code_layer([flat, path])
    assert {"flat/top/mine/__init__.py", "flat/alone.py", "path/mine/__init__.py"} <= set(names(made))
    assert made.python_paths == ("flat", "path")


def test_two_folders_of_one_install_stay_apart(tmp_path):
    one, two = project(tmp_path / "one"), project(tmp_path / "two")
    made = layer.code_layer([Editable("both", (CodeTree(one), CodeTree(two)))])
    assert made.python_paths == ("both/0", "both/1")


def test_what_is_not_code_stays_behind(tmp_path):
    root = project(tmp_path / "src")
    for folder in (".git", "__pycache__", ".venv", "nested/conda-meta", "node_modules"):
        (root / folder).mkdir(parents=True)
        (root / folder / "file").write_text("x")
    (root / ".venv" / "pyvenv.cfg").write_text("")
    (root / "old.pyc").write_text("")
    (root / "loop").symlink_to(root)
    (root / "dangling").symlink_to(root / "gone")
    os.mkfifo(root / "pipe")
    assert names(layer.code_layer(code=[root])) == ["code/mine/__init__.py", "code/run.sh"]


def test_links_to_code_elsewhere_are_followed(tmp_path):
    root, other = project(tmp_path / "src"), project(tmp_path / "other")
    (root / "linked").symlink_to(other / "mine")
    assert "code/linked/__init__.py" in names(layer.code_layer(code=[root]))


def test_equal_code_gives_equal_bytes_wherever_it_lies(tmp_path):
    here, there = (layer.code_layer(code=[project(tmp_path / name)]) for name in ("here", "there"))
    os.utime(tmp_path / "there" / "run.sh", (1, 1))
    assert here.fingerprint == there.fingerprint
    assert data(here) == data(there)


def test_an_edit_is_another_layer(tmp_path):
    before = layer.code_layer(code=[project(tmp_path / "src")]).fingerprint
    (tmp_path / "src" / "mine" / "__init__.py").write_text("x = 2\n")
    assert layer.code_layer(code=[tmp_path / "src"]).fingerprint != before


def test_execute_bits_travel(tmp_path):
    with tarfile.open(fileobj=io.BytesIO(data(layer.code_layer(code=[project(tmp_path / "src")])))) as tar:
        assert {one.name: one.mode for one in tar} == {"code/mine/__init__.py": 0o644, "code/run.sh": 0o755}


def test_data_is_refused_with_its_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(layer, "LARGEST", 1000)
    root = project(tmp_path / "src")
    (root / "data").mkdir()
    (root / "data" / "big.bin").write_bytes(b"x" * 5000)
    with pytest.raises(EnvironmentUnusable, match=r"holds 4.9 KiB, and a code layer may hold 1000 B; .*/data alone"):
        layer.code_layer(code=[root])


def test_missing_code_is_said(tmp_path):
    with pytest.raises(EnvironmentUnusable, match="gone does not exist"):
        layer.code_layer(code=[tmp_path / "gone"])


def test_the_runtime_holds_us_and_the_python_part_of_skein():
    made = runtime_layer()
    found = set(zipfile.ZipFile(io.BytesIO(data(made))).namelist())
    assert {
        "rayyarn/errors.py",
        "skein/core.py",
        "skein/core.pyc",
        "skein/proto/skein_pb2.py",
        "skein/LICENSE",
    } <= found
    assert not [name for name in found if name.startswith(("rayyarn/mini", "distutils")) or name.endswith(".jar")]
    assert made.name == f"rayyarn-runtime-{made.fingerprint}.zip"
    assert len(data(made)) < 2 << 20


def test_the_runtimes_skein_needs_no_distutils():
    archive = zipfile.ZipFile(io.BytesIO(data(runtime_layer())))
    sources = [name for name in archive.namelist() if name.startswith("skein/") and name.endswith(".py")]
    assert [name for name in sources if b"distutils" in archive.read(name)] == []
    assert b"rayyarn.loose_version" in archive.read("skein/utils.py")


def test_the_runtime_is_found_again_quickly(monkeypatch):
    known = runtime_layer().fingerprint
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda path: _only_memos(path))
    assert runtime_layer().fingerprint == known


def _only_memos(path):
    assert path.suffix == ".json", f"{path} was read again"
    with path.open("rb") as file:
        return file.read()


def test_versions_compare_by_their_numbers():
    version = loose_version.LooseVersion
    assert version("1.9.0") < "1.18.0" < version("1.85.1")
    assert version("1.18.0") == "1.18.0"
    assert version("1.18.0rc1") < version("1.18.0.1")
