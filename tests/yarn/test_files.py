"""Extra files (`up --files`) on a real YARN: who sees them, how, and that no copy is left of what may be a secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rayyarn import filesystem, hadoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Run, Yarn

RAYYARN = Path(sys.executable).with_name("rayyarn")
SECRET, MODEL = f"password: {uuid.uuid4().hex}", 3 << 20
# What a task, an executor, a job or a driver says of the three files: by plain name, and by the variable. The secret is
# turned round: what a program prints stays in its log.
LOOK = """
import os
def look(*_):
    folder = os.environ.get("RAYYARN_FILES_DIR", "none")
    plain = [open("app.yaml").read()[::-1], os.path.getsize("model"), open("there.txt").read()]
    found = [open(os.path.join(folder, "app.yaml")).read()[::-1], os.path.getsize(os.path.join(folder, "model"))]
    return [os.environ.get("CONTAINER_ID", "-"), *plain, *found, oct(os.stat("app.yaml").st_mode & 0o077)]
"""
SPARK = """
def executors(spark):
    from pyspark import SparkFiles
    context = spark.sparkContext
    seen = context.parallelize(range(2), 2).map(look).collect()
    said = context.parallelize([1], 1).map(lambda _: open(SparkFiles.get("app.yaml")).read()).collect()
    return [[*one, said[0]] for one in seen]
