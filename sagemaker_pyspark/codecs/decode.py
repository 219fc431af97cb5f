"""RecordIO-protobuf bytes to rows: any record through the protobuf library, uniform ones in one numpy view."""
from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import errors
from . import record, recordio, wire
from .message import message_class

__all__ = ["Csr", "Record", "Tensor", "decode", "decode_labels", "decode_matrix", "encode_response"]

_MAX_INDEX = np.iinfo(np.int64).max
#: A sparse answer is written out for Spark; more features than this is a broken answer rather than a prediction.
_MAX_ANSWER = 1 << 24


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
    return [_record(view[start:start + size], int(start)) for start, size in zip(*recordio.scan(view))]


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


def _record(payload: memoryview, offset: int) -> Record:
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
    first = _record(view[starts[0]:starts[0] + lengths[0]], 0)
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
        row = _record(view[start:start + size], int(start))
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


def encode_response(columns: dict[str, np.ndarray]) -> bytes:
    """Predictions as the first-party containers send them: a Record a row, answers in its label map.

    Parameters
    ----------
    columns : dict of ndarray
        Key to values, shape (rows,) or (rows, width).
    """
    pieces, cells = [], []
    rows = len(next(iter(columns.values())))
    for key, values in columns.items():
        cell = record._float32(np.asarray(values).reshape(rows, -1)).view(np.uint8).reshape(rows, -1)
        name, size = key.encode(), cell.shape[1]
        tensor = b"\x0a" + wire.varint(size)
        value = b"\x12" + wire.varint(len(tensor) + size) + tensor
        entry = b"\x0a" + wire.varint(len(name)) + name + b"\x12" + wire.varint(len(value) + size) + value
        pieces.append(b"\x12" + wire.varint(len(entry) + size) + entry)
        cells.append(cell)
    payload = sum(map(len, pieces)) + sum(cell.shape[1] for cell in cells)
    head = recordio.MAGIC.to_bytes(4, "little") + payload.to_bytes(4, "little")
    table = np.zeros((rows, recordio.HEADER + payload + (-payload % 4)), np.uint8)
    table[:, :recordio.HEADER] = np.frombuffer(head, np.uint8)
    at = recordio.HEADER
    for piece, cell in zip(pieces, cells):
        table[:, at:at + len(piece)] = np.frombuffer(piece, np.uint8)
        at += len(piece)
        table[:, at:at + cell.shape[1]] = cell
        at += cell.shape[1]
    return table.tobytes()


def decode_labels(buffer: bytes | memoryview, keys: tuple[str, ...], widths: tuple[bool, ...],
                  expected: int | None = None) -> list[Any]:
    """The answers under each key of the label maps.

    Parameters
    ----------
    keys : tuple of str
    widths : tuple of bool
        For each key, whether an answer is a list of numbers.
    expected : int, optional
        Rows of the request: how many lists to cut from a single record that answers all of them.

    Returns
    -------
    list
        For each key an ndarray, shape (rows,) or (rows, width), or a list of ndarrays if widths differ.

    Raises
    ------
    UnexpectedResponse
        A key is missing (names those that are there), or its answer is not numbers.
    """
    view = memoryview(buffer).cast("B")
    starts, lengths = recordio.scan(view)
    if len(starts) == 0:
        return [np.zeros((0, 0) if wide else (0,), np.float32) for wide in widths]
    first = _record(view[starts[0]:starts[0] + lengths[0]], 0)
    fast = _uniform_labels(view, first, keys, len(starts))
    if fast is not None:
        return [cell if wide else cell.reshape(-1) for cell, wide in zip(fast, widths)]
    rows = [first, *(_record(view[s:s + n], int(s)) for s, n in list(zip(starts, lengths))[1:])]
    out: list[Any] = []
    for key, wide in zip(keys, widths):
        found = [_label(row, key) for row in rows]
        if wide and len(rows) == 1 and expected and expected > 1 and len(found[0]) and len(found[0]) % expected == 0:
            out.append(found[0].reshape(expected, -1))  # as documented for K-Means: one Record, several rows
        elif wide:
            same = len({len(v) for v in found}) == 1
            out.append(np.stack(found) if same else found)
        else:  # one Record may hold the answers of several rows
            out.append(np.concatenate(found))
    return out


def _label(row: Record, key: str) -> np.ndarray:
    tensor = row.label.get(key)
    if tensor is None:
        raise errors.UnexpectedResponse(
            f"each record of the answer must have the label {key!r}; this one has {', '.join(row.label) or 'none'}. Does "
            "the response deserializer fit the algorithm?")
    if not isinstance(tensor.values, np.ndarray):
        raise errors.UnexpectedResponse(f"the label {key!r} of the answer must be numbers, it is bytes")
    if tensor.keys is None:
        return tensor.values
    size = math.prod(tensor.shape or ())
    if not tensor.shape or size > _MAX_ANSWER:
        raise errors.UnexpectedResponse(
            f"a sparse label {key!r} must have a shape of at most {_MAX_ANSWER} values, it has {tensor.shape}")
    full = np.zeros(size, tensor.values.dtype)
    full[tensor.keys.astype(np.int64)] = tensor.values
    return full


def _uniform_labels(view: memoryview, first: Record, keys: tuple[str, ...], rows: int) -> list[np.ndarray] | None:
    """Answers laid out as :func:`encode_response` does, whatever the order of the keys; None otherwise."""
    if first.features or any(not isinstance(t.values, np.ndarray) or t.values.dtype != np.float32 or t.keys is not None
                             or t.shape for t in first.label.values()) or not first.label:
        return None
    order = list(first.label)
    head = bytes(view[:len(view) // rows])
    order.sort(key=lambda name: head.find(b"\x0a" + wire.varint(len(name.encode())) + name.encode()))
    template = np.frombuffer(encode_response({k: np.zeros((1, len(first.label[k].values))) for k in order}), np.uint8)
    if len(template) * rows != len(view):
        return None
    marked = np.frombuffer(encode_response({k: np.full((1, len(first.label[k].values)), np.nan) for k in order}), np.uint8)
    places: dict[str, tuple[int, int]] = {}
    at = 0
    structure = np.ones(len(template), bool)
    nan = np.float32(np.nan).tobytes()
    for key in order:
        width = 4 * len(first.label[key].values)
        if width == 0:
            return None
        at = marked.tobytes().find(nan * (width // 4), at)
        places[key] = (at, width)
        structure[at:at + width] = False
        at += width
    table = np.frombuffer(view, np.uint8).reshape(rows, len(template))
    if not (table[:, structure] == template[structure]).all():
        return None
    for key in keys:
        _label(first, key)
    return [np.ascontiguousarray(table[:, places[k][0]:places[k][0] + places[k][1]]).view("<f4") for k in keys]
