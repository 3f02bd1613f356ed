"""From a prefix to staged files, with what can happen on the way; and what is kept and removed there."""

import dataclasses
import os
import tarfile

import pytest
from prefixes import Prefix
from test_stage import viewfs

from rayyarn import archives, filesystem, inventory, pack, stage
from rayyarn.errors import EnvironmentUnusable, StagingFailed
from rayyarn.steps import Reporter, Steps
from rayyarn.yarn_report import App


class Heard(Reporter):
    def __init__(self):
        self.notes, self.results = [], {}

    def note(self, text):
        self.notes.append(text)

    def done(self, title, detail, seconds):
        self.results[title] = detail


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "home"))
    (tmp_path / "all" / "user" / "me").mkdir(parents=True)
    return viewfs(tmp_path)


@pytest.fixture
def fs(site):
    return filesystem.open(site)


@pytest.fixture
def prefix(tmp_path, site):
    made = Prefix(tmp_path)
    made.ray()
    return made


def staged(tmp_path, kind="envs"):
    folder = tmp_path / "all/user/me/.rayyarn" / kind
    return sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []


def test_an_environment_is_packed_once_per_content(site, fs, prefix, tmp_path, monkeypatch):
    heard = Heard()
    first = archives.environment(site, fs, prefix.path, steps=Steps(heard))
    assert first.archive.uri == f"viewfs://mini/user/me/.rayyarn/envs/{first.fingerprint}.tar.gz"
    assert heard.results["environment"].startswith(f"{first.fingerprint.short} sent to viewfs://mini")
    assert first.layers == ()
    with monkeypatch.context() as patch:
        patch.setattr(pack, "pack", lambda *_: pytest.fail("packed again"))
        second = archives.environment(site, fs, prefix.path, steps=Steps(heard))
    assert heard.results["environment"] == f"{first.fingerprint.short} already on viewfs://mini"
    assert second.fingerprint == first.fingerprint
    (prefix.site / "ray" / "__init__.py").write_text("edited by hand")
    third = archives.environment(site, fs, prefix.path)
    assert third.fingerprint != first.fingerprint
    assert len(staged(tmp_path)) == 2
    assert staged(tmp_path, "runtime") == [f"rayyarn-runtime-{first.runtime.fingerprint}.zip"]


def test_editable_code_travels_apart_and_an_edit_packs_nothing(site, fs, prefix, tmp_path):
    code = tmp_path / "src"
    code.mkdir()
    (code / "mine.py").write_text("x = 1\n")
    prefix.editable("mine", {"__editable__.mine-1.0.pth": f"{code}\n"})
    first = archives.environment(site, fs, prefix.path)
    (code / "mine.py").write_text("x = 2\n")
    second = archives.environment(site, fs, prefix.path)
    assert first.fingerprint == second.fingerprint
    assert first.layers[0].fingerprint != second.layers[0].fingerprint
    assert second.layers[0].python_paths == ("mine",)
    assert (len(staged(tmp_path)), len(staged(tmp_path, "code"))) == (1, 2)


def test_all_problems_are_told_before_anything_is_made(site, fs, tmp_path):
    with pytest.raises(EnvironmentUnusable, match="is not a conda environment"):
        archives.environment(site, fs, tmp_path)
    assert staged(tmp_path) == []


def changing(prefix, monkeypatch, times):
    """Let somebody edit the prefix during the first ``times`` packings."""
    real, left = pack.pack, [times]

    def changed(*args):
        done = real(*args)
        if left[0]:
            left[0] -= 1
            (prefix.site / "ray" / f"new{left[0]}.py").write_text("")
        return done

    monkeypatch.setattr(pack, "pack", changed)


def test_a_source_that_changes_while_it_is_packed_is_packed_again(site, fs, prefix, tmp_path, monkeypatch):
    heard = Heard()
    changing(prefix, monkeypatch, 1)
    shipped = archives.environment(site, fs, prefix.path, steps=Steps(heard))
    assert staged(tmp_path) == [f"{shipped.fingerprint}.tar.gz"]
    assert "changed while it was packed" in heard.notes[0]
    with tarfile.open(tmp_path / f"all{shipped.archive.path}") as tar:
        assert any(name.endswith("ray/new0.py") for name in tar.getnames())


def test_a_source_that_never_rests_is_given_up(site, fs, prefix, tmp_path, monkeypatch):
    changing(prefix, monkeypatch, 9)
    with pytest.raises(EnvironmentUnusable, match="keeps changing while it is packed; nothing was left behind"):
        archives.environment(site, fs, prefix.path)
    assert staged(tmp_path) == []


def test_a_file_that_vanishes_under_the_packer_is_a_change(site, fs, prefix, tmp_path, monkeypatch):
    real, left = pack.pack, [1]

    def vanishing(*args):
        if left:
            left.pop()
            (prefix.site / "colorful" / "__init__.py").unlink()
            raise FileNotFoundError(2, "No such file", str(prefix.site / "colorful" / "__init__.py"))
        return real(*args)

    monkeypatch.setattr(pack, "pack", vanishing)
    shipped = archives.environment(site, fs, prefix.path)
    assert staged(tmp_path) == [f"{shipped.fingerprint}.tar.gz"]


