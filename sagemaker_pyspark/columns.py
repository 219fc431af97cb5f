"""DataFrame columns to Records: the only file that knows VectorUDT and the JVM codec.

A *record* is the encoded form of one row: a RecordIO frame, a CSV line, a JSON line. Two paths make it, with the same
bytes: a UDF inside Spark's JVM, whose binary column reaches the worker ready to send, or, where the jar cannot be
attached, the plain columns travel to the worker and numpy encodes them there.
"""
from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from . import errors, jvm

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType, StructType

__all__ = ["Encode", "Encoding", "TabularRows", "check_features", "check_label", "dimension", "encoding", "named", "restore",
           "spark_type"]

log = logging.getLogger(__name__)

ACCEPTED = ("VectorUDT (pyspark.ml or pyspark.mllib), MatrixUDT, array<double>, array<float>, an array of whole numbers, "
            "or a numeric column")


@dataclass(frozen=True)
class Encoding:
    """How the rows of one DataFrame become records.

    Attributes
    ----------
    inputs : tuple of Column
        What must reach the worker, one Arrow array each.
    names : tuple of str
        Names of ``inputs`` as the serializer knows them.
    encode : callable
        ``list[pyarrow.Array] -> pyarrow.Array``: one binary value a row, null where the row cannot be encoded.
    path : str
        ``"jvm"`` or ``"numpy"``, for logs and benchmarks.
    """

    inputs: tuple[Any, ...]
    names: tuple[str, ...]
    encode: Callable[[list[pa.Array]], pa.Array]
    path: str


def encoding(df: DataFrame, serializer: Any, codec: str = "auto") -> Encoding:
    """Choose the path for a DataFrame and a serializer.

    Parameters
    ----------
    df : DataFrame
    serializer : RequestRowSerializer
    codec : {"auto", "jvm", "numpy"}
        ``jvm`` insists on the JVM codec, ``numpy`` never attaches it.

    Raises
    ------
    UnsupportedColumn
        A column that the serializer names is missing or of a type no codec takes.
    """
    if isinstance(serializer, TabularRows):
        return serializer.encoding(df)
    names = _needed(df.schema, serializer)
    features = getattr(serializer, "featuresColumnName", None)
    if features in names:
        check_features(df.schema, features)
    label = getattr(serializer, "labelColumnName", None)
    if label in names:
        check_label(df.schema, label)
    if codec != "numpy":
        function = jvm.record_function(df.sparkSession, serializer)
        if function is not None:
            arguments = [_jvm_argument(df, name, name == label) for name in names]
            return Encoding((function(*arguments),), ("record",), _already_encoded, "jvm")
        if codec == "jvm":
            reason = jvm.why_not(df.sparkSession) or f"it does not write what {type(serializer).__name__} does"
            raise errors.InvalidParameter(
                f"codec='jvm' was asked for, but the JVM codec cannot be used here: {reason}; use codec='auto' to fall back")
    inputs = tuple(_arrow_input(df, name, name == label) for name in names)
    return Encoding(inputs, names, Encode(serializer, names), "numpy")


class Encode:
    """Runs the serializer in the worker; a class so that it pickles with nothing but what it needs."""

    def __init__(self, serializer: Any, names: tuple[str, ...]):
        self.serializer, self.names = serializer, names

    def __call__(self, arrays: list[pa.Array]) -> pa.Array:
        records = self.serializer.encode(pa.RecordBatch.from_arrays(arrays, names=list(self.names)))
        if not isinstance(records, (pa.Array, pa.ChunkedArray)):
            records = pa.array(records, pa.large_binary())
        if len(records) != len(arrays[0]):
            raise errors.CodecError(
                f"{type(self.serializer).__name__}.encode must return one record a row, got {len(records)} for "
                f"{len(arrays[0])} rows")
        return records


def _already_encoded(arrays: list[pa.Array]) -> pa.Array:
    return arrays[0]


def _needed(schema: StructType, serializer: Any) -> tuple[str, ...]:
    """The columns a serializer reads: its own ``columns`` where it has them, else features and, if there, the label."""
    declared = getattr(serializer, "columns", None)
    if declared:
        missing = [name for name in declared if name not in schema.names]
        if missing:
            raise _missing(missing[0], schema, type(serializer).__name__)
        return tuple(declared)
    features = getattr(serializer, "featuresColumnName", None)
    if features is None:
        return tuple(schema.names)
    if features not in schema.names:
        raise _missing(features, schema, type(serializer).__name__)
    label = getattr(serializer, "labelColumnName", None)
    return (features, label) if label and label in schema.names else (features,)


def _missing(name: str, schema: StructType, who: str) -> errors.UnsupportedColumn:
    return errors.UnsupportedColumn(
        f"column {name!r} must exist for {who}; the DataFrame has {', '.join(schema.names) or 'no columns'}. Rename a "
        "column or set the serializer's column name", column=name)


