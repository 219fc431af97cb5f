"""Answers to rows: RecordIO-protobuf, CSV, LibSVM, JSON and JSON Lines."""
from __future__ import annotations

import csv
import json
import re
from typing import Any

import numpy as np
import pyarrow as pa

from .. import errors
from .base import ResponseRowDeserializer
from .labels import decode_labels

__all__ = [
    "CSVResponseRowDeserializer", "FactorizationMachinesBinaryClassifierDeserializer",
    "FactorizationMachinesRegressorDeserializer", "JSONLinesResponseRowDeserializer", "JSONResponseRowDeserializer",
    "KMeansProtobufResponseRowDeserializer", "LDAProtobufResponseRowDeserializer", "LibSVMResponseRowDeserializer",
    "LinearLearnerBinaryClassifierProtobufResponseRowDeserializer",
    "LinearLearnerMultiClassClassifierProtobufResponseRowDeserializer",
    "LinearLearnerRegressorProtobufResponseRowDeserializer", "PCAProtobufResponseRowDeserializer",
    "ProtobufResponseRowDeserializer", "XGBoostCSVRowDeserializer", "arrow_type"]

_NUMBERS = {"double": pa.float64(), "float": pa.float32(), "int": pa.int32(), "integer": pa.int32(),
            "bigint": pa.int64(), "long": pa.int64(), "boolean": pa.bool_(), "string": pa.string(),
            "binary": pa.binary(), "smallint": pa.int16(), "tinyint": pa.int8()}


_INTEGERS = ("int", "integer", "bigint", "long", "smallint", "tinyint")


def arrow_type(kind: str) -> pa.DataType:
    """The Arrow type that carries a response column of this type."""
    if kind == "vector":
        return pa.list_(pa.float64())
    if kind.startswith("array<") and kind.endswith(">"):
        return pa.list_(arrow_type(kind[6:-1]))
    if kind not in _NUMBERS:
        raise errors.InvalidParameter(f"a response column must be of type vector, array<...> or one of "
                                      f"{', '.join(_NUMBERS)}; got {kind!r}")
    return _NUMBERS[kind]


def _is_list(kind: str) -> bool:
    return kind == "vector" or kind.startswith("array<")


def _batch(fields: tuple[tuple[str, str], ...], columns: list[Any]) -> pa.RecordBatch:
    arrays = []
    for values, (name, kind) in zip(columns, fields):
        try:
            arrays.append(_column(values, kind))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as problem:
            raise errors.UnexpectedResponse(f"column {name!r} of the answer must be {kind}: {problem}") from None
    return pa.RecordBatch.from_arrays(arrays, [name for name, _ in fields])


def _column(values: Any, kind: str) -> pa.Array:
    target = arrow_type(kind)
    if _is_list(kind) and isinstance(values, np.ndarray) and values.ndim == 2:
        offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
        return pa.ListArray.from_arrays(pa.array(offsets), _cast(values.reshape(-1), target.value_type))
    if isinstance(values, np.ndarray):
        return _cast(values, target)
    return pa.array(values, target)


def _cast(values: np.ndarray, target: pa.DataType) -> pa.Array:
    """Arrow's checked cast, by way of numpy where there is nothing to check: that costs a tenth for an answer of a request."""
    if values.dtype == np.float32 and pa.types.is_float64(target):
        values = values.astype(np.float64)
    made = pa.array(values)
    return made if made.type == target else made.cast(target)


def _fields(schema: Any) -> tuple[tuple[str, str], ...]:
    """(name, type) pairs of a DDL string, a pyspark schema, its JSON form, or pairs."""
    if hasattr(schema, "fields"):
        return tuple((f.name, "vector" if type(f.dataType).__name__ == "VectorUDT" else f.dataType.simpleString())
                     for f in schema.fields)
    if isinstance(schema, dict):
        return tuple((f["name"], _json_type(f["type"])) for f in schema["fields"])
    if isinstance(schema, str):
        return tuple(_pair(part) for part in schema.split(","))
    return tuple((str(name), str(kind)) for name, kind in schema)


def _pair(text: str) -> tuple[str, str]:
    name, _, kind = text.strip().replace(":", " ").partition(" ")
    return name.strip("`"), kind.strip().lower()


