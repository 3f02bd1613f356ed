"""What test_exchange.py looks at: one program on a real cluster, which prints what it saw as lines of JSON.

    rayyarn exec NAME -- python tests/yarn/exchange_checks.py [CHECK ...]

One Spark session serves all checks; it speculates, so that a slow task meets its copy.
"""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
import uuid
from contextlib import suppress
from functools import partial
from pathlib import Path

os.environ.setdefault("RAY_TQDM", "0")
import logging

import pyspark
import ray
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it so

import rayyarn

ROWS, PARTS = 60_000, 6
MARKS = tempfile.mkdtemp(prefix="rayyarn-faults-")  # executors are on this machine too
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
CHECKS = {}


def check(function):
    CHECKS[function.__name__] = function
    return function


def say(check, /, **facts):
    print("@" + json.dumps({"check": check, **facts}), flush=True)


def store():
    """Objects and bytes in all of Ray's object stores."""
    from ray._private.internal_api import node_stats

    found = [
        node_stats(node["NodeManagerAddress"], node["NodeManagerPort"], False).store_stats
        for node in ray.nodes() if node["Alive"]
    ]  # fmt: skip
    return sum(one.num_local_objects for one in found), sum(one.object_store_bytes_used for one in found)


def settled(before, limit=20.0):
    """How many objects more than ``before`` are left when nothing more is freed."""
    until = time.monotonic() + limit
    while True:
        gc.collect()
        left = store()[0] - before[0]
        if left <= 0 or time.monotonic() > until:
            return max(left, 0)
        time.sleep(0.3)


def line(error):
    return f"{type(error).__name__}: {error}" + (f" | {error.log}" if getattr(error, "log", None) else "")


# --- faults --------------------------------------------------------------------------------------------------------


def faulty(kind, mark, batches):
    """Rows as they come, with a fault in the first attempt at some partitions, in the middle of them.

    ``mark``: a file that is there once the fault was made. A stage that is tried again counts its attempts from 0.
    """
    from pyspark import TaskContext

    context = TaskContext.get()
    partition, first = context.partitionId(), context.attemptNumber() == 0
    for number, batch in enumerate(batches):
        yield batch
        if number != 4 or not first:
            continue
        if kind == "raise" and partition in (1, 4):
            raise RuntimeError("the first attempt fails after half of its rows")
        if kind == "kill" and partition == 3 and not Path(mark).exists():
            Path(mark).touch()
            os.kill(jvm(), signal.SIGKILL)
        if kind == "slow" and partition == 2:
            time.sleep(25)
        if kind == "wait":
            time.sleep(2)


def fault(kind):
    """A function for ``mapInArrow`` with a fault of its own."""
    return partial(faulty, kind, f"{MARKS}/{uuid.uuid4().hex}")


def jvm():
    """The executor that this Python worker belongs to."""
    pid = os.getppid()
    while Path(f"/proc/{pid}/comm").read_text().strip() != "java":
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid


def receivers():
    """Process ids of this cluster's stations; another cluster may run on this machine."""
    application = rayyarn.connect().connection.application["id"].removeprefix("application_")
    ours = f"CONTAINER_ID=container_{application}_".encode()
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            station = entry.name.isdigit() and (entry / "cmdline").read_bytes().startswith(b"ray::Station")
            if station and ours in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def try_fault(cluster, name, frame, path, *, during=None, expect=range(ROWS)):
    gc.collect()
    before = store()
    began = time.monotonic()
    thread = threading.Thread(target=during, daemon=True) if during else None
    if thread:
        thread.start()
    try:
        made = cluster.to_ray(frame, path=path)
    except rayyarn.RayYarnError as error:
        seconds, text = time.monotonic() - began, line(error)
        del error
        say("fault", name=name, path=path, failed=text, seconds=round(seconds, 1), left=settled(before))
        return
    numbers = [row for batch in made.iter_batches(batch_format="numpy") for row in batch["id"].tolist()]
    facts = {
        "rows": made.transfer.rows, "received": made.transfer.received_rows, "rounds": made.transfer.rounds,
        "exact": sorted(numbers) == sorted(expect), "blocks": made.transfer.blocks,
        "seconds": round(made.transfer.seconds, 1),
    }  # fmt: skip
    extra = store()[0] - before[0] - made.transfer.blocks
    del made
    say("fault", name=name, path=path, orphans=max(extra, 0), left=settled(before), **facts)


