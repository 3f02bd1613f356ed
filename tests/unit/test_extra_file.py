"""Extra files as they are named, and all that keeps one from travelling."""

import os

import pytest

from rayyarn import extra_file
from rayyarn.spec import ClusterSpec


@pytest.mark.parametrize(
    ("text", "name", "path"),
    [
        ("/models/base.pt", "base.pt", "/models/base.pt"),
        ("/models/base.pt#model", "model", "/models/base.pt"),
        ("/a#b/base.pt#model", "model", "/a#b/base.pt"),
        ("file:///a%20b/base.pt", "base.pt", "/a b/base.pt"),
        ("hdfs:///shared/base.pt", "base.pt", None),
        ("hdfs://nn:8020/shared/base.pt#model", "model", None),
    ],
)
def test_a_name_is_the_files_own_or_stands_behind_it(text, name, path):
    one = extra_file.parse(text)
    assert (one.name, one.path and str(one.path)) == (name, path)


@pytest.mark.parametrize(
    "name", ["base.pt", ".netrc", "a_b+c=d@e-f", "Code", "environment.yaml", "token.json", "r", "tt"]
)
def test_good_names(tmp_path, name):
    (tmp_path / name).touch()
    assert list(extra_file.problems([str(tmp_path / name)])) == []


@pytest.mark.parametrize("name", ["a b", "ä", "a,b", "a:b", "-a", "$(x)", "a'b"])
def test_names_that_spark_and_shells_would_misread(tmp_path, name):
    (tmp_path / name).touch()
    (problem,) = extra_file.problems([str(tmp_path / name)])
    assert problem.endswith("give it another: PATH#NAME")
    assert list(extra_file.problems([f"{tmp_path / name}#other"])) == []


@pytest.mark.parametrize(
    "name",
    ["environment", "runtime.zip", "code", "code2", "token", "variables.json", "connection.json", "jobs", "r0", "t",
     ".skein.pem", ".rayyarn", "rayyarn-token", "__spark_conf__", "launch_container.sh", "container_tokens", "tmp",
     "pyspark.zip", "py4j-0.10.9-src.zip", "default_container_executor.sh"],
)  # fmt: skip
def test_what_is_there_already_is_not_replaced(tmp_path, name):
    (tmp_path / "x").touch()
    (problem,) = extra_file.problems([f"{tmp_path}/x#{name}"])
    assert f"the containers have a {name!r} already" in problem


def test_all_reasons_are_told_together(tmp_path):
    """With the other problems of the spec, each with its origin."""
    (tmp_path / "a.yaml").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    files = (f"{tmp_path}/a.yaml", f"{tmp_path}/a.yaml#b", f"{tmp_path}/none", f"{tmp_path}/folder",
             f"{tmp_path}/pipe", f"{tmp_path}/none2#a.yaml", "hdfs:///a b#ab")  # fmt: skip
    problems = ClusterSpec(files=files, workers=-1).problems({"files": "flag --files"})
    assert [problem.replace(str(tmp_path), "") for problem in problems if problem.startswith("files")] == [
        "files: /none: it is not there (flag --files)",
        "files: /folder: it is a folder, and only files travel; zip it, or send code with --code (flag --files)",
        "files: /pipe: it is not a file (flag --files)",
        "files: /none2: it is not there (flag --files)",
        "files: hdfs:///a b: a URI with a comma or a space is none for Spark (flag --files)",
        "files: 2 files are called 'a.yaml'; give one another name, as in /a.yaml#other (flag --files)",
        "files: /a.yaml: it is given 2 times; one name for one file (flag --files)",
    ]
    assert any(problem.startswith("workers") for problem in problems)


@pytest.mark.skipif(os.geteuid() == 0, reason="everything can be read by root")
def test_a_file_of_somebody_else(tmp_path):
    (tmp_path / "key").touch(0)
    assert list(extra_file.problems([str(tmp_path / "key")])) == [f"{tmp_path}/key: it cannot be read"]


def test_a_file_that_root_could_not_read_either(tmp_path, monkeypatch):
    (tmp_path / "key").touch()
    monkeypatch.setattr(os, "access", lambda path, how: False)
    assert list(extra_file.problems([str(tmp_path / "key")])) == [f"{tmp_path}/key: it cannot be read"]


def test_more_than_a_little_is_refused_with_the_largest(tmp_path):
    for name, size in (("a", 150 << 20), ("b", 60 << 20)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    assert list(extra_file.problems([f"{tmp_path}/a", "hdfs:///huge"])) == []
    (problem,) = extra_file.problems([f"{tmp_path}/a", f"{tmp_path}/b"])
    assert problem == (
        f"they hold 210 MiB, and may hold 200 MiB together; put {tmp_path}/a (150 MiB) on the cluster's file system "
        "and name it there: hdfs:///..."
    )
