"""Spark and Ray in one program that knows nothing of where it runs. Its last line is the same in all four places.

    rayyarn run --environment ENV -- python four_ways.py              # a cluster for it alone, as on a laptop's mini
    rayyarn exec NAME -- python four_ways.py                          # here, on the edge
    rayyarn submit NAME --memory 1500m -- four_ways.py                # in the head's container (--head-memory 3g)
    rayyarn connect NAME --spark-conf x.conf; spark-submit --properties-file x.conf --deploy-mode cluster four_ways.py

Spark makes the orders of a week, Ray adds what each costs with tax, Spark sums that up by shop.
"""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.compute as pc
import ray
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it so

import rayyarn

ORDERS, SHOPS = 100_000, 7


def with_tax(orders: pa.Table) -> pa.Table:
    """Whole cents: equal in whatever order the parts are added."""
    cents = pc.add(orders["cents"], pc.divide(pc.multiply(orders["cents"], 19), 100))
    return orders.append_column("paid", cents).append_column("where", pa.array([place()] * len(orders)))


def place() -> str:
    """The container that this runs in, if it is one."""
    return os.environ.get("CONTAINER_ID", "no container")


def main() -> None:
    """There and back again, and the sum of it."""
    with rayyarn.connect() as cluster:
        cluster.ray(log_to_driver=False, logging_level="ERROR")
        spark = cluster.spark("four ways", executor_instances=1, executor_memory="600m", yarn_am_memory="512m",
                              driver_memory="600m", ui_enabled=False, ui_showConsoleProgress=False)  # fmt: skip
        orders = spark.range(ORDERS).selectExpr(f"id % {SHOPS} AS shop", "id % 9973 AS cents")
        priced = cluster.to_ray(orders, progress=False).map_batches(with_tax, batch_format="pyarrow")
        back = cluster.to_spark(priced.materialize(), spark).cache()
        shops = back.groupBy("shop").agg(F.count("*"), F.sum("paid")).orderBy("shop").collect()
        workers = [row[0] for row in back.select("where").distinct().collect()]
        spark.stop()
        ray.shutdown()
    print(f"Spark and this program met in {place()}, Ray's part ran in {', '.join(sorted(workers))}")
    print(f"{sum(shop[1] for shop in shops)} orders in {len(shops)} shops; shop 3 sold for {shops[3][2] / 100:.2f}, "
          f"all for {sum(shop[2] for shop in shops) / 100:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
