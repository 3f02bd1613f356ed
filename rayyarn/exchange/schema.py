"""Spark's types and Arrow's, both ways: what cannot be carried, and how a column keeps its Spark type in a Dataset.

A Dataset's columns carry the Spark field they came from as metadata of the Arrow field, so that columns may be
dropped, added and reordered in Ray and the rest still comes home as what it was: char and variant, time zones and
nullability, and vectors of ``pyspark.ml``, which travel as arrays.
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from rayyarn.errors import ExchangeRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FIELD = b"rayyarn.spark-field"
# Ray's own extension types, which no JVM knows; Ray makes them of numpy arrays and of Python objects.
_RAY_TYPES = ("ray.data.arrow_", "ray.data.")


def refuse(schema: Any) -> None:
    """Raise ExchangeRefused with every column of a Spark schema that cannot travel, and the cure of the first."""
    problems = list(_problems(schema))
    if problems:
        text = "; ".join(problem for problem, _ in problems)
        raise ExchangeRefused(f"not all columns can be carried: {text}", hint=problems[0][1])


def _problems(schema: Any) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for field in schema.fields:
        if field.name in seen:
            yield f"two columns are called {field.name!r}", "df.toDF(*names)   # give each a name of its own"
        seen.add(field.name)
        if vector_of(field.dataType) is None:
            yield from _inner_problems(field.name, field.dataType, field.name)


def _inner_problems(path: str, kind: Any, column: str) -> Iterator[tuple[str, str]]:
    name = kind.typeName()
    if type(kind).__name__ == "YearMonthIntervalType":
        yield (
            f"{path} is a year-month interval, which Arrow's Python cannot read",
            f"df.withColumn({column!r}, F.expr('cast({column} as int)'))   # months, for a column of that type",
        )
    elif type(kind).__name__ == "CalendarIntervalType":
        yield (
            f"{path} is a calendar interval, which PySpark itself can neither read nor return",
            f"df.withColumn({column!r}, F.expr('cast({column} as string)'))   # or use day-time intervals",
        )
    elif hasattr(kind, "sqlType"):
        kept = "an ml vector inside another column" if vector_of(kind) else f"of a user-defined type ({name})"
        yield f"{path} is {kept}", f"df.withColumn({column!r}, ...)   # turn it into arrays and structs, or drop it"
    elif hasattr(kind, "fields"):
        names = [field.name for field in kind.fields]
        for twice in sorted({one for one in names if names.count(one) > 1}):
            yield f"{path} has two fields called {twice!r}", f"df.withColumn({column!r}, ...)   # rename one"
        for field in kind.fields:
            yield from _inner_problems(f"{path}.{field.name}", field.dataType, column)
    else:
        for part in ("elementType", "keyType", "valueType"):
            if hasattr(kind, part):
                yield from _inner_problems(f"{path}[]", getattr(kind, part), column)


def vector_of(kind: Any) -> str | None:
    """``float64`` for a type of ``pyspark.ml``'s or ``mllib``'s vectors, which travel as arrays of such; else None."""
    return "float64" if type(kind).__name__ == "VectorUDT" else None


def without_vectors(frame: Any) -> Any:
    """``frame`` with its vector columns as arrays, which Arrow can hold."""
    vectors = [field.name for field in frame.schema.fields if vector_of(field.dataType)]
    if not vectors:
        return frame
    from pyspark.ml.functions import vector_to_array

    return frame.withColumns({name: vector_to_array(_column(frame, name)) for name in vectors})


def with_vectors(frame: Any, schema: Any) -> Any:
    """``frame`` with the columns that are vectors in ``schema`` made vectors again."""
    vectors = [field.name for field in schema.fields if vector_of(field.dataType)]
    if not vectors:
        return frame
    from pyspark.ml.functions import array_to_vector

    return frame.withColumns({name: array_to_vector(_column(frame, name)) for name in vectors})


def _column(frame: Any, name: str) -> Any:
    return frame["`" + name.replace("`", "``") + "`"]


def plain(schema: Any) -> Any:
    """A Spark schema with arrays where it has vectors: what travels."""
    from pyspark.sql.types import ArrayType, DoubleType, StructField, StructType

    array = ArrayType(DoubleType(), containsNull=False)
    return StructType(
        [
            StructField(field.name, array, field.nullable) if vector_of(field.dataType) else field
            for field in schema.fields
        ]
    )


def described(arrow: Any, schema: Any) -> Any:
    """An Arrow schema whose fields say which Spark fields they came from."""
    import pyarrow as pa

    fields = []
    for field, spark in zip(arrow, schema.fields, strict=True):
        known = {**(field.metadata or {}), _FIELD: json.dumps(spark.jsonValue()).encode()}
        fields.append(field.with_metadata(known))
    return pa.schema(fields)


def arrow_schema(schema: Any) -> Any:
    """The Arrow schema that Spark's own Python gives a Spark schema without vectors; times are in UTC."""
    import pyarrow as pa
    from pyspark.sql.pandas.types import to_arrow_type

    options = {"timezone": "UTC"} if "timezone" in inspect.signature(to_arrow_type).parameters else {}
    convert: Callable[..., Any] = to_arrow_type
    return pa.schema([pa.field(one.name, convert(one.dataType, **options), one.nullable) for one in schema.fields])


