"""AutoML for a time series: Spark makes the features, Ray Tune searches models and lags, Spark takes the best forecast.

    rayyarn exec NAME -- python examples/timeseries_automl.py [--report FILE] [--storage FOLDER]

The series is the carbon dioxide in the air above Mauna Loa, week by week from 1958 to 2001, as the package statsmodels
brings it along. Spark makes months of the weeks and looks back from each; Ray tries each model with each choice of lags
on months that the model has not seen, side by side; the winner's forecasts of the last five years go back to Spark.
The naive forecast beside it is that of a year ago plus what that year had grown.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import ray
from program import run, small_spark
from pyarrow.csv import ConvertOptions, open_csv
from pyspark.sql import Window
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it so
from ray import tune

LAGS = 24  # months that each row looks back
HELD_BACK = 60  # the months to forecast; as many before them choose the model
SPACE = {"model": tune.grid_search(["ridge", "boosted trees"]), "lags": tune.grid_search([2, 13, 24])}


def work(cluster, storage, given, clock):  # noqa: ARG001 - no options of its own
    """Features, search, forecast, summary: what happened."""
    spark = small_spark(cluster, "series", executors=1, tasks=2)
    clock.lap("Spark is there")
    months = cluster.to_ray(features(spark), progress=False)
    clock.lap("features made and handed to Ray")
    trials = search(months, storage)
    best = min(trials, key=lambda trial: trial["error"])
    clock.lap("searched")
    forecast = ray.data.from_arrow_refs([forecasts.remote(months.to_arrow_refs(), best["choice"])])
    back = cluster.to_spark(forecast, spark).cache()
    off = [F.round(F.avg(F.abs(F.col("ppm") - F.col(guess))), 3) for guess in ("forecast", "naive")]
    years = back.groupBy(F.substring("month", 1, 4).alias("year")).agg(F.count("*"), *off).orderBy("year").collect()
    where = [F.first(column) for column in ("features_in", "forecast_in")]
    count, error, naive, features_in, forecast_in = back.agg(F.count("*"), *off, *where).first()
    clock.lap("forecast, handed back and summed up")
    report = {
        "spark": spark.sparkContext.applicationId, "months": months.transfer.rows, "transfer": str(months.transfer),
        "trials": trials, "best": best["choice"], "forecast": count, "error": error, "naive": naive,
        "years": [list(row) for row in years], "features_in": features_in, "forecast_in": forecast_in,
    }  # fmt: skip
    spark.stop()
    return report


# --- Spark ---------------------------------------------------------------------------------------------------------


def features(spark):
    """A row a month: its mean, and the means of the LAGS months before it."""
    weeks = spark.range(0, 1, 1, 1).mapInArrow(read_weeks, "date string, co2 double, features_in string")
    months = weeks.groupBy(F.substring("date", 1, 6).alias("month")).agg(
        F.avg("co2").alias("ppm"), F.first("features_in").alias("features_in")
    )
    ordered = Window.orderBy("month")
    # Five months have no measurement, three of them in a row: they are halfway between those around them.
    before = F.last("ppm", ignorenulls=True).over(ordered.rowsBetween(Window.unboundedPreceding, -1))
    after = F.first("ppm", ignorenulls=True).over(ordered.rowsBetween(1, Window.unboundedFollowing))
    filled = months.withColumn("ppm", F.coalesce("ppm", (before + after) / 2))
    lags = [F.lag("ppm", back).over(ordered).alias(f"lag{back}") for back in range(1, LAGS + 1)]
    return filled.select("month", "ppm", "features_in", *lags).dropna().orderBy("month")


def read_weeks(batches):
    """Runs in an executor: the weeks, from its own copy of the environment."""
    place = Path(find_spec("statsmodels").submodule_search_locations[0]) / "datasets" / "co2" / "co2.csv"
    for _ in batches:
        with place.open("rb") as file:
            kinds = {"date": pa.string(), "co2": pa.float64()}
            for batch in open_csv(
                file, convert_options=ConvertOptions(column_types=kinds, include_columns=list(kinds))
            ):
                yield batch.append_column("features_in", pa.array([here()] * len(batch), pa.string()))


# --- Ray -----------------------------------------------------------------------------------------------------------


def search(months, storage):
    """Each model with each choice of lags, a trial for each: its error on the months that choose."""

    def trial(choice, blocks):
        table = pa.concat_tables(ray.get(blocks))
        table = table.slice(0, len(table) - HELD_BACK)  # the last five years stay unseen
        guessed = predict(choice, table, HELD_BACK)
        error = float(np.abs(guessed - table["ppm"].to_numpy()[-HELD_BACK:]).mean())
        tune.report({"error": round(error, 4), "where": here()})

    results = tune.Tuner(
        tune.with_parameters(trial, blocks=months.to_arrow_refs()),
        param_space=SPACE,
        run_config=tune.RunConfig(storage_path=storage, name="search", verbose=0),
    ).fit()
    return [
        {"choice": one.config, "error": one.metrics["error"], "where": one.metrics["where"]} for one in results
    ]  # fmt: skip


@ray.remote(num_cpus=1)
def forecasts(blocks, choice):
    """The last months as the chosen model and the naive one see them, each a month ahead."""
    table = pa.concat_tables(ray.get(blocks))
    naive = table["lag12"].to_numpy() + table["lag1"].to_numpy() - table["lag13"].to_numpy()
    last = table.slice(len(table) - HELD_BACK).select(["month", "ppm", "features_in"])
    last = last.append_column("forecast", pa.array(predict(choice, table, HELD_BACK)))
    last = last.append_column("naive", pa.array(naive[-HELD_BACK:]))
    return last.append_column("forecast_in", pa.array([here()] * len(last), pa.string()))


def predict(choice, table, count):
    """The last ``count`` months, by a model fitted to all before them; in steps from the month before."""
    past = np.column_stack([table[f"lag{back}"].to_numpy() for back in range(1, choice["lags"] + 1)])
    steps = past[:, :1] - past[:, 1:]  # differences: the level of the air's CO2 only grows
    season = np.array([[int(month[4:]) == one for one in range(1, 13)] for month in table["month"].to_pylist()])
    known, wanted = np.column_stack([steps, season]).astype(float), table["ppm"].to_numpy() - past[:, 0]
    x, y = known[:-count], wanted[:-count]
    if choice["model"] == "ridge":
        fitted = known[-count:] @ np.linalg.solve(x.T @ x + 0.1 * np.eye(x.shape[1]), x.T @ y)
    else:
        import xgboost

        model = xgboost.train({"max_depth": 3, "eta": 0.1, "nthread": 1}, xgboost.DMatrix(x, y), 100)
        fitted = model.inplace_predict(known[-count:])
    return past[-count:, 0] + fitted


def here():
    """Host and YARN container of this process."""
    return f"{os.environ['NM_HOST']} {os.environ['CONTAINER_ID']}"


def show(report):
    """What was tried where, and how good the best is."""
    print(f"\nSpark to Ray: {report['transfer']}: months, each with {LAGS} before it")
    print(f"\n{'model':<15}{'lags':>5}{'error':>9}  tried in")
    for one in sorted(report["trials"], key=lambda one: one["error"]):
        print(f"{one['choice']['model']:<15}{one['choice']['lags']:>5}{one['error']:>9.3f}  {one['where']}")
    print(f"\n{'year':<6}{'months':>7}{'error':>9}{'naive':>9}   parts per million, mean absolute, a month ahead")
    for year, months, error, naive in [*report["years"], ["all", *(report[k] for k in ("forecast", "error", "naive"))]]:
        print(f"{year:<6}{months:>7}{error:>9.3f}{naive:>9.3f}")
    print(f"\nthe best, {report['best']['model']} with {report['best']['lags']} lags, is off by ", end="")
    print(f"{1 - report['error'] / report['naive']:.0%} less than the naive forecast")
    print(f"\nSpark executor  {report['features_in']}  made the features")
    print(f"Ray worker      {report['forecast_in']}  made the forecast")
    print(f"Spark           {report['spark']}  summed it up")


if __name__ == "__main__":
    run(__doc__, "series", work, show)
