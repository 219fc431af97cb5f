"""RecordIO frames: magic, length, payload, zero padding to four bytes (see ``proto/FORMAT.md``)."""
from __future__ import annotations

import struct

import numpy as np

from .. import errors

__all__ = ["HEADER", "MAGIC", "MAX_PAYLOAD", "frame", "scan"]

MAGIC = 0xCED7230A
#: The upper three bits of the length word are a continuation flag (Source: dmlc recordio), so a frame stays below 2^29.
MAX_PAYLOAD = (1 << 29) - 1
#: Bytes before the payload.
HEADER = 8

PAIR = struct.Struct("<II")


def frame(payload: bytes) -> bytes:
    """One payload as a frame.

    Raises
    ------
    RecordTooLarge
        The payload is 2**29 bytes or more.
    """
    check_size(len(payload))
    return PAIR.pack(MAGIC, len(payload)) + payload + bytes(-len(payload) % 4)


def check_size(size: int, row: int | None = None) -> None:
    """Refuse a payload that the length word cannot hold."""
    if size > MAX_PAYLOAD:
        where = "" if row is None else f" (row {row} of its batch)"
        raise errors.RecordTooLarge(
            f"a RecordIO record must be smaller than {MAX_PAYLOAD + 1} bytes, this one has {size}{where}; use fewer "
            "features or sparse vectors")


def scan(buffer: bytes | memoryview) -> tuple[np.ndarray, np.ndarray]:
    """Where the payloads of a stream of frames lie.

    Parameters
    ----------
    buffer : bytes-like
        Whole frames, end to end.

    Returns
    -------
    starts, lengths : ndarray of int64, shape (records,)

    Raises
    ------
    MalformedRecord
        ``offset`` is where the stream stops being RecordIO. Nothing is allocated by a length that the buffer cannot hold.
    """
    view = memoryview(buffer).cast("B")
    uniform = _scan_uniform(view)
    if uniform is not None:
        return uniform
    starts, lengths, at, end = [], [], 0, len(view)
    while at < end:
        if end - at < HEADER:
            raise errors.MalformedRecord(
                f"a frame header needs {HEADER} bytes, {end - at} are left at offset {at}", offset=at)
        magic, length = PAIR.unpack_from(view, at)
        if magic != MAGIC or length > MAX_PAYLOAD:
            raise header_error(magic, length, at)
        stop = at + HEADER + length + (-length % 4)
        if stop > end:
            raise errors.MalformedRecord(
                f"the frame at offset {at} claims {length} bytes, {end - at - HEADER} are left", offset=at)
        starts.append(at + HEADER)
        lengths.append(length)
        at = stop
    return np.array(starts, np.int64), np.array(lengths, np.int64)


def header_error(magic: int, length: int, at: int) -> errors.MalformedRecord:
    """What is wrong with the frame header at this offset."""
    if magic != MAGIC:
        return errors.MalformedRecord(f"a frame must begin with {MAGIC:#010x}, got {magic:#010x} at offset {at}", offset=at)
    return errors.MalformedRecord(
        f"the length word at offset {at + 4} must be below {MAX_PAYLOAD + 1}, got {length:#x}: its upper three "
        "bits mark a part of a split record, which SageMaker's algorithms do not write", offset=at + 4)


def frame_size(length: int) -> int:
    """Bytes of a frame whose payload has this length."""
    return HEADER + length + (-length % 4)


def _scan_uniform(view: memoryview) -> tuple[np.ndarray, np.ndarray] | None:
    """The same for records of one size, without a loop; None if they are not."""
    if len(view) < HEADER:
        return None
    magic, length = PAIR.unpack_from(view, 0)
    stride = frame_size(length)
    if magic != MAGIC or length > MAX_PAYLOAD or len(view) % stride:
        return None
    words = np.frombuffer(view, np.uint8).reshape(-1, stride)[:, :HEADER]
    if not (words == words[0]).all():
        return None
    count = len(view) // stride
    return np.arange(count, dtype=np.int64) * stride + HEADER, np.full(count, length, np.int64)
