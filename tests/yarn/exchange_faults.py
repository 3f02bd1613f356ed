"""What goes wrong on the way from Spark to Ray: tasks, executors and receivers that fail, and nodes that are busy."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import tempfile
import threading
import time
import uuid
from functools import partial
from pathlib import Path

import ray
from exchange_facts import PARTS, ROWS, check, line, receivers, say, settled, store

import rayyarn

MARKS = tempfile.mkdtemp(prefix="rayyarn-faults-")  # executors are on this machine too
atexit.register(shutil.rmtree, MARKS)


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
def one_fault(cluster, spark):
    plain = spark.range(0, ROWS, 1, PARTS)
    try_fault(cluster, "executor killed in mid-stream", plain.mapInArrow(fault("kill"), "id long"), "jvm")


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
    except rayyarn.RayYarnError as error:
        ended = line(error)
    seconds = time.monotonic() - began
    time.sleep(1)
    running = list(spark.sparkContext.statusTracker().getActiveJobsIds())
    say("interrupt", ended=ended, seconds=round(seconds, 1), left=settled(before), running=running)


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
