"""Programs on the edge: exec, connect, Spark on the same archive, and what they write. Raylets there: test_edge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_edge import SHELL
from test_kills import processes, wait
from test_up_and_down import SMALL

from rayyarn import hadoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Run, Yarn


# A company's edge often has one set, and nothing between it and its own YARN may go there.
DEAD_PROXY = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}


@pytest.fixture(scope="module")
def cluster(yarn: Yarn, prefix: Path) -> Iterator[dict[str, Any]]:
    """Two workers for all tests of this file."""
    rayyarn = Path(sys.executable).with_name("rayyarn")
    # More than half of a node for each worker: Ray is on both hosts, and so is its copy of the environment.
    half = [] if yarn.mini is None else ["--worker-memory", f"{int(yarn.mini.memory * 0.55) >> 20} MiB"]
    up = [rayyarn, "up", "p", "--environment", prefix, "--workers", "2", *SMALL, *half]
    subprocess.run(up, env={**yarn.environ, **DEAD_PROXY}, check=True, timeout=300, capture_output=True)
    seen = subprocess.run([rayyarn, "status", "p", "--json"], env=yarn.environ, capture_output=True, check=True)
    yield json.loads(seen.stdout)["data"]["clusters"][0]
    subprocess.run([rayyarn, "down", "p"], env=yarn.environ, check=True, timeout=120, capture_output=True)


def run(ry: Callable[..., Run], program: str, *, timeout: float = 180, env: dict[str, str] | None = None) -> Run:
    return ry("exec", "p", "--", "python", "-c", textwrap.dedent(program), timeout=timeout, env=env)


def test_a_plain_ray_program(ry: Callable[..., Run], cluster: dict[str, Any], yarn: Yarn) -> None:
    done = run(
        ry,
        """
        import os, time, ray
        ray.init()
        @ray.remote(num_cpus=1)
        def where():
            time.sleep(1)
            return os.environ["CONTAINER_ID"]
        print(ray.get_runtime_context().gcs_address)
        print(int(ray.cluster_resources()["CPU"]))
        print(*sorted(set(ray.get([where.remote() for _ in range(6)]))))
        """,
        env=DEAD_PROXY,
    )
    assert done.rc == 0, done.err
    address, cpus, containers = done.out.splitlines()
    assert (address, cpus) == (cluster["address"], "2")
    attempt = f"appattempt_{cluster['application'].removeprefix('application_')}_000001"
    in_yarn = yarn.get(f"apps/{cluster['application']}/appattempts/{attempt}/containers")["container"]
    workers = sorted(node["container"] for node in cluster["nodes"] if node["role"] == "worker")
    assert containers.split() == workers
    assert set(workers) < {one["containerId"] for one in in_yarn}


@pytest.mark.parametrize("how", [("RAY_AUTH_MODE=disabled",), ("RAY_AUTH_TOKEN_PATH=", "RAY_AUTH_TOKEN=" + "0" * 64)])
def test_without_the_token(ry: Callable[..., Run], cluster: dict[str, Any], how: tuple[str, ...]) -> None:
    program = "import ray\ntry: ray.init()\nexcept Exception as e: print(type(e).__name__, e, repr(e.__cause__))"
    started = time.monotonic()
    done = ry("exec", "p", "--", "env", *how, "python", "-c", program)
    assert "Authentication" in done.out, done.out + done.err
    assert time.monotonic() - started < 60  # Ray's own tries take 23 s; a time-out would be 61


def test_exit_codes_are_the_programs(ry: Callable[..., Run], cluster: dict[str, Any]) -> None:
    assert run(ry, "raise SystemExit(7)").rc == 7
    assert run(ry, "import os; os.kill(os.getpid(), 9)").rc == 137
    assert ry("exec", "p", "--", "no-such-program").rc == 127
    assert ry("exec", "nobody", "--", "true").rc == 125


def test_rayyarn_can_be_imported_though_the_environment_has_none(ry: Callable[..., Run], cluster: object) -> None:
    done = run(ry, "import rayyarn, sys; print(rayyarn.connect('p').name, sys.prefix)")
    assert done.out.split()[0] == "p", done.err


def test_spark_and_ray_in_one_program(ry: Callable[..., Run], cluster: dict[str, Any], yarn: Yarn) -> None:
    done = run(
        ry,
        """
        import os, ray, rayyarn
        with rayyarn.connect("p") as cluster:
            cluster.ray()
            # Without its pages: now and then Spark 4.3 fails to start them (ConcurrentModificationException in Jetty).
            spark = cluster.spark("beside", executor_instances=1, executor_memory="512m", yarn_am_memory="512m",
                                  ui_enabled=False)
            def where(rows):
                import sys, pyspark
                own = "/environment/bin/python" in sys.executable and "/environment/lib/" in pyspark.__file__
                yield os.environ["CONTAINER_ID"], own, os.environ["LOCALIZATION_COUNTERS"]
            found = spark.sparkContext.parallelize(range(4), 2).mapPartitions(where).collect()
            for container, own, counters in set(found):
                print("executor", container, own, counters)
            print("count", spark.range(1000).count(), int(ray.cluster_resources()["CPU"]))
            try:
                cluster.spark("other", executor_memory="600m")
            except rayyarn.RayYarnError as error:
                print("refused", error)
            spark.stop()
        """,
        env={"SPARK_API_MODE": "connect", "PYSPARK_SUBMIT_ARGS": "--master local[2] pyspark-shell"},  # a notebook's
        timeout=300,
    )
    assert done.rc == 0, done.err
    lines = done.out.splitlines()
    executor = next(line.split() for line in lines if line.startswith("executor"))
    assert executor[2] == "True"
    fetched, cached = map(int, executor[3].split(",")[:2])
    assert "count 1000 2" in lines
    assert any("spark.executor.memory='512m', not '600m'" in line for line in lines if line.startswith("refused"))
    if yarn.mini is not None or not hadoop.find(yarn.conf_dir).default_fs.startswith("viewfs:"):
        # Elsewhere Spark names what lies in a viewfs by its target and Skein does not: each has a copy of its own.
        assert cached > 500 << 20, "the executor unpacked the environment again instead of sharing Ray's copy"
        assert fetched < 600 << 20  # Spark's own jars, the first time


SUBMITTED = """
import json, os, pathlib, sys, ray, rayyarn
ray.init()
@ray.remote(num_cpus=1)
def where():
    return os.environ["CONTAINER_ID"]