def _json_type(kind: Any) -> str:
    if isinstance(kind, str):
        return {"integer": "int", "long": "bigint"}.get(kind, kind)
    if kind.get("type") == "udt":
        return "vector"
    return f"array<{_json_type(kind['elementType'])}>"


class ProtobufResponseRowDeserializer(ResponseRowDeserializer):
    """RecordIO-protobuf answers, by the keys of their label maps.

    Parameters
    ----------
    schema : str, StructType or sequence of (name, type)
        Output columns, e.g. ``"distance double, cluster double"``.
    protobufKeys : sequence of str, optional
        Key of each column; default its name.
    """

    accepts = "application/x-recordio-protobuf"

    def __init__(self, schema: Any, protobufKeys: Any = None):
        self.fields = _fields(schema)
        self.keys = tuple(protobufKeys) if protobufKeys is not None else tuple(name for name, _ in self.fields)
        for _, kind in self.fields:
            arrow_type(kind)
        if len(self.keys) != len(self.fields):
            raise errors.InvalidParameter(
                f"protobufKeys must name one key for each of the {len(self.fields)} columns, got {len(self.keys)}")

    def decode(self, body: bytes, content_type: str | None = None, rows: int | None = None) -> pa.RecordBatch:
        columns = decode_labels(body, self.keys, tuple(_is_list(kind) for _, kind in self.fields), rows)
        lengths = {len(column) for column in columns}
        if len(lengths) > 1:
            raise errors.UnexpectedResponse(
                f"every label must answer the same rows, got {dict(zip(self.keys, map(len, columns)))}")
        return _batch(self.fields, columns)


class KMeansProtobufResponseRowDeserializer(ProtobufResponseRowDeserializer):
    """Distance to the closest centroid, and its number."""

    def __init__(self, distance_to_cluster_column_name: str = "distance_to_cluster",
                 closest_cluster_column_name: str = "closest_cluster"):
        super().__init__([(distance_to_cluster_column_name, "double"), (closest_cluster_column_name, "double")],
                         ("distance_to_cluster", "closest_cluster"))


class PCAProtobufResponseRowDeserializer(ProtobufResponseRowDeserializer):
    """The projection, as a vector."""

    def __init__(self, projection_column_name: str = "projection"):
        super().__init__([(projection_column_name, "vector")], ("projection",))


class LDAProtobufResponseRowDeserializer(ProtobufResponseRowDeserializer):
    """The mixture of topics, as a vector (1.4.5's parameter is called projection_column_name)."""

    def __init__(self, projection_column_name: str = "topic_mixture"):
        super().__init__([(projection_column_name, "vector")], ("topic_mixture",))


class LinearLearnerBinaryClassifierProtobufResponseRowDeserializer(ProtobufResponseRowDeserializer):
    """Score and predicted label."""

    def __init__(self, score_column_name: str = "score", predicted_label_column_name: str = "predicted_label"):
        super().__init__([(score_column_name, "double"), (predicted_label_column_name, "double")],
                         ("score", "predicted_label"))


class LinearLearnerMultiClassClassifierProtobufResponseRowDeserializer(ProtobufResponseRowDeserializer):
    """A score for each class, as a vector, and the predicted label."""

    def __init__(self, score_column_name: str = "score", predicted_label_column_name: str = "predicted_label"):
        super().__init__([(score_column_name, "vector"), (predicted_label_column_name, "double")],
                         ("score", "predicted_label"))


class LinearLearnerRegressorProtobufResponseRowDeserializer(ProtobufResponseRowDeserializer):
    """The predicted value."""

    def __init__(self, score_column_name: str = "score"):
        super().__init__([(score_column_name, "double")], ("score",))


class FactorizationMachinesBinaryClassifierDeserializer(LinearLearnerBinaryClassifierProtobufResponseRowDeserializer):
    """Score and predicted label."""


class FactorizationMachinesRegressorDeserializer(LinearLearnerRegressorProtobufResponseRowDeserializer):
    """The predicted value."""


