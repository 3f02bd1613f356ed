"""What an environment is found to hold, and what is said of those that cannot be shipped."""

import tarfile
import time

import pytest
from prefixes import Prefix

from rayyarn import environment
from rayyarn.errors import EnvironmentUnusable


@pytest.fixture
def prefix(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "home"))
    return Prefix(tmp_path)


def only_problem(source, **given):
    (sentence,) = environment.problems(environment.inspect(source, **given))
    return sentence


def test_a_good_prefix_is_read_without_running_it(prefix):
    prefix.ray()
    prefix.pip("pyspark", "4.3.0")
    found = environment.inspect(prefix.path)
    assert (found.kind, found.python, found.ray, found.pyspark) == ("prefix", "3.11.7", "2.60.0", "4.3.0")
    assert environment.problems(found) == []
    assert found.remarks == ()


def test_looking_at_a_prefix_is_quick(prefix):
    prefix.ray()
    for number in range(300):
        prefix.pip(f"package{number}", "1.0")
    environment.inspect(prefix.path)
    started = time.perf_counter()
    environment.inspect(prefix.path)
    assert time.perf_counter() - started < 0.2  # 0.01 s on an idle machine


def test_the_active_conda_environment_is_the_default(prefix):
    prefix.ray()
    found = environment.inspect(None, environ={"CONDA_PREFIX": str(prefix.path)})
    assert found.location == str(prefix.path)
    both = environment.inspect(None, environ={"CONDA_PREFIX": str(prefix.path), "VIRTUAL_ENV": "/home/me/venv"})
    assert "/home/me/venv" in both.remarks[0]


def test_a_venv_is_told_from_a_folder(tmp_path):
    assert "is not a conda environment" in only_problem(tmp_path)
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\n")
    assert "is a venv: it has no interpreter of its own" in only_problem(tmp_path)


def test_what_is_not_there_is_said(tmp_path):
    assert only_problem(tmp_path / "gone") == f"{tmp_path / 'gone'} does not exist"


def test_no_ray(prefix):
    assert only_problem(prefix.path) == f"there is no ray in {prefix.path}"


def test_ray_without_token_authentication_is_refused(prefix):
    prefix.ray("2.51.2")
    assert "holds ray 2.51.2; before 2.52 Ray has no token authentication" in only_problem(prefix.path)


def test_ray_without_default(prefix):
    missing = ("aiohttp", "aiohttp_cors", "colorful", "opencensus", "py-spy", "smart_open", "virtualenv")
    prefix.ray(without=missing)
    sentence = only_problem(prefix.path)
    assert "ray without [default] (missing: aiohttp, aiohttp-cors, colorful, opencensus)" in sentence


def test_one_missing_module_of_default_is_found(prefix):
    prefix.ray(without=("aiohttp_cors",))
    assert "only a part of ray[default] (missing: aiohttp-cors)" in only_problem(prefix.path)


def test_what_rays_agent_never_imports_may_be_missing(prefix):
    prefix.ray(without=("py-spy", "smart_open", "virtualenv"))
    assert environment.problems(environment.inspect(prefix.path)) == []


def test_a_python_we_do_not_run_on(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "home"))
    prefix = Prefix(tmp_path, "3.10.9")
    prefix.ray()
    assert "holds Python 3.10.9" in only_problem(prefix.path)


def test_all_problems_come_together(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "home"))
    prefix = Prefix(tmp_path, "3.10.9")
    with pytest.raises(EnvironmentUnusable, match=r"2 problems:\n.*Python 3.10.9.*\n.*no ray") as caught:
        environment.require(environment.inspect(prefix.path))
    assert caught.value.exit_code == 2
    assert "pip install" in caught.value.hint


def test_packages_that_pip_overwrote_are_named(prefix):
    prefix.ray()
    prefix.conda("numpy", "1.0", {"lib/python3.11/site-packages/numpy/__init__.py": "old"})
    prefix.pip("numpy", "2.0")
    found = environment.inspect(prefix.path)
    assert found.overwritten == ("numpy 1.0 by 2.0",)
    assert "pip overwrote conda's numpy 1.0 by 2.0" in found.remarks[0]


