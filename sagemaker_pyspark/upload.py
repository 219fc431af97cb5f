"""Records to S3 objects from one task: multipart, one part going out while the next is filled."""
from __future__ import annotations

import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa

from .session import Session

__all__ = ["Upload", "record_bytes"]

#: S3 refuses smaller parts, the last excepted (Source: S3 UploadPart).
MINIMUM_PART_BYTES = 5 << 20


def record_bytes(records: pa.Array) -> memoryview:
    """The bytes of all records of an array, end to end: a slice of its data buffer, not a copy."""
    wide = pa.types.is_large_binary(records.type)
    if not wide and not pa.types.is_binary(records.type):
        records, wide = records.cast(pa.large_binary()), True
    _, offsets, data = records.buffers()
    if data is None or len(records) == 0:
        return memoryview(b"")
    ends = np.frombuffer(offsets, np.int64 if wide else np.int32)
    return memoryview(data)[int(ends[records.offset]):int(ends[records.offset + len(records)])]


class Upload:
    """Writes the records of one task to as many objects as their size asks for.

    Parameters
    ----------
    arguments : dict
        Bucket, expected owner and encryption, for every call.
    new_key : callable
        Names the next object.
    part_bytes : int
        Bytes gathered before they are sent; memory is about twice this.
    object_bytes : int
        Size at which the next object begins, at a record boundary.

    Attributes
    ----------
    objects : list of (key, rows, bytes)
        What exists on S3. An object appears here once it is complete.
    """

    def __init__(self, session: Session, arguments: dict[str, str], new_key: Callable[[], str], part_bytes: int,
                 object_bytes: int, gzip: bool = False):
        self._s3 = session
        self._arguments, self._new_key = arguments, new_key
        self._part_bytes, self._object_bytes, self._gzip = max(part_bytes, MINIMUM_PART_BYTES), object_bytes, gzip
        self._sender: ThreadPoolExecutor | None = None
        self.objects: list[tuple[str, int, int]] = []
        self._begin()

    def _begin(self) -> None:
        self._buffer = bytearray()
        self._rows = self._size = 0
        self._key: str | None = None
        self._upload_id: str | None = None
        self._parts: list[Future] = []
        self._deflate = zlib.compressobj(6, zlib.DEFLATED, 31) if self._gzip else None

    def write(self, records: pa.Array) -> None:
        """Add the records of one batch."""
        self.write_bytes(record_bytes(records), len(records))

    def write_bytes(self, data: Any, rows: int) -> None:
        """Add bytes that end at a record boundary."""
        self._rows += rows
        if self._deflate is not None:
            data = self._deflate.compress(data)
        view = memoryview(data)
        for at in range(0, len(view), self._part_bytes):  # a batch of very wide rows may be larger than a part
            piece = view[at:at + self._part_bytes]
            self._buffer += piece
            self._size += len(piece)
            if len(self._buffer) >= self._part_bytes:
                self._send_part()
        if self._size >= self._object_bytes:
            self._finish()

    def count(self, rows: int) -> None:
        """Say how many rows the current object holds, for formats that are not written row by row."""
        self._rows = rows

    def close(self) -> None:
        """Complete the last object."""
        self._finish()
        if self._sender is not None:
            self._sender.shutdown()

    def abort(self) -> None:
        """Forget the object in progress, parts included."""
        for part in self._parts:
            part.cancel()
        if self._sender is not None:
            self._sender.shutdown(wait=True)
        if self._upload_id is not None:
            try:
                self._call("abort_multipart_upload", Key=self._key, UploadId=self._upload_id)
            except Exception:  # the task reports its own fault; parts of an aborted upload expire with the bucket's rule
                pass

    def _call(self, operation: str, **request: Any) -> dict[str, Any]:
        arguments = dict(self._arguments)
        if operation not in ("put_object", "create_multipart_upload"):
            for name in ("ServerSideEncryption", "SSEKMSKeyId"):
                arguments.pop(name, None)
        return self._s3.call("s3", operation, **arguments, **request)

    def _send_part(self) -> None:
        if self._upload_id is None:
            self._key = self._key or self._new_key()
            self._upload_id = self._call("create_multipart_upload", Key=self._key)["UploadId"]
        if self._sender is None:
            self._sender = ThreadPoolExecutor(1, thread_name_prefix="staging-upload")
        if self._parts:
            self._parts[-1].result()  # one part in flight bounds the memory to two buffers
        body, self._buffer = self._buffer, bytearray()
        self._parts.append(self._sender.submit(
            self._call, "upload_part", Key=self._key, UploadId=self._upload_id, PartNumber=len(self._parts) + 1, Body=body))

    def _finish(self) -> None:
        if self._deflate is not None and self._rows:
            tail = self._deflate.flush()
            self._buffer += tail
            self._size += len(tail)
        if self._rows == 0:
            return
        if self._upload_id is None:
            self._key = self._new_key()
            self._call("put_object", Key=self._key, Body=self._buffer)
        else:
            if self._buffer:
                self._send_part()
            parts = [{"PartNumber": at, "ETag": part.result()["ETag"]} for at, part in enumerate(self._parts, 1)]
            self._call("complete_multipart_upload", Key=self._key, UploadId=self._upload_id,
                       MultipartUpload={"Parts": parts})
        self.objects.append((self._key, self._rows, self._size))  # type: ignore[arg-type]
        self._begin()
