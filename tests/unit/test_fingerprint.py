"""Content ids: what changes them, what does not, and when the cheap one is believed."""

import os

import pytest
from prefixes import Prefix

from rayyarn import fingerprint


@pytest.fixture
def prefix(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "home"))
    made = Prefix(tmp_path)
    made.ray()
    return made


def test_it_is_stable_and_short(prefix):
    one = fingerprint.of(prefix.path)
    assert one == fingerprint.of(prefix.path)
    assert len(one) >= 16
    assert one.short == one[:8]
    int(one, 16)


@pytest.mark.parametrize("change", ["edit", "touch", "mode", "new", "gone", "link"])
def test_a_hand_in_the_prefix_is_noticed(prefix, change):
    before = fingerprint.of(prefix.path)
    file = prefix.site / "ray" / "__init__.py"
    if change == "edit":
        file.write_text("x = 1\n")
    elif change == "touch":
        os.utime(file, (1, 1))
    elif change == "mode":
        file.chmod(0o700)
    elif change == "new":
        (prefix.site / "new.py").write_text("")
    elif change == "gone":
        file.unlink()
    else:
        (prefix.path / "bin/python").unlink()
        (prefix.path / "bin/python").symlink_to("python3")
    assert fingerprint.of(prefix.path) != before


def test_what_using_an_environment_leaves_behind_does_not_count(prefix):
    before = fingerprint.of(prefix.path)
    for folder in (prefix.site / "ray" / "__pycache__", prefix.path / "pkgs" / "x", prefix.path / "envs" / "other"):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
    assert fingerprint.of(prefix.path) == before


def test_a_new_pack_format_or_conda_pack_is_other_content(prefix, monkeypatch):
    before = fingerprint.of(prefix.path)
    monkeypatch.setattr(fingerprint, "PACK_FORMAT", 99)
    changed = fingerprint.of(prefix.path)
    monkeypatch.setattr(fingerprint, "_conda_pack", lambda: "99.0")
    assert len({before, changed, fingerprint.of(prefix.path)}) == 3


def test_where_walking_is_slow_the_records_decide(prefix, monkeypatch):
    monkeypatch.setattr(fingerprint, "SLOW_WALK", -1.0)
    said = []
    full = fingerprint.of(prefix.path, note=said.append)
    assert said == []  # the first time all of it is walked
    (prefix.site / "ray" / "__init__.py").write_text("edited by hand")
    assert fingerprint.of(prefix.path, note=said.append) == full
    assert "compared by its package records only" in said[0]
    assert "--recheck" in said[0]
    rechecked = fingerprint.of(prefix.path, recheck=True)
    assert rechecked != full
    assert fingerprint.of(prefix.path) == rechecked  # and the new walk is what is remembered


def test_where_walking_is_slow_pip_is_noticed_all_the_same(prefix, monkeypatch):
    monkeypatch.setattr(fingerprint, "SLOW_WALK", -1.0)
    before = fingerprint.of(prefix.path)
    prefix.pip("another", "1.0")
    assert fingerprint.of(prefix.path) != before


def test_slowness_is_forgotten_after_an_hour(prefix, monkeypatch):
    monkeypatch.setattr(fingerprint, "SLOW_WALK", -1.0)
    monkeypatch.setattr(fingerprint.time, "time", lambda: 1000.0)
    before = fingerprint.of(prefix.path)
    (prefix.site / "ray" / "__init__.py").write_text("edited by hand")
    monkeypatch.setattr(fingerprint.time, "time", lambda: 1000.0 + 3601)
    assert fingerprint.of(prefix.path) != before


def test_archives_are_known_by_their_bytes(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "home"))
    one, two, other = (tmp_path / name for name in ("one.tar.gz", "two.tar.gz", "other.tar.gz"))
    one.write_bytes(b"same")
    two.write_bytes(b"same")
    other.write_bytes(b"else")
    assert fingerprint.of_archive(one) == fingerprint.of_archive(two) != fingerprint.of_archive(other)


def test_two_checkouts_of_one_commit_are_equal(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "home"))
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text("x = 1\n")
    os.utime(tmp_path / "there" / "a.py", (1, 1))
    here, there = ([("a.py", tmp_path / name / "a.py")] for name in ("here", "there"))
    before = fingerprint.of_tree(here)
    assert before == fingerprint.of_tree(there)
    assert before != fingerprint.of_tree(here, salt="cpython-313")
    (tmp_path / "here" / "a.py").write_text("x = 2\n")
    assert fingerprint.of_tree(here) != before
