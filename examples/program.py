"""What the examples share: their options, a folder that all nodes see, a small Spark beside Ray, and a clock.

Only the programs themselves import this. What runs in Spark's executors and on Ray's workers stands in the example's
own file: functions of the main program travel to the nodes, those of a module beside it would have to be there already.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
import time
from pathlib import Path

import ray
import ray.data

import rayyarn

# Less than a minute of work: JVMs that compile quickly end a third sooner on two cores. Leave it out for longer work.
BRIEF = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",  # Tune's newer output draws a table even when it shall say nothing
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # Train looks for what its workers report every 2 s, and three times
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # a process that waits for a cloud's notice; YARN gives none
}


def run(text, name, work, show, flags=()):
    """``work(cluster, storage, given, clock)`` between all that must be there before it and go after it.

    It returns a report for ``show``. ``text`` is the example's docstring, ``flags`` are options of its own: name, help.
    """
    parser = argparse.ArgumentParser(description=text.partition("\n")[0])
    parser.add_argument("--report", type=Path, help="write what happened here, as JSON")
    parser.add_argument("--storage", type=Path, help="a folder that all nodes see (default: /tmp, for a mini cluster)")
    for flag, what in flags:
        parser.add_argument(flag, action="store_true", help=what)
    given = parser.parse_args()
    logging.getLogger("ray.data").setLevel("ERROR")
    os.environ.update(QUIET)
    clock = Clock()
    folder = {"prefix": f"rayyarn-{name}-", "dir": given.storage or "/tmp", "ignore_cleanup_errors": True}
    with tempfile.TemporaryDirectory(**folder) as storage, rayyarn.connect() as cluster:
        cluster.ray(log_to_driver=False, logging_level="ERROR")
        ray.data.DataContext.get_current().enable_progress_bars = False
        report = work(cluster, storage, given, clock)
        ray.shutdown()
    show(report)
    print("\n" + ", ".join(f"{station} {seconds} s" for station, seconds in clock.laps.items()))
    if given.report:
        given.report.write_text(json.dumps({**report, "seconds": clock.laps}))


def small_spark(cluster, name, executors, tasks):
    """A Spark session of a few executors with a core and a GB each; its shuffles have ``tasks`` partitions."""
    spark = cluster.spark(
        name,
        executor_instances=executors, executor_cores=1, executor_memory="1g", yarn_am_memory="512m",
        executor_extraJavaOptions=BRIEF, yarn_am_extraJavaOptions=BRIEF, driver_extraJavaOptions=BRIEF,
        sql_shuffle_partitions=tasks, locality_wait="0s", ui_enabled=False, ui_showConsoleProgress=False,
    )  # fmt: skip
    spark.sparkContext.setLogLevel("ERROR")
    return spark


class Clock:
    """Seconds between the stations of a program."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self.laps: dict[str, float] = {}

    def lap(self, station: str) -> None:
        """The station is reached now."""
        now = time.monotonic()
        self.laps[station] = round(now - self._last, 1)
        self._last = now
