"""One large partition and very many small ones, there and back, and what memory they take: big, and scaled down."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import ray
from exchange_facts import check, say, settled, store
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it so

from rayyarn.exchange.ends import prompt
from rayyarn.exchange.ends.station import Station

_CELL = 1000  # bytes of text in each row
_IDLE = 3
_SELF = Path("/proc/self")
_KINDS = {"Spark's Python worker": b"pyspark.daemon", "Ray's station": b"ray::Station"}


@check
def one_partition(cluster, spark):
    large(cluster, spark, "jvm", 0.3)


@check
def one_partition_of_5_gb(cluster, spark):
    for path in ("jvm", "python"):
        large(cluster, spark, path, 5)


@check
def many_partitions(cluster, spark):
    many(cluster, spark, 500)


@check
def many_partitions_10000(cluster, spark):
    many(cluster, spark, 10_000)


class Kept(Station):
    """A station that says what it has of freed memory, in bytes: after two blocks, and when it has been idle."""

    keep_seconds = _IDLE

    def block(self):
        import pyarrow as pa

        memoryview(pa.allocate_buffer(64 << 20)).cast("B")[::4096] = b"x" * (16 << 10)

    def kept(self):
        before = private(_SELF)
        for _ in range(2):  # a thread each, as with connections
            one = threading.Thread(target=self.block)
            one.start()
            one.join()
            time.sleep(2)  # the allocator by itself would have given it back
        kept = private(_SELF) - before
        self.end("a transfer")
        time.sleep(_IDLE + 1)
        return [kept, private(_SELF) - before]


def private(process):
    """Bytes of a process, given its folder in /proc, without what it shares: the store is counted once, by itself."""
    words = (process / "statm").read_text().split()
    return (int(words[1]) - int(words[2])) * os.sysconf("SC_PAGE_SIZE")


@check
def freed(cluster, spark):
    station = ray.remote(Kept).options(num_cpus=0).remote()
    kept, left = ray.get(station.kept.remote())
    ray.kill(station)
    say("freed", kept=kept, left=left)


def large(cluster, spark, path, gigabytes):
    """One partition of so many GB of Arrow, in a session whose batches have 1 MB."""
    before = store()
    rows = int(gigabytes * 1e9 / (_CELL + 12))  # a bigint, and an offset for the text
    frame = spark.range(0, rows, 1, 1).select("id", F.expr(f"repeat(chr(65 + cast(id % 26 as int)), {_CELL}) s"))
    with watched(cluster, spark) as there:
        made = cluster.to_ray(frame, path=path, progress=False)
    gone, pieces = made.transfer, most_pieces(made)
    began = time.monotonic()
    with watched(cluster, spark) as back, cluster.lease():
        total = cluster.to_spark(made, spark).agg(F.count("id"), F.sum("id"), F.sum(F.length("s"))).first()
    seconds = time.monotonic() - began
    del made
    say("large", path=path, rows=gone.rows, size=gone.size, blocks=gone.blocks, pieces=pieces, rounds=gone.rounds,
        seconds=round(gone.seconds, 1), back_seconds=round(seconds, 1), stores=stores(),
        exact=list(total) == [rows, rows * (rows - 1) // 2, rows * _CELL], there=there, back=back,
        left=settled(before))  # fmt: skip


def most_pieces(made):
    """In how many pieces a column of a block lies, at the most, in the first five blocks.

    Not in all: a task that reads all that was spilled has mapped the store, as three processes of Ray's have by then.
    """
    count = ray.remote(num_cpus=0)(lambda block: block.column(0).num_chunks)
    refs = [one for bundle in made.iter_internal_ref_bundles() for one in bundle.block_refs]
    return max(ray.get([count.remote(one) for one in refs[:5]]))


def workers(spark):
    """Of Spark's Python workers: their connections to a JVM, as tasks of ours find them, and their frozen objects."""
    find = prompt._within_this_host

    def look(_):
        import gc

        lines = find()
        for line in lines:
            line.close()
        yield len(lines), gc.get_freeze_count()

    return spark.sparkContext.range(4, numSlices=4).mapPartitions(look).collect()


def many(cluster, spark, partitions):
    """So many partitions, in their order, of three rows each."""
    before = store()
    frame = spark.range(0, 3 * partitions, 1, partitions)
    with watched(cluster, spark) as there:
        made = cluster.to_ray(frame, progress=False)
    gone = made.transfer
    numbers = [row for batch in made.iter_batches(batch_format="numpy") for row in batch["id"].tolist()]
    began = time.monotonic()
    with watched(cluster, spark) as back, cluster.lease():
        total = cluster.to_spark(made, spark).agg(F.count("id"), F.sum("id")).first()
    seconds = time.monotonic() - began
    del made
    say("many", partitions=partitions, rows=gone.rows, blocks=gone.blocks, seconds=round(gone.seconds, 1),
        ordered=numbers == list(range(3 * partitions)), back_seconds=round(seconds, 1), there=there, back=back,
        exact=list(total) == [len(numbers), sum(numbers)], left=settled(before), workers=workers(spark))  # fmt: skip


def stores():
    """Bytes of all of Ray's object stores together."""
    import ray

    return int(ray.cluster_resources()["object_store_memory"])


@contextmanager
def watched(cluster, spark):
    """MB that a process of each kind has of its own at the most, without the store's pages, while the body runs."""
    most, known, over = {}, {str(os.getpid()): "this program"}, threading.Event()
    ours = [spark.sparkContext.applicationId, cluster.connection.application["id"]]
    containers = [f"CONTAINER_ID=container_{one.removeprefix('application_')}_".encode() for one in ours]

    def look():
        while not over.wait(0.1):
            for entry in (one for one in Path("/proc").iterdir() if one.name.isdigit()):
                with suppress(OSError, ValueError, IndexError):
                    if known.get(entry.name) is None and (kind := _kind(entry, containers)):
                        known[entry.name] = kind
                    if kind := known.get(entry.name):
                        most[kind] = max(most.get(kind, 0), private(entry) // 1_000_000)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


def _kind(entry, containers):
    line = (entry / "cmdline").read_bytes()
    kind = next((kind for kind, word in _KINDS.items() if word in line), None)
    return kind if kind and any(one in (entry / "environ").read_bytes() for one in containers) else None
