"""Predictions through an asynchronous endpoint: requests and answers lie on S3, the answer is polled for.

For payloads up to 1 GB and answers that take up to an hour; the endpoint's instances may scale to zero.
"""
from __future__ import annotations

import random
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from . import errors
from .folder import Destination
from .invocation.engine import Answer
from .session import Session

__all__ = ["AsyncTarget", "endpoint_config"]

#: Source: InvokeEndpointAsync InvocationTimeoutSeconds, 1..3600.
LONGEST_SECONDS = 3600


def endpoint_config(destination: Destination, concurrency: int) -> dict[str, Any]:
    """What makes an endpoint config an asynchronous one."""
    output: dict[str, Any] = {"S3OutputPath": f"s3://{destination.bucket}/{destination.prefix}async-output",
                              "S3FailurePath": f"s3://{destination.bucket}/{destination.prefix}async-failure"}
    if destination.kms_key:
        output["KmsKeyId"] = destination.kms_key
    return {"AsyncInferenceConfig": {
        "OutputConfig": output, "ClientConfig": {"MaxConcurrentInvocationsPerInstance": max(1, min(concurrency, 1000))}}}


@dataclass(frozen=True)
class AsyncTarget:
    """Sends one body through S3 and waits for the answer there. Every object of a request is deleted with it."""

    session: Session
    endpoint_name: str
    content_type: str
    accept: str
    destination: Destination
    wait_seconds: float = 900.0

    def sender(self) -> _Sender:
        return _Sender(self)

    def send(self, body: Any, stop: threading.Event) -> Answer:
        """Put a request on S3, have it answered, and read the answer."""
        key = f"{self.destination.prefix}async-input/{uuid.uuid4().hex}"
        written = [key]
        try:
            self.session.call("s3", "put_object", Key=key, Body=bytes(body), **self.destination.put_arguments())
            accepted = self.session.call(
                "sagemaker-runtime", "invoke_endpoint_async", EndpointName=self.endpoint_name,
                InputLocation=f"s3://{self.destination.bucket}/{key}", ContentType=self.content_type,
                Accept=self.accept, InvocationTimeoutSeconds=int(min(self.wait_seconds, LONGEST_SECONDS)))
            return self._collect(accepted, written, stop)
        finally:
            self._forget(written)

    def _collect(self, accepted: dict[str, Any], written: list[str], stop: threading.Event) -> Answer:
        output, failure = _key(accepted["OutputLocation"]), _key(accepted.get("FailureLocation", ""))
        written += [key for key in (output, failure) if key]
        pause, deadline = 0.05, time.monotonic() + self.wait_seconds
        while time.monotonic() < deadline:
            found = self._get(output)
            if found is not None:
                return Answer(found["Body"].read(), found.get("ContentType"), accepted.get("InferenceId"))
            failed = self._get(failure) if failure else None
            if failed is not None:
                raise errors.InvocationError(
                    f"endpoint {self.endpoint_name} refused the request: {failed['Body'].read()[:500]!r}",
                    code="ModelError", http_status=424, original_status=400, request_id=accepted.get("InferenceId"))
            if stop.wait(pause * random.uniform(0.75, 1.25)):
                raise errors.InvocationError("stopped", code="Stopped")
            pause = min(pause * 1.5, 5.0)
        raise errors.Unreachable(
            f"no answer from asynchronous endpoint {self.endpoint_name} within {self.wait_seconds:.0f} s",
            operation="sagemaker-runtime.invoke_endpoint_async", code="AsyncTimeout")

    def _get(self, key: str) -> dict[str, Any] | None:
        try:
            return self.session.call("s3", "get_object", Bucket=self.destination.bucket, Key=key,
                                     ExpectedBucketOwner=self.destination.owner)
        except errors.NotFound:
            return None

    def _forget(self, keys: list[str]) -> None:
        """Delete exactly the objects of this request. Best effort: a failed delete must not lose an answer."""
        try:
            self.session.call("s3", "delete_objects", Bucket=self.destination.bucket,
                              ExpectedBucketOwner=self.destination.owner,
                              Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True})
        except errors.AwsError:
            pass


class _Sender:
    """Sends bodies to a target until it is told to stop."""

    def __init__(self, target: AsyncTarget):
        self._target, self._stop = target, threading.Event()

    def stopped(self, stop: threading.Event) -> None:
        self._stop = stop

    def __call__(self, body: Any, rows: int) -> Answer:
        return self._target.send(body, self._stop)


def _key(uri: str) -> str:
    return urlsplit(uri).path.lstrip("/")
