"""Files of records, on this machine's file system or on S3: listing, reading ranges, and writing that is seen all at once."""
from __future__ import annotations

import contextlib
import glob
import gzip
import io
import os
import shutil
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from . import errors
from .codecs import split
from .session import Session

__all__ = ["LocalFolder", "Part", "S3Folder", "folder", "open_part", "parts"]

_S3 = ("s3://", "s3a://", "s3n://")
_PART_BYTES = 16 << 20


@dataclass(frozen=True)
class Part:
    """A piece of a file for one task."""

    path: str
    size: int
    index: int
    part_bytes: int


def parts(paths: list[str], session: Session, split_bytes: int, owner: str | None = None) -> list[Part]:
    """The pieces of all files under these paths. Names that begin with ``_`` or ``.`` are not data.

    Parameters
    ----------
    split_bytes : int
        Bytes of a piece; 0 never splits. Compressed files are never split.
    owner : str, optional
        Account that must own the bucket.
    """
    made = []
    for path in paths:
        for file, size in folder(path, session, owner).files():
            step = size if not split_bytes or file.endswith(".gz") else split_bytes
            made += [Part(file, size, index, step) for index in range(-(-size // step) if size else 0)]
    return made


def open_part(part: Part, session: Session, owner: str | None = None) -> Iterator[memoryview]:
    """Its whole frames, some megabytes at a time."""
    where = folder(part.path, session, owner)
    with where.open(part.path) as read:
        if part.path.endswith(".gz"):
            whole = io.BufferedReader(_Sequential(read, part.size), split.WINDOW_BYTES)
            with gzip.GzipFile(fileobj=whole) as stream:
                yield from split.walk(stream.read)
        else:
            yield from split.part(read, part.size, part.index, part.part_bytes)


def folder(path: str, session: Session, owner: str | None = None) -> Any:
    """Who reads and writes a path."""
    if path.startswith(_S3):
        return S3Folder(path, session, owner)
    parsed = urlsplit(path)
    if parsed.scheme and parsed.scheme != "file":
        raise errors.InvalidParameter(
            f"a path must be local or on s3://, got {path!r}; for other file systems copy it first, or use the JVM data source")
    if not parsed.scheme:
        return LocalFolder(path)
    rest = path.split(":", 1)[1]  # '#' and '?' are letters of a name
    return LocalFolder(unquote("/" + rest[2:].partition("/")[2] if rest.startswith("//") else rest))


class _Sequential(io.RawIOBase):
    """A file read from its beginning to its end, a window at a time: on S3 each read is a request."""

    def __init__(self, read: Any, size: int):
        self._read, self._size, self._at = read, size, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._read(self._at, min(len(buffer), self._size - self._at)) if self._at < self._size else b""
        buffer[:len(data)] = data
        self._at += len(data)
        return len(data)


def _is_data(name: str) -> bool:
    return not name.startswith(("_", "."))


def _is_meant(path: str, pattern: str) -> bool:
    """Whether a pattern's match is data: a hidden name is only where the pattern itself asks for one."""
    return all(_is_data(name) or not _is_data(asked) for name, asked in zip(path.split("/"), pattern.split("/")))


def _refuse(problem: OSError) -> None:
    raise problem


# -- this machine -------------------------------------------------------------------------------------------------------


class LocalFolder:
    """A folder of the local file system, or one that every machine of the cluster mounts."""

    def __init__(self, path: str):
        self.path = path

    def files(self, patterns: bool = True) -> list[tuple[str, int]]:
        """(path, bytes) of each file of data; what is written is never looked up as a pattern."""
        found = [self.path]
        if patterns and glob.has_magic(self.path) and not os.path.exists(self.path):
            found = sorted(path for path in glob.glob(self.path) if _is_meant(path, self.path))
        files: list[str] = []
        for path in found:
            if os.path.isfile(path):
                files.append(path)
            elif os.path.isdir(path):
                for root, folders, names in os.walk(path, onerror=_refuse):
                    folders[:] = sorted(filter(_is_data, folders))
                    files += [os.path.join(root, name) for name in sorted(names) if _is_data(name)]
            else:
                raise errors.InvalidParameter(f"path {path!r} does not exist on {os.uname().nodename}")
        if not found:
            raise errors.InvalidParameter(f"no file matches {self.path!r}")
        return [(file, os.path.getsize(file)) for file in files]

    def open(self, path: str) -> _LocalReader:
        return _LocalReader(path)

    # Writing: tasks write into a folder that readers skip, the commit moves the files of the successful ones out of it.

    def begin(self) -> str:
        return os.path.join(self.path, f"_temporary-{uuid.uuid4().hex}")

    def writer(self, job: str, name: str) -> _LocalWriter:
        os.makedirs(job, exist_ok=True)
        return _LocalWriter(os.path.join(job, name))

    def commit(self, job: str, written: list[Any], replaced: list[str]) -> None:
        os.makedirs(self.path, exist_ok=True)
        moved: list[str] = []
        try:
            for path in written:
                seen = os.path.join(self.path, os.path.basename(path))
                os.replace(path, seen)
                moved.append(seen)
        except BaseException:  # all or nothing
            for path in moved:
                os.remove(path)
            raise
        for path in replaced:
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)
        shutil.rmtree(job, ignore_errors=True)

    def abort(self, job: str, written: list[Any]) -> None:
        shutil.rmtree(job, ignore_errors=True)


class _LocalReader:
    def __init__(self, path: str):
        self._path = path

    def __enter__(self) -> Any:
        self._file = open(self._path, "rb", buffering=0)

        def read(at: int, count: int) -> bytes:
            self._file.seek(at)
            return self._file.read(count)

        return read

    def __exit__(self, *_: object) -> None:
        self._file.close()


class _LocalWriter:
    def __init__(self, path: str):
        self._path = path
        self._file = open(path, "wb")
        self.write = self._file.write

    def close(self) -> str:
        self._file.close()
        return self._path

    def abort(self) -> None:
        self._file.close()
        os.remove(self._path)


# -- S3 -----------------------------------------------------------------------------------------------------------------


class S3Folder:
    """A prefix on S3. Tasks upload parts; the driver completes the uploads of the successful tasks, and only then do their
    objects exist. What a killed task leaves is an unfinished upload, which no reader sees."""

    def __init__(self, path: str, session: Session, owner: str | None = None):
        bucket, _, key = path.split("://", 1)[1].partition("/")
        self.bucket, self.key, self.session, self._owner = bucket, key, session, owner
        self.read_arguments = {"Bucket": bucket, **({"ExpectedBucketOwner": owner} if owner else {})}

    def files(self, patterns: bool = True) -> list[tuple[str, int]]:
        """(path, bytes) of each object of data."""
        if patterns and glob.has_magic(self.key):
            raise errors.InvalidParameter(f"patterns are not looked up on S3, got {self.key!r}; give a prefix or a key")
        found = [(item["Key"], item["Size"]) for item in self.session.pages(
            "s3", "list_objects_v2", "Contents", Prefix=self.key, **self.read_arguments)]
        folder = self._prefix()
        inside = [key for key, _ in found if key.startswith(folder)]
        # An empty object of the folder's own name is a marker that some tools leave.
        exact = [(key, size) for key, size in found if key == self.key and not key.endswith("/") and (size or not inside)]
        files = exact or [(key, size) for key, size in found if key.startswith(folder)
                          and all(map(_is_data, key[len(folder):].split("/"))) and not key.endswith("/")]
        if not files and not inside:
            raise errors.InvalidParameter(f"s3://{self.bucket}/{self.key} does not exist or is empty")
        return [(f"s3://{self.bucket}/{key}", size) for key, size in files]

    def open(self, path: str) -> _S3Reader:
        return _S3Reader(self)

    def _prefix(self) -> str:
        return self.key if self.key.endswith("/") or not self.key else self.key + "/"

    def begin(self) -> str:
        return self._owner or self.session.account_id  # whose bucket it must be; every write names it

    def writer(self, job: str, name: str) -> _S3Writer:
        return _S3Writer(self.session, {"Bucket": self.bucket, "Key": self._prefix() + name, "ExpectedBucketOwner": job})

    def commit(self, job: str, written: list[Any], replaced: list[str]) -> None:
        tried: list[dict[str, str]] = []
        try:
            for where, upload, etags in written:
                tried.append(where)
                self.session.call("s3", "complete_multipart_upload", **where, UploadId=upload, MultipartUpload={
                    "Parts": [{"PartNumber": at, "ETag": etag} for at, etag in enumerate(etags, 1)]})
        except BaseException:  # all or nothing; the names are random and ours
            for where in tried:
                with contextlib.suppress(errors.AwsError):
                    self.session.call("s3", "delete_object", **where)
            raise
        for path in replaced:
            self.session.call("s3", "delete_object", Bucket=self.bucket, Key=path.split("/", 3)[3], ExpectedBucketOwner=job)

    def abort(self, job: str, written: list[Any]) -> None:
        for where, upload, _ in written:
            with contextlib.suppress(errors.AwsError):  # completed already, and taken back by the commit that failed
                self.session.call("s3", "abort_multipart_upload", **where, UploadId=upload)


class _S3Reader:
    def __init__(self, where: S3Folder):
        self._where = where

    def __enter__(self) -> Any:
        where = self._where

        def read(at: int, count: int) -> bytes:
            if count <= 0:
                return b""
            answer = where.session.call("s3", "get_object", Key=where.key, **where.read_arguments,
                                        Range=f"bytes={at}-{at + count - 1}")
            return answer["Body"].read()

        return read

    def __exit__(self, *_: object) -> None:
        pass


class _S3Writer:
    def __init__(self, session: Session, where: dict[str, str]):
        self._session, self._where, self._buffer = session, where, bytearray()
        self._etags: list[str] = []
        self._upload = session.call("s3", "create_multipart_upload", **where)["UploadId"]

    def write(self, data: Any) -> None:
        self._buffer += data
        if len(self._buffer) >= _PART_BYTES:
            self._send()

    def _send(self) -> None:
        answer = self._session.call("s3", "upload_part", **self._where, UploadId=self._upload,
                                    PartNumber=len(self._etags) + 1, Body=bytes(self._buffer))
        self._etags.append(answer["ETag"])
        self._buffer.clear()

    def close(self) -> Any:
        if self._buffer or not self._etags:
            self._send()
        return self._where, self._upload, self._etags

    def abort(self) -> None:
        self._session.call("s3", "abort_multipart_upload", **self._where, UploadId=self._upload)


class Gzip:
    """Compresses what goes to another writer."""

    def __init__(self, inner: Any):
        self._inner, self._deflate = inner, zlib.compressobj(6, zlib.DEFLATED, 31)

    def write(self, data: Any) -> None:
        self._inner.write(self._deflate.compress(data))

    def close(self) -> Any:
        self._inner.write(self._deflate.flush())
        return self._inner.close()

    def abort(self) -> None:
        self._inner.abort()
