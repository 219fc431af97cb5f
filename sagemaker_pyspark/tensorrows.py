"""Decoded records to Arrow columns: label, features as vector, matrix or array, and everything else a record holds."""
from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from . import errors
from .codecs import decode, recordio

__all__ = ["ARROW", "EVERYTHING", "batches"]

_DOUBLES, _INTS = pa.list_(pa.float64()), pa.list_(pa.int32())
_TENSOR = pa.struct([("kind", pa.string()), ("values", _DOUBLES), ("keys", pa.list_(pa.int64())),
                     ("shape", pa.list_(pa.int64())), ("bytes", pa.list_(pa.binary()))])
#: Storage of each kind of column.
ARROW = {
    "label": pa.float64(),
    "vector": pa.struct([("type", pa.int8()), ("size", pa.int32()), ("indices", _INTS), ("values", _DOUBLES)]),
    "matrix": pa.struct([("type", pa.int8()), ("numRows", pa.int32()), ("numCols", pa.int32()), ("colPtrs", _INTS),
                         ("rowIndices", _INTS), ("values", _DOUBLES), ("isTransposed", pa.bool_())]),
    "array": _DOUBLES,
    "tensors": pa.map_(pa.string(), _TENSOR),
    "text": pa.string(),
}
#: Columns beside label and features, with their kind; what ``option("tensors", True)`` appends.
EVERYTHING = {"featureTensors": "tensors", "labelTensors": "tensors", "uid": "text", "metadata": "text", "configuration": "text"}
_ELSE = "read it with option tensors=true and a schema without this column"
_LARGEST = 2**31 - 1
#: Values a sparse row is written out to, at most: a few bytes of a record must not ask for gigabytes.
_MOST_DENSE = 1 << 24
#: And so many in all rows of a batch.
_BATCH_VALUES = 1 << 22


def batches(frames: memoryview, wanted: list[tuple[str, str, str]]) -> Iterator[pa.RecordBatch]:
    """Whole frames as batches: one, unless sparse rows are written out, which a few bytes may make large.

    Parameters
    ----------
    wanted : list of (column, source, kind)
        ``source`` is ``label``, ``features`` or a name of ``EVERYTHING``; ``kind`` a key of ``ARROW``.

    Raises
    ------
    MalformedRecord
        Also for a row that does not fit the kind of its column.
    """
    starts, lengths = recordio.scan(frames)
    if len(starts) and all(kind in ("label", "vector", "array") for _, _, kind in wanted):
        uniform = decode._uniform(frames, starts, lengths)
        if uniform is not None:
            yield _dense(*uniform, wanted)
            return
    wide = any(kind in ("array", "matrix") for _, _, kind in wanted)
    held: list[decode.Record] = []
    values = 0
    for start, size in zip(starts, lengths):
        made = decode.parsed(frames[start:start + size], int(start))
        claimed = _claimed(made, int(size)) if wide else 0
        if held and values + claimed > _BATCH_VALUES:
            yield _batch(held, wanted)
            held, values = [], 0
        held.append(made)
        values += claimed
    yield _batch(held, wanted)


def _claimed(record: decode.Record, size: int) -> int:
    """Values that a record of so many bytes takes when it is written out."""
    tensor = record.features.get("values")
    return min(math.prod(tensor.shape or ()), _MOST_DENSE) if tensor is not None and _is_sparse(tensor) else size // 4


def _batch(records: list[decode.Record], wanted: list[tuple[str, str, str]]) -> pa.RecordBatch:
    arrays = [pa.array([_cell(record, source, kind) for record in records], ARROW[kind]) for _, source, kind in wanted]
    return pa.RecordBatch.from_arrays(arrays, names=[name for name, _, _ in wanted])


def _dense(features: np.ndarray, labels: np.ndarray | None, wanted: list[tuple[str, str, str]]) -> pa.RecordBatch:
    """Rows of one length: no Python object a row."""
    count, dim = features.shape
    arrays: list[pa.Array] = []
    for _, _, kind in wanted:
        if kind == "label":
            arrays.append(pa.nulls(count, pa.float64()) if labels is None else pa.array(labels, pa.float64()))
            continue
        values = pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int64) * dim, pa.int32()),
                                          pa.array(features.reshape(-1).astype(np.float64)))
        if kind == "vector":
            values = pa.StructArray.from_arrays(
                [pa.array(np.ones(count, np.int8)), pa.nulls(count, pa.int32()), pa.nulls(count, _INTS), values],
                fields=list(ARROW["vector"]))
        arrays.append(values)
    return pa.RecordBatch.from_arrays(arrays, names=[name for name, _, _ in wanted])


def _cell(record: decode.Record, source: str, kind: str) -> Any:
    if kind == "text":
        return getattr(record, source)
    if kind == "tensors":
        return [(key, _tensor(value)) for key, value in
                (record.features if source == "featureTensors" else record.label).items()]
    tensor = (record.label if kind == "label" else record.features).get("values")
    if tensor is None:
        return None
    if not isinstance(tensor.values, np.ndarray):
        raise errors.MalformedRecord(f"the {source} of a record must be numbers, got bytes; {_ELSE}")
    if kind == "label":
        if len(tensor.values) != 1:
            raise errors.MalformedRecord(
                f"a label must be one number, a record has {len(tensor.values)}; {_ELSE}")
        return float(tensor.values[0])
    return {"vector": _vector, "matrix": _matrix, "array": _array}[kind](tensor)


