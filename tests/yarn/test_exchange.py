"""Spark to Ray and back on a real cluster: what must come of what exchange_checks.py does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Yarn

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs" / "exchange.md"
Seen = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def seen(yarn: Yarn, prefix: Path) -> Seen:
    """What all checks said, by check, on the newest Spark. One cluster for all."""
    return run(yarn, prefix, [], ["exchange_checks.py"], ["exchange_connect.py"])


@pytest.fixture(scope="module")
def seen_on_35(yarn: Yarn) -> Seen:
    """What some of the checks said on Spark 3.5, on Ray nodes with a small store that find no room to spill to."""
    full = ["--worker-object-store", "100 MiB", "--env-vars", "RAY_local_fs_capacity_threshold=0.01"]
    checks = ["exchange_checks.py", "one_fault", "leases", "types_at_once", "strangers", "full"]
    return run(yarn, spark_35(), full, checks)


@pytest.fixture(scope="module", params=["seen", "seen_on_35"], ids=["Spark 4", "Spark 3.5"])
def seen_on_each(request: pytest.FixtureRequest) -> Seen:
    """The same checks on one Spark and on the other."""
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def spark_35() -> Path:
    """An environment with Spark 3.5, built once per machine."""
    build = [sys.executable, HERE.parents[1] / "envs" / "build.py", "spark35"]
    done = subprocess.run(build, stdout=subprocess.PIPE, text=True, timeout=900, check=True)
    return Path(done.stdout.strip())


def run(yarn: Yarn, prefix: Path, sizes: list[str], *programs: list[str], limit: float = 900) -> Seen:
    """What programs say on a cluster of their own: lines of JSON. ``limit``: seconds that each may take."""
    rayyarn = Path(sys.executable).with_name("rayyarn")
    # On one machine the program joins by the head's raylet, and Ray Data keeps actors of its own where a program is.
    sizes = ["--head-memory", "3 GiB", "--worker-memory", "3.5 GiB", "--worker-cpus", "1", *sizes]
    up = [rayyarn, "up", "x", "--environment", prefix, "--workers", "2", *sizes]
    subprocess.run(up, env=yarn.environ, check=True, timeout=300, capture_output=True)
    try:
        runs = [
            subprocess.run(
                [rayyarn, "exec", "x", "--", "python", HERE / program, *checks],
                env=yarn.environ, capture_output=True, text=True, timeout=limit,
            ) for program, *checks in programs
        ]  # fmt: skip
    finally:
        subprocess.run([rayyarn, "down", "x"], env=yarn.environ, check=True, timeout=120, capture_output=True)
    found: Seen = {}
    for done in runs:
        assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        for line in done.stdout.splitlines():
            if line.startswith("@{"):
                fact = json.loads(line[1:])
                found.setdefault(fact["check"], []).append(fact)
    return found


@pytest.mark.timeout(1500)  # the first test of this file waits for the program
def test_every_check_ran(seen_on_each: Seen) -> None:
    assert seen_on_each.get("broken", []) == []


FAULTS = (
    "none",
    "task raises after half its rows",
    "executor killed in mid-stream",
    "a slow task and its speculative copy",
    "executor killed with its shuffle files",
    "receiver killed in mid-stream",
)


@pytest.mark.parametrize("path", ["jvm", "python"])
@pytest.mark.parametrize("name", FAULTS)
def test_every_row_arrives_exactly_once(seen: Seen, name: str, path: str) -> None:
    fact = next(one for one in seen["fault"] if (one["name"], one["path"]) == (name, path))
    assert (fact.get("failed"), fact["rows"], fact["exact"]) == (None, 60_000, True)
    assert (fact["orphans"], fact["left"]) == (0, 0)


def test_every_row_arrives_exactly_once_from_spark_35(seen_on_35: Seen) -> None:
    (fact,) = seen_on_35["fault"]
    assert (fact.get("failed"), fact["rows"], fact["exact"]) == (None, 60_000, True)
    assert (fact["orphans"], fact["left"]) == (0, 0)


@pytest.mark.big  # whole nodes come and go: more than a minute, and longer on a busy machine
@pytest.mark.parametrize("name", ["two nodes die, one after the other", "two nodes die at once"])
def test_nodes_that_die_cost_time_and_no_row(seen: Seen, name: str) -> None:
    fact = next(one for one in seen["fault"] if one["name"] == name)
    assert (fact.get("failed"), fact["rows"], fact["exact"]) == (None, 60_000, True)
    assert (fact["orphans"], fact["left"]) == (0, 0)
    assert fact["rounds"] > 1


@pytest.mark.parametrize("path", ["jvm", "python"])
def test_a_store_that_is_full_ends_it_at_once_with_the_cause(seen_on_35: Seen, path: str) -> None:
    fact = next(one for one in seen_on_35["full"] if one["path"] == path)
    assert re.match(r"ExchangeFailed: Ray's object store on the node \w{8} is full, and there is no", fact["error"])
    assert "OutOfDiskError: Local disk is full" in fact["error"]
    assert (fact["code"], fact["left"], fact["seconds"] < 60) == ("exchange_failed", 0, True)
    assert next(one for one in seen_on_35["full"] if one["path"] == "afterwards")["rows"] == 60_000


def test_an_attempt_that_fails_after_the_receipt_does_not_count(seen: Seen) -> None:
    fact = next(one for one in seen["fault"] if one["name"] == "task fails after Ray's receipt")
    assert (fact["rows"], fact["received"], fact["exact"]) == (60_000, 70_000, True)
    assert (fact["orphans"], fact["left"]) == (0, 0)


def test_what_cannot_finish_says_why_and_frees_all(seen: Seen) -> None:
    facts = [one for one in seen["fault"] if one["name"] == "a partition that always fails"]
    assert len(facts) == 2
    for fact in facts:
        assert fact["failed"].endswith("| RuntimeError: this partition cannot be computed")
        assert fact["left"] == 0


def test_an_interrupt_cancels_the_job_and_frees_all(seen: Seen) -> None:
    (fact,) = seen["interrupt"]
    assert (fact["ended"], fact["left"], fact["running"]) == ("KeyboardInterrupt", 0, [])


def test_what_cannot_be_carried_is_refused_before_any_job(seen: Seen) -> None:
    facts = {one["name"]: one for one in seen["refused"]}
    assert "i is a year-month interval" in facts["year-month interval"]["error"]
    assert "s.a[] is a year-month interval" in facts["nested year-month interval"]["error"]
    told = ("i is a calendar interval", "a type that this PySpark itself cannot read")  # the latter before Spark 4
    assert any(text in facts["calendar interval"]["error"] for text in told)
    assert "two columns are called 'x'" in facts["duplicate names"]["error"]
    assert facts["path"]["code"] == "bad_usage"
    intervals = ("year-month interval", "nested year-month interval", "calendar interval")
    for name in (*intervals, "duplicate names", "no columns"):
        assert (facts[name]["code"], facts[name]["jobs"]) == ("exchange_refused", 0)
        assert facts[name]["hint"]
    assert "is over the limit of 1048576: raise frame_limit" in facts["frame limit"]["error"]


def test_shapes(seen: Seen) -> None:
    facts = {one["name"]: one for one in seen["shape"]}
    assert (facts["empty partitions"]["rows"], facts["empty partitions"]["blocks"]) == (1, 1)
    assert (facts["zero rows"]["rows"], facts["zero rows"]["back"]) == (0, 0)
    assert facts["zero rows"]["fields"] == ["id", "s"]
    assert (facts["1,000 columns"]["columns"], facts["1,000 columns"]["equal"]) == (1000, True)
    assert facts["cells of 100 MB"]["sizes"] == facts["cells of 100 MB"]["back"] == [100_000_000] * 2
    assert facts["small blocks"]["blocks"] > 2


def test_one_large_partition_lies_whole_nowhere(seen: Seen) -> None:
    (fact,) = seen["large"]
    assert fact["size"] > 290_000_000
    assert 1 < fact["pieces"] <= 5  # not one for each of Spark's batches of a MB
    assert (fact["exact"], fact["left"]) == (True, 0)
    assert max(fact["there"]["Spark's Python worker"], fact["back"]["Spark's Python worker"]) < 200


def test_many_partitions(seen: Seen) -> None:
    (fact,) = seen["many"]
    assert (fact["partitions"], fact["rows"], fact["blocks"]) == (500, 1500, 500)
    assert all(connections and frozen > 10_000 for connections, frozen in fact["workers"])  # see ends/prompt.py
    assert (fact["ordered"], fact["exact"], fact["left"]) == (True, True, 0)


def test_blocks_live_as_long_as_their_lease(seen_on_each: Seen) -> None:
    facts = {one["name"]: one for one in seen_on_each["lease"]}
    assert facts["the Dataset is gone, the DataFrame is run twice"]["rows"] == [50_000, 50_000]
    assert (facts["released"]["ended"], facts["released"]["left"]) == (1, 0)
    assert "the blocks of this DataFrame are no longer lent by Ray" in facts["released"]["error"]
    assert (facts["with"]["rows"], facts["with"]["left"]) == (10, 0)
    assert facts["nothing lent"]["error"] == "this DataFrame reads nothing from Ray"
    assert facts["retried"]["rows"] == 100_000


def test_spark_is_asked_to_read_blocks_on_the_hosts_that_hold_them(seen_on_each: Seen) -> None:
    (fact,) = [one for one in seen_on_each["lease"] if one["name"] == "near"]
    assert set() < set(fact["wanted"]) <= set(fact["held"])  # one of them may hold all: that of Spark's tasks
    assert not fact["broadcast"]  # how large it is nobody knows, so nobody may take it for small


def test_strangers_get_nothing(seen_on_each: Seen) -> None:
    (fact,) = seen_on_each["strangers"]
    assert (fact["rows"], fact["after"]) == (60_000, 0)  # nobody listens when the transfer is over
    assert "0.0.0.0" not in fact["listening"]
    assert fact["wrong secret"] == "the connection was closed"
    assert fact["a frame at once"] == "cut off"


def test_receivers_need_no_cpu(seen: Seen) -> None:
    assert seen["busy"][0]["rows"] == 60_000


def test_freed_memory_is_kept_for_the_next_block_and_given_back_at_the_end(seen: Seen) -> None:
    (fact,) = seen["freed"]
    assert 60 << 20 < fact["kept"] < 100 << 20  # the second block took no memory of its own
    assert fact["left"] < 20 << 20


def test_the_dataset_outlives_spark_and_the_lease_does_not(seen: Seen) -> None:
    (fact,) = seen["after"]
    assert (fact["rows"], fact["alive"], fact["total"], fact["leases"]) == (60_000, 60_000, 60_000, 0)
    assert (fact["left"], fact["joined"]) == (0, False)  # to end a lease nobody joins Ray again


def test_every_type_comes_home(seen: Seen) -> None:
    wrong = [
        one for one in seen["type"] if "absent" not in one and not all(
            one.get(path, {}).get(what) for path in ("jvm", "python") for what in ("type", "values"))
    ]  # fmt: skip
    assert wrong == []
    assert len(seen["type"]) > 28


@pytest.mark.parametrize("path", ["jvm", "python"])
def test_every_type_of_spark_35_comes_home(seen_on_35: Seen, path: str) -> None:
    fact = next(one for one in seen_on_35["types at once"] if one["path"] == path)
    assert (fact["absent"], fact["columns"]) == (["time", "variant"], 24)
    assert (fact["wrong"], fact["values"]) == ([], True)


def test_the_table_of_types_in_the_docs_is_what_was_seen(seen: Seen) -> None:
    text = DOCS.read_text(encoding="utf-8")
    for one in seen["type"]:
        if "absent" not in one and " in " not in one["name"]:
            row = f"| {one['name']} | `{one['spark']}` | `{one['arrow']}` |"
            assert row in text, f"docs/exchange.md lacks the row\n{row}"


def test_spark_connect_takes_the_public_path(seen: Seen) -> None:
    (fact,) = seen["connect"]
    assert (fact["path"], fact["rows"], fact["back"], fact["same"]) == ("python", 60_000, 60_000, True)
    assert (fact["ended"], fact["gone"], fact["leases"], fact["alive"]) == (1, True, 0, 60_000)
    assert 'the path "jvm" needs a classic session' in fact["refused"]


def test_spark_connect_runs_on_yarn_in_the_environment_of_the_cluster(seen: Seen) -> None:
    (fact,) = seen["connect"]
    assert (fact["kind"], fact["again"]) == ("pyspark.sql.connect.session", True)
    assert fact["pythons"] == ["container: bin/python"]
    classic, other = fact["others"]
    assert classic == "a Spark Connect session is active in this program"
    assert other == "a Spark session with other settings is active: spark.executor.cores='2', not '1'"
    assert fact["stopped"] == [True, []]
