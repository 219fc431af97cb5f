"""RecordIO-protobuf bytes to rows: any record through the protobuf library, uniform ones in one numpy view."""
from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import errors
from . import record, recordio, wire
from .message import message_class

__all__ = ["Csr", "Record", "Tensor", "decode", "decode_matrix", "parsed"]

_MAX_INDEX = np.iinfo(np.int64).max


@dataclass
class Tensor:
    """One tensor: values, for sparse ones their keys, and its shape where it was written.

    Attributes
    ----------
    values : ndarray or list of bytes
        float32, float64 or int32.
    keys : ndarray of uint64 or None
    shape : tuple of int or None
    """

    values: Any
    keys: np.ndarray | None = None
    shape: tuple[int, ...] | None = None


@dataclass
class Record:
    """One record with everything in it."""

    features: dict[str, Tensor] = field(default_factory=dict)
    label: dict[str, Tensor] = field(default_factory=dict)
    uid: str | None = None
    metadata: str | None = None
    configuration: str | None = None


@dataclass
class Csr:
    """Sparse rows: row i has ``values[indptr[i]:indptr[i + 1]]`` at the columns of ``indices``; shape (rows, dim)."""

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    dim: int

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.indptr) - 1, self.dim

    def toarray(self) -> np.ndarray:
        """Dense float32, shape (rows, dim)."""
        dense = np.zeros(self.shape, np.float32)
        dense[np.repeat(np.arange(self.shape[0]), np.diff(self.indptr)), self.indices] = self.values
        return dense


def decode(buffer: bytes | memoryview) -> list[Record]:
    """Every record of a stream.

    Raises
    ------
    MalformedRecord
        The frames or a message in them are not what the format says.
    """
    view = memoryview(buffer).cast("B")
    return [parsed(view[start:start + size], int(start)) for start, size in zip(*recordio.scan(view))]


def _parse(payload: memoryview, offset: int) -> Any:
    from google.protobuf.message import DecodeError

    message = message_class()()
    try:
        message.ParseFromString(bytes(payload))
    except UnicodeDecodeError:  # the pure Python implementation looks at once
        raise _not_text("text", offset) from None
    except DecodeError as problem:
        raise errors.MalformedRecord(f"the record at offset {offset} is not a protobuf Record: {problem}",
                                     offset=offset) from None
    return message


def parsed(payload: memoryview, offset: int) -> Record:
    """One record's payload; ``offset`` is where it stands, for people.

    Raises
    ------
    MalformedRecord
    """
    message = _parse(payload, offset)
    try:
        made = Record({k: _tensor(v, offset) for k, v in message.features.items()},
                      {k: _tensor(v, offset) for k, v in message.label.items()})
    except UnicodeDecodeError:  # proto2 checks text when it is asked for, not when it is parsed
        raise _not_text("a key", offset) from None
    for name in ("uid", "metadata", "configuration"):
        if message.HasField(name):
            text = getattr(message, name)
            if not isinstance(text, str):  # what the library returns for bytes that are not UTF-8
                raise _not_text(name, offset)
            setattr(made, name, text)
    return made


def _not_text(what: str, offset: int) -> errors.MalformedRecord:
    return errors.MalformedRecord(f"{what} of the record at offset {offset} must be UTF-8", offset=offset)


_TYPES = {"float32_tensor": np.float32, "float64_tensor": np.float64, "int32_tensor": np.int32}


def _tensor(value: Any, offset: int) -> Tensor:
    kind = value.WhichOneof("value")
    if kind == "bytes":
        return Tensor(list(value.bytes.value))
    if kind is None:
        return Tensor(np.zeros(0, np.float32))
    found = getattr(value, kind)
    values = np.fromiter(found.values, _TYPES[kind], len(found.values))
    keys = np.fromiter(found.keys, np.uint64, len(found.keys)) if found.keys else None
    shape = tuple(found.shape) if found.shape else None
    if keys is not None:
        if len(keys) != len(values):
            raise errors.MalformedRecord(
                f"a sparse tensor must have as many keys as values, got {len(keys)} and {len(values)} in the record at "
                f"offset {offset}", offset=offset)
        size = math.prod(shape or ())  # Python's integers do not overflow: a claimed 2^64 is only a number here
        if shape and len(keys) and int(keys.max()) >= size:
            raise errors.MalformedRecord(
                f"keys must be below the shape's {size}, got {int(keys.max())} in the record at offset {offset}",
                offset=offset)
    return Tensor(values, keys, shape)


