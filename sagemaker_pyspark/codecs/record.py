"""Amazon's ``Record`` message in RecordIO frames, encoded with numpy: no Python code runs per row or per value.

Bytes are those of sagemaker_pyspark 1.4.5 (``proto/vectors``): float32 tensors under the key ``values``, keys and shape
for sparse rows, the label as a tensor of one.
"""
from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from .. import errors
from . import recordio, wire
from .base import RequestRowSerializer, column_of

__all__ = ["CONTENT_TYPE", "ProtobufRequestRowSerializer", "dimension", "encode", "encode_dense", "encode_tensor"]

CONTENT_TYPE = "application/x-recordio-protobuf"
_KEY = b"\x0a\x06values"
_FRAME = np.frombuffer(recordio.MAGIC.to_bytes(4, "little"), np.uint8)
#: A label entry up to its four bytes: field 2 of Record, key "values", a float32 tensor of one value.
_LABEL = np.frombuffer(b"\x12\x12" + _KEY + b"\x12\x08\x12\x06\x0a\x04", np.uint8)


def encode_dense(values: np.ndarray, labels: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Encode rows of one length.

    Parameters
    ----------
    values : ndarray of float, shape (rows, dim)
    labels : ndarray of float, shape (rows,), optional

    Returns
    -------
    data : ndarray of uint8
        All frames, end to end.
    offsets : ndarray of int64, shape (rows + 1,)
    """
    rows, dim = values.shape
    head = wire.tensor_head(4 * dim, 0, b"")
    payload = len(head) + 4 * dim + (len(_LABEL) + 4 if labels is not None else 0)
    recordio.check_size(payload)
    stride = recordio.HEADER + payload + (-payload % 4)
    template = np.zeros(stride, np.uint8)
    template[:4] = _FRAME
    template[4:8] = np.frombuffer(payload.to_bytes(4, "little"), np.uint8)
    at = recordio.HEADER + len(head)
    template[recordio.HEADER:at] = np.frombuffer(head, np.uint8)
    if labels is not None:
        template[at + 4 * dim:at + 4 * dim + len(_LABEL)] = _LABEL
    data = np.empty((rows, stride), np.uint8)
    data[:] = template
    if dim:
        data[:, at:at + 4 * dim] = _float32(values).reshape(rows, dim).view(np.uint8)
    if labels is not None:
        label_at = at + 4 * dim + len(_LABEL)
        data[:, label_at:label_at + 4] = _float32(labels).reshape(rows, 1).view(np.uint8)
    return data.reshape(-1), np.arange(rows + 1, dtype=np.int64) * stride


def encode(features: pa.Array, labels: pa.Array | None = None) -> pa.Array:
    """Encode a column of rows.

    Parameters
    ----------
    features : pyarrow.Array
        VectorUDT or MatrixUDT storage, or lists of numbers.
    labels : pyarrow.Array, optional
        Numbers.

    Returns
    -------
    pyarrow.LargeBinaryArray
        One frame a row; null where features or label are null.

    Raises
    ------
    CodecError
        A null inside a row, or sparse indices that do not fit their values.
    """
    if isinstance(features, pa.ChunkedArray):
        features = features.combine_chunks()
    valid = np.asarray(features.is_valid())
    if labels is not None:
        valid = valid & np.asarray(labels.is_valid())
    if not valid.all():
        mask = pa.array(valid)
        kept = encode(features.filter(mask), labels.filter(mask) if labels is not None else None)
        places = np.where(valid, np.cumsum(valid) - 1, 0)
        return kept.take(pa.array(np.ma.masked_array(places, ~valid))) if valid.any() else pa.nulls(
            len(features), pa.large_binary())
    numbers = None if labels is None else np.asarray(_numbers(labels, "a label"))
    if pa.types.is_struct(features.type):
        if features.type.get_field_index("numRows") >= 0:
            return _from_matrices(features, numbers)
        return _from_vectors(features, numbers)
    return _from_lists(features, numbers)


def dimension(features: pa.Array) -> np.ndarray:
    """Number of features of each row, shape (rows,), of VectorUDT storage or lists without nulls."""
    if pa.types.is_struct(features.type):
        kinds, size, _, values = features.flatten()
        lengths = np.asarray(values.value_lengths().fill_null(0))
        return np.where(np.asarray(kinds) == 0, np.asarray(size.fill_null(0)), lengths)
    return np.asarray(features.value_lengths())


def encode_tensor(values: np.ndarray, keys: Any = None, shape: Any = None, label: float | None = None) -> bytes:
    """One record, the plain way: for matrices and as the reference that tests compare with."""
    packed_keys = b"".join(map(wire.varint, keys)) if keys is not None else b""
    packed_shape = b"".join(map(wire.varint, shape)) if shape is not None else b""
    floats = _float32(np.asarray(values, np.float64)).tobytes()
    payload = wire.features_entry(floats, packed_keys, packed_shape)
    if label is not None:
        payload += _LABEL.tobytes() + _float32(np.array([label])).tobytes()
    return recordio.frame(payload)


def _numbers(values: pa.Array, what: str) -> pa.Array:
    kind = values.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_boolean(kind)):
        raise errors.CodecError(f"{what} must be numbers, got {kind}; cast the column")
    return values.cast(pa.float64(), safe=False)  # beyond 2^53 to the nearest, as Spark's own cast


def _float32(values: np.ndarray) -> np.ndarray:
    """To float32 as the JVM's cast does it: values beyond its range become infinities."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(values.astype("<f4", copy=False))


def _from_lists(features: pa.Array, labels: np.ndarray | None) -> pa.Array:
    if pa.types.is_fixed_size_list(features.type):
        features = features.cast(pa.list_(features.type.value_type))
    if not (pa.types.is_list(features.type) or pa.types.is_large_list(features.type)):
        return _binary(*encode_dense(np.asarray(_numbers(features, "features")).reshape(-1, 1), labels))
    values = _no_nulls(features.flatten())
    lengths = np.asarray(features.value_lengths())
    flat = np.asarray(values if pa.types.is_floating(values.type) else _numbers(values, "features"))
    return _ragged(lengths, flat, None, None, labels)


def _from_vectors(features: pa.Array, labels: np.ndarray | None) -> pa.Array:
    if features.type.num_fields != 4 or features.type.get_field_index("indices") != 2:
        raise errors.CodecError(f"features must be vectors, matrices, lists of numbers or numbers; got {features.type}")
    kinds, size, indices, values = features.flatten()
    sparse = np.asarray(kinds) == 0
    lengths = np.asarray(values.value_lengths().fill_null(0))
    flat = np.asarray(_no_nulls(values.flatten()))
    if not sparse.any():
        return _ragged(lengths, flat, None, None, labels)
    keys = np.asarray(_no_nulls(indices.flatten()))
    if not (np.asarray(indices.value_lengths().fill_null(0)) == np.where(sparse, lengths, 0)).all():
        raise errors.CodecError("a sparse vector must have as many indices as values")
    dims = np.where(sparse, np.asarray(size.fill_null(0)), -1)
    own = np.repeat(dims, np.where(sparse, lengths, 0))
    wrong = np.flatnonzero((keys < 0) | (keys >= own))
    if len(wrong):  # mllib's vectors do not promise it
        raise errors.CodecError("the indices of a sparse vector must be below its size, got "
                                f"{keys[wrong[0]]} in a row of {own[wrong[0]]}")
    return _ragged(lengths, flat, keys, dims, labels)


def _from_matrices(features: pa.Array, labels: np.ndarray | None) -> pa.Array:
    """Matrices row by row: dense values in row-major order; sparse keys are row * columns + column, in CSC order."""
    frames = []
    for at, cell in enumerate(features.to_pylist()):
        rows, cols, values = cell["numRows"], cell["numCols"], np.array(cell["values"])
        label = None if labels is None else labels[at]
        if cell["type"] == 1:
            table = values.reshape(rows, cols) if cell["isTransposed"] else values.reshape(cols, rows).T
            frames.append(encode_tensor(table.reshape(-1), None, (rows, cols), label))
            continue
        minor = np.array(cell["rowIndices"], np.int64)
        major = np.repeat(np.arange(len(cell["colPtrs"]) - 1), np.diff(cell["colPtrs"]))
        keys = major * cols + minor if cell["isTransposed"] else minor * cols + major
        frames.append(encode_tensor(values, keys.tolist(), (rows, cols), label))
    return pa.array(frames, pa.large_binary())


def _no_nulls(values: pa.Array) -> pa.Array:
    if values.null_count:
        raise errors.CodecError(
            f"features must not hold nulls, {values.null_count} values of a batch are null; fill them "
            "(pyspark.ml.feature.Imputer) or use NaN")
    return values


def _ragged(lengths: np.ndarray, flat: np.ndarray, keys: np.ndarray | None, dims: np.ndarray | None,
            labels: np.ndarray | None) -> pa.Array:
    if keys is None and len(lengths) and (lengths == lengths[0]).all():
        return _binary(*encode_dense(flat.reshape(len(lengths), lengths[0]), labels))
    return _binary(*wire.encode_ragged(lengths.astype(np.int64), _float32(flat), keys, dims,
                                       None if labels is None else _float32(labels), _LABEL))


def _binary(data: np.ndarray, offsets: np.ndarray) -> pa.Array:
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(offsets) - 1,
                                            [None, pa.py_buffer(offsets), pa.py_buffer(data)])


class ProtobufRequestRowSerializer(RequestRowSerializer):
    """Rows as RecordIO-protobuf, what every first-party algorithm takes.

    Parameters
    ----------
    schema : object, optional
        Accepted as in 1.4.5; columns are found by name.
    featuresColumnName : str
        Vectors, matrices or arrays of numbers.
    labelColumnName : str, optional
        A numeric column sent as label; inference needs none.
    """

    content_type = CONTENT_TYPE

    def __init__(self, schema: Any = None, featuresColumnName: str = "features", labelColumnName: str | None = None):
        self.featuresColumnName, self.labelColumnName = featuresColumnName, labelColumnName

    def encode(self, batch: pa.RecordBatch) -> pa.Array:
        label = self.labelColumnName
        return encode(column_of(batch, str(self.featuresColumnName)),
                      column_of(batch, label) if label and label in batch.schema.names else None)