def spark_schema(arrow: Any) -> Any:
    """The Spark schema of a Dataset with this Arrow schema: what its columns remember, else what their types mean.

    Raises ExchangeRefused with every column that Spark has no type for.
    """
    from pyspark.sql.types import StructType

    fields, problems = [], []
    for field in arrow:
        try:
            fields.append(_remembered(field) or _inferred(field))
        except (TypeError, ValueError) as error:
            problems.append(f"{field.name} ({field.type}): {error}")
    if problems:
        raise ExchangeRefused(
            f"Spark has no type for {'; '.join(problems)}",
            hint=f"ds.drop_columns([{problems[0].split(' (')[0]!r}])   # or map_batches it to a type that Spark has",
        )
    return StructType(fields)


def _remembered(field: Any) -> Any:
    """The Spark field that an Arrow field came from, while it still has the type that it came with."""
    from pyspark.sql.types import StructField

    told = (field.metadata or {}).get(_FIELD)
    if told is None:
        return None
    known = StructField.fromJson({**json.loads(told), "name": field.name})
    travelled = arrow_schema(plain(_one(known)))[0].type
    return known if same(field.type, travelled) else None


def _one(field: Any) -> Any:
    from pyspark.sql.types import StructType

    return StructType([field])


def same(one: Any, other: Any) -> bool:
    """True when two Arrow types hold the same values.

    Names of list items and widths of offsets do not matter, and of time zones only whether there is one.
    """
    return bool(_shape(one) == _shape(other))


def _shape(kind: Any) -> Any:
    import pyarrow.types as t

    if t.is_struct(kind):
        return ("struct", *((field.name, _shape(field.type)) for field in kind))
    if t.is_map(kind):
        return ("map", _shape(kind.key_type), _shape(kind.item_type))
    if t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind):
        return ("list", _shape(kind.value_type))
    if t.is_timestamp(kind):
        return ("timestamp", kind.tz is not None)
    return str(kind).removeprefix("large_").replace("utf8", "string")


def _inferred(field: Any) -> Any:
    from pyspark.sql.pandas.types import from_arrow_type
    from pyspark.sql.types import StructField

    return StructField(field.name, from_arrow_type(_known_to_spark(field.type)), field.nullable)


def _known_to_spark(kind: Any) -> Any:
    """The nearest type that Spark has: it knows no unsigned integers, half floats, dictionaries, views."""
    import pyarrow as pa
    import pyarrow.types as t

    if isinstance(kind, pa.BaseExtensionType):
        raise TypeError("a Ray tensor or Python object")
    wider = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(),
             pa.uint64(): pa.decimal128(20, 0), pa.float16(): pa.float32(), pa.date64(): pa.date32(),
             pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}  # fmt: skip
    if kind in wider:
        return wider[kind]
    if t.is_dictionary(kind):
        return _known_to_spark(kind.value_type)
    if t.is_time32(kind):
        return pa.time64("us")
    if t.is_decimal(kind) and kind.precision > 38:
        raise TypeError("more than 38 digits")
    if t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_known_to_spark(kind.value_type)))
    if t.is_map(kind):
        return pa.map_(kind.key_field.with_type(_known_to_spark(kind.key_type)),
                       kind.item_field.with_type(_known_to_spark(kind.item_type)))  # fmt: skip
    if t.is_struct(kind):
        return pa.struct([field.with_type(_known_to_spark(field.type)) for field in kind])
    return kind
