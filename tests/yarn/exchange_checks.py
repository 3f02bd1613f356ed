"""What test_exchange.py looks at: one program on a real cluster, which prints what it saw as lines of JSON.

    rayyarn exec NAME -- python tests/yarn/exchange_checks.py [CHECK ...]

One Spark session serves all checks; it speculates, so that a slow task meets its copy.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback

os.environ.setdefault("RAY_TQDM", "0")

import exchange_big
import exchange_faults
import exchange_leases
import exchange_nodes
import exchange_shapes
import exchange_strangers
import exchange_types
import pyspark
import ray
from exchange_facts import CHECKS, say

import rayyarn

ORDER = ("faults", "hopeless", "refusals", "shapes", "leases", "types", "strangers", "busy", "freed",
         "one_partition", "many_partitions", "after_spark")  # fmt: skip
MODULES = (exchange_big, exchange_faults, exchange_leases, exchange_nodes, exchange_shapes, exchange_strangers,
           exchange_types)  # fmt: skip
BRIEF = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
SESSION = {
    "executor_instances": 2, "executor_cores": 1, "executor_memory": "1g", "executor_memoryOverhead": "1g",
    "yarn_am_memory": "512m", "driver_memory": "1g", "ui_enabled": False, "ui_showConsoleProgress": False,
    "executor_extraJavaOptions": BRIEF, "driver_extraJavaOptions": BRIEF, "locality_wait": "0s",
    "speculation": True, "speculation_interval": "100ms", "speculation_quantile": "0.3",
    "speculation_multiplier": "1.2", "speculation_minTaskRuntime": "1s", "speculation_efficiency_enabled": False,
    "spark.sql.execution.arrow.maxRecordsPerBatch": 1000, "task_maxFailures": 4,
    "yarn_max_executor_failures": 20,
}  # fmt: skip


def travel():
    """What the checks define goes to Spark's tasks and Ray's by value, as what a program itself defines does."""
    for carrier in (pyspark.cloudpickle, ray.cloudpickle):
        for module in MODULES:
            carrier.register_pickle_by_value(module)


def main():
    wanted = sys.argv[1:] or ORDER
    # 10,000 tasks of a few milliseconds: two at once in an executor hide each other's waiting.
    sizes = {**SESSION, "executor_cores": 2} if "many_partitions_10000" in wanted else SESSION
    logging.getLogger("ray.data").setLevel("ERROR")
    with rayyarn.connect() as cluster:
        spark = cluster.spark("exchange", **sizes)
        spark.sparkContext.setLogLevel("OFF")
        cluster.ray(log_to_driver=False, logging_level="ERROR")
        travel()
        ray.data.DataContext.get_current().enable_progress_bars = False
        say("versions", spark=pyspark.__version__, ray=ray.__version__)
        for name in wanted:
            began = time.monotonic()
            try:
                CHECKS[name](cluster, spark)
            except BaseException:
                say("broken", name=name, traceback=traceback.format_exc())
            say("took", name=name, seconds=round(time.monotonic() - began, 1))
        spark.stop()
        ray.shutdown()


if __name__ == "__main__":
    main()
