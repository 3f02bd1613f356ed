"""Spark to Ray and back in one session, against files and against the floors; prints JSON. Run by exchange.py.

Files are on the local disk, the best case that they have on one machine, and on the HDFS of the mini cluster, where Ray
reads and writes them with hdfs-native.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import time
from pathlib import Path

import ray
from exchange_data import ROWS, measure, table
from exchange_memory import watched

import rayyarn

FOLDER = Path(sys.argv[1])


def main() -> None:
    logging.getLogger("ray.data").setLevel("ERROR")
    with rayyarn.connect() as cluster:
        spark = cluster.spark(
            "bench", executor_instances=2, executor_cores=2, executor_memory="2g", executor_memoryOverhead="1g",
            yarn_am_memory="512m", driver_memory="1g", ui_enabled=False, ui_showConsoleProgress=False,
            locality_wait="0s",
        )  # fmt: skip
        spark.sparkContext.setLogLevel("ERROR")
        cluster.ray(log_to_driver=False, logging_level="ERROR")
        ray.data.DataContext.get_current().enable_progress_bars = False
        frame = table(spark, 8)
        found = {"memory": memory(cluster, spark, frame), "assemble": building(cluster, frame)}
        found["gigabytes"] = cluster.to_ray(frame).transfer.size / 1e9
        found["ways"] = measure({**there(cluster, spark, frame), **back(cluster, spark, frame)})
        frame.unpersist(blocking=True)
        found["tasks"] = tasks(cluster, spark)
        spark.stop()
    print("@" + json.dumps(found))


def on_hdfs(spark):
    """The mini cluster's HDFS, and Ray's way into it."""
    from hdfs_native.fsspec import HdfsFileSystem

    place = spark.sparkContext._jsc.hadoopConfiguration().get("fs.defaultFS").rstrip("/")
    host, port = place.removeprefix("hdfs://").split(":")
    return place, HdfsFileSystem(host, int(port))


def there(cluster, spark, frame):
    local, (hdfs, files) = FOLDER / "there", on_hdfs(spark)

    def by_disk():
        shutil.rmtree(local, ignore_errors=True)
        frame.write.parquet(f"file://{local}")
        return ray.data.read_parquet(str(local)).materialize()

    def by_hdfs():
        frame.write.mode("overwrite").parquet(f"{hdfs}/bench/there")
        return ray.data.read_parquet("/bench/there", filesystem=files).materialize()

    return {
        "JVM alone, Arrow made and counted": lambda: frame._jdf.toArrowBatchRdd().count(),
        "to_ray": lambda: cluster.to_ray(frame),
        "to_ray, path python": lambda: cluster.to_ray(frame, path="python"),
        "Parquet, local disk, to Ray": by_disk,
        "Parquet, HDFS, to Ray": by_hdfs,
    }


def back(cluster, spark, frame):
    made, local, (hdfs, files) = cluster.to_ray(frame), FOLDER / "back", on_hdfs(spark)

    def by_disk():
        shutil.rmtree(local, ignore_errors=True)
        made.write_parquet(str(local))
        read(spark.read.parquet(f"file://{local}"))

    def by_hdfs():
        if files.exists("/bench/back"):
            files.rm("/bench/back", recursive=True)
        made.write_parquet("/bench/back", filesystem=files)
        read(spark.read.parquet(f"{hdfs}/bench/back"))

    return {
        "to_spark": lambda: lent(cluster, spark, made),
        "Parquet, local disk, to Spark": by_disk,
        "Parquet, HDFS, to Spark": by_hdfs,
    }


def read(frame):
    """All of it, and nothing done with it."""
    frame.write.format("noop").mode("overwrite").save()


def lent(cluster, spark, made):
    found = cluster.to_spark(made, spark)
    read(found)
    cluster.release(found)


def tasks(cluster, spark):
    """CPU seconds a GB of one task alone, and of four at once: [GB, [seconds, CPU seconds]] of each."""
    frames = {count: table(spark, count, ROWS // 3) for count in (1, 4)}
    sizes = {count: cluster.to_ray(frame).transfer.size / 1e9 for count, frame in frames.items()}
    ways = {f"to_ray, {count} at once": lambda frame=frame: cluster.to_ray(frame) for count, frame in frames.items()}
    return {count: [sizes[count], one] for count, one in zip(frames, measure(ways).values(), strict=True)}


def building(cluster, frame):
    """Seconds from blocks in the store to a Dataset, of 64 blocks."""
    from rayyarn.exchange import dataset
    from rayyarn.exchange.transfer import Block

    made = cluster.to_ray(frame.limit(64_000).repartition(64))
    bundles = list(made.iter_internal_ref_bundles())
    blocks = [Block(bundle.block_refs[0], 1000, 1000) for bundle in bundles]
    began = time.monotonic()
    dataset.assemble(blocks, made.schema().base_schema).count()
    return [len(blocks), time.monotonic() - began]


def memory(cluster, spark, frame):
    """MB above the start of each kind of process. All have started by then, and have moved a thousand rows."""
    few = cluster.to_ray(spark.range(0, 1000, 1, 4), path="python")
    lent(cluster, spark, few)
    quarter = frame.where(f"id < {ROWS // 4}")
    found = {
        "to_ray, a quarter of it": watched(lambda: cluster.to_ray(quarter)),
        "to_ray": watched(lambda: cluster.to_ray(frame)),
        "to_ray, path python": watched(lambda: cluster.to_ray(frame, path="python")),
    }
    made = cluster.to_ray(frame)
    found["to_spark"] = watched(lambda: lent(cluster, spark, made))
    return found


if __name__ == "__main__":
    main()
