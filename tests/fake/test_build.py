"""envs/build.py with a conda that is played: what it is asked for, once, by one of two at once."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

BUILD = Path(__file__).parents[2] / "envs" / "build.py"
CONDA = """#!/bin/sh
echo "$@" >> "$ASKED"
while [ $# -gt 1 ]; do case "$1" in -p) prefix=$2;; -f) file=$2;; esac; shift; done
echo "talks on stdout"
[ -n "$SLOW" ] && sleep 1
[ -n "$FAILS" ] && exit 3
mkdir -p "$prefix/conda-meta" && cp "$file" "$prefix/spec.yaml"
"""


@pytest.fixture
def environ(tmp_path):
    conda = tmp_path / "bin" / "conda"
    conda.parent.mkdir()
    conda.write_text(CONDA)
    conda.chmod(0o755)
    (tmp_path / "asked").write_text("")
    return {
        "PATH": f"{conda.parent}:/usr/bin:/bin", "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "ASKED": str(tmp_path / "asked"),
    }  # fmt: skip


def start(environ, *args):
    command = [sys.executable, BUILD, *args]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def asked(environ):
    return Path(environ["ASKED"]).read_text().splitlines()


def test_conda_makes_it_once_and_the_prefix_is_the_only_line(environ):
    code, out, err = finish(start(environ, "lived-in", "--python", "3.12"))
    assert code == 0, err
    (prefix,) = out.splitlines()
    spec = yaml.safe_load(Path(prefix, "spec.yaml").read_text())
    assert spec["dependencies"][0] == "python=3.12"
    assert spec["dependencies"][-1]["pip"][-1] == f"-e {BUILD.parent}/samples/greeting"
    assert finish(start(environ, "lived-in", "--python", "3.12"))[1] == out
    assert len(asked(environ)) == 1
    assert asked(environ)[0].startswith("env create -y -p ")
    assert finish(start(environ, "lived-in", "--python", "3.13"))[1] != out


def test_two_at_once_one_makes_and_the_other_waits(environ):
    both = [start({**environ, "SLOW": "1"}, "test") for _ in range(2)]
    results = [finish(one) for one in both]
    assert [code for code, _, _ in results] == [0, 0]
    assert results[0][1] == results[1][1]
    assert len(asked(environ)) == 1
    assert sum("another process makes" in err for _, _, err in results) == 1


def test_what_was_not_finished_is_made_anew(environ):
    failed = start({**environ, "FAILS": "1"}, "test", "--python", "3.99")
    code, out, err = finish(failed)
    assert (code, out) == (1, "")
    assert "conda could not make it; making it from a Python of this machine" in err
    assert "error: no Python 3.99 here" in err
    code, out, _ = finish(start(environ, "test", "--python", "3.99"))
    assert code == 0
    assert Path(out.strip(), "conda-meta").is_dir()


def test_an_unknown_name_is_refused_with_the_known_ones(environ):
    code, _, err = finish(start(environ, "nope"))
    assert code == 2
    assert "lived-in" in err
