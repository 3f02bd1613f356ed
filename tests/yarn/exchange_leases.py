"""The way back, and who keeps the blocks for how long."""

from __future__ import annotations

import gc
import time

import ray
from exchange_facts import PARTS, ROWS, check, say, settled, store
from exchange_types import same

import rayyarn
from rayyarn.exchange import leases as known


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
    retried = cluster.to_spark(cluster.to_ray(frame), spark).mapInArrow(again, frame.schema)
    say("lease", name="retried", rows=retried.count())
    cluster.release(retried)
    say("lease", name="placed", nodes=placed(cluster, spark))
    say("lease", name="near", **near(cluster, spark))


def again(batches):
    from pyspark import TaskContext

    for batch in batches:
        yield batch
        if TaskContext.get().attemptNumber() == 0 and TaskContext.get().partitionId() == 0:
            raise RuntimeError("again")


def near(cluster, spark):
    """The hosts that Spark is asked for, those that hold blocks, and whether it would broadcast what it cannot know."""
    made = cluster.to_ray(spark.range(0, 2_000_000, 1, 8))
    with cluster.lease():
        lent = cluster.to_spark(made, spark)
        plan, context = lent._jdf.queryExecution().toRdd(), spark.sparkContext._jsc.sc()
        wanted = [context.getPreferredLocs(plan, number).mkString() for number in range(plan.getNumPartitions())]
        joined = lent.join(spark.range(10**9), "id")._jdf.queryExecution().toString()
    held = {node["host"] for node in cluster.connection.nodes if node["role"] == "worker"}
    return {"wanted": wanted, "held": sorted(held), "broadcast": "BroadcastHashJoin" in joined}


def placed(cluster, spark):
    """On how many Ray nodes the blocks of an evenly spread frame are."""
    made = cluster.to_ray(spark.range(0, 2_000_000, 1, 8))
    refs = [ref for bundle in made.iter_internal_ref_bundles() for ref in bundle.block_refs]
    return len({node for where in ray.experimental.get_object_locations(refs).values() for node in where["node_ids"]})


@check
def after_spark(cluster, spark):
    """The Dataset lives on when Spark is gone. The last check: it stops the session, and leaves Ray."""
    made = cluster.to_ray(spark.range(0, ROWS, 1, PARTS))
    lent = cluster.to_spark(made, spark)
    rows = lent.count()
    spark.stop()
    until = time.monotonic() + 10
    while known._open and time.monotonic() < until:
        time.sleep(0.2)
    facts = {"rows": rows, "leases": len(known._open), "alive": made.count()}
    facts |= {"total": made.map_batches(same, batch_format="pyarrow").count()}
    known.keep(known.Lease(spark, [], [node["NodeID"] for node in ray.nodes()]))
    ray.shutdown()
    until = time.monotonic() + 10
    while known._open and time.monotonic() < until:
        time.sleep(0.2)
    say("after", **facts, left=len(known._open), joined=ray.is_initialized())
