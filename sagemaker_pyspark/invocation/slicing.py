"""Record arrays to requests: runs of whole records within a number of bytes and rows, as slices of the Arrow buffer."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from .. import errors
from .options import Options

__all__ = ["Request", "requests"]


@dataclass
class Request:
    """Consecutive rows of a task.

    Attributes
    ----------
    data : memoryview or bytes
        Their records, end to end.
    ends : ndarray of int64, shape (rows,)
        End of each record in ``data``.
    first : int
        Number of the first row within the task.
    unsendable : str or None
        Why the row is not sent (a null record); such a request has one row and no data.
    """

    data: Any
    ends: np.ndarray
    first: int
    unsendable: str | None = None

    @property
    def rows(self) -> int:
        return len(self.ends)

    def halves(self) -> tuple[Request, Request]:
        """The same rows in two requests."""
        middle = self.rows // 2
        cut = int(self.ends[middle - 1])
        return (Request(self.data[:cut], self.ends[:middle], self.first),
                Request(self.data[cut:], self.ends[middle:] - cut, self.first + middle))


def requests(arrays: Iterator[pa.Array], options: Options) -> Iterator[Request]:
    """Cut a stream of record arrays into requests, filling each across array boundaries.

    Raises
    ------
    RecordTooLarge
        One record is above the endpoint's limit (with ``on_error="column"`` the row is marked instead).
    NullRows
        A record is null (likewise).
    """
    row = 0
    held: list[tuple[Any, np.ndarray]] = []
    held_bytes = held_rows = 0
    for array in arrays:
        data, offsets, valid = _buffers(array)
        start, count = 0, len(offsets) - 1
        while start < count:
            stop = _stop(offsets, valid, start, count, options, held_bytes, held_rows)
            if stop > start:
                held.append((data[int(offsets[start]):int(offsets[stop])], offsets[start + 1:stop + 1] - offsets[start]))
                held_bytes += int(offsets[stop] - offsets[start])
                held_rows += stop - start
            if stop < count:  # the next row does not fit
                if held:
                    yield _joined(held, row)
                    row += held_rows
                    held, held_bytes, held_rows = [], 0, 0
                if not valid[stop] or offsets[stop + 1] - offsets[stop] > options.max_request_bytes:
                    yield _single(data, offsets, valid, stop, row, options)
                    row += 1
                    stop += 1
            start = stop
    if held:
        yield _joined(held, row)


def _buffers(array: pa.Array) -> tuple[memoryview, np.ndarray, np.ndarray]:
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if not pa.types.is_binary(array.type) and not pa.types.is_large_binary(array.type):
        array = array.cast(pa.large_binary())
    _, ends, data = array.buffers()
    if len(array) == 0 or ends is None:
        return memoryview(b""), np.zeros(1, np.int64), np.zeros(0, bool)
    kind = np.int64 if pa.types.is_large_binary(array.type) else np.int32
    offsets = np.frombuffer(ends, kind)[array.offset:array.offset + len(array) + 1].astype(np.int64)
    valid = np.ones(len(array), bool) if array.null_count == 0 else np.asarray(array.is_valid())
    return memoryview(data) if data is not None else memoryview(b""), offsets, valid


def _stop(offsets: np.ndarray, valid: np.ndarray, start: int, count: int, options: Options, held_bytes: int,
          held_rows: int) -> int:
    """One past the last row from ``start`` that still fits the open request."""
    room = offsets[start] + options.max_request_bytes - held_bytes
    stop = int(np.searchsorted(offsets, room, side="right")) - 1
    stop = min(stop, start + options.max_request_rows - held_rows, count)
    bad = np.flatnonzero(~valid[start:stop]) if stop > start else ()
    return start + int(bad[0]) if len(bad) else max(stop, start)


def _joined(held: list[tuple[Any, np.ndarray]], first: int) -> Request:
    if len(held) == 1:
        return Request(held[0][0], held[0][1], first)
    shifts = np.cumsum([0, *(len(data) for data, _ in held)])[:-1]
    return Request(memoryview(b"".join(data for data, _ in held)),
                   np.concatenate([ends + shift for (_, ends), shift in zip(held, shifts)]), first)


def _single(data: memoryview, offsets: np.ndarray, valid: np.ndarray, at: int, row: int, options: Options) -> Request:
    size = int(offsets[at + 1] - offsets[at])
    why = None
    if not valid[at]:
        why = "the row's features are null"
        if options.on_error == "raise":
            raise errors.NullRows(
                f"row {row} of its partition cannot be sent: its features are null. Drop such rows, fill them, or use "
                "onError='column'")
    elif size > options.hard_limit_bytes:
        why = f"the row has {size} bytes, the endpoint takes {options.hard_limit_bytes}"
        if options.on_error == "raise":
            raise errors.RecordTooLarge(
                f"row {row} of its partition cannot be sent: {why}. Use mode='async' or 'batch', or onError='column'")
    if why is not None:
        return Request(b"", np.zeros(1, np.int64), row, why)
    return Request(data[int(offsets[at]):int(offsets[at + 1])], np.array([size]), row)
