"""The HTTP front: one port for S3, STS, IAM (moto), CloudWatch Logs, SageMaker and its runtime (ours).

aiohttp, because InvokeEndpoint should take a thousand small requests a second while training jobs and endpoints come and
go in threads.
"""
from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
import uuid
from collections import Counter
from typing import Any
from xml.sax.saxutils import escape

from aiohttp import web

from . import objects, runtime
from .control import Control
from .faults import FaultRules
from .processes import Images, wait_for
from .store import ACCOUNT, KINDS, REGION, Store
from .validation import ServiceError

__all__ = ["Server", "run"]


class Server:
    """All of the local SageMaker behind one address."""

    def __init__(self, folder: str, images: dict[str, Any]):
        self.store, self.faults, self.log = Store(), FaultRules(), []  # type: ignore[var-annotated]
        self.images = Images(images)
        self._in_flight: Counter[str] = Counter()
        self.address = ""
        self.control = Control(self.store, self.images, folder, self.s3)
        self.objects = objects.Objects()
        self.runtime = runtime.Runtime(self.control.endpoints, self.s3)
        self._client: Any = None

    def s3(self) -> Any:
        """A client of the server itself, for the jobs that read and write S3."""
        if self._client is None:
            import boto3
            from botocore.config import Config

            self._client = boto3.client(
                "s3", endpoint_url=self.address, region_name=REGION, aws_access_key_id="internal",
                aws_secret_access_key="internal", config=Config(
                    s3={"addressing_style": "path"}, request_checksum_calculation="when_required",
                    response_checksum_validation="when_required", user_agent_extra="sagemaker-local-internal"))
        return self._client

    def application(self) -> web.Application:
        app = web.Application(client_max_size=1 << 31)
        app.router.add_route("*", "/_local/{what:.*}", self._admin)
        app.router.add_route("*", "/{path:.*}", self._handle)
        app.on_cleanup.append(self._clean_up)
        return app

    async def _clean_up(self, _: Any) -> None:
        await self.runtime.close()
        await asyncio.get_running_loop().run_in_executor(None, self.control.close)

    # -- every request ------------------------------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        started, operation = time.monotonic(), self._operation(request)
        internal = "sagemaker-local-internal" in request.headers.get("User-Agent", "")
        entry: dict[str, Any] = {"operation": operation, "resource": "", "rows": None, "bytes": 0, "at": time.time()}
        self._in_flight[operation] += not internal
        fault = {} if internal else self.faults.meet(operation, self._in_flight[operation], objects.is_s3(request))
        try:
            body = await request.read()
            entry["bytes"] = len(body)
            if not internal:
                self.log.append(entry)
            answer = await self._answer(request, operation, body, fault, entry)
        except ServiceError as problem:
            if "retry_after" in fault:
                problem.extra["retry_after"] = fault["retry_after"]
            answer = self._error(request, problem)
        except ConnectionResetError:
            entry.update(status=0, seconds=round(time.monotonic() - started, 6))
            raise
        except Exception as problem:
            answer = self._error(request, ServiceError("InternalFailure", f"{type(problem).__name__}: {problem}", 500))
        finally:
            self._in_flight[operation] -= not internal
        entry.update(status=answer.status, seconds=round(time.monotonic() - started, 6))
        return answer

    async def _answer(self, request: web.Request, operation: str, body: bytes, fault: dict[str, Any],
                      entry: dict[str, Any]) -> web.StreamResponse:
        # Before any fault: a call that is dropped is recorded with what it was about.
        data = _parsed(body) if request.headers.get("X-Amz-Target") else {}
        entry["resource"] = next((str(data[f]) for f, *_ in KINDS.values() if data.get(f)), "")
        if request.path.startswith("/endpoints/"):
            runtime.describe(request, body, entry)
        if fault.get("latency"):
            await asyncio.sleep(fault["latency"])
        if fault.get("hang"):
            entry.update(status=0, seconds=0.0)
            while request.transport is not None and not request.transport.is_closing():
                await asyncio.sleep(0.05)
            raise ConnectionResetError("the client gave up, on purpose")
        if fault.get("disconnect"):
            self._drop(request)
        if fault.get("error"):
            raise ServiceError(fault["error"], fault.get("message", "injected"), int(fault.get("status", 400)))
        answer = await self._dispatch(request, operation, body, data, fault)
        if fault.get("ambiguous"):  # it took effect, and nobody hears of it
            self._drop(request)
        return answer

    @staticmethod
    def _drop(request: web.Request) -> None:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("dropped on purpose")

    async def _dispatch(self, request: web.Request, operation: str, body: bytes, data: dict[str, Any],
                        fault: dict[str, Any]) -> web.StreamResponse:
        target = request.headers.get("X-Amz-Target", "")
        if request.path.startswith("/endpoints/"):
            return await self.runtime.handle(request, body, fault)
        if target.startswith("SageMaker."):
            # In a thread: some operations ask S3, which is this very server.
            answer = await asyncio.get_running_loop().run_in_executor(None, self.control.call, operation, data)
            return web.json_response(answer, content_type="application/x-amz-json-1.1", headers=_ids())
        if target.startswith("Logs_20140328."):
            return web.json_response(self._logs(operation, data), content_type="application/x-amz-json-1.1",
                                     headers=_ids())
        return await self.objects.handle(request, body)

    @staticmethod
    def _operation(request: web.Request) -> str:
        target = request.headers.get("X-Amz-Target", "")
        if "." in target:
            return target.rsplit(".", 1)[1]
        if request.path.startswith("/endpoints/"):
            return "InvokeEndpointAsync" if request.path.endswith("/async-invocations") else "InvokeEndpoint"
        return objects.operation(request)

    @staticmethod
    def _error(request: web.Request, problem: ServiceError) -> web.Response:
        headers = {**_ids(), "x-amzn-ErrorType": problem.code}
        if "retry_after" in problem.extra:
            headers["Retry-After"] = str(problem.extra.pop("retry_after"))
        if not request.headers.get("X-Amz-Target") and not request.path.startswith("/endpoints/"):
            text = f"<Error><Code>{problem.code}</Code><Message>{escape(problem.message)}</Message></Error>"
            if not objects.is_s3(request):  # the query protocol of STS and IAM has one more element around it
                text = f"<ErrorResponse>{text}</ErrorResponse>"
            text = f"<?xml version='1.0' encoding='UTF-8'?>{text}"
            return web.Response(text="" if request.method == "HEAD" else text, status=problem.status, headers=headers,
                                content_type="application/xml")
        message = "Message" if request.path.startswith("/endpoints/") else "message"
        return web.json_response({"__type": problem.code, message: problem.message, **problem.extra},
                                 status=problem.status, headers=headers, content_type="application/x-amz-json-1.1")

    def _logs(self, operation: str, data: dict[str, Any]) -> dict[str, Any]:
        with self.store.lock:
            names = [s for g, s in self.store.logs if g == data["logGroupName"]]
            if not names:
                raise ServiceError("ResourceNotFoundException", "The specified log group does not exist.")
            if operation == "DescribeLogStreams":
                prefix = data.get("logStreamNamePrefix", "")
                return {"logStreams": [{"logStreamName": n} for n in names if n.startswith(prefix)]}
            if operation == "GetLogEvents":
                lines = self.store.logs.get((data["logGroupName"], data["logStreamName"]), [])
                start = int(str(data.get("nextToken", "f/0")).rsplit("/", 1)[1])
                events = [{"timestamp": at, "message": text, "ingestionTime": at} for at, text in lines[start:]]
                return {"events": events, "nextForwardToken": f"f/{len(lines)}", "nextBackwardToken": f"b/{start}"}
        raise ServiceError("UnknownOperationException", f"the local SageMaker has no {operation} of CloudWatch Logs")

    # -- the private interface ----------------------------------------------------------------------------------------

    async def _admin(self, request: web.Request) -> web.Response:
        what, data = request.match_info["what"], await request.json()
        if what == "faults":
            self.faults.change(data)
        elif what == "requests":
            return web.json_response([e for e in self.log if "status" in e])
        elif what == "requests/clear":
            self.log.clear()
        elif what == "remaining":
            return web.json_response(await asyncio.get_running_loop().run_in_executor(None, self._remaining))
        elif what == "bucket":
            await asyncio.get_running_loop().run_in_executor(None, self._create_bucket, data["name"])
        elif what == "foreign-bucket":
            self.objects.add_foreign(data["name"])
        else:
            return web.json_response({"unknown": what}, status=404)
        return web.json_response({})

    def _create_bucket(self, name: str) -> None:
        if name not in {bucket["Name"] for bucket in self.s3().list_buckets()["Buckets"]}:
            self.s3().create_bucket(Bucket=name)

    def _remaining(self) -> dict[str, list[str]]:
        endpoints = self.store.items["Endpoint"]
        # Deleting ends by itself within seconds; what is asked here is what stays.
        wait_for(lambda: not any(e["EndpointStatus"] == "Deleting" for e in list(endpoints.values())), 10)
        with self.store.lock:
            left = {kind: sorted(items) for kind, items in self.store.items.items() if not kind.endswith("Job")}
            for kind in ("TrainingJob", "TransformJob"):
                left[kind] = sorted(n for n, i in self.store.items[kind].items()
                                    if i[f"{kind}Status"] in ("InProgress", "Stopping"))
        s3, staged = self.s3(), []
        for bucket in s3.list_buckets()["Buckets"]:
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"]):
                staged += [f"s3://{bucket['Name']}/{o['Key']}" for o in page.get("Contents", ())
                           if not o["Key"].endswith("/output/model.tar.gz")]
            uploads = s3.list_multipart_uploads(Bucket=bucket["Name"]).get("Uploads", ())
            staged += [f"s3://{bucket['Name']}/{u['Key']} (upload in progress)" for u in uploads]
        return {**left, "objects": staged}