def test_a_full_disk_while_packing_leaves_nothing(site, fs, prefix, tmp_path):
    import resource

    (prefix.site / "large.bin").write_bytes(os.urandom(3 << 20))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(StagingFailed, match="no space left"):
            archives.environment(site, fs, prefix.path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert staged(tmp_path) == []


def test_ready_archives_are_taken_as_they_are(site, fs, prefix, tmp_path):
    made = archives.write(prefix.path, tmp_path / "mine.tar.gz")
    assert made.size == (tmp_path / "mine.tar.gz").stat().st_size
    shipped = archives.environment(site, fs, tmp_path / "mine.tar.gz")
    assert (tmp_path / f"all{shipped.archive.path}").read_bytes() == (tmp_path / "mine.tar.gz").read_bytes()
    assert shipped.environment.ray == "2.60.0"
    again = archives.environment(site, fs, tmp_path / "mine.tar.gz")
    assert (again.fingerprint, again.archive.made) == (shipped.fingerprint, False)


def test_archives_on_a_file_system_stay_where_they_are(site, fs, tmp_path):
    shared = tmp_path / "all" / "shared"
    shared.mkdir(mode=0o755)
    (shared / "e.tar.gz").write_bytes(b"x")
    (shared / "e.tar.gz").chmod(0o644)
    shipped = archives.environment(site, fs, "viewfs://mini/shared/e.tar.gz")
    assert shipped.archive.uri == "viewfs://mini/shared/e.tar.gz"
    assert staged(tmp_path) == []
    os.utime(shared / "e.tar.gz", (5, 5))
    assert archives.environment(site, fs, "viewfs://mini/shared/e.tar.gz").fingerprint != shipped.fingerprint


def test_an_archive_is_only_written_from_a_prefix_and_under_a_name_yarn_unpacks(prefix, tmp_path):
    with pytest.raises(EnvironmentUnusable, match=r"does not end in \.tar\.gz"):
        archives.write(prefix.path, tmp_path / "mine.zip")
    archives.write(prefix.path, tmp_path / "mine.tar.gz")
    with pytest.raises(EnvironmentUnusable, match="is an archive already"):
        archives.write(tmp_path / "mine.tar.gz", tmp_path / "other.tar.gz")


class Register:
    """A ResourceManager that knows ``apps``."""

    def __init__(self, *apps):
        self._apps = apps

    def apps(self, *, tag=None, **_):
        return [app for app in self._apps if tag in app.tags]


def app(name, fingerprint):
    tags = ("rayyarn", f"rayyarn-{name}", f"rayyarn.env-{fingerprint}")
    known = {"id": "application_1_0001", "name": f"rayyarn-{name}", "state": "RUNNING", "tags": tags}
    return App(**{**{field.name: "" for field in dataclasses.fields(App)}, **known})


def test_prune_never_removes_what_a_live_cluster_runs_on(site, fs, prefix, tmp_path):
    old = archives.environment(site, fs, prefix.path)
    (prefix.site / "ray" / "__init__.py").write_text("edited")
    new = archives.environment(site, fs, prefix.path)
    used = inventory.in_use(Register(app("nightly", old.fingerprint)))
    assert used == {old.fingerprint: ("nightly",)}
    by_name = {item.fingerprint: item for item in inventory.items(site, fs, used)}
    assert by_name[old.fingerprint].used_by == ("nightly",)
    assert [one.fingerprint for one in inventory.prune(site, fs, used, dry_run=True).removed] == [new.fingerprint]
    done = inventory.prune(site, fs, used)
    assert [one.fingerprint for one in done.removed] == [new.fingerprint]
    assert done.freed == new.archive.size
    assert staged(tmp_path) == [f"{old.fingerprint}.tar.gz"]
    assert len(staged(tmp_path, "runtime")) == 1  # a replaced container fetches it again
    inventory.prune(site, fs, {})
    assert staged(tmp_path) == staged(tmp_path, "runtime") == []


def test_prune_by_age_and_by_wish(site, fs, prefix, tmp_path):
    shipped = archives.environment(site, fs, prefix.path)
    assert inventory.prune(site, fs, {}, older_than=3600).removed == ()
    kept = inventory.prune(site, fs, {}, keep=[shipped.fingerprint.short]).kept
    assert [item.fingerprint for item in kept] == [shipped.fingerprint]
    assert stage.existing(fs, shipped.archive.path).size == shipped.archive.size


def test_check_tells_without_making(prefix, tmp_path):
    found, problems, known = archives.check(prefix.path)
    assert (found.ray, problems, len(known)) == ("2.60.0", [], 20)
    assert archives.check(tmp_path)[1:] == (archives.check(tmp_path)[1], None)
    assert staged(tmp_path) == []
