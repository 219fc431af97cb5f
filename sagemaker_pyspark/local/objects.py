"""S3, STS and IAM by moto, with what it leaves out in front: whose a bucket is."""
from __future__ import annotations

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote, urlsplit

from aiohttp import web

from .store import ACCOUNT
from .validation import ServiceError

__all__ = ["Objects", "is_s3", "operation"]


def is_s3(request: web.Request) -> bool:
    """Whether a request is S3's: of no JSON service, not of the runtime, and neither STS's nor IAM's."""
    return (not request.headers.get("X-Amz-Target") and not request.path.startswith("/endpoints/")
            and operation(request) not in ("GetCallerIdentity", "Iam"))


def operation(request: web.Request) -> str:
    """Name of an S3 operation, from method and query; other services by their name."""
    authorization = request.headers.get("Authorization", "")
    if "/sts/" in authorization:
        return "GetCallerIdentity"
    if "/iam/" in authorization:
        return "Iam"
    query, has_key = request.query, "/" in request.path.strip("/")
    if request.method == "PUT":
        if "x-amz-copy-source" in request.headers:
            return "UploadPartCopy" if "partNumber" in query else "CopyObject"
        return "UploadPart" if "partNumber" in query else "PutObject" if has_key else "CreateBucket"
    if request.method == "POST":
        return ("DeleteObjects" if "delete" in query else "CreateMultipartUpload" if "uploads" in query
                else "CompleteMultipartUpload" if "uploadId" in query else "PostObject")
    if request.method == "GET":
        if has_key:
            return "GetObject"
        return ("ListMultipartUploads" if "uploads" in query else "ListObjectsV2" if request.path.strip("/")
                else "ListBuckets")
    if request.method == "HEAD":
        return "HeadObject" if has_key else "HeadBucket"
    return "AbortMultipartUpload" if "uploadId" in query else "DeleteObject" if has_key else "DeleteBucket"


def _bucket_of(source: str) -> str:
    """Bucket of a copy's source, ``[/]bucket/key``."""
    return unquote(urlsplit(source).path).lstrip("/").split("/")[0]


class Objects:
    """moto's WSGI application in threads of this process."""

    def __init__(self) -> None:
        self._foreign: set[str] = set()
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="moto")
        self._application: Any = None

    def add_foreign(self, bucket: str) -> None:
        """From now on a bucket of another account."""
        self._foreign.add(bucket)

    async def handle(self, request: web.Request, body: bytes) -> web.Response:
        self._check_owner(request)
        environ = self._environ(request, body)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, environ)

    def _check_owner(self, request: web.Request) -> None:
        """moto ignores ExpectedBucketOwner; the safety of staging rests on it."""
        bucket = unquote(request.path.strip("/").split("/")[0])
        expected = request.headers.get("x-amz-expected-bucket-owner")
        if bucket in self._foreign:
            if operation(request) == "CreateBucket":
                raise ServiceError("BucketAlreadyExists", "The requested bucket name is not available.", 409)
            raise ServiceError("AccessDenied", "Access Denied", 403)
        if expected and expected != ACCOUNT:
            raise ServiceError("AccessDenied", "Access Denied", 403)
        source = request.headers.get("x-amz-copy-source")
        if source:
            expected = request.headers.get("x-amz-source-expected-bucket-owner")
            if _bucket_of(source) in self._foreign or (expected and expected != ACCOUNT):
                raise ServiceError("AccessDenied", "Access Denied", 403)

    @staticmethod
    def _environ(request: web.Request, body: bytes) -> dict[str, Any]:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method, "SCRIPT_NAME": "", "PATH_INFO": unquote(request.rel_url.raw_path),
            "RAW_URI": request.raw_path, "REQUEST_URI": request.raw_path, "QUERY_STRING": request.rel_url.raw_query_string,
            "SERVER_NAME": "127.0.0.1", "SERVER_PORT": str(request.url.port), "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body), "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False}
        for name, value in request.headers.items():
            if name.lower() not in ("content-type", "content-length", "transfer-encoding", "expect"):
                environ["HTTP_" + name.upper().replace("-", "_")] = value
        return environ

    def _run(self, environ: dict[str, Any]) -> web.Response:
        if self._application is None:
            from moto.server import DomainDispatcherApplication, create_backend_app

            self._application = DomainDispatcherApplication(create_backend_app)
        begun: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
            begun[:] = [int(status.split()[0]), headers]

        chunks = self._application(environ, start)
        try:
            data = b"".join(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        response = web.Response(body=b"" if environ["REQUEST_METHOD"] == "HEAD" else data, status=begun[0])
        response.headers.clear()
        for name, value in begun[1]:
            lowered = name.lower()
            if lowered in ("connection", "transfer-encoding") or (
                    lowered == "content-length" and environ["REQUEST_METHOD"] != "HEAD"):
                continue
            response.headers.add(name, value)
        return response