def kill_a_receiver():
    time.sleep(4)
    for pid in receivers()[:1]:
        os.kill(pid, signal.SIGKILL)


@check
def faults(cluster, spark):
    plain = spark.range(0, ROWS, 1, PARTS)
    shuffled = plain.repartition(PARTS, "id")
    for path in ("jvm", "python"):
        try_fault(cluster, "none", plain, path)
        for name, kind in (("task raises after half its rows", "raise"), ("executor killed in mid-stream", "kill"),
                           ("a slow task and its speculative copy", "slow")):  # fmt: skip
            try_fault(cluster, name, plain.mapInArrow(fault(kind), "id long"), path)
        try_fault(cluster, "executor killed with its shuffle files",
                  shuffled.mapInArrow(fault("kill"), "id long"), path)  # fmt: skip
        try_fault(cluster, "receiver killed in mid-stream", plain.mapInArrow(fault("wait"), "id long"), path,
                  during=kill_a_receiver)  # fmt: skip
    after_the_receipt(cluster, plain)


def after_the_receipt(cluster, plain):
    """A task that fails when Ray has acknowledged all of it."""
    from rayyarn.exchange.ends import sender

    forward = sender.forward

    def failing(messages, stations, secret):
        from pyspark import TaskContext

        yield from forward(messages, stations, secret)
        if TaskContext.get().attemptNumber() == 0 and TaskContext.get().partitionId() == 5:
            raise RuntimeError("failed after the receipt")

    sender.forward = failing
    try:
        try_fault(cluster, "task fails after Ray's receipt", plain, "jvm")
    finally:
        sender.forward = forward


