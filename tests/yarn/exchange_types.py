"""A column of each type, there and back by both paths."""

from __future__ import annotations

import re

from exchange_facts import check, line, say

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


@check
def types_at_once(cluster, spark):
    """All types in one DataFrame: in a fraction of the time what ``types`` looks at one by one."""
    from pyspark.ml.feature import VectorAssembler

    base, columns, absent = spark.range(0, 19, 1, 4), ["id"], []
    for name, expression in TYPES.items():
        try:
            base.selectExpr(f"{expression} as x")
            columns.append(f"{expression} as c{len(columns)}")
        except Exception:  # a type that this Spark does not have
            absent.append(name)
    frame = VectorAssembler(inputCols=["id"], outputCol="v").transform(base.selectExpr(*columns))
    spark.conf.set("spark.sql.session.timeZone", "Asia/Kathmandu")
    want = sorted(map(str, frame.collect()))
    for path in ("jvm", "python"):
        again = cluster.to_ray(frame, path=path).map_batches(same, batch_format="pyarrow")
        back = cluster.to_spark(again, spark)
        pairs = zip(frame.schema, back.schema, strict=True)
        say("types at once", path=path, columns=len(frame.columns), absent=absent,
            wrong=[str((one, other)) for one, other in pairs if one.dataType != other.dataType],
            values=sorted(map(str, back.collect())) == want)  # fmt: skip
        cluster.release(back)
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