def _tensor(tensor: decode.Tensor) -> dict[str, Any]:
    if not isinstance(tensor.values, np.ndarray):
        return {"kind": "bytes", "bytes": tensor.values}
    return {"kind": str(tensor.values.dtype), "values": tensor.values.astype(np.float64),
            "keys": None if tensor.keys is None else _whole(tensor.keys),
            "shape": None if tensor.shape is None else _whole(np.array(tensor.shape, np.uint64))}


def _whole(numbers: np.ndarray) -> np.ndarray:
    if len(numbers) and int(numbers.max()) >= 2**63:
        raise errors.MalformedRecord(f"keys and shape must be below 2^63, got {int(numbers.max())}")
    return numbers.astype(np.int64)


def _size(tensor: decode.Tensor) -> int:
    size = math.prod(map(int, tensor.shape or ()))
    if tensor.shape is None and tensor.keys is not None:
        raise errors.MalformedRecord(f"a sparse row must have a shape, a record has keys alone; {_ELSE}")
    if size > _LARGEST:
        raise errors.MalformedRecord(f"Spark's vectors hold up to {_LARGEST} features, a record has the shape {tensor.shape}")
    return size


def _is_sparse(tensor: decode.Tensor) -> bool:
    return tensor.keys is not None or bool(tensor.shape and not len(tensor.values))


def _check_dense(tensor: decode.Tensor) -> None:
    if tensor.shape and _size(tensor) != len(tensor.values):
        raise errors.MalformedRecord(f"a dense tensor of shape {tensor.shape} must fill it, got {len(tensor.values)} values")


def _ordered(tensor: decode.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Keys in increasing order, as Spark's sparse vectors need them, and their values."""
    keys = np.zeros(0, np.int64) if tensor.keys is None else tensor.keys.astype(np.int64)
    values = tensor.values.astype(np.float64)
    steps = np.diff(keys)
    if (steps <= 0).any():
        order = np.argsort(keys, kind="stable")
        keys, values = keys[order], values[order]
        if (np.diff(keys) == 0).any():
            raise errors.MalformedRecord(f"a sparse tensor must name each key once, got {keys[np.argmin(np.diff(keys))]} twice")
    return keys, values


def _vector(tensor: decode.Tensor) -> dict[str, Any]:
    if tensor.shape is not None and len(tensor.shape) > 1:
        raise errors.MalformedRecord(
            f"a record has features of the shape {tensor.shape}, not a vector; read them with option featuresType=matrix or "
            "array")
    if _is_sparse(tensor):
        size = _size(tensor)
        keys, values = _ordered(tensor)
        return {"type": 0, "size": size, "indices": keys.astype(np.int32), "values": values}
    _check_dense(tensor)
    return {"type": 1, "values": tensor.values.astype(np.float64)}


def _array(tensor: decode.Tensor) -> np.ndarray:
    if not _is_sparse(tensor):
        return tensor.values.astype(np.float64)
    if _size(tensor) > _MOST_DENSE:
        raise errors.MalformedRecord(
            f"a sparse row is written out up to {_MOST_DENSE} values, a record has the shape {tensor.shape}; read it with "
            "option featuresType=vector")
    full = np.zeros(_size(tensor))
    keys, values = _ordered(tensor)
    full[keys] = values
    return full


def _matrix(tensor: decode.Tensor) -> dict[str, Any]:
    if tensor.shape is None or len(tensor.shape) != 2:
        raise errors.MalformedRecord(
            f"a matrix must have two lengths, a record has the shape {tensor.shape}; read it with option featuresType=vector")
    _size(tensor)  # refuses what Spark cannot hold
    height, width = (int(n) for n in tensor.shape)
    if not _is_sparse(tensor):
        _check_dense(tensor)
        return {"type": 1, "numRows": height, "numCols": width, "values": tensor.values.astype(np.float64), "isTransposed": True}
    keys, values = _ordered(tensor)
    row, col = (keys // width, keys % width) if width else (keys, keys)
    # By column, as Spark does it, but for a matrix so wide that the pointers alone would take gigabytes.
    by_row = width > _MOST_DENSE
    if by_row and height > _MOST_DENSE:
        raise errors.MalformedRecord(
            f"a sparse matrix may have {_MOST_DENSE} rows or columns, a record has the shape {tensor.shape}; "
            f"{_ELSE}")
    major, minor = (row, col) if by_row else (col, row)
    order = np.lexsort((minor, major))
    pointers = np.concatenate([[0], np.cumsum(np.bincount(major, minlength=height if by_row else width))])
    return {"type": 0, "numRows": height, "numCols": width, "colPtrs": pointers.astype(np.int32),
            "rowIndices": minor[order].astype(np.int32), "values": values[order], "isTransposed": by_row}