"""
SMALL_SPARK = (
    "executor_instances=1, executor_memory='512m', yarn_am_memory='512m', driver_memory='512m', ui_enabled=False"
)


@dataclass(frozen=True)
class Sent:
    """A cluster with files, and the folder on this edge where they lie."""

    words: list[str | Path]  # that brought it up
    folder: Path
    nodes: list[dict[str, Any]]
    document: Path

    def workers(self) -> list[str]:
        return sorted(node["container"] for node in self.nodes if node["role"] == "worker")


@pytest.fixture(scope="module")
def sent(yarn: Yarn, prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    folder = tmp_path_factory.mktemp("files")
    (folder / "app.yaml").write_text(SECRET)
    (folder / "base.pt").write_bytes(os.urandom(MODEL))
    (folder / "code").mkdir()
    (folder / "code" / "mine.py").write_text("LEVEL = 3")
    site = hadoop.find(yarn.conf_dir)
    fs, there = filesystem.open(site), f"{site.home}/there.txt"
    fs.write(there, b"it lay there", 0o600)
    words = ["up", "f", "--environment", prefix, "--workers", "2", "--worker-cpus", "1", "--worker-memory", "2 GiB"]
    words += ["--head-memory", "3 GiB", "--code", folder / "code"]
    words += ["--files", f"{folder}/app.yaml,{folder}/base.pt#model", "--files", fs.uri(there)]
    subprocess.run([RAYYARN, *words], env=yarn.environ, check=True, timeout=300, capture_output=True)
    seen = subprocess.run([RAYYARN, "status", "f", "--json"], env=yarn.environ, capture_output=True, check=True)
    (cluster,) = json.loads(seen.stdout)["data"]["clusters"]
    yield Sent(words, folder, cluster["nodes"], Path(cluster["connection_file"]))
    subprocess.run([RAYYARN, "down", "f"], env=yarn.environ, check=True, timeout=120, capture_output=True)
    fs.remove(there)


def said(out: str) -> Any:
    """What a program printed after RESULT."""
    return json.loads(next(line for line in out.splitlines() if line.startswith("RESULT ")).removeprefix("RESULT "))


def good(seen: list[Any]) -> None:
    _, *rest = seen
    assert rest[:5] == [SECRET[::-1], MODEL, "it lay there", SECRET[::-1], MODEL]
    assert rest[5] == "0o0", "readable by others"


def test_workers_executors_and_a_program_on_the_edge(ry: Callable[..., Run], sent: Sent, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        LOOK
        + SPARK
        + textwrap.dedent(f"""
        import json, time, ray, rayyarn
        with rayyarn.connect() as cluster:
            cluster.ray()
            @ray.remote(num_cpus=1)
            def task():
                time.sleep(1)
                return look()
            tasks = ray.get([task.remote() for _ in range(6)])
            spark = cluster.spark("files", {SMALL_SPARK})
            told = {{"tasks": tasks, "executors": executors(spark)}}
            spark.stop()
            here = [cluster.file(name).read_bytes() for name in ("app.yaml", "model", "there.txt")]
            told["here"] = [here[0].decode(), len(here[1]), here[2].decode()]
            told["plain"] = sorted(os.listdir(os.environ["RAYYARN_FILES_DIR"]))
            try:
                cluster.file("nothing")
            except rayyarn.RayYarnError as error:
                told["error"] = str(error)
        print("RESULT", json.dumps(told))
        """)
    )
    done = ry("exec", "f", "--", "python", program, timeout=300)
    assert done.rc == 0, done.err
    told = said(done.out)
    for one in told["tasks"]:
        good(one)
    assert sorted({one[0] for one in told["tasks"]}) == sent.workers()
    for *one, by_spark in told["executors"]:
        good(one)
        assert by_spark == SECRET
    assert told["here"] == [SECRET, MODEL, "it lay there"]
    assert {"app.yaml", "model"} <= set(told["plain"])
    assert "no file 'nothing'; it has: app.yaml, model, there.txt" in told["error"]


def test_a_spark_connect_session_finds_them_and_the_code(ry: Callable[..., Run], sent: Sent, tmp_path: Path) -> None:
    """Its Python workers run in a folder of their own in the container."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(f"""
        import json, os, rayyarn
        from pyspark.sql.functions import udf
        with rayyarn.connect() as cluster:
            spark = cluster.spark("c", api_mode="connect", {SMALL_SPARK})
            @udf
            def seen(number):
                import mine
                with open(os.path.join(os.environ["RAYYARN_FILES_DIR"], "app.yaml")) as file:
                    return json.dumps([file.read()[::-1], mine.LEVEL])
            told = json.loads(spark.range(1).select(seen("id")).first()[0])
            spark.stop()
        print("RESULT", json.dumps(told))
        """)
    )
    # The server is this program's JVM, and leaves a folder where Java has its temporary files.
    scratch = {"JAVA_TOOL_OPTIONS": f"-Djava.io.tmpdir={tmp_path}"}
    done = ry("exec", "f", "--", "python", program, timeout=300, env=scratch)
    assert done.rc == 0, done.err
    assert said(done.out) == [SECRET[::-1], 3]


def test_a_job_finds_them_in_its_folder(ry: Callable[..., Run], sent: Sent, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(LOOK + "import json\nprint('RESULT', json.dumps(look()))")
    done = ry("submit", "f", "--", tmp_path / "job.py")
    assert done.rc == 0, done.err
    good(said(done.out))
    (tmp_path / "app.yaml").write_text("mine")
    done = ry("submit", "f", "--working-dir", tmp_path, "--", "cat", "app.yaml")
    assert done.out == "mine", done.err  # what is sent along with a job goes before what the cluster has


def test_spark_submit_in_cluster_mode_finds_them(yarn: Yarn, sent: Sent, tmp_path: Path) -> None:
    if yarn.mini is None:
        pytest.skip("reads what the driver wrote on its own machine")
    program, conf, told_in = tmp_path / "program.py", tmp_path / "f.conf", tmp_path / "told.json"
    program.write_text(
        LOOK
        + SPARK
        + textwrap.dedent("""
        import json, pathlib, sys
        from pyspark.sql import SparkSession
        spark = SparkSession.builder.getOrCreate()
        told = {"driver": look(), "executors": executors(spark)}
        spark.stop()
        pathlib.Path(sys.argv[1]).write_text(json.dumps(told))
        """)
    )
    small = [f"spark.{key}={value}" for key, value in
             {"driver.memory": "600m", "executor.memory": "512m", "executor.instances": "1", "ui.enabled": "false",
              "yarn.maxAppAttempts": "1"}.items()]  # fmt: skip
    flags = [word for one in small for word in ("--conf", one)]
    script = 'eval "$("$0" connect f --shell --quiet)"; "$0" connect f --spark-conf "$1"; shift; exec spark-submit "$@"'
    done = subprocess.run(
        ["bash", "-c", script, RAYYARN, conf, "--properties-file", conf, *flags, "--deploy-mode", "cluster", program,
         told_in],
        env=yarn.environ, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(told_in.read_text())
    good(told["driver"])
    for *one, by_spark in told["executors"]:
        good(one)
        assert by_spark == SECRET


def test_an_edited_file_is_another_cluster_and_programs_still_see_what_was_sent(
    ry: Callable[..., Run], sent: Sent
) -> None:
    model = sent.folder / "base.pt"
    before = model.read_bytes()
    model.write_bytes(b"edited")
    done = ry("exec", "f", "--", "bash", "-c", 'wc -c < "$RAYYARN_FILES_DIR/model"')
    assert int(done.out) == MODEL, done.err  # fetched: the original is another file now
    assert "model has changed since the cluster 'f' came up with it" in done.err
    again = ry(*sent.words)
    assert (again.rc, "files: model changed since it came up" in again.err) == (1, True), again.err
    model.write_bytes(before)
    assert ry(*sent.words).rc == 0


def test_nothing_small_is_left(ry: Callable[..., Run], sent: Sent, yarn: Yarn) -> None:
    """The last test of this file: the cluster is gone after it."""
    site = hadoop.find(yarn.conf_dir)
    fs = filesystem.open(site)
    staged = fs.list(f"{site.home}/.rayyarn/files")
    assert [name.partition(".")[2] for name in staged] == ["model"]
    assert {one.mode & 0o777 for one in staged.values()} == {0o600}
    assert ry("down", "f").rc == 0
    assert not sent.document.exists()
    where = [yarn.watch.home]
    if yarn.mini is not None:
        where.append(Path(yarn.mini.folder))
    # Spark knows no visibility `application`: what its executors fetched stays in this user's cache on the node.
    left = [
        path for root in where for path in root.rglob("*")
        if path.is_file() and path.stat().st_size < 1000 and SECRET.encode() in path.read_bytes()
    ]  # fmt: skip
    assert [path for path in left if "usercache" not in path.parts or "appcache" in path.parts] == []
    assert {path.parent.parent.name for path in left} <= {"filecache"}
    assert {path.stat().st_mode & 0o077 for path in left} <= {0}
