"""Ray nodes that die during a transfer, and a store that is full with nowhere to spill to."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import numpy as np
import ray
from exchange_facts import PARTS, ROWS, check, line, receivers, say, settled, store
from exchange_faults import try_fault
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import rayyarn


def slowly(batches):
    """Rows as they come, in some seconds a partition."""
    for batch in batches:
        time.sleep(0.25)
        yield batch


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def kill_nodes(spark, when, at_once):
    """SIGKILL the raylets of two receiving nodes, in a stage each or at once; ``when``: so many tasks are done."""
    tracker, seen, killed = spark.sparkContext.statusTracker(), set(), set()
    until = time.monotonic() + 120
    while len(killed) < 2 and time.monotonic() < until:
        time.sleep(0.2)
        for stage in set(tracker.getActiveStageIds()) - seen:
            info = tracker.getStageInfo(stage)
            nodes = sorted({parent(pid) for pid in receivers()} - killed)
            if info is None or info.numCompletedTasks < when or not info.numActiveTasks or not nodes:
                continue
            for raylet in nodes[: 2 if at_once else 1]:
                os.kill(raylet, signal.SIGKILL)
                killed.add(raylet)
            seen.add(stage)


@check
def nodes_die(cluster, spark):
    frame = spark.range(0, ROWS, 1, PARTS).mapInArrow(slowly, "id long")
    for name, when, at_once in (("two nodes die, one after the other", 2, False), ("two nodes die at once", 1, True)):
        try_fault(cluster, name, frame, "jvm", during=partial(kill_nodes, spark, when, at_once))


class Reader:
    """Holds most of a node's object store, and reads it all the while: Ray spills no object that is being read."""

    def __init__(self, size):
        self.view = ray.get(ray.put(np.zeros(size, np.uint8)))

    def ready(self):
        return self.view.nbytes


def readers():
    """A Reader on each node that keeps data, with a block's worth of its store left over."""
    working = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    made = []
    for node in working:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        size = int(node["Resources"]["object_store_memory"]) - (20 << 20)
        made.append(ray.remote(Reader).options(num_cpus=0, scheduling_strategy=there).remote(size))
    ray.get([one.ready.remote() for one in made], timeout=120)
    return made


@check
def full(cluster, spark):
    """More than the stores hold, on nodes that may not write to their disks and cannot spill what is being read."""
    cluster.to_ray(spark.range(0, ROWS, 1, PARTS))
    held = readers()
    before = store()
    frame = spark.range(0, 50_000_000, 1, 4)
    for path in ("jvm", "python"):
        began = time.monotonic()
        try:
            cluster.to_ray(frame, path=path, block_size="16MiB")
            said = hint = code = None
        except rayyarn.RayYarnError as error:
            said, hint, code = line(error), error.hint, error.code
            del error
        seconds = time.monotonic() - began
        say("full", path=path, error=said, hint=hint, code=code, seconds=round(seconds, 1), left=settled(before))
    for one in held:
        ray.kill(one)
    say("full", path="afterwards", rows=cluster.to_ray(spark.range(0, ROWS, 1, PARTS)).count())
