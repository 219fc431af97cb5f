"""Batch transform jobs: each input object is split, sent in batches and answered by one output object."""
from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from ..codecs import recordio
from .endpoints import EndpointRunner, Served
from .jobs import objects_of
from .store import Store, now
from .validation import ServiceError, unsupported

__all__ = ["TransformRunner", "check"]

LOG_GROUP = "/aws/sagemaker/TransformJobs"


def check(request: dict[str, Any], model: dict[str, Any]) -> None:
    """Refuse what a job here could only ignore.

    Raises
    ------
    ServiceError
        ``ValidationException``.
    """
    source, processing = request["TransformInput"], request.get("DataProcessing") or {}
    kind = source["DataSource"]["S3DataSource"]["S3DataType"]
    if kind not in ("S3Prefix", "ManifestFile"):
        raise unsupported("S3DataType of TransformInput", kind, "S3Prefix or ManifestFile")
    if source.get("SplitType") == "TFRecord":
        raise unsupported("SplitType", "TFRecord", "None, Line or RecordIO")
    for member in ("InputFilter", "OutputFilter"):
        if processing.get(member, "$") != "$":
            raise unsupported(f"{member} of DataProcessing", processing[member], "$")
    if processing.get("JoinSource", "None") != "None":
        raise unsupported("JoinSource of DataProcessing", processing["JoinSource"], "None")
    if any(d.get("ModelDataSource") for d in model.get("Containers") or [model.get("PrimaryContainer") or {}]):
        # Source: botocore service model, ContainerDefinition: not "in conjunction with SageMaker batch transform".
        raise ServiceError("ValidationException", f"Model {request['ModelName']} must name its data by ModelDataUrl for a "
                           "transform job, it has ModelDataSource: create a model of a model.tar.gz.")


class TransformRunner:
    """Runs each job in a thread, with containers of its own."""

    def __init__(self, store: Store, endpoints: EndpointRunner, s3: Callable[[], Any]):
        self._store, self._endpoints, self._s3 = store, endpoints, s3

    def start(self, item: dict[str, Any]) -> None:
        threading.Thread(target=self._guarded, args=(item,), daemon=True).start()

    def _guarded(self, item: dict[str, Any]) -> None:
        served = None
        try:
            self._store.update(item, TransformStartTime=now())
            served = self._endpoints.launch(item["ModelName"], LOG_GROUP, item["TransformJobName"], _environment(item))
            failed = self._run(item, served)
            status = "Stopped" if item["TransformJobStatus"] == "Stopping" else "Failed" if failed else "Completed"
            self._store.update(item, TransformJobStatus=status, TransformEndTime=now(),
                               **({"FailureReason": failed} if failed else {}))
        except Exception as problem:
            self._store.update(item, TransformJobStatus="Failed", FailureReason=f"{type(problem).__name__}: {problem}"[:1024])
        finally:
            if served is not None:
                served.stop()

    def _run(self, item: dict[str, Any], served: Served) -> str | None:
        """Answer every object; a bad record fails its own object only, and the job in the end."""
        s3, source = self._s3(), item["TransformInput"]["DataSource"]["S3DataSource"]
        bucket, prefix, keys = objects_of(s3, source)
        if not keys:
            return f"ClientError: no S3 objects found under {source['S3Uri']}"
        place = urlsplit(item["TransformOutput"]["S3OutputPath"])
        failed = None
        for key in keys:
            if item["TransformJobStatus"] == "Stopping":
                return None
            data = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            try:
                answer = self._answer(item, served, data)
            except _BadRecord as problem:
                failed = f"ClientError: {key}: {problem}"
                continue
            target = f"{place.path.strip('/')}/{key[len(prefix):] or key.rsplit('/', 1)[-1]}.out".lstrip("/")
            s3.put_object(Bucket=place.netloc, Key=target, Body=answer)
        return failed

    def _answer(self, item: dict[str, Any], served: Served, data: bytes) -> bytes:
        source, output = item["TransformInput"], item["TransformOutput"]
        out = []
        if source.get("CompressionType") == "Gzip":
            try:
                data = gzip.decompress(data)
            except (OSError, EOFError, zlib.error) as problem:
                raise _BadRecord(f"CompressionType is Gzip, the object is not: {problem}") from None
        most = (item.get("MaxPayloadInMB", 6) or 100) << 20
        for payload in _payloads(data, source.get("SplitType", "None"), item.get("BatchStrategy", "MultiRecord"), most):
            status, body, _ = served.post(payload, source.get("ContentType", ""), output.get("Accept", ""))
            if status >= 400:
                raise _BadRecord(f"the container answered {status}: {body[:300]!r}")
            line = output.get("AssembleWith") == "Line" and not body.endswith(b"\n")
            out.append(body + b"\n" if line else body)
        return b"".join(out)


def _environment(item: dict[str, Any]) -> dict[str, str]:
    """What a container in batch transform finds (Source: developer guide, your own inference code, batch transform)."""
    told = {"SAGEMAKER_BATCH": "true"}
    for member, name in (("MaxPayloadInMB", "SAGEMAKER_MAX_PAYLOAD_IN_MB"),
                         ("MaxConcurrentTransforms", "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS")):
        if item.get(member) is not None:
            told[name] = str(item[member])
    if item.get("BatchStrategy"):
        told["SAGEMAKER_BATCH_STRATEGY"] = "SINGLE_RECORD" if item["BatchStrategy"] == "SingleRecord" else "MULTI_RECORD"
    return {**(item.get("Environment") or {}), **told}


class _BadRecord(Exception):
    """The container refused a payload."""


def _payloads(data: bytes, split: str, strategy: str, most: int) -> Iterator[bytes]:
    if split == "None" or not data:
        yield data
        return
    if split == "Line":
        pieces = data.splitlines(keepends=True)
    else:
        starts, lengths = recordio.scan(data)
        ends = [int(s + n + (-n % 4)) for s, n in zip(starts, lengths)]
        pieces = [data[int(s) - recordio.HEADER:e] for s, e in zip(starts, ends)]
    batch: list[bytes] = []
    size = 0
    for piece in pieces:
        if batch and (strategy == "SingleRecord" or size + len(piece) > most):
            yield b"".join(batch)
            batch, size = [], 0
        batch.append(piece)
        size += len(piece)
    if batch:
        yield b"".join(batch)