def check_features(schema: StructType, name: str) -> None:
    """Refuse a features column that no codec takes, naming its type and what is accepted."""
    kind = schema[name].dataType
    if _storage(kind) is None and not _is_numeric_array(kind) and not _is_number(kind):
        raise errors.UnsupportedColumn(
            f"column {name!r} must be {ACCEPTED}; got {kind.simpleString()}. Assemble it with "
            "pyspark.ml.feature.VectorAssembler", column=name)


def check_label(schema: StructType, name: str) -> None:
    """Refuse a label column that is not a number."""
    kind = schema[name].dataType
    if not _is_number(kind) and kind.typeName() != "boolean":
        raise errors.UnsupportedColumn(
            f"label column {name!r} must be numeric or boolean; got {kind.simpleString()}. Index it with "
            "pyspark.ml.feature.StringIndexer or cast it", column=name)


def _storage(kind: DataType) -> str | None:
    """'vector' or 'matrix' for Spark's linear algebra types (ml and mllib), else None."""
    return {"VectorUDT": "vector", "MatrixUDT": "matrix"}.get(type(kind).__name__)


def _is_number(kind: DataType) -> bool:
    return kind.typeName() in ("byte", "short", "integer", "long", "float", "double") or kind.typeName() == "decimal"


def _is_numeric_array(kind: DataType) -> bool:
    return kind.typeName() == "array" and _is_number(kind.elementType)  # type: ignore[attr-defined]


def named(df: DataFrame, name: str) -> Column:
    """The column of exactly this name, dots and all."""
    return df["`" + name.replace("`", "``") + "`"]


def dimension(df: DataFrame, name: str) -> Column:
    """Number of features of each row, as an int column: what ragged data and ``feature_dim`` are checked against."""
    import pyspark.sql.functions as F

    kind = df.schema[name].dataType
    storage = _storage(kind)
    column = named(df, name)
    if storage == "vector":
        inner = F.unwrap_udt(column)
        return F.when(inner["type"] == 0, inner["size"]).otherwise(F.size(inner["values"])).cast("int")
    if storage == "matrix":
        inner = F.unwrap_udt(column)
        return (inner["numRows"] * inner["numCols"]).cast("int")
    if kind.typeName() == "array":
        return F.when(column.isNotNull(), F.size(column)).cast("int")
    return F.when(column.isNotNull(), F.lit(1)).cast("int")


def _plain(df: DataFrame, name: str) -> Column:
    """A features column as vector, matrix, array<double> or array<float>."""
    import pyspark.sql.functions as F

    kind = df.schema[name].dataType
    if _is_number(kind):
        return F.when(named(df, name).isNotNull(), F.array(named(df, name).cast("double")))
    if _is_numeric_array(kind) and kind.elementType.typeName() not in ("float", "double"):  # type: ignore[attr-defined]
        return named(df, name).cast("array<double>")
    return named(df, name)


def _jvm_argument(df: DataFrame, name: str, is_label: bool) -> Column:
    return named(df, name).cast("double") if is_label else _plain(df, name)


def _arrow_input(df: DataFrame, name: str, is_label: bool) -> Column:
    import pyspark.sql.functions as F

    kind = df.schema[name].dataType
    if is_label:
        return named(df, name).cast("double")
    if _storage(kind):
        return F.unwrap_udt(named(df, name))
    return _plain(df, name) if _is_numeric_array(kind) else named(df, name)


# -- answers: declared field types to Spark and Arrow -------------------------------------------------------------------


def spark_type(kind: str) -> str:
    """The DDL type that carries a deserializer's field through Arrow; a vector travels as array<double>."""
    return "array<double>" if kind == "vector" else kind


def restore(column: Column, kind: str) -> Column:
    """The field as the user sees it: ``vector`` fields become VectorUDT."""
    import pyspark.sql.functions as F

    if kind in ("vector", "array<double>", "array<float>") and not hasattr(F, "arrow_udf"):
        # Before 4.1 answers pass through pandas, where a NaN of a list is taken for a null.
        column = F.transform(column, lambda value: F.coalesce(value, F.lit(float("nan"))))
    if kind != "vector":
        return column
    from pyspark.ml.functions import array_to_vector

    return array_to_vector(column)


# -- plain tables: every column of the DataFrame, as CSV or JSON lines ------------------------------------------------------


@dataclass(frozen=True)
class TabularRows:
    """A whole row as one CSV or JSON line, written by Spark SQL's own ``to_csv`` and ``to_json``.

    Attributes
    ----------
    kind : {"csv", "jsonlines"}
    options : tuple of (name, value)
        Options of Spark's CSV or JSON writer, e.g. ``(("sep", ";"),)``.
    """

    kind: str
    options: tuple[tuple[str, str], ...] = ()

    def encoding(self, df: DataFrame) -> Encoding:
        import pyspark.sql.functions as F

        whole = F.struct(*[named(df, name) for name in df.columns])
        write = F.to_csv if self.kind == "csv" else F.to_json
        # An empty map of options has no string type, which Connect refuses.
        line = F.concat(write(whole, dict(self.options) or None), F.lit("\n")).cast("binary")
        return Encoding((line,), ("record",), _already_encoded, "sql")
