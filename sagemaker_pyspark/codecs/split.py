"""Parts of a RecordIO stream that tasks can read on their own.

RecordIO as SageMaker uses it has no sync marker: the magic number may as well be four bytes of a payload. A task that
begins in the middle of a file therefore guesses a boundary, by a chain of headers that fit each other, and the task
before it, which knows where its last frame ends, checks that guess. So every boundary is proved from the one before, back
to the beginning of the file; a guess that is wrong is an error and never a shifted or doubled row.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .. import errors
from .recordio import HEADER, MAGIC, MAX_PAYLOAD, PAIR, frame_size, header_error

__all__ = ["align", "part", "walk"]

_MAGIC = MAGIC.to_bytes(4, "little")
#: Frames that must follow each other for a guess: a random payload passes one with a chance of 2^-35.
_CHAIN = 8
#: Bytes read and decoded at a time.
WINDOW_BYTES = 8 << 20
_SEARCH_BYTES = 256 << 10

Read = Callable[[int, int], bytes]


def part(read: Read, size: int, index: int, part_bytes: int) -> Iterator[memoryview]:
    """The frames that begin in the ``index``-th piece of ``part_bytes``, whole, some megabytes at a time.

    Parameters
    ----------
    read : callable
        ``read(at, count) -> bytes`` of the file.
    size : int
        Bytes of the file.

    Raises
    ------
    MalformedRecord
        The file is not RecordIO, or it cannot be split because a payload looks like RecordIO itself.
    """
    begin = 0 if index == 0 else align(read, index * part_bytes, min((index + 1) * part_bytes, size), size)
    if begin is None:
        return
    at = begin

    def pull(count: int) -> bytes:
        nonlocal ahead
        data = read(ahead, min(count, size - ahead))
        ahead += len(data)
        return data

    ahead = begin
    try:
        for frames in walk(pull, begin, (index + 1) * part_bytes, size):
            at += len(frames)
            yield frames
    except errors.MalformedRecord as problem:
        if index == 0:
            raise
        raise errors.MalformedRecord(f"{problem} (the file was read in parts; option splitBytes=0 reads it whole)",
                                     offset=problem.offset) from None
    _prove(read, size, at, index + 1, part_bytes)


def _prove(read: Read, size: int, at: int, index: int, part_bytes: int) -> None:
    """The next part that is not inside our last frame must begin exactly where that frame ends."""
    while index * part_bytes < size:
        stop = min((index + 1) * part_bytes, size)
        guess = align(read, index * part_bytes, stop, size)
        if guess is None and at >= stop:
            index += 1
            continue
        if guess != at:
            if at < size:
                _header(read(at, min(HEADER, size - at)), at, size)  # says so if the file is broken right here
            raise errors.MalformedRecord(
                f"the file cannot be read in parts: a frame ends at offset {at}, but the next part seems to begin at {guess}; "
                "a payload looks like RecordIO, or the file is damaged. Read it whole with option splitBytes=0", offset=at)
        return


def align(read: Read, at: int, stop: int, size: int) -> int | None:
    """The first place in ``[at, stop)`` from which frames seem to follow each other, None without one."""
    at += -at % 4
    while at < stop:
        window = read(at, min(_SEARCH_BYTES + HEADER, size - at))
        found = window.find(_MAGIC)
        while 0 <= found < _SEARCH_BYTES and at + found < stop:
            if found % 4 == 0 and _chains(read, window, at, at + found, size):
                return at + found
            found = window.find(_MAGIC, found + 1)
        at += _SEARCH_BYTES
    return None


def _chains(read: Read, window: bytes, base: int, at: int, size: int) -> bool:
    for _ in range(_CHAIN):
        if at == size:
            return True
        if size - at < HEADER:
            return False
        inside = at - base
        head = window[inside:inside + HEADER] if inside + HEADER <= len(window) else read(at, HEADER)
        magic, length = PAIR.unpack(head)
        if magic != MAGIC or length > MAX_PAYLOAD:
            return False
        at += frame_size(length)
    return at <= size


def walk(pull: Callable[[int], bytes], at: int = 0, stop: int | None = None, size: int | None = None) -> Iterator[memoryview]:
    """Whole frames from a stream, until its end or the first frame that begins at ``stop`` or later.

    Parameters
    ----------
    pull : callable
        ``pull(count) -> bytes``: the next bytes, at most ``count``, none at the end.
    at : int
        Offset of the stream's first byte, a frame's beginning.
    size : int, optional
        Offset of the end, where it is known; a frame that claims more is refused before it is read.

    Raises
    ------
    MalformedRecord
    """
    data = bytearray()
    need = 0
    while stop is None or at < stop:
        more = pull(WINDOW_BYTES)
        data += more
        if not data:
            return
        if more and len(data) < need:
            continue
        end, need = _whole(data, at, None if stop is None else stop - at, size)
        if end:
            yield memoryview(bytes(data[:end]))
            del data[:end]
            at += end
        elif not more:
            raise errors.MalformedRecord(f"the frame at offset {at} needs {need} bytes, {len(data)} are left", offset=at)


def _whole(data: bytearray, base: int, limit: int | None, size: int | None) -> tuple[int, int]:
    """Bytes of the frames that are whole and begin before ``limit``; bytes that the first one needs if it is not."""
    end = _uniform(data, limit)
    while len(data) - end >= HEADER and (limit is None or end < limit):
        need = _header(data[end:end + HEADER], base + end, size)
        if end + need > len(data):
            return end, need
        end += need
    return end, HEADER


def _uniform(data: bytearray, limit: int | None) -> int:
    """Bytes of the leading frames that are all of one size, without a loop."""
    if len(data) < HEADER:
        return 0
    magic, length = PAIR.unpack_from(data, 0)
    stride = frame_size(length)
    count = len(data) // stride if limit is None else min(len(data) // stride, -(-limit // stride))
    if magic != MAGIC or length > MAX_PAYLOAD or count == 0:
        return 0
    words = np.frombuffer(bytes(data[:count * stride]), np.uint8).reshape(count, stride)[:, :HEADER]
    other = np.flatnonzero((words != words[0]).any(axis=1))
    return int(other[0] if len(other) else count) * stride


def _header(head: bytes | bytearray, at: int, size: int | None) -> int:
    """Bytes of the frame whose header this is."""
    if len(head) < HEADER:
        raise errors.MalformedRecord(f"a frame header needs {HEADER} bytes, {len(head)} are left at offset {at}", offset=at)
    magic, length = PAIR.unpack(head)
    if magic != MAGIC or length > MAX_PAYLOAD:
        raise header_error(magic, length, at)
    need = frame_size(length)
    if size is not None and at + need > size:
        raise errors.MalformedRecord(
            f"the frame at offset {at} claims {length} bytes, {size - at - HEADER} are left", offset=at)
    return need
