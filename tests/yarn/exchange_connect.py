"""The exchange with Spark Connect: what test_exchange.py runs beside exchange_checks.py, and what it saw, as JSON."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import tempfile
import time

from pyspark.sql import SparkSession

import rayyarn
from rayyarn.exchange import leases


def main() -> None:
    # The Connect server runs here, and so do its Python workers. It leaves a spark_connect_model_cache in Java's /tmp.
    scratch = tempfile.mkdtemp(prefix="rayyarn-connect-")
    os.environ |= {
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "JAVA_TOOL_OPTIONS": f"-Djava.io.tmpdir={scratch}",
    }
    logging.getLogger("ray.data").setLevel("ERROR")
    with rayyarn.connect() as cluster:
        builder = SparkSession.builder.remote("local[2]").config("spark.ui.enabled", "false")
        spark = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()
        cluster.ray(log_to_driver=False, logging_level="ERROR")
        frame = spark.range(0, 60_000, 1, 6).selectExpr("id", "timestamp'2026-01-01 00:00:00' as t")
        there = cluster.to_ray(frame)
        back = cluster.to_spark(there, spark)
        facts = {"path": there.transfer.path, "rows": there.count(), "back": back.count()}
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
        facts |= {"leases": len(leases._open), "alive": there.count()}
    shutil.rmtree(scratch, ignore_errors=True)
    print("@" + json.dumps({"check": "connect", **facts}), flush=True)


if __name__ == "__main__":
    main()