ran = ray.get(where.remote())
with rayyarn.connect() as cluster:
    cluster.ray()
    spark = cluster.spark("submitted", executor_instances=1, executor_memory="512m", ui_enabled=False)
    python = spark.sparkContext.parallelize([1], 1).map(lambda _: sys.executable).collect()
    told = {"ray": ran, "executor": python[0], "name": cluster.name}
    spark.stop()
told |= {"container": os.environ.get("CONTAINER_ID", ""), "driver": sys.executable}
pathlib.Path(sys.argv[1]).write_text(json.dumps(told))
"""


def test_one_program_in_both_modes_of_spark_submit(
    yarn: Yarn, cluster: dict[str, Any], prefix: Path, tmp_path: Path
) -> None:
    """Unchanged, from a connected shell: Ray and Spark answer on the edge, and in a container of Spark itself."""
    if yarn.mini is None:
        pytest.skip("reads what the driver wrote on its own machine")
    program, conf = tmp_path / "program.py", tmp_path / "a b.conf"
    program.write_text(SUBMITTED)
    rayyarn = Path(sys.executable).with_name("rayyarn")
    small = "--conf spark.driver.memory=600m --conf spark.yarn.am.memory=512m --conf spark.yarn.maxAppAttempts=1"
    script = (
        f'{SHELL}; "$0" connect p --spark-conf "$1"; shift; exec spark-submit --properties-file "{conf}" {small} "$@"'
    )
    workers = {node["container"] for node in cluster["nodes"] if node["role"] == "worker"}
    for mode in ("client", "cluster"):
        told_in = tmp_path / f"{mode}.json"
        done = subprocess.run(
            ["bash", "-c", script, rayyarn, conf, "--deploy-mode", mode, program, told_in],
            env=yarn.environ, capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert conf.stat().st_mode & 0o777 == 0o600
        told = json.loads(told_in.read_text())
        assert told["ray"] in workers
        assert told["name"] == "p"
        assert "/environment/bin/python" in told["executor"]
        if mode == "client":
            assert (told["container"], Path(told["driver"]).parent) == ("", prefix / "bin")
        else:
            assert told["container"].startswith("container_")
            assert f"{told['container']}/environment/bin/python" in told["driver"]


def test_the_logs_of_a_running_cluster(ry: Callable[..., Run], cluster: dict[str, Any], yarn: Yarn) -> None:
    program = """
    import ray
    ray.init(log_to_driver=False)
    @ray.remote(num_cpus=1)
    def say(): print("a word of a task")
    ray.get(say.remote())
    """
    assert run(ry, program).rc == 0
    shown = ry("logs", "p")
    # It was written in full, and not each second that there is no dashboard.
    assert "dashboard_agent.log" in shown.out
    assert "Get dashboard http address failed" not in shown.out
    assert shown.rc == 0, shown.err
    lines = [line.split("\t", 2) for line in shown.out.splitlines()]
    word = next((node, file) for node, file, text in lines if text == "a word of a task")
    assert word[0] in ("worker-0", "worker-1")
    assert word[1].startswith("worker-")
    head = next(node for node in cluster["nodes"] if node["role"] == "head")
    files = {file for node, file, _ in lines if node == "head"}
    assert {"raylet.out", "gcs_server.out", "head.log", "ray-start.log"} <= files
    ends = [f"{line['file']} {line['text']}" for line in ry("logs", "p", "--tail", "1", "--json").data["lines"]]
    assert len(ends) < len(lines) / 4
    assert ry("logs", "p", "--node", head["container"], "--tail", "1").out.splitlines()[0].startswith("head\t")
    wrong = ry("logs", "p", "--node", "worker-77")
    assert (wrong.rc, "there are: head, worker-0, worker-1" in wrong.err) == (2, True)
    if yarn.mini is not None:
        folders = [path.parent for path in Path(yarn.mini.folder).glob("nodes/*/logs/*/*/raylet.out")]
        assert len(folders) == 3
        # Ray's workers open it; the supervisor closes it within a second.
        wait("YARN's log folders are closed", lambda: not [one for one in folders if one.stat().st_mode & 0o007], 5)


def test_the_token_is_nowhere_to_be_read(ry: Callable[..., Run], cluster: dict[str, Any], yarn: Yarn) -> None:
    document = Path(cluster["connection_file"])
    token = (document.parent / json.loads(document.read_text())["secrets"]["token"]).read_text()
    assert len(token) == 64
    assert token not in document.read_text()
    assert token not in subprocess.run(["ps", "-eo", "args", "ww"], capture_output=True, text=True).stdout
    pages = [f"{yarn.rm_web}/cluster/app/{cluster['application']}", f"{yarn.rm_web}/ws/v1/cluster/apps"]
    pages += [f"{yarn.rm_web}/proxy/{cluster['application']}/{page}" for page in ("", "overview", "kv")]
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for page in pages:
        with direct.open(f"{page}?user.name={os.environ.get('USER', 'root')}", timeout=20) as answer:
            assert token not in answer.read().decode(errors="replace"), page
    if yarn.mini is not None:
        logs = [path for path in Path(yarn.mini.folder).glob("nodes/*/logs/**/*") if path.is_file()]
        assert logs
        assert not [path for path in logs if token.encode() in path.read_bytes()]
        containers = [node["container"] for node in cluster["nodes"]]
        assert not [c for one in containers for c in processes(one).values() if token in c]
