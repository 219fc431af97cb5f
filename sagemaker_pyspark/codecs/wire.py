"""Protobuf wire format of many messages at once: sizes first, then every field of all rows in one numpy operation."""
from __future__ import annotations

from typing import Any

import numpy as np

from . import recordio

__all__ = ["encode_ragged", "features_entry", "tensor_head", "varint"]

_KEY = b"\x0a\x06values"


def varint(value: int) -> bytes:
    """One unsigned varint."""
    value, out = int(value), bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tensor_head(floats: int, keys: int, tail: bytes) -> bytes:
    """A features entry up to its float bytes, for a tensor of ``floats`` float bytes and ``keys`` + ``tail`` after them."""
    values = b"\x0a" + varint(floats) if floats else b""
    tensor = len(values) + floats + keys + len(tail)
    value = b"\x12" + varint(tensor)
    entry = _KEY + b"\x12" + varint(len(value) + tensor) + value
    return b"\x0a" + varint(len(entry) + tensor) + entry + values


def features_entry(floats: bytes, keys: bytes, shape: bytes) -> bytes:
    """A whole features entry of one record."""
    tail = (b"\x12" + varint(len(keys)) + keys if keys else b"") + (b"\x1a" + varint(len(shape)) + shape if shape else b"")
    return tensor_head(len(floats), 0, tail) + floats + tail


def _sizes(values: np.ndarray) -> np.ndarray:
    """Bytes each value takes as a varint."""
    sizes = np.ones(values.shape, np.int64)
    for bits in range(7, 64, 7):
        more = values >= (1 << bits)
        if not more.any():
            break
        sizes += more
    return sizes


class _Writer:
    """Writes one field of every row at that row's own position."""

    def __init__(self, size: int, at: np.ndarray):
        self.out, self.at = np.zeros(size, np.uint8), at

    def constant(self, data: bytes, rows: np.ndarray | slice = slice(None)) -> None:
        for byte in data:
            self.out[self.at[rows]] = byte
            self.at[rows] += 1

    def varint(self, values: np.ndarray, rows: np.ndarray | slice = slice(None)) -> None:
        some = values[rows]
        sizes = _sizes(some)
        _put_varints(self.out, self.at[rows], some, sizes)
        self.at[rows] += sizes


def _put_varints(out: np.ndarray, at: np.ndarray, values: np.ndarray, sizes: np.ndarray) -> None:
    """Write values[i], which takes sizes[i] bytes, at at[i]."""
    for byte in range(int(sizes.max()) if len(sizes) else 0):
        rows: Any = slice(None) if byte == 0 else np.flatnonzero(sizes > byte)
        more = (sizes[rows] > byte + 1).view(np.uint8) << 7
        out[at[rows] + byte] = ((values[rows] >> (7 * byte)) & 0x7F).astype(np.uint8) | more


def encode_ragged(lengths: np.ndarray, floats: np.ndarray, keys: np.ndarray | None, dims: np.ndarray | None,
                  labels: np.ndarray | None, label_head: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Encode rows of different lengths, dense and sparse mixed.

    Parameters
    ----------
    lengths : ndarray of int64, shape (rows,)
        Values of each row.
    floats : ndarray of float32
        Values of all rows, end to end.
    keys : ndarray of int, optional
        Indices of the sparse rows' values, end to end.
    dims : ndarray of int, shape (rows,), optional
        Size of sparse rows, -1 for dense ones.
    labels : ndarray of float32, shape (rows,), optional

    Returns
    -------
    data : ndarray of uint8
    offsets : ndarray of int64, shape (rows + 1,)
    """
    rows = len(lengths)
    sparse = np.zeros(rows, bool) if dims is None else dims >= 0
    key_count = np.where(sparse, lengths, 0)
    key_sizes = _sizes(keys) if keys is not None and len(keys) else np.zeros(0, np.int64)
    ends = np.concatenate([[0], np.cumsum(key_sizes)])
    key_ends = np.cumsum(key_count)
    key_bytes = ends[key_ends] - ends[key_ends - key_count]
    shape = np.zeros(rows, np.int64) if dims is None else np.where(sparse, dims, 0).astype(np.int64)
    shape_bytes = np.where(sparse, _sizes(shape), 0)
    float_bytes = 4 * lengths

    def field(size: np.ndarray) -> np.ndarray:
        return np.where(size > 0, 1 + _sizes(size) + size, 0)

    tensor = field(float_bytes) + field(key_bytes) + field(shape_bytes)
    value = 1 + _sizes(tensor) + tensor
    entry = len(_KEY) + 1 + _sizes(value) + value
    payload = 1 + _sizes(entry) + entry + (0 if labels is None else len(label_head) + 4)
    if rows:
        largest = int(payload.argmax())
        recordio.check_size(int(payload[largest]), largest)
    offsets = np.concatenate([[0], np.cumsum(recordio.HEADER + payload + (-payload % 4))])
    writer = _Writer(int(offsets[-1]), offsets[:-1].copy())
    writer.constant(recordio.MAGIC.to_bytes(4, "little"))
    for shift in (0, 8, 16, 24):
        writer.out[writer.at] = (payload >> shift) & 0xFF
        writer.at += 1
    writer.constant(b"\x0a")
    writer.varint(entry)
    writer.constant(_KEY + b"\x12")
    writer.varint(value)
    writer.constant(b"\x12")
    writer.varint(tensor)
    some = np.flatnonzero(lengths)
    writer.constant(b"\x0a", some)
    writer.varint(float_bytes, some)
    _scatter(writer, lengths, floats)
    keyed = np.flatnonzero(key_count)
    if len(keyed):
        writer.constant(b"\x12", keyed)
        writer.varint(key_bytes, keyed)
        starts = np.repeat(writer.at - ends[key_ends - key_count], key_count) + ends[:-1]
        _put_varints(writer.out, starts, keys, key_sizes)  # type: ignore[arg-type]
        writer.at += key_bytes
    shaped = np.flatnonzero(sparse)
    if len(shaped):
        writer.constant(b"\x1a", shaped)
        writer.varint(shape_bytes, shaped)
        writer.varint(shape, shaped)
    if labels is not None:
        writer.constant(label_head.tobytes())
        _scatter(writer, np.ones(rows, np.int64), labels)
    return writer.out, offsets


def _scatter(writer: _Writer, counts: np.ndarray, floats: np.ndarray) -> None:
    """Write counts[i] floats of each row at its position."""
    firsts = np.concatenate([[0], np.cumsum(counts)])[:-1]
    if not len(floats):
        return
    places = np.repeat(writer.at - 4 * firsts, counts) + 4 * np.arange(len(floats))
    # Every position of the output seen as the start of four bytes, so that a value is one store and not four.
    words = np.ndarray((len(writer.out) - 3,), "<u4", writer.out, strides=(1,))
    words[places] = floats.view("<u4")
    writer.at += 4 * counts
