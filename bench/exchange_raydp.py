"""RayDP's ``ray.data.from_spark`` and our ``to_ray`` of one DataFrame, in one Spark session; prints JSON.

The session is RayDP's own (it serves no other), its executors are actors of a Ray of this machine: neither YARN nor a
network, RayDP's best case. Run by exchange.py in the environment of envs/raydp.yaml.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from importlib.metadata import version

os.environ |= {"PYSPARK_PYTHON": sys.executable, "RAY_USAGE_STATS_ENABLED": "0"}

import pyspark
import ray
import raydp
from exchange_data import measure, table
from raydp.spark.dataset import release_spark_recoverable

import rayyarn

# Spark's own launcher gives most to its JVMs (JavaModuleOptions of Spark 3.5); RayDP starts executors in Ray's,
# and Ray's serializer for Java looks into more: without java.math RayDP's master died of it (RayDP 1.6.5, Java 17).
_PACKAGES = ("lang", "lang.invoke", "lang.reflect", "io", "math", "net", "nio", "text", "time", "util",
             "util.concurrent", "util.concurrent.atomic", "util.regex")  # fmt: skip
_OPENS = " ".join(
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in [
        *(f"java.{one}" for one in _PACKAGES), *(f"sun.{one}" for one in
        ("nio.ch", "nio.cs", "security.action", "util.calendar")),
    ]
)  # fmt: skip


def main() -> None:
    logging.getLogger("ray.data").setLevel("ERROR")
    with tempfile.TemporaryDirectory(prefix="rb-", dir="/var/tmp", ignore_cleanup_errors=True) as folder:
        ray.init(
            num_cpus=4, object_store_memory=4 << 30, include_dashboard=False, _temp_dir=folder,
            _node_ip_address="127.0.0.1", log_to_driver=False, logging_level="ERROR",
        )  # fmt: skip
        ray.data.DataContext.get_current().enable_progress_bars = False
        spark = raydp.init_spark("bench", num_executors=2, executor_cores=1, executor_memory="3g", configs={
            "spark.driver.memory": "1g", "spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false",
            "spark.executor.extraJavaOptions": _OPENS, "spark.driver.extraJavaOptions": _OPENS,
            "spark.ray.raydp_app_master.extraJavaOptions": _OPENS, "spark.locality.wait": "0s",
        })  # fmt: skip
        spark.sparkContext.setLogLevel("ERROR")
        frame = table(spark, 8)
        gigabytes = rayyarn.to_ray(frame).transfer.size / 1e9

        def theirs():
            made = ray.data.from_spark(frame).materialize()
            release_spark_recoverable(frame)
            return made

        found = measure({"to_ray": lambda: rayyarn.to_ray(frame), "RayDP, ray.data.from_spark": theirs})
        raydp.stop_spark()
        ray.shutdown()
    versions = f"RayDP {version('raydp')}, Spark {pyspark.__version__}, Ray {ray.__version__}"
    print("@" + json.dumps({"gigabytes": gigabytes, "ways": found, "versions": versions}))


if __name__ == "__main__":
    main()
