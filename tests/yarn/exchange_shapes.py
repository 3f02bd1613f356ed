"""DataFrames of odd sizes and shapes, and those that are refused."""

from __future__ import annotations

from exchange_facts import check, line, say
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it so

import rayyarn


@check
def refusals(cluster, spark):
    base = spark.range(3)
    cases = {
        "year-month interval": base.selectExpr("id", "make_ym_interval(1, 2) as i"),
        "nested year-month interval": base.selectExpr("named_struct('a', array(make_ym_interval(1))) as s"),
        "calendar interval": base.selectExpr("make_interval(1, 2, 3, 4) as i"),
        "duplicate names": base.selectExpr("id x", "id x"),
        "no columns": base.select(),
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
    small = cluster.to_ray(spark.range(0, 400_000, 1, 2), block_size="1MiB")
    say("shape", name="small blocks", rows=small.count(), blocks=small.transfer.blocks)


def lengths(table):
    import pyarrow as pa
    import pyarrow.compute as pc

    return pa.table({"n": pc.binary_length(table["s"])})
