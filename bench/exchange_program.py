"""Spark to Ray and back in one session, against files and against the floors; prints JSON. Run by exchange.py.

CPU seconds are those of all processes of this machine: keep it quiet. Parquet is on the local disk, the best case that
files have on one machine; a cluster would put them on HDFS.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import statistics
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import ray

import rayyarn

ROWS = int(os.environ.get("BENCH_ROWS", "6000000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
FOLDER = Path(sys.argv[1])
COLUMNS = [
    "id", "cast(id % 1000 as int) k", "cast(pmod(hash(id), 7) as short) g",
    *(f"rand({number}) d{number}" for number in range(6)),
    "concat('user-', lpad(cast(id as string), 12, '0')) s", "concat('cat', cast(id % 37 as string)) c",
]  # fmt: skip
TICK = os.sysconf("SC_CLK_TCK")


def main() -> None:
    logging.getLogger("ray.data").setLevel("ERROR")
    with rayyarn.connect() as cluster:
        spark = cluster.spark(
            "bench", executor_instances=2, executor_cores=1, executor_memory="2g", executor_memoryOverhead="1g",
            yarn_am_memory="512m", driver_memory="1g", ui_enabled=False, ui_showConsoleProgress=False,
            locality_wait="0s",
        )  # fmt: skip
        spark.sparkContext.setLogLevel("ERROR")
        cluster.ray(log_to_driver=False, logging_level="ERROR")
        ray.data.DataContext.get_current().enable_progress_bars = False
        frame = spark.range(0, ROWS, 1, 8).selectExpr(*COLUMNS).cache()
        frame.count()
        gigabytes = cluster.to_ray(frame).transfer.size / 1e9
        found = measure({**there(cluster, frame), **back(cluster, spark, frame)})
        memory = watched(lambda: cluster.to_ray(frame))
        assemble = building(cluster, frame)
        spark.stop()
    print("@" + json.dumps({"gigabytes": gigabytes, "ways": found, "memory": memory, "assemble": assemble}))


def there(cluster, frame):
    place = FOLDER / "there"

    def parquet():
        shutil.rmtree(place, ignore_errors=True)
        frame.write.parquet(f"file://{place}")
        return ray.data.read_parquet(str(place)).materialize()

    return {
        "JVM alone, Arrow made and counted": lambda: frame._jdf.toArrowBatchRdd().count(),
        "to_ray": lambda: cluster.to_ray(frame),
        "to_ray, path python": lambda: cluster.to_ray(frame, path="python"),
        "Parquet, local disk, to Ray": parquet,
    }


def back(cluster, spark, frame):
    made, place = cluster.to_ray(frame), FOLDER / "back"

    def read(found):
        found.write.format("noop").mode("overwrite").save()

    def lent():
        found = cluster.to_spark(made, spark)
        read(found)
        cluster.release(found)

    def parquet():
        shutil.rmtree(place, ignore_errors=True)
        made.write_parquet(str(place))
        read(spark.read.parquet(f"file://{place}"))

    return {"to_spark": lent, "Parquet, local disk, to Spark": parquet}


def measure(ways):
    """Medians of seconds and CPU seconds, the ways taking turns; one round before that does not count."""
    seen = {name: [] for name in ways}
    for number in range(ROUNDS + 1):
        for name, way in ways.items():
            cpu, began = machine(), time.monotonic()
            kept = way()
            one = (time.monotonic() - began, machine() - cpu)
            del kept
            time.sleep(1.0)
            if number:
                seen[name].append(one)
    return {name: [statistics.median(column) for column in zip(*runs, strict=True)] for name, runs in seen.items()}


def machine():
    """CPU seconds of this machine so far, of processes that ended too (proc(5): user, nice, system)."""
    user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / TICK


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


def watched(act):
    """MB above the start at the most, while ``act`` runs: private memory of each kind of process."""
    kinds = {"Spark's Python worker": b"pyspark.daemon", "station": b"ray::Station"}
    start, most, over = {}, {}, threading.Event()

    def look():
        while not over.wait(0.05):
            for entry in Path("/proc").iterdir():
                if not entry.name.isdigit():
                    continue
                with suppress(OSError, ValueError, IndexError):
                    line = (entry / "cmdline").read_bytes()
                    found = [name for name, word in kinds.items() if word in line]
                    kind = "this program" if int(entry.name) == os.getpid() else found[0] if found else None
                    if kind:
                        words = (entry / "statm").read_text().split()
                        mine = (int(words[1]) - int(words[2])) * 4096 / 1e6  # without shared pages: the store's
                        start.setdefault((kind, entry.name), mine)
                        most[kind] = max(most.get(kind, 0.0), mine - start[kind, entry.name])

    thread = threading.Thread(target=look)
    thread.start()
    try:
        act()
    finally:
        over.set()
        thread.join()
    return most


if __name__ == "__main__":
    main()
