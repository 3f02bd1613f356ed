"""examples/four_ways.py, unchanged: on the mini cluster as a laptop has it, on the edge, inside, and as Spark's own."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from test_edge import unshared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Yarn

RAYYARN = Path(sys.executable).with_name("rayyarn")
PROGRAM = Path(__file__).parents[2] / "examples" / "four_ways.py"
SIZES = ("--workers", "1", "--worker-cpus", "2", "--worker-memory", "2500 MiB", "--head-memory", "3 GiB")
# Added up without Spark and Ray: sum of c + c * 19 // 100 over c = i % 9973 for i < 100,000, and where i % 7 is 3.
RESULT = "100000 orders in 7 shops; shop 3 sold for 845289.39, all for 5917257.11"


@dataclass(frozen=True)
class Seen:
    """What each way printed; the head's container, and the application that Spark made of the program."""

    said: dict[str, subprocess.CompletedProcess[str]]
    head: str
    application: str

    def place(self, way: str) -> str:
        """Where the program ran that way; its result was the one of all ways."""
        done = self.said[way]
        lines = [line for line in done.stdout.splitlines() if line.startswith("Spark and") or " orders in " in line]
        assert lines[1:] == [RESULT], f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        found = re.fullmatch(r"Spark and this program met in (.*), Ray's part ran in (container_\w+(, )?)+", lines[0])
        assert found, lines[0]
        return found[1]


@pytest.fixture(scope="module")
def seen(yarn: Yarn, prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """All ways, one after the other. What Ray Data keeps on a cluster goes with it: then nothing may be left."""

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, env=yarn.environ, capture_output=True, text=True, timeout=300)

    conf, before = tmp_path_factory.mktemp("ways") / "w.conf", yarn.watch.snapshot()
    own = run(RAYYARN, "run", "--name", "alone", "--environment", prefix, *SIZES, "--", "python", PROGRAM)
    up = run(RAYYARN, "up", "w", "--environment", prefix, *SIZES)
    assert up.returncode == 0, up.stderr
    try:
        nodes = run(RAYYARN, "status", "w").stdout
        edge = run(*unshared([RAYYARN, "exec", "w", "--", "python", PROGRAM]))
        inside = run(RAYYARN, "submit", "w", "--memory", "1500 MiB", "--", PROGRAM)
        run(RAYYARN, "connect", "w", "--spark-conf", conf)
        small = ["--conf", "spark.driver.memory=600m", "--conf", "spark.yarn.maxAppAttempts=1"]
        script = 'eval "$("$0" connect w --shell --quiet)"; exec spark-submit "$@"'
        spark = run(
            "bash", "-c", script, RAYYARN, "--properties-file", conf, *small, "--deploy-mode", "cluster", PROGRAM
        )
        application = (re.findall(r"Submitted application (application_\w+)", spark.stderr) or [spark.stderr[-4000:]])[
            0
        ]
        logs = run("yarn", "logs", "-applicationId", application, "-log_files", "stdout", "-am", "1")
    finally:
        run(RAYYARN, "down", "w")
    assert yarn.watch.settle(before) == []
    (head,) = re.findall(r"container_\w+", next(line for line in nodes.splitlines() if line.startswith("head\t")))
    yield Seen({"run": own, "exec": edge, "submit": inside, "spark-submit": logs}, head, application)


@pytest.mark.timeout(1200)  # the first test waits for all four
def test_with_a_cluster_for_it_alone_as_on_a_laptop(seen: Seen) -> None:
    assert seen.place("run") == "no container"


def test_on_an_edge_that_sees_no_node(seen: Seen) -> None:
    assert seen.place("exec") == "no container"


def test_inside_the_cluster(seen: Seen) -> None:
    assert seen.place("submit") == seen.head


def test_as_an_application_of_sparks_own(seen: Seen) -> None:
    assert seen.place("spark-submit").startswith(f"container_{seen.application.removeprefix('application_')}_")
