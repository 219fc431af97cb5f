"""InvokeEndpoint and InvokeEndpointAsync."""
from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
from aiohttp import web

from ..codecs import recordio
from . import echo
from .endpoints import EndpointRunner, Served
from .store import ACCOUNT, REGION
from .validation import ServiceError

__all__ = ["Runtime", "describe", "rows_of"]

#: Source: botocore service model; a serverless endpoint takes 4 MB.
LARGEST_BODY = 6_291_456
LARGEST_SERVERLESS_BODY = 4 * 1024 * 1024


def rows_of(body: bytes, content_type: str) -> int | None:
    """Rows of a request, where its format tells."""
    kind = content_type.split(";")[0].strip()
    if kind == "application/x-recordio-protobuf":
        try:
            return len(recordio.scan(body)[0])
        except Exception:
            return None
    if kind in ("text/csv", "text/libsvm", "text/x-libsvm", "application/jsonlines"):
        return body.count(b"\n") + (0 if body.endswith(b"\n") or not body else 1)
    return None


def describe(request: web.Request, body: bytes, entry: dict[str, Any]) -> None:
    """Put the endpoint and the rows of a request into its record."""
    entry.update(resource=unquote(request.path.split("/", 3)[2]), rows=rows_of(body, request.headers.get("Content-Type", "")))


class Runtime:
    """Sends requests on to the processes that serve."""

    def __init__(self, endpoints: EndpointRunner, s3: Callable[[], Any]):
        self._endpoints, self._s3 = endpoints, s3
        self._session: aiohttp.ClientSession | None = None
        self._busy: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._session is not None:
            await self._session.close()

    async def handle(self, request: web.Request, body: bytes, fault: dict[str, Any]) -> web.StreamResponse:
        _, _, name, verb = request.path.split("/", 3)
        name = unquote(name)
        with self._endpoints.borrowed(name) as served:
            if served is None:
                raise ServiceError("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
            return await self._invoke(served, name, verb, request, body, fault)

    async def _invoke(self, served: Served, name: str, verb: str, request: web.Request, body: bytes, fault: dict[str, Any]
                      ) -> web.StreamResponse:
        content_type = request.headers.get("Content-Type", "")
        # boto3 moves Accept into a header of its own; the AWS CLI does the same.
        accept = request.headers.get("Accept", "") or ""
        accept = "" if accept == "*/*" else accept
        _check_target(served, name, request)
        if verb == "async-invocations":
            return self._accept(served, name, request, content_type, accept, fault)
        self._refuse(served, name, body, content_type, fault)
        status, answer, kind = await self._pass(served, name, body, content_type, accept)
        if fault.get("model_error"):
            status, answer = int(fault["model_error"]), b"injected"
        if status >= 400:
            raise self._model_error(name, status, answer)
        if fault.get("drop_rows") or fault.get("add_rows"):
            answer = _resized(answer, kind, int(fault.get("add_rows", 0)) - int(fault.get("drop_rows", 0)))
        return web.Response(body=answer, headers={
            "Content-Type": kind or "application/octet-stream", "x-Amzn-Invoked-Production-Variant": served.variant,
            "x-amzn-RequestId": str(uuid.uuid4())})

    @staticmethod
    def _refuse(served: Served, name: str, body: bytes, content_type: str, fault: dict[str, Any]) -> None:
        if served.asynchronous:
            raise ServiceError("ValidationError", f"Endpoint {name} is an asynchronous endpoint: use InvokeEndpointAsync.")
        most = int(fault.get("over_bytes") or (LARGEST_SERVERLESS_BODY if served.serverless else LARGEST_BODY))
        if len(body) > most:
            raise ServiceError("ValidationError", "1 validation error detected: Value at 'body' failed to satisfy "
                               f"constraint: Member must have length less than or equal to {most}")
        if fault.get("over_rows") and (rows_of(body, content_type) or 0) > fault["over_rows"]:
            raise Runtime._model_error(name, 413, b"payload too large")

    @staticmethod
    def _model_error(name: str, status: int, answer: bytes) -> ServiceError:
        message = answer[:2000].decode("utf-8", "replace")
        arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/{name}"
        side = "client" if status < 500 else "server"
        return ServiceError(
            "ModelError", f'Received {side} error ({status}) from primary with message "{message}". See {arn} for more '
            "information.", 424, OriginalStatusCode=status, OriginalMessage=message, LogStreamArn=arn)

    async def _pass(self, served: Served, name: str, body: bytes, content_type: str, accept: str) -> tuple[int, bytes, str]:
        if served.echo is not None:
            return await self._echo(served.echo, name, body, content_type, accept)
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False,
                                                  timeout=aiohttp.ClientTimeout(total=60))
        status, kind = 200, content_type
        for port in served.ports:
            headers = {"Content-Type": kind or "application/octet-stream", **({"Accept": accept} if accept else {})}
            try:
                async with self._session.post(f"http://127.0.0.1:{port}/invocations", data=body, headers=headers) as answer:
                    status, body, kind = answer.status, await answer.read(), answer.headers.get("Content-Type", "")
            except asyncio.TimeoutError:
                return 500, b"the container did not answer within 60 s", "text/plain"
            except aiohttp.ClientError as problem:
                return 500, f"the container is gone: {problem}".encode(), "text/plain"
            if status >= 400:
                break
        return status, body, kind

    async def _echo(self, rule: dict[str, Any], name: str, body: bytes, content_type: str, accept: str
                    ) -> tuple[int, bytes, str]:
        busy = self._busy.get(name, 0)
        if rule["concurrency"] and busy >= rule["concurrency"]:
            raise ServiceError("ThrottlingException", "Rate exceeded")
        self._busy[name] = busy + 1
        try:
            until = asyncio.get_running_loop().time() + rule["latency_seconds"]
            made = echo.answer(body, content_type, accept)
            # What making the answer took is part of its time; the loop's timer rounds up by half a millisecond on average.
            left = until - asyncio.get_running_loop().time() - 0.0005
            if left > 0:
                await asyncio.sleep(left)
            return made
        finally:
            self._busy[name] -= 1

    # -- asynchronous -------------------------------------------------------------------------------------------------

    def _accept(self, served: Served, name: str, request: web.Request, content_type: str, accept: str,
                fault: dict[str, Any]) -> web.Response:
        if not served.asynchronous:
            raise ServiceError("ValidationError", "The endpoint is not an asynchronous endpoint.")
        source = request.headers.get("X-Amzn-SageMaker-InputLocation")
        if not source:
            raise ServiceError("ValidationError", "InputLocation must be specified.")
        kind = request.headers.get("X-Amzn-SageMaker-Content-Type") or content_type
        accept = request.headers.get("X-Amzn-SageMaker-Accept") or accept
        inference = request.headers.get("X-Amzn-SageMaker-Inference-Id") or str(uuid.uuid4())
        output = served.async_config["OutputConfig"]
        target = f"{output['S3OutputPath'].rstrip('/')}/{inference}.out"
        failure = f"{output.get('S3FailurePath', output['S3OutputPath']).rstrip('/')}/{inference}-error.out"
        task = asyncio.ensure_future(self._work(name, source, target, failure, kind, accept, fault))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return web.json_response({"InferenceId": inference}, status=202, headers={
            "X-Amzn-SageMaker-OutputLocation": target, "X-Amzn-SageMaker-FailureLocation": failure,
            "x-amzn-RequestId": str(uuid.uuid4())})

    async def _work(self, name: str, source: str, target: str, failure: str, kind: str, accept: str,
                    fault: dict[str, Any]) -> None:
        loop, s3 = asyncio.get_running_loop(), self._s3()

        def put(uri: str, data: bytes, content_type: str) -> None:
            place = urlsplit(uri)
            s3.put_object(Bucket=place.netloc, Key=place.path.lstrip("/"), Body=data, ContentType=content_type)

        place = urlsplit(source)
        try:
            found = await loop.run_in_executor(
                None, lambda: s3.get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))["Body"].read())
            with self._endpoints.borrowed(name) as served:
                if served is None:
                    raise ServiceError("ValidationError", f"Endpoint {name} was deleted before it answered.")
                status, answer, answered = await self._pass(served, "async", found, kind, accept)
        except Exception as problem:  # whoever waits for an answer looks for it, or for a failure, on S3 only
            await loop.run_in_executor(None, put, failure, f"ClientError: {source}: {problem}".encode(), "text/plain")
            return
        if fault.get("model_error"):
            status, answer = int(fault["model_error"]), b"injected"
        if status >= 400:
            await loop.run_in_executor(None, put, failure, answer, "text/plain")
        else:
            await loop.run_in_executor(None, put, target, answer, answered or "application/octet-stream")


