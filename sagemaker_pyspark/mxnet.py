"""MXNet NDArray files, read with numpy: the artifacts of the first-party K-Means and PCA containers.

Layout (little endian): uint64 0x112, uint64 reserved, uint64 count, then each array; uint64 count of names, then each name
as uint64 length and bytes. An array: uint32 magic, int32 storage type (0 dense; from version 2 on), shape, int32 device
type, int32 device id, int32 element type, data. Source: mxnet/src/ndarray/ndarray.cc (NDArray::Save).
"""
from __future__ import annotations

import struct

import numpy as np

from . import errors

__all__ = ["read"]

_LIST = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_TYPES = {0: np.float32, 1: np.float64, 2: np.float16, 3: np.uint8, 4: np.int32, 5: np.int8, 6: np.int64}


def read(data: bytes) -> dict[str, np.ndarray]:
    """Arrays by name, or by position ("0", "1", ...) in a file without names.

    Raises
    ------
    UnexpectedResponse
        Not such a file, or one that is cut short.
    """
    try:
        return _read(memoryview(data))
    except (struct.error, ValueError) as problem:
        raise errors.UnexpectedResponse(f"the model is not an MXNet NDArray file: {problem}") from None


def _read(data: memoryview) -> dict[str, np.ndarray]:
    magic, _, count = struct.unpack_from("<QQQ", data, 0)
    if magic != _LIST:
        raise ValueError(f"it must begin with {_LIST:#x}, got {magic:#x}")
    if count == 0 or count > len(data):
        raise ValueError(f"it claims {count} arrays in {len(data)} bytes")
    at, arrays = 24, []
    for _ in range(count):
        array, at = _array(data, at)
        arrays.append(array)
    names = []
    (named,) = struct.unpack_from("<Q", data, at)
    at += 8
    if named not in (0, len(arrays)):
        raise ValueError(f"it has {len(arrays)} arrays and {named} names")
    for _ in range(named):
        (length,) = struct.unpack_from("<Q", data, at)
        at += 8
        if length > len(data) - at:
            raise ValueError(f"a name of {length} bytes where {len(data) - at} are left")
        names.append(bytes(data[at:at + length]).decode())
        at += length
    return dict(zip(names or map(str, range(len(arrays))), arrays))


def _array(data: memoryview, at: int) -> tuple[np.ndarray, int]:
    (magic,) = struct.unpack_from("<I", data, at)
    at += 4
    if magic in (_V2, _V3):
        (storage,) = struct.unpack_from("<i", data, at)
        at += 4
        if storage != 0:
            raise ValueError("sparse arrays are not read")
    if magic in (_V1, _V2, _V3):
        (rank,) = struct.unpack_from("<I", data, at)
        if rank > 32:
            raise ValueError(f"an array of rank {rank}")
        shape = struct.unpack_from(f"<{rank}q", data, at + 4)
        at += 4 + 8 * rank
    else:  # the oldest form: the magic is the rank, lengths are uint32
        rank = magic
        if rank > 32:
            raise ValueError(f"an array of rank {rank}")
        shape = struct.unpack_from(f"<{rank}I", data, at)
        at += 4 * rank
    if not shape:  # an array that was never given a value ends here
        return np.zeros(0, np.float32), at
    _, _, kind = struct.unpack_from("<iii", data, at)
    at += 12
    if kind not in _TYPES:
        raise ValueError(f"element type {kind}")
    size = 1
    for length in shape:
        size *= length
    if min(shape) < 0 or size * np.dtype(_TYPES[kind]).itemsize > len(data) - at:
        raise ValueError(f"an array of shape {shape} in {len(data) - at} bytes")
    array = np.frombuffer(data, _TYPES[kind], size, at).reshape(shape)
    return array, at + array.nbytes
