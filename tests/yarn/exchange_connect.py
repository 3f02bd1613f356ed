"""The exchange with Spark Connect: what test_exchange.py runs beside exchange_checks.py, and what it saw, as JSON."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import tempfile
import time

import rayyarn
from rayyarn.exchange import leases


def main() -> None:
    # The Connect server runs here. It leaves a spark_connect_model_cache in Java's /tmp.
    scratch = tempfile.mkdtemp(prefix="rayyarn-connect-")
    os.environ["JAVA_TOOL_OPTIONS"] = f"-Djava.io.tmpdir={scratch}"
    logging.getLogger("ray.data").setLevel("ERROR")
    with rayyarn.connect() as cluster:
        asked = {
            "api_mode": "connect", "executor_instances": 1, "executor_cores": 2, "executor_memory": "1g",
            "executor_memoryOverhead": "1g", "yarn_am_memory": "512m", "driver_memory": "1g", "ui_enabled": False,
            "ui_showConsoleProgress": False,
        }  # fmt: skip
        spark = cluster.spark("connect", **asked)
        facts = {"kind": type(spark).__module__, "again": cluster.spark("connect", **asked) is spark}
        facts |= {"others": [error_of(cluster, **other) for other in ({}, {**asked, "executor_cores": 1})]}
        cluster.ray(log_to_driver=False, logging_level="ERROR")
        frame = spark.range(0, 60_000, 1, 6).selectExpr("id", "timestamp'2026-01-01 00:00:00' as t")
        facts |= {"pythons": sorted({row[0] for row in frame.mapInPandas(who, "python string").collect()})}
        there = cluster.to_ray(frame)
        back = cluster.to_spark(there, spark)
        facts |= {"path": there.transfer.path, "rows": there.count(), "back": back.count()}
        facts |= {"same": back.schema == frame.schema, "ended": cluster.release(back.filter("id > 3"))}
        try:
            back.count()
        except Exception as error:
            facts["gone"] = "no longer lent by Ray" in str(error)
        try:
            cluster.to_ray(frame, path="jvm")
        except rayyarn.RayYarnError as error:
            facts["refused"] = str(error)
        cluster.to_spark(there, spark)
        spark.stop()
        until = time.monotonic() + 10
        while leases._open and time.monotonic() < until:
            time.sleep(0.2)
        facts |= {"leases": len(leases._open), "alive": there.count(), "stopped": stopped()}
    shutil.rmtree(scratch, ignore_errors=True)
    print("@" + json.dumps({"check": "connect", **facts}), flush=True)


def who(batches):
    """Which Python a task runs, and whether YARN gave it a container."""
    import pandas as pd

    for _ in batches:
        where = "container" if "CONTAINER_ID" in os.environ else "edge"
        yield pd.DataFrame({"python": [f"{where}: {sys.executable.partition('/environment/')[2]}"]})


def error_of(cluster, **asked):
    try:
        return str(cluster.spark("other", **asked))
    except rayyarn.RayYarnError as error:
        return str(error)


def stopped():
    """Whether Spark's application has ended, and what PySpark left in the environment."""
    from pyspark import SparkContext

    left = sorted(name for name in os.environ if name in ("SPARK_LOCAL_REMOTE", "SPARK_CONNECT_MODE_ENABLED"))
    return [SparkContext._active_spark_context is None, left]


if __name__ == "__main__":
    main()
