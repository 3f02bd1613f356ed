"""The sizes that `make test` has no time for, and Spark 3.5 in full: `make test-big`, some twenty minutes."""

from __future__ import annotations

import os
import platform
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from test_exchange import (  # noqa: F401 - pytest runs them here too, with the fixtures below
    Seen,
    run,
    spark_35,
    test_an_attempt_that_fails_after_the_receipt_does_not_count,
    test_an_interrupt_cancels_the_job_and_frees_all,
    test_blocks_live_as_long_as_their_lease,
    test_every_check_ran,
    test_every_row_arrives_exactly_once,
    test_every_type_comes_home,
    test_many_partitions,
    test_nodes_that_die_cost_time_and_no_row,
    test_one_large_partition_lies_whole_nowhere,
    test_receivers_need_no_cpu,
    test_shapes,
    test_strangers_get_nothing,
    test_the_dataset_outlives_spark_and_the_lease_does_not,
    test_what_cannot_be_carried_is_refused_before_any_job,
    test_what_cannot_finish_says_why_and_frees_all,
)

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Yarn

pytestmark = [pytest.mark.big, pytest.mark.timeout(3300)]


@pytest.fixture(scope="module")
def seen(yarn: Yarn) -> Seen:
    """What all checks said on Spark 3.5."""
    found = run(yarn, spark_35(), [], ["exchange_checks.py"], ["exchange_checks.py", "nodes_die"], limit=2000)
    title(found, "all checks")
    print("| fault | path | rows received | rows accepted | s | blocks left |")
    for one in found["fault"]:
        rows = f"{one.get('received', '')} | {one.get('rows', one.get('failed'))}"
        print(f"| {one['name']} | {one['path']} | {rows} | {one['seconds']} | {one['left']} |")
    return found


@pytest.fixture(scope="module")
def seen_on_each(seen: Seen) -> Seen:
    """There is one Spark here."""
    return seen


@pytest.fixture(scope="module")
def big(yarn: Yarn, prefix: Path) -> Seen:
    """What the big checks said on the newest Spark."""
    found = run(yarn, prefix, [], ["exchange_checks.py", "one_partition_of_5_gb", "many_partitions_10000"], limit=3000)
    title(found, "big")
    assert found.get("broken", []) == []
    for one in found["large"]:
        size, stores = f"{one['size'] / 1e9:.2f} GB", f"{one['stores'] / 1e9:.2f} GB"
        print(f"| one partition of {size}, stores of {stores} | {one['path']} {row(one)}")
    for one in found["many"]:
        print(f"| {one['partitions']:,} partitions | jvm {row(one)}")
    return found


def title(found: Seen, what: str) -> None:
    one, *_ = found["versions"]  # of each program
    machine = f"{os.cpu_count()} CPUs, Python {platform.python_version()}"
    print(f"\n{what}: Spark {one['spark']}, Ray {one['ray']}, {machine}, {date.today()}")


def row(one: dict[str, Any]) -> str:
    memory = [f"{max(one['there'].get(kind, 0), one['back'].get(kind, 0))}" for kind in KINDS]
    return f"| {one['seconds']} | {one['back_seconds']} | {' | '.join(memory)} |"


KINDS = ("Spark's Python worker", "Ray's station", "this program")
WHOLE = 1000  # MB: whoever held the partition would need five times as much


@pytest.mark.parametrize("path", ["jvm", "python"])
def test_a_partition_of_5_gb_lies_whole_nowhere(big: Seen, path: str) -> None:
    fact = next(one for one in big["large"] if one["path"] == path)
    assert fact["size"] > 4.9e9 > fact["stores"]  # so the store had to spill
    assert (fact["exact"], fact["rounds"], fact["left"]) == (True, 1, 0)
    for kind in KINDS:
        assert max(fact["there"][kind], fact["back"][kind]) < WHOLE, kind


def test_ten_thousand_partitions(big: Seen) -> None:
    (fact,) = big["many"]
    assert (fact["partitions"], fact["rows"], fact["blocks"]) == (10_000, 30_000, 10_000)
    assert (fact["ordered"], fact["exact"], fact["left"]) == (True, True, 0)
