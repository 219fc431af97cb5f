"""CSV, LibSVM and JSON requests. What the JVM codec writes where it can be attached, to the byte."""
from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa

from .. import errors
from .base import RequestRowSerializer, column_of

__all__ = ["CSVRequestRowSerializer", "JSONLinesRequestRowSerializer", "JSONRequestRowSerializer",
           "LibSVMRequestRowSerializer", "UnlabeledCSVRequestRowSerializer"]

#: Bytes of "0.0,", and of the longest line the JVM can hold.
_SHORTEST_CELL, _MAX_LINE = 4, 2**31 - 9


def _rows(features: pa.Array) -> list[tuple[list[float], list[int] | None, int] | None]:
    """(values, indices of a sparse row, size) of each row, None for a null row."""
    if isinstance(features, pa.ChunkedArray):
        features = features.combine_chunks()
    out: list[Any] = []
    if not pa.types.is_struct(features.type):
        is_list = pa.types.is_list(features.type) or pa.types.is_large_list(features.type) or pa.types.is_fixed_size_list(
            features.type)
        for cell in features.to_pylist():
            values = cell if is_list or cell is None else [cell]
            _refuse_null(values)
            out.append(None if values is None else ([float(v) for v in values], None, len(values)))
        return out
    if features.type.get_field_index("numRows") >= 0:
        raise errors.CodecError("a text format cannot carry a matrix; use ProtobufRequestRowSerializer")
    for cell in features.to_pylist():
        if cell is None:
            out.append(None)
        elif cell["type"] == 0:
            _refuse_null(cell["values"])
            _refuse_beyond(cell["indices"], cell["size"])
            out.append((cell["values"], cell["indices"], cell["size"]))
        else:
            _refuse_null(cell["values"])
            out.append((cell["values"], None, len(cell["values"])))
    return out


def _refuse_null(values: list[Any] | None) -> None:
    if values is not None and any(v is None for v in values):
        raise errors.CodecError("features must not hold nulls; fill them (pyspark.ml.feature.Imputer) or use NaN")


def _refuse_beyond(indices: list[int], size: int) -> None:
    """mllib's vectors do not promise it."""
    wrong = next((at for at in indices if not 0 <= at < size), None)
    if wrong is not None:
        raise errors.CodecError(f"the indices of a sparse vector must be below its size, got {wrong} in a row of {size}")


def _dense(row: tuple[list[float], list[int] | None, int]) -> list[float]:
    values, indices, size = row
    if indices is None:
        return values
    if size * _SHORTEST_CELL > _MAX_LINE:
        raise errors.RecordTooLarge(
            f"a line of text must be smaller than {_MAX_LINE + 1} bytes, this row has {size * _SHORTEST_CELL} or more ({size} "
            "features); use LibSVM or RecordIO-protobuf, which leave zeros out")
    full = [0.0] * size
    for at, value in zip(indices, values):
        full[at] = value
    return full


def _labels(batch: pa.RecordBatch, name: str | None) -> list[Any] | None:
    if not name or name not in batch.schema.names:
        return None
    return batch.column(batch.schema.names.index(name)).cast(pa.float64()).to_pylist()


def _number(value: float) -> str:
    return repr(value) if value == value and value not in (np.inf, -np.inf) else {True: "Infinity", False: "-Infinity"}.get(
        value == np.inf, "") if value == value else "NaN"


class _Lines(RequestRowSerializer):
    """Common to the formats of one line a row."""

    def encode(self, batch: pa.RecordBatch) -> Any:
        features = _rows(column_of(batch, str(self.featuresColumnName)))
        labels = _labels(batch, self.labelColumnName)
        lines: list[bytes | None] = []
        for at, row in enumerate(features):
            label = labels[at] if labels is not None else None
            missing = row is None or (labels is not None and label is None)
            lines.append(None if missing else self._line(row, label).encode() + b"\n")  # type: ignore[arg-type]
        return pa.array(lines, pa.large_binary())

    def _line(self, row: tuple[list[float], list[int] | None, int], label: float | None) -> str:
        raise NotImplementedError


class CSVRequestRowSerializer(_Lines):
    """Values separated by commas, the label first where there is one; sparse rows are written out."""

    content_type = "text/csv"

    def __init__(self, schema: Any = None, featuresColumnName: str = "features", labelColumnName: str | None = None):
        self.featuresColumnName, self.labelColumnName = featuresColumnName, labelColumnName

    def _line(self, row: Any, label: float | None) -> str:
        cells = [_number(v) for v in _dense(row)]
        return ",".join([_number(label), *cells] if label is not None else cells)


class UnlabeledCSVRequestRowSerializer(CSVRequestRowSerializer):
    """CSV without a label, 1.4.5's name.

    Parameters
    ----------
    schema : object, optional
        Accepted as in 1.4.5.
    featuresColumnName : str
    """

    def __init__(self, schema: Any = None, featuresColumnName: str = "features"):
        super().__init__(schema, featuresColumnName)


class LibSVMRequestRowSerializer(_Lines):
    """LibSVM lines, ``label index:value ...``, for XGBoost.

    Indices count from 0, as the container reads them for training. Its 3.2 serving shifts every column by one if the
    smallest index of a request is 1 or more, so index 0 is always written, even where it is zero; the last index is
    written too, so that trailing zeros do not shorten the row. A row without a label column gets the label 0, which
    inference ignores.

    Parameters
    ----------
    schema : object, optional
        Accepted as in 1.4.5.
    labelColumnName, featuresColumnName : str
    """

    content_type = "text/libsvm"

    def __init__(self, schema: Any = None, labelColumnName: str = "label", featuresColumnName: str = "features"):
        self.labelColumnName, self.featuresColumnName = labelColumnName, featuresColumnName

    def _line(self, row: Any, label: float | None) -> str:
        values, indices, size = row
        pairs = {at: v for at, v in (zip(indices, values) if indices is not None else enumerate(values)) if v != 0}
        if size:
            pairs.setdefault(0, 0.0)
            pairs.setdefault(size - 1, 0.0)
        return " ".join([_number(label or 0.0), *(f"{at}:{_number(pairs[at])}" for at in sorted(pairs))])


def _instance(row: Any) -> str:
    values, indices, size = row
    if indices is None:
        return json.dumps({"features": values})
    return json.dumps({"data": {"features": {"keys": indices, "shape": [size], "values": values}}})


class JSONLinesRequestRowSerializer(_Lines):
    """One JSON object a line: ``{"features": [...]}``, or keys, shape and values for a sparse row."""

    content_type = "application/jsonlines"

    def __init__(self, schema: Any = None, featuresColumnName: str = "features"):
        self.featuresColumnName = featuresColumnName

    def _line(self, row: Any, label: float | None) -> str:
        return _instance(row)


class JSONRequestRowSerializer(JSONLinesRequestRowSerializer):
    """``{"instances": [...]}`` around the same objects."""

    content_type = "application/json"

    def body(self, records: Any) -> bytes:
        return b'{"instances":[' + bytes(records).rstrip(b"\n").replace(b"\n", b",") + b"]}"
