"""Answers of the first-party containers, a Record a row with a label map, to columns and back.

All records of an answer are laid out alike as a rule, and so are those of the next answer: the layout is found once, and then
a column is a strided view.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import errors
from . import record, recordio, wire
from .decode import Record, parsed

__all__ = ["decode_labels", "encode_response"]

#: A sparse answer is written out for Spark; more features than this is a broken answer rather than a prediction.
_MAX_ANSWER = 1 << 24


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
    table = np.zeros((rows, recordio.frame_size(payload)), np.uint8)
    table[:, :recordio.HEADER] = np.frombuffer(recordio.PAIR.pack(recordio.MAGIC, payload), np.uint8)
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
    fast = _uniform(view, keys, expected or 1)
    if fast is not None:
        return [cell if wide else cell.reshape(-1) for cell, wide in zip(fast, widths)]
    starts, lengths = recordio.scan(view)
    if len(starts) == 0:
        return [np.zeros((0, 0) if wide else (0,), np.float32) for wide in widths]
    first = parsed(view[starts[0]:starts[0] + lengths[0]], 0)
    rows = [first, *(parsed(view[s:s + n], int(s)) for s, n in list(zip(starts, lengths))[1:])]
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


@dataclass(frozen=True)
class _Layout:
    """A record as :func:`encode_response` lays it out.

    Attributes
    ----------
    template : ndarray of uint8, shape (size,)
    structure : ndarray of uint8, shape (size,)
        255 where a byte is the same in every record, 0 where it is of a value.
    places : dict
        Key to (offset, bytes) of its values.
    """

    template: np.ndarray
    structure: np.ndarray
    places: dict[str, tuple[int, int]]


#: The last layout of each record size. A wrong one is told by its bytes.
_layouts: dict[int, _Layout] = {}
_MOST_LAYOUTS = 64


def _uniform(view: memoryview, keys: tuple[str, ...], expected: int) -> list[np.ndarray] | None:
    """The columns of an answer whose records are all laid out alike; None of any other, and of one record for several rows."""
    if len(view) < recordio.HEADER:
        return None
    magic, length = recordio.PAIR.unpack_from(view)
    if magic != recordio.MAGIC or length > recordio.MAX_PAYLOAD:
        return None
    size = recordio.frame_size(length)
    if len(view) % size or len(view) == size and expected > 1:
        return None
    table = np.frombuffer(view, np.uint8).reshape(-1, size)
    layout = _layouts.get(size)
    if layout is None or not _fits(table, layout):
        layout = _layout(view[recordio.HEADER:recordio.HEADER + length], size)
        if layout is None or not _fits(table, layout):
            return None
        if len(_layouts) >= _MOST_LAYOUTS:
            _layouts.clear()
        _layouts[size] = layout
    if any(key not in layout.places for key in keys):
        return None
    places = [layout.places[key] for key in keys]
    return [np.ascontiguousarray(table[:, at:at + width]).view("<f4") for at, width in places]


def _fits(table: np.ndarray, layout: _Layout) -> bool:
    return not ((table ^ layout.template) & layout.structure).any()


def _layout(payload: memoryview, size: int) -> _Layout | None:
    """The layout of a record, whatever the order of its keys; None if it is not as :func:`encode_response` makes it."""
    first = parsed(payload, 0)
    if first.features or not first.label or any(
            not isinstance(t.values, np.ndarray) or t.values.dtype != np.float32 or t.keys is not None or t.shape
            or not len(t.values) for t in first.label.values()):
        return None
    head = bytes(payload)
    order = sorted(first.label, key=lambda name: head.find(b"\x0a" + wire.varint(len(name.encode())) + name.encode()))
    nan = np.float32(np.nan)
    zeros, marks = (encode_response({key: np.full((1, len(first.label[key].values)), value, np.float32) for key in order})
                    for value in (0, nan))
    if len(zeros) != size:
        return None
    places, structure, at = {}, np.full(size, 255, np.uint8), 0
    for key in order:
        width = 4 * len(first.label[key].values)
        at = marks.find(nan.tobytes() * (width // 4), at)
        places[key] = (at, width)
        structure[at:at + width] = 0
        at += width
    return _Layout(np.frombuffer(zeros, np.uint8), structure, places)
