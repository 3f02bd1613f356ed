"""A DataFrame made ready for the way to Ray, by one of two paths.

``jvm``: Spark's JVM makes the Arrow messages and the Python worker forwards them unread. It costs little more than the
making, and needs py4j and ``Dataset.toArrowBatchRdd``, which is private to Spark (there in 3.5 and 4.x). ``python``:
``mapInArrow``, which decodes every batch in the worker and is public: for Spark Connect, and where that door is shut.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property, partial
from typing import Any

from rayyarn.errors import ExchangeRefused, UsageError
from rayyarn.exchange import schema, spark_side, travel
from rayyarn.exchange.ends import sender
from rayyarn.exchange.ends.telling import telling_line

PATHS = ("jvm", "python")


class Cargo(ABC):
    """A checked DataFrame. ``fields`` describes its columns for the Dataset (an Arrow schema, IPC)."""

    path: str
    framed_schema: bool  # each attempt sends the schema that Spark's Python worker sees

    def __init__(self, frame: Any) -> None:
        self.spark = spark_side.session_of(frame)
        self.schema = frame.schema
        self._frame = schema.without_vectors(frame)
        travel.with_spark()

    @cached_property
    def arrow_schema(self) -> Any:
        """The Arrow schema of the Dataset."""
        return schema.described(self._arrow_schema(), self.schema)

    @property
    def fields(self) -> bytes:
        """``arrow_schema`` for the wire."""
        return bytes(self.arrow_schema.serialize())

    @abstractmethod
    def send(self, stations: list[tuple[str, int]], secret: bytes) -> list[tuple[int, ...]]:
        """Run the Spark job that sends all partitions; the accounts of the attempts that Spark committed."""

    @abstractmethod
    def _arrow_schema(self) -> Any: ...


class JvmCargo(Cargo):
    """Through ``Dataset.toArrowBatchRdd``."""

    path = "jvm"
    framed_schema = False

    def send(self, stations: list[tuple[str, int]], secret: bytes) -> list[tuple[int, ...]]:
        """As in Cargo. A second call sends the same partitions of the same shuffles again."""
        work = partial(sender.forward, stations=stations, secret=secret)
        with spark_side.settings_in_tasks(self.spark):
            return list(self._messages.mapPartitions(work).collect())

    @cached_property
    def _messages(self) -> Any:
        from pyspark import RDD
        from pyspark.serializers import NoOpSerializer

        # The first call runs the stages that adaptive execution wants to see before it plans the last one.
        batches = self._frame._jdf.toArrowBatchRdd().toJavaRDD()
        return RDD(batches, self.spark.sparkContext, NoOpSerializer())

    def _arrow_schema(self) -> Any:
        import pyarrow as pa
        from py4j.protocol import Py4JError, Py4JJavaError

        package = self.spark.sparkContext._jvm.org.apache.spark.sql.execution.arrow
        converters = spark_side.scala_object(package, "ArrowConverters")
        zone = self.spark.conf.get("spark.sql.session.timeZone")
        large = self.spark.conf.get("spark.sql.execution.arrow.useLargeVarTypes", "false") == "true"
        options = [self._frame._jdf.schema(), zone, False]  # not an error here: fields of one name are refused before
        try:
            found = converters.createEmptyArrowBatch(*options, large)
        except Py4JJavaError:
            raise
        except Py4JError:  # no such method: before Spark 4
            found = converters.createEmptyArrowBatch(*options)
        return pa.ipc.open_stream(bytes(found)).schema


class PythonCargo(Cargo):
    """Through ``mapInArrow``."""

    path = "python"
    framed_schema = True

    def send(self, stations: list[tuple[str, int]], secret: bytes) -> list[tuple[int, ...]]:
        """As in Cargo."""
        work = partial(sender.forward_batches, stations=stations, secret=secret)
        return [tuple(row) for row in self._frame.mapInArrow(work, sender.ACCOUNT).collect()]

    def _arrow_schema(self) -> Any:
        return schema.arrow_schema(self._frame.schema)


def load(frame: Any, path: str | None) -> Cargo:
    """Check ``frame`` and choose a path, or take the one that is asked for. Raises ExchangeRefused, UsageError."""
    if path not in (None, *PATHS):
        raise UsageError(f"there is no path {path!r} from Spark to Ray", hint='to_ray(df, path="jvm")   # or "python"')
    found = _schema(frame)
    if not found.fields:  # Arrow joins tables without columns to one of no rows, and says nothing
        raise ExchangeRefused("a DataFrame without columns has no rows in Ray", hint="df.withColumn('one', F.lit(1))")
    schema.refuse(found)
    if path == "python" or spark_side.is_connect(frame) or not _has_door(frame):
        if path == "jvm":
            raise ExchangeRefused(
                'the path "jvm" needs a classic session and Dataset.toArrowBatchRdd; this one has not got both',
                hint="to_ray(df)   # takes the path that works",
            )
        return PythonCargo(frame)
    return JvmCargo(frame)


def _schema(frame: Any) -> Any:
    """The Spark schema, which PySpark 3.5 cannot read when a column is a calendar interval."""
    try:
        return frame.schema
    except Exception as error:
        if "CANNOT_PARSE_DATATYPE" not in str(error):
            raise
        raise ExchangeRefused(
            "a column has a type that this PySpark itself cannot read",
            log=telling_line(error),
            hint="df.selectExpr(...)   # cast it to a string, or leave it out",
        ) from None


def _has_door(frame: Any) -> bool:
    """Asked of the one method: to walk through all of them is a thousand calls of Py4J, and half a second."""
    from py4j.protocol import Py4JJavaError

    context = spark_side.session_of(frame).sparkContext
    nothing = context._gateway.new_array(context._jvm.java.lang.Class, 0)
    try:
        frame._jdf.getClass().getMethod("toArrowBatchRdd", nothing)
    except Py4JJavaError:
        return False
    return True