@check
def hopeless(cluster, spark):
    """What cannot finish: every attempt at one partition fails; then Ctrl-C."""

    def broken(batches):
        for number, batch in enumerate(batches):
            yield batch
            if number == 4:
                raise RuntimeError("this partition cannot be computed")

    plain = spark.range(0, ROWS, 1, PARTS)
    for path in ("jvm", "python"):
        try_fault(cluster, "a partition that always fails", plain.mapInArrow(broken, "id long"), path)
    before = store()
    slow = plain.mapInArrow(fault("wait"), "id long")
    threading.Timer(6, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    try:
        cluster.to_ray(slow)
        ended = "finished"
    except KeyboardInterrupt:
        ended = "KeyboardInterrupt"
    seconds = time.monotonic() - began
    time.sleep(1)
    running = list(spark.sparkContext.statusTracker().getActiveJobsIds())
    say("interrupt", ended=ended, seconds=round(seconds, 1), left=settled(before), running=running)


# --- what is refused ------------------------------------------------------------------------------------------------


@check
def refusals(cluster, spark):
    base = spark.range(3)
    cases = {
        "year-month interval": base.selectExpr("id", "make_ym_interval(1, 2) as i"),
        "nested year-month interval": base.selectExpr("named_struct('a', array(make_ym_interval(1))) as s"),
        "calendar interval": base.selectExpr("make_interval(1, 2, 3, 4) as i"),
        "duplicate names": base.selectExpr("id x", "id x"),
    }
    jobs = lambda: len(spark.sparkContext.statusTracker().getJobIdsForGroup(None))  # noqa: E731
    for name, frame in cases.items():
        before = jobs()
        try:
            cluster.to_ray(frame)
            say("refused", name=name, error=None)
        except rayyarn.RayYarnError as error:
            say("refused", name=name, error=str(error), hint=error.hint, code=error.code, jobs=jobs() - before)
    try:
        cluster.to_ray(base, path="carrier pigeon")
    except rayyarn.RayYarnError as error:
        say("refused", name="path", error=str(error), hint=error.hint, code=error.code, jobs=0)
    big = base.selectExpr("repeat('x', 3000000) s")
    try:
        cluster.to_ray(big, frame_limit="1MiB")
    except rayyarn.RayYarnError as error:
        say("refused", name="frame limit", error=line(error), hint=error.hint, code=error.code, jobs=0)


# --- sizes and shapes -----------------------------------------------------------------------------------------------


@check
def shapes(cluster, spark):
    empty = cluster.to_ray(spark.range(0, 3, 1, 8).where("id = 1"))
    say("shape", name="empty partitions", rows=empty.count(), blocks=empty.transfer.blocks)
    none = cluster.to_ray(spark.range(5).selectExpr("id", "cast(id as string) s").where("id < 0"))
    back = cluster.to_spark(none, spark)
    say("shape", name="zero rows", rows=none.count(), schema=str(none.schema().base_schema.names), back=back.count(),
        fields=[field.name for field in back.schema.fields])  # fmt: skip
    wide = spark.range(0, 200, 1, 2).select(*[(F.col("id") + number).alias(f"c{number}") for number in range(1000)])
    there = cluster.to_ray(wide)
    back = cluster.to_spark(there, spark)
    say("shape", name="1,000 columns", rows=there.count(), columns=len(there.columns()),
        equal=back.agg(F.sum("c999")).first()[0] == wide.agg(F.sum("c999")).first()[0])  # fmt: skip
    cells = cluster.to_ray(spark.range(0, 2, 1, 1).selectExpr("repeat(cast(id as string), 100000000) s"))
    sizes = cells.map_batches(lengths, batch_format="pyarrow").take_all()
    back = cluster.to_spark(cells, spark).selectExpr("length(s) n").collect()
    say("shape", name="cells of 100 MB", sizes=sorted(one["n"] for one in sizes), back=[row[0] for row in back])
    many = cluster.to_ray(spark.range(0, 3000, 1, 1000), progress=False)
    say("shape", name="1,000 partitions", rows=many.count(), blocks=many.transfer.blocks,
        seconds=round(many.transfer.seconds, 1), ordered=many.take(3000)[-1]["id"] == 2999)  # fmt: skip
    small = cluster.to_ray(spark.range(0, 400_000, 1, 2), block_size="1MiB")
    say("shape", name="small blocks", rows=small.count(), blocks=small.transfer.blocks)


def lengths(table):
    import pyarrow as pa
    import pyarrow.compute as pc

    return pa.table({"n": pc.binary_length(table["s"])})


# --- the way back, and who keeps the blocks -------------------------------------------------------------------------


@check
def leases(cluster, spark):
    frame = spark.range(0, 100_000, 1, 4).selectExpr("id", "cast(id as string) s")
    before = store()
    there = cluster.to_ray(frame)
    kept = cluster.to_spark(there, spark).filter("id % 2 = 0")
    del there
    gc.collect()
    first, second = kept.count(), kept.count()
    say("lease", name="the Dataset is gone, the DataFrame is run twice", rows=[first, second])
    ended = cluster.release(kept)
    try:
        kept.count()
        text = None
    except Exception as error:
        text = next((one for one in str(error).splitlines() if "no longer lent" in one), str(error)[:300])
    say("lease", name="released", ended=ended, error=text, left=settled(before))
    with cluster.lease():
        rows = cluster.to_spark(ray.data.range(10), spark).count()
    say("lease", name="with", rows=rows, left=settled(before))
    try:
        cluster.release(frame)
        text = None
    except rayyarn.RayYarnError as error:
        text = str(error)
    say("lease", name="nothing lent", error=text)
    retried = cluster.to_spark(cluster.to_ray(frame), spark).mapInArrow(partial(faulty_any, "raise"), frame.schema)
    say("lease", name="retried", rows=retried.count())
    cluster.release(retried)
    say("lease", name="placed", nodes=placed(cluster, spark))


def faulty_any(kind, batches):
    from pyspark import TaskContext

    for batch in batches:
        yield batch
        if TaskContext.get().attemptNumber() == 0 and TaskContext.get().partitionId() == 0:
            raise RuntimeError("again")


def placed(cluster, spark):
    """On how many Ray nodes the blocks of an evenly spread frame are."""
    made = cluster.to_ray(spark.range(0, 2_000_000, 1, 8))
    refs = [ref for bundle in made.iter_internal_ref_bundles() for ref in bundle.block_refs]
    return len({node for where in ray.experimental.get_object_locations(refs).values() for node in where["node_ids"]})


# --- types ----------------------------------------------------------------------------------------------------------

TYPES = {
    "boolean": "id % 2 = 0", "tinyint": "cast(id as tinyint)", "smallint": "cast(id as smallint)",
    "int": "cast(id as int)", "bigint": "if(id % 3 = 0, null, id)",
    "float": "if(id = 1, float('nan'), cast(id as float))",
    "double": "cast(id as double) / 3", "decimal(5,2)": "cast(id as decimal(5,2))",
    "decimal(38,18)": "cast(id as decimal(38,18)) / 3", "string": "if(id = 2, null, concat('é', id))",
    "char(10)": "cast(id as char(10))", "varchar(10)": "cast(id as varchar(10))",
    "binary": "cast(cast(id as string) as binary)", "date": "date'0001-01-01' + cast(id * 192000 as int)",
    "timestamp": "timestamp'2026-03-08 01:30:00' + make_interval(0, 0, 0, 0, cast(id as int))",
    "timestamp_ntz": "cast(timestamp'2026-03-08 03:30:00' as timestamp_ntz)",
    "time": "time'12:34:56.123456'", "interval day to second": "make_dt_interval(cast(id as int), 1, 2, 3.5)",
    "array<string>": "array(cast(id as string), null)", "array<timestamp>": "array(timestamp'2026-01-01 00:00:00')",
    "map<string,bigint>": "map(cast(id as string), if(id = 1, null, id))",
    "struct, nested": "named_struct('a', id, 'b', array(named_struct('c', cast(id as string), 'd', map('k', id))))",
    "variant": "parse_json('{\"a\": [1, 2.5, null]}')", "void": "null",
}  # fmt: skip


@check
def types(cluster, spark):
    base = spark.range(0, 19, 1, 4)
    frames = {}
    for name, expression in TYPES.items():
        try:
            frames[name] = base.selectExpr("id", f"{expression} as x")
        except Exception as error:  # a type that this Spark does not have
            say("type", name=name, absent=type(error).__name__)
    from pyspark.ml.feature import VectorAssembler

    assembled = VectorAssembler(inputCols=["id"], outputCol="x").transform(base)
    frames["ml vector"] = assembled.select("id", "x")
    for name, frame in frames.items():
        try:
            say("type", name=name, **round_trip(cluster, spark, frame))
        except Exception as error:
            say("type", name=name, error=line(error)[:400])
    for zone in ("America/New_York", "Asia/Kathmandu"):
        spark.conf.set("spark.sql.session.timeZone", zone)
        for name in ("timestamp", "timestamp_ntz", "array<timestamp>"):
            say("type", name=f"{name} in {zone}", **round_trip(cluster, spark, frames[name]))
    spark.conf.unset("spark.sql.session.timeZone")


def round_trip(cluster, spark, frame):
    """There, through an identity in Ray, and back; both paths."""
    facts = {}
    want = sorted(map(str, frame.collect()))
    for path in ("jvm", "python"):
        there = cluster.to_ray(frame, path=path)
        arrow = there.schema().base_schema.field("x")
        again = there.map_batches(same, batch_format="pyarrow")
        back = cluster.to_spark(again, spark)
        got = sorted(map(str, back.collect()))
        facts |= {"spark": frame.schema["x"].dataType.simpleString(), "arrow": kind(arrow.type)}
        facts[path] = {
            "type": back.schema["x"].dataType == frame.schema["x"].dataType, "values": got == want,
            "shown": back.schema["x"].dataType.simpleString(),
            "example": None if got == want else [got[0], want[0]],
        }  # fmt: skip
        cluster.release(back)
    return facts


def kind(arrow):
    """An Arrow type without what only this row says of nulls, and whichever time zone the session has."""
    return re.sub(r"tz=[^\]]+", "tz=session's", str(arrow).replace(" not null", ""))


def same(table):
    return table


# --- security -------------------------------------------------------------------------------------------------------


@check
def strangers(cluster, spark):
    """Somebody on the network, while a transfer runs, with everything but the secret."""
    import socket
    import struct

    from rayyarn.exchange.ends import channel

    seen = {}
    lent = set(listening(receivers()))  # what earlier checks lent to Spark is still lent

    def knock():
        time.sleep(4)
        ports = [port for port in listening(receivers()) if port not in lent]
        seen["listening"] = sorted({ip for ip, _ in ports})
        for ip, port in ports[:1]:
            try:
                channel.dial((ip, port), b"0" * 32, struct.pack("!QQ", 0, 0)).close()
                seen["wrong secret"] = "let in"
            except OSError as error:
                seen["wrong secret"] = str(error)
            with socket.create_connection((ip, port), timeout=5) as line:
                line.settimeout(5)
                line.recv(100)
                line.sendall(struct.pack("!Q", 1 << 40) + bytes(200))
                try:
                    seen["a frame at once"] = line.recv(100).decode() or "cut off"
                except ConnectionResetError:
                    seen["a frame at once"] = "cut off"

    slow = spark.range(0, ROWS, 1, PARTS).mapInArrow(fault("wait"), "id long")
    thread = threading.Thread(target=knock)
    thread.start()
    made = cluster.to_ray(slow)
    thread.join()
    say("strangers", rows=made.count(), after=len(set(listening(receivers())) - lent), **seen)
    conf = json.dumps(spark.sparkContext.getConf().getAll())
    say("secrets", in_conf="secret" in conf.lower())


def listening(pids):
    """(address, port) that these processes listen on beside Ray's own ports."""
    import socket
    import struct

    inodes = set()
    for pid in pids:
        with suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    target = str(link.readlink())
                    inodes |= {target[8:-1]} if target.startswith("socket:[") else set()
    found = []
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = row.split()
        if words[3] == "0A" and words[9] in inodes:
            ip, port = words[1].split(":")
            found.append((socket.inet_ntoa(struct.pack("<I", int(ip, 16))), int(port, 16)))
    return found


# --- memory ---------------------------------------------------------------------------------------------------------


@check
def busy(cluster, spark):
    """Receivers work when all of Ray's CPUs are taken."""

    @ray.remote(num_cpus=1)
    def hold():
        time.sleep(30)

    cpus = int(ray.cluster_resources()["CPU"])
    held = [hold.remote() for _ in range(cpus)]
    time.sleep(2)
    began = time.monotonic()
    made = cluster.to_ray(spark.range(0, ROWS, 1, PARTS))
    say("busy", rows=made.transfer.rows, seconds=round(time.monotonic() - began, 1))
    for one in held:
        ray.cancel(one, force=True)


@check
def after_spark(cluster, spark):
    """The Dataset lives on when Spark is gone. The last check: it stops the session."""
    made = cluster.to_ray(spark.range(0, ROWS, 1, PARTS))
    lent = cluster.to_spark(made, spark)
    rows = lent.count()
    spark.stop()
    from rayyarn.exchange import leases

    until = time.monotonic() + 10
    while leases._open and time.monotonic() < until:
        time.sleep(0.2)
    say("after", rows=rows, alive=made.count(), leases=len(leases._open),
        total=made.map_batches(same, batch_format="pyarrow").count())  # fmt: skip


def main():
    wanted = sys.argv[1:] or list(CHECKS)
    logging.getLogger("ray.data").setLevel("ERROR")
    with rayyarn.connect() as cluster:
        spark = cluster.spark("exchange", **SESSION)
        spark.sparkContext.setLogLevel("OFF")
        cluster.ray(log_to_driver=False, logging_level="ERROR")
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
    shutil.rmtree(MARKS)


if __name__ == "__main__":
    main()