def decode_matrix(buffer: bytes | memoryview) -> tuple[np.ndarray | Csr, np.ndarray | None]:
    """Features and labels of all records, for those who train or score on them.

    Returns
    -------
    features : ndarray of float32, shape (rows, dim), or Csr
    labels : ndarray of float64, shape (rows,), or None
        None where no record has a label.

    Raises
    ------
    MalformedRecord
        Also where rows differ in length, tensors hold no numbers, or a sparse row does not say its shape.
    """
    view = memoryview(buffer).cast("B")
    starts, lengths = recordio.scan(view)
    if len(starts) == 0:
        return np.zeros((0, 0), np.float32), None
    uniform = _uniform(view, starts, lengths)
    return uniform if uniform is not None else _assembled(view, starts, lengths)


def _uniform(view: memoryview, starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Rows laid out exactly as :func:`record.encode_dense` does, as strided views; None if any is not."""
    if not (lengths == lengths[0]).all():
        return None
    first = parsed(view[starts[0]:starts[0] + lengths[0]], 0)
    values, label = first.features.get("values"), first.label.get("values")
    if values is None or values.keys is not None or values.shape or not isinstance(values.values, np.ndarray):
        return None
    if label is not None and len(label.values) != 1:
        return None
    dim, rows = len(values.values), len(starts)
    labels = None if label is None else np.zeros(1)
    template, _ = record.encode_dense(np.zeros((1, dim)), labels)
    if len(template) * rows != len(view):
        return None
    table = np.frombuffer(view, np.uint8).reshape(rows, len(template))
    head = recordio.HEADER + len(wire.tensor_head(4 * dim, 0, b""))
    label_at = head + 4 * dim + len(record._LABEL)
    structure = np.ones(len(template), bool)
    structure[head:head + 4 * dim] = False
    if label is not None:
        structure[label_at:label_at + 4] = False
    if not (table[:, structure] == template[structure]).all():
        return None
    features = np.ascontiguousarray(table[:, head:head + 4 * dim]).view("<f4").reshape(rows, dim)
    found = None if label is None else np.ascontiguousarray(table[:, label_at:label_at + 4]).view("<f4").reshape(-1)
    return features, None if found is None else found.astype(np.float64)


def _assembled(view: memoryview, starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray | Csr, np.ndarray | None]:
    values, indices, counts, labels, dims, sparse = [], [], [], [], set(), False
    for start, size in zip(starts, lengths):
        row = parsed(view[start:start + size], int(start))
        tensor = row.features.get("values")
        if tensor is None:
            raise errors.MalformedRecord(f"the record at offset {start} has no features under the key 'values'",
                                         offset=int(start))
        _check_row(row, tensor, int(start))
        sparse |= tensor.keys is not None or bool(tensor.shape and not len(tensor.values))
        dims.add(math.prod(tensor.shape) if tensor.shape else len(tensor.values))
        keys = tensor.keys if tensor.keys is not None else np.arange(len(tensor.values), dtype=np.uint64)
        values.append(np.asarray(tensor.values, np.float32))
        indices.append(keys.astype(np.int64))
        counts.append(len(tensor.values))
        label = row.label.get("values")
        labels.append(float(label.values[0]) if label is not None and len(label.values) else None)
    if len(dims) > 1:
        raise errors.MalformedRecord(f"every record must have the same number of features, got {sorted(dims)[:5]}")
    if any(label is None for label in labels) and any(label is not None for label in labels):
        raise errors.MalformedRecord("either every record has a label or none has")
    found = None if labels[0] is None else np.array(labels)
    matrix = Csr(np.concatenate([[0], np.cumsum(counts)]), np.concatenate(indices), np.concatenate(values), dims.pop())
    return (matrix if sparse else matrix.values.reshape(matrix.shape)), found


def _check_row(row: Record, tensor: Tensor, offset: int) -> None:
    """Refuse what cannot be a row of a matrix."""
    label = row.label.get("values")
    if not isinstance(tensor.values, np.ndarray) or (label is not None and not isinstance(label.values, np.ndarray)):
        raise errors.MalformedRecord(f"features and label must be numbers, the record at offset {offset} has bytes",
                                     offset=offset)
    if tensor.keys is not None and not tensor.shape:
        raise errors.MalformedRecord(f"a sparse row must have a shape, the record at offset {offset} has none",
                                     offset=offset)
    size = math.prod(tensor.shape or ())
    if size > _MAX_INDEX:
        raise errors.MalformedRecord(f"a row must have at most {_MAX_INDEX} features, the record at offset {offset} "
                                     f"claims {size}", offset=offset)
    if tensor.keys is None and tensor.shape and len(tensor.values) not in (0, size):
        raise errors.MalformedRecord(f"a dense row must have as many values as its shape {list(tensor.shape)} says, the "
                                     f"record at offset {offset} has {len(tensor.values)}", offset=offset)