class CSVResponseRowDeserializer(ResponseRowDeserializer):
    """One line a row, one cell a column; a single vector column takes all cells of its line.

    Parameters
    ----------
    schema : str, StructType or sequence of (name, type)
    """

    accepts = "text/csv"

    def __init__(self, schema: Any = "prediction double"):
        self.fields = _fields(schema)
        for _, kind in self.fields:
            arrow_type(kind)

    def decode(self, body: bytes, content_type: str | None = None, rows: int | None = None) -> pa.RecordBatch:
        lines = [line.strip() for line in _text(body).strip().split("\n") if line.strip()]
        wide = len(self.fields) == 1 and _is_list(self.fields[0][1])
        if len(lines) == 1 and len(self.fields) == 1 and rows is not None and rows > 1:
            # Containers before 1.2-2 answer a whole request in one line.
            if wide and lines[0].startswith("["):
                lines = [f"[{part}]" for part in re.split(r"\]\s*,\s*\[", lines[0].strip("[]"))]
            elif not wide and not lines[0].startswith("["):
                lines = lines[0].split(",")
        if wide:
            return _batch(self.fields, [[_floats(line) for line in lines]])
        cells = [next(csv.reader([line], skipinitialspace=True)) if '"' in line else line.strip("[]").split(",")
                 for line in lines]
        for at, row in enumerate(cells):
            if len(row) != len(self.fields):
                raise errors.UnexpectedResponse(
                    f"line {at} of the answer must have {len(self.fields)} cells ({', '.join(n for n, _ in self.fields)}), "
                    f"it has {len(row)}. For several numbers a row declare one 'vector' column")
        return _batch(self.fields, [[_cell(row[at], kind) for row in cells] for at, (_, kind) in enumerate(self.fields)])


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise errors.UnexpectedResponse(f"the answer must hold numbers, got {text[:40]!r}") from None


def _floats(text: str) -> list[float]:
    inner = text.strip().strip('"').strip("[]")
    return [_float(part) for part in inner.split(",")] if inner.strip() else []


def _text(body: Any) -> str:
    try:
        return bytes(body).decode("utf-8")
    except UnicodeDecodeError:
        raise errors.UnexpectedResponse(f"the answer must be text, it begins {bytes(body[:40])!r}") from None


def _cell(text: str, kind: str) -> Any:
    text = text.strip()
    if kind == "string":
        return text
    if _is_list(kind):
        return _floats(text)
    if kind == "boolean" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind in _INTEGERS:
        return _integer(text)
    value = _float(text)
    if kind == "boolean" and value not in (0.0, 1.0):
        raise errors.UnexpectedResponse(f"the answer must be true or false, got {text[:40]!r}")
    return bool(value) if kind == "boolean" else value


def _integer(text: str) -> int:
    try:
        return int(text)  # not by way of a float, which holds 53 bits
    except ValueError:
        value = _float(text)
    if not value.is_integer():
        raise errors.UnexpectedResponse(f"the answer must hold whole numbers, got {text[:40]!r}")
    return int(value)


class XGBoostCSVRowDeserializer(CSVResponseRowDeserializer):
    """XGBoost's prediction.

    Parameters
    ----------
    prediction_column_name : str
    vector : bool
        True for ``multi:softprob``, whose answer has a probability for each class.
    """

    def __init__(self, prediction_column_name: str = "prediction", vector: bool = False):
        super().__init__([(prediction_column_name, "vector" if vector else "double")])


class LibSVMResponseRowDeserializer(ResponseRowDeserializer):
    """LibSVM lines as label and vector.

    Parameters
    ----------
    dim : int
        Size of the vectors.
    labelColumnName, featuresColumnName : str

    Notes
    -----
    Indices count from 1, as LibSVM files do and 1.4.5 read them.
    """

    accepts = "text/x-libsvm"

    def __init__(self, dim: int, labelColumnName: str, featuresColumnName: str):
        self.dim = int(dim)
        self.fields = ((labelColumnName, "double"), (featuresColumnName, "vector"))

    def decode(self, body: bytes, content_type: str | None = None, rows: int | None = None) -> pa.RecordBatch:
        labels, features = [], []
        for at, line in enumerate(line for line in _text(body).split("\n") if line.strip()):
            label, *pairs = line.split()
            row = [0.0] * self.dim
            for pair in pairs:
                index, _, value = pair.partition(":")
                if not (index.isascii() and index.isdigit()) or not 1 <= int(index) <= self.dim:
                    raise errors.UnexpectedResponse(
                        f"indices of line {at} must be from 1 to {self.dim}, got {index[:20]!r}")
                row[int(index) - 1] = _float(value)
            labels.append(_float(label))
            features.append(row)
        return _batch(self.fields, [labels, features])