def _parsed(body: bytes) -> dict[str, Any]:
    """The members of a request in AWS's JSON protocol."""
    try:
        data = json.loads(body or b"{}")
    except ValueError as problem:
        raise ServiceError("SerializationException", f"the body must be JSON, got {body[:100]!r}: {problem}") from None
    if not isinstance(data, dict):
        raise ServiceError("SerializationException", f"the body must be a JSON object, got {body[:100]!r}")
    return data


def _ids() -> dict[str, str]:
    return {"x-amzn-RequestId": str(uuid.uuid4())}


def run(port: int, folder: str, images: dict[str, Any], until_stdin_closes: bool) -> None:
    """Serve on loopback until told to stop, then stop everything that was started."""
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        del os.environ[name]  # whatever the caller's credentials and endpoints are, none of it is used here
    os.environ["MOTO_ACCOUNT_ID"] = ACCOUNT
    asyncio.run(_serve(port, folder, images, until_stdin_closes))


async def _serve(port: int, folder: str, images: dict[str, Any], until_stdin_closes: bool) -> None:
    server = Server(folder, images)
    # The time a connection may take to end is short: nothing of value is under way when the block has ended.
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=512)
    await site.start()
    bound = runner.addresses[0][1]
    server.address = f"http://127.0.0.1:{bound}"
    print(json.dumps({"endpoint_url": server.address}), flush=True)
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for which in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(which, done.set)
    if until_stdin_closes:
        def read() -> None:
            with contextlib.suppress(OSError):
                while os.read(sys.stdin.fileno(), 1024):
                    pass
            loop.call_soon_threadsafe(done.set)

        import threading

        threading.Thread(target=read, daemon=True).start()
    await done.wait()
    await runner.cleanup()