@pytest.mark.parametrize("way", ["pth", "finder", "single module", "old develop", "conda develop"])
def test_editable_installs_are_found(prefix, tmp_path, way):
    prefix.ray()
    code = tmp_path / "src"
    (code / "mine").mkdir(parents=True)
    (code / "mine" / "__init__.py").write_text("")
    (code / "alone.py").write_text("")
    finder = "__editable___mine_1_0_finder"
    pth = "__editable__.mine-1.0.pth"
    files = {
        "pth": {pth: f"{code}\n"},
        "finder": {pth: f"import {finder}", f"{finder}.py": f"MAPPING: dict = {{'mine': '{code}/mine'}}"},
        "single module": {pth: f"import {finder}", f"{finder}.py": f"MAPPING = {{'alone': '{code}/alone'}}"},
        "old develop": {"easy-install.pth": f"{code}\n", "mine.egg-link": f"{code}\n."},
        "conda develop": {"conda.pth": f"{code}\n"},
    }[way]  # fmt: skip
    if way in ("old develop", "conda develop"):
        for name, text in files.items():
            (prefix.site / name).write_text(text)
    else:
        prefix.editable("mine", files)
    found = environment.inspect(prefix.path)
    roots = {root for one in found.editable for root in one.roots}
    assert roots == {{"finder": code / "mine", "single module": code / "alone.py"}.get(way, code)}
    assert set(found.left_out) == {f"lib/python3.11/site-packages/{name}" for name in files}
    if way in ("pth", "finder", "single module"):
        assert [one.name for one in found.editable] == ["mine"]


def test_our_own_editable_install_is_no_layer_and_is_not_packed(prefix, tmp_path):
    prefix.ray()
    prefix.editable("rayyarn", {"_editable_impl_rayyarn.pth": f"{tmp_path}\n"})
    found = environment.inspect(prefix.path)
    assert found.editable == ()
    assert found.left_out == ("lib/python3.11/site-packages/_editable_impl_rayyarn.pth",)


def test_a_path_file_inside_the_prefix_is_no_editable_install(prefix):
    prefix.ray()
    (prefix.site / "extra").mkdir()
    (prefix.site / "extra.pth").write_text(f"{prefix.site}/extra\nimport os\n")
    found = environment.inspect(prefix.path)
    assert (found.editable, found.left_out) == ((), ())


def test_archives_are_judged_by_their_members_and_remembered(prefix, tmp_path, monkeypatch):
    prefix.ray(without=("colorful",))
    archive = tmp_path / "mine.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(prefix.path, ".")
    found = environment.inspect(archive)
    assert (found.kind, found.python, found.ray) == ("archive", "3.11.7", "2.60.0")
    assert "missing: colorful" in environment.problems(found)[0]
    monkeypatch.setattr("rayyarn.archive_index._index", lambda members: pytest.fail("read again"))
    assert environment.inspect(archive) == found


def test_an_archive_of_the_folder_instead_of_its_content(prefix, tmp_path):
    archive = tmp_path / "mine.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(prefix.path, "env")
    assert f"no bin/python at the top of {archive}" in only_problem(archive)


def test_what_is_no_archive(tmp_path):
    path = tmp_path / "mine.tar.gz"
    path.write_text("hello")
    assert only_problem(path) == f"{path} is neither a tar nor a zip archive"


@pytest.mark.parametrize("start", ["file:", "file://", "file://localhost"])
def test_a_file_uri_is_a_path_of_this_machine(tmp_path, start):
    assert only_problem(f"{start}{tmp_path}/none") == f"{tmp_path}/none does not exist"


def test_remote_archives_are_trusted_but_for_their_name():
    assert environment.problems(environment.inspect("hdfs://nn/envs/a.tar.gz")) == []
    assert "YARN would not unpack it" in only_problem("hdfs://nn/envs/a.tar.zst")