class JSONLinesResponseRowDeserializer(ResponseRowDeserializer):
    """One JSON object a line, its members as columns.

    Parameters
    ----------
    schema : str, StructType or sequence of (name, type)
    keys : sequence of str, optional
        Member of each column; default its name.
    """

    accepts = "application/jsonlines"

    def __init__(self, schema: Any, keys: Any = None):
        self.fields = _fields(schema)
        for _, kind in self.fields:
            arrow_type(kind)
        self.keys = tuple(keys) if keys is not None else tuple(name for name, _ in self.fields)

    def decode(self, body: bytes, content_type: str | None = None, rows: int | None = None) -> pa.RecordBatch:
        return self._table([_json(line) for line in bytes(body).split(b"\n") if line.strip()])

    def _table(self, found: list[Any]) -> pa.RecordBatch:
        columns = []
        for key, (_, kind) in zip(self.keys, self.fields):
            column = []
            for at, row in enumerate(found):
                if not isinstance(row, dict) and len(self.fields) == 1:
                    column.append(row)  # an answer may be the bare value
                elif not isinstance(row, dict) or key not in row:
                    there = ", ".join(row) if isinstance(row, dict) else type(row).__name__
                    raise errors.UnexpectedResponse(f"row {at} of the answer must have {key!r}, it has {there}")
                else:
                    column.append(row[key])
            columns.append(_json_column(column, kind, key))
        return _batch(self.fields, columns)


class JSONResponseRowDeserializer(JSONLinesResponseRowDeserializer):
    """A JSON document with the rows under one member.

    Parameters
    ----------
    schema : str, StructType or sequence of (name, type)
    keys : sequence of str, optional
    envelope : str, optional
        Member that holds the rows; default whichever of ``predictions``, ``projections``, ``scores`` is there. A bare list
        is taken as it is.
    """

    accepts = "application/json"

    def __init__(self, schema: Any, keys: Any = None, envelope: str | None = None):
        super().__init__(schema, keys)
        self.envelope = envelope

    def decode(self, body: bytes, content_type: str | None = None, rows: int | None = None) -> pa.RecordBatch:
        found = _json(bytes(body))
        if isinstance(found, dict):
            names = (self.envelope,) if self.envelope else ("predictions", "projections", "scores")
            name = next((n for n in names if n in found), None)
            if name is None:
                raise errors.UnexpectedResponse(
                    f"the answer must have {' or '.join(map(repr, names))}, it has {', '.join(found) or 'nothing'}")
            found = found[name]
        if not isinstance(found, list):
            raise errors.UnexpectedResponse(f"the answer's rows must be a list, got {type(found).__name__}")
        return self._table(found)


def _json_column(values: list[Any], kind: str, key: str) -> list[Any]:
    made = []
    for row, value in enumerate(values):
        try:
            made.append(_json_cell(value, kind))
        except (errors.UnexpectedResponse, pa.ArrowException, TypeError, ValueError, OverflowError) as problem:
            raise errors.UnexpectedResponse(f"{key!r} in row {row} of the answer must be {kind}: {problem}") from None
    return made


def _json_cell(value: Any, kind: str) -> Any:
    if value is None or (kind == "double" and type(value) is float):
        return value
    if kind == "string" or _is_list(kind):
        return pa.array([value], arrow_type(kind)).to_pylist()[0]
    if isinstance(value, (list, dict)):
        raise errors.UnexpectedResponse(f"got {json.dumps(value)[:40]}")
    return _cell(str(value), kind)


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise errors.UnexpectedResponse(f"the answer must be JSON: {problem}; it begins {bytes(text[:60])!r}") from None
