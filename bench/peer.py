"""ray.util.spark on YARN, the peer that is alive: seconds to two workers, and of the session it needs, as JSON.

Imports nothing of rayyarn. env: ARCHIVE (the same staged archive, warm on the nodes), JARS (Spark's jars, staged),
HADOOP_CONF_DIR. Settings are those with which it works on YARN at all: the environment on the executors' PATH, sizes
by hand.
"""

from __future__ import annotations

import json
import os
import time

os.environ["PYSPARK_PYTHON"] = "environment/bin/python"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from pyspark.sql import SparkSession

t0 = time.monotonic()
spark = (
    SparkSession.builder.master("yarn")
    .appName("peer")
    .config("spark.yarn.dist.archives", os.environ["ARCHIVE"] + "#environment")
    .config("spark.yarn.archive", os.environ["JARS"])
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.executor.instances", 2)
    .config("spark.executor.cores", 2)
    .config("spark.executor.memory", "1g")
    .config("spark.executor.memoryOverhead", "2g")
    .config("spark.yarn.am.memory", "512m")
    .config("spark.ui.showConsoleProgress", "false")
    .config("spark.executorEnv.PATH", "./environment/bin:/usr/bin:/bin")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
while spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() < 3:
    time.sleep(0.1)
t1 = time.monotonic()

import ray
from ray.util.spark import setup_ray_cluster, shutdown_ray_cluster

setup_ray_cluster(
    max_worker_nodes=2, min_worker_nodes=2, num_cpus_worker_node=1, num_gpus_worker_node=0, num_cpus_head_node=0,
    memory_worker_node=1 << 30, object_store_memory_worker_node=200 << 20, object_store_memory_head_node=200 << 20,
    include_dashboard=False,
)  # fmt: skip
ray.init(ignore_reinit_error=True)
while ray.cluster_resources().get("CPU", 0) < 2:
    time.sleep(0.1)
t2 = time.monotonic()
shutdown_ray_cluster()
spark.stop()
print(json.dumps({"session": t1 - t0, "setup_ray_cluster": t2 - t1}))