def _check_target(served: Served, name: str, request: web.Request) -> None:
    """A request for a certain model, variant or container must not be answered by another."""
    if request.headers.get("X-Amzn-SageMaker-Target-Model"):
        # Source: the service's own words (aws/amazon-sagemaker-examples issue 1026).
        raise ServiceError("ValidationError", f"Endpoint {name} is not a multi-model endpoint and does not support target "
                           "model header.")
    variant = request.headers.get("X-Amzn-SageMaker-Target-Variant")
    if variant and variant not in served.variants:
        raise ServiceError("ValidationError", f"Variant {variant} is not a production variant of endpoint {name}: name one of "
                           f"{', '.join(served.variants)}.")
    if variant and variant != served.variant:
        raise ServiceError("ValidationError", f"TargetVariant must be {served.variant} on the local SageMaker, got {variant}: "
                           "it serves the first variant of an endpoint only.")
    for header, member in (("Target-Container-Hostname", "TargetContainerHostname"),
                           ("Inference-Component", "InferenceComponentName")):
        if request.headers.get(f"X-Amzn-SageMaker-{header}"):
            raise ServiceError("ValidationError", f"{member} must be left out: the local SageMaker sends a request through all "
                               "containers of its endpoint and has no inference components.")


def _resized(answer: bytes, kind: str, by: int) -> bytes:
    """An answer with rows taken off its end or repeated."""
    if kind.startswith("application/x-recordio-protobuf"):
        starts, _ = recordio.scan(answer)
        edges = [int(s) - recordio.HEADER for s in starts] + [len(answer)]
        pieces = [answer[a:b] for a, b in zip(edges, edges[1:])]
    else:
        pieces = answer.splitlines(keepends=True)
    return b"".join(pieces[:by] if by < 0 else pieces + pieces[-1:] * by)
