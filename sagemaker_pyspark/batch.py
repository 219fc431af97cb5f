"""Predictions by a batch transform job: rows staged on S3, one CreateTransformJob, answers joined back by row key.

No endpoint exists at any time; instances live as long as the job. The staged records keep their order and each staged
object has exactly one answer object, so the n-th answer of an object belongs to its n-th row; both counts are compared.
"""
from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from . import errors, waiting
from .columns import restore, spark_type
from .folder import Destination
from .session import Session
from .staging import StagedData

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["ROW_KEY", "TransformOutput", "keyed", "read", "run"]

log = logging.getLogger(__name__)

LOG_GROUP = "/aws/sagemaker/TransformJobs"
ROW_KEY = "__sagemaker_row"
_FINAL = frozenset({"Completed", "Failed", "Stopped"})
#: How answers are cut and put together (Source: developer guide, batch transform with built-in algorithms).
_SPLIT = {"application/x-recordio-protobuf": ("RecordIO", "None"), "text/csv": ("Line", "Line"),
          "text/libsvm": ("Line", "Line"), "application/jsonlines": ("Line", "Line")}


@dataclass(frozen=True)
class TransformOutput:
    """The answer objects of a job: (key, partition, first row, rows) each."""

    destination: Destination
    objects: tuple[tuple[str, int, int, int], ...]

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(key for key, *_ in self.objects)


def keyed(df: DataFrame) -> DataFrame:
    """The DataFrame with a row key, kept in Spark's storage: the rows that are staged must be the rows joined later."""
    import pyspark.sql.functions as F
    from pyspark import StorageLevel

    return df.withColumn(ROW_KEY, F.monotonically_increasing_id()).persist(StorageLevel.MEMORY_AND_DISK)


def run(session: Session, staged: StagedData, model_name: str, content_type: str, accept: str, instance_type: str,
        instance_count: int, max_payload_mb: int = 6, poll_seconds: float | None = None,
        overrides: dict[str, Any] | None = None) -> TransformOutput:
    """Run the job and find its answers.

    Raises
    ------
    InvocationError
        The job failed; carries its reason.
    RowCountMismatch
        An answer object is missing.
    """
    split, assemble = _split(content_type)
    name = f"sagemaker-pyspark-{uuid.uuid4().hex[:16]}"
    folder = Destination(staged.destination.bucket, f"{staged.destination.prefix}out/", staged.destination.owner,
                         staged.destination.kms_key)
    output: dict[str, Any] = {"S3OutputPath": f"s3://{folder.bucket}/{folder.prefix.rstrip('/')}", "Accept": accept,
                              "AssembleWith": assemble}
    if folder.kms_key:
        output["KmsKeyId"] = folder.kms_key
    from .settings import merged

    request = merged({
        "TransformJobName": name, "ModelName": model_name, "BatchStrategy": "MultiRecord", "MaxPayloadInMB": max_payload_mb,
        "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": staged.manifest_uri}},
                           "ContentType": content_type, "SplitType": split},
        "TransformOutput": output,
        "TransformResources": {"InstanceType": instance_type, "InstanceCount": instance_count}}, overrides or {})
    session.call("sagemaker", "create_transform_job", **request)
    try:
        _wait(session, name, poll_seconds)
    except BaseException:
        _stop(session, name)
        raise
    return _find(session, staged, folder)


def _split(content_type: str) -> tuple[str, str]:
    kind = content_type.split(";")[0]
    if kind not in _SPLIT:
        raise errors.InvalidParameter(
            f"mode='batch' needs a request format whose records can be split: one of {', '.join(_SPLIT)}; got {kind}")
    return _SPLIT[kind]


def _wait(session: Session, name: str, poll_seconds: float | None) -> None:
    tail = waiting.LogTail(session, LOG_GROUP, name)
    report = waiting.Reporter(name, tail)
    done = waiting.until(
        session, lambda: session.call("sagemaker", "describe_transform_job", TransformJobName=name),
        lambda d: d["TransformJobStatus"], _FINAL.__contains__, poll_seconds=poll_seconds, what=f"transform job {name}",
        on_poll=lambda d, elapsed: report(d["TransformJobStatus"], elapsed))
    if done["TransformJobStatus"] != "Completed":
        raise errors.InvocationError(
            f"transform job {name} must complete, it ended {done['TransformJobStatus']}: "
            f"{done.get('FailureReason', 'no reason given')}", code="TransformJobFailed", job_name=name,
            failure_reason=done.get("FailureReason"), log_tail=tuple(tail.lines))


def _stop(session: Session, name: str) -> None:
    """A job nobody waits for any more would go on billing."""
    try:
        session.call("sagemaker", "stop_transform_job", TransformJobName=name)
    except errors.AwsError as problem:
        log.debug("stopping %s: %s", name, problem)  # it has ended: the usual case after a failure


def _find(session: Session, staged: StagedData, folder: Destination) -> TransformOutput:
    """Match answer objects to staged ones by name; their keys are looked up, since the job chooses the folder."""
    found = {item["Key"].rsplit("/", 1)[-1]: item["Key"] for item in session.pages(
        "s3", "list_objects_v2", "Contents", Bucket=folder.bucket, Prefix=folder.prefix, ExpectedBucketOwner=folder.owner)}
    objects: list[tuple[str, int, int, int]] = []
    started: dict[int, int] = {}
    for key, rows in staged.parts:
        base = key.rsplit("/", 1)[-1]
        partition = int(base.split("-")[1])
        first = started.get(partition, 0)
        started[partition] = first + rows
        answer = found.get(base + ".out")
        if answer is None:
            raise errors.RowCountMismatch(
                f"every staged object must have an answer, {base} with {rows} rows has none under "
                f"s3://{folder.bucket}/{folder.prefix}", rows_sent=rows, rows_received=0)
        objects.append((answer, partition, first, rows))
    return TransformOutput(folder, tuple(objects))


def read(rows: DataFrame, output: TransformOutput, session: Session, deserializer: Any, keep_inputs: bool) -> DataFrame:
    """Join the answers to the keyed rows, in their order, as typed columns."""
    import pyspark.sql.functions as F

    spark, fields = rows.sparkSession, deserializer.fields
    ddl = ", ".join([f"{ROW_KEY} bigint", *(f"f{at} {spark_type(kind)}" for at, (_, kind) in enumerate(fields))])
    listing = spark.createDataFrame(list(output.objects), "key string, part bigint, first bigint, n bigint")
    reader: Any = _Reader(session.resolved(), output.destination, deserializer)
    answers = listing.repartition(max(1, min(len(output.objects), 200))).mapInArrow(reader, ddl)
    answers = answers.select(ROW_KEY, *[restore(F.col(f"f{at}"), kind).alias(name)
                                        for at, (name, kind) in enumerate(fields)])
    joined = rows.join(answers, ROW_KEY, "left").orderBy(ROW_KEY)
    return joined.drop(ROW_KEY) if keep_inputs else joined.select(*[name for name, _ in fields])


class _Reader:
    """Runs in the workers: reads answer objects and gives each row its key."""

    def __init__(self, session: Session, destination: Destination, deserializer: Any):
        self.session, self.destination, self.deserializer = session, destination, deserializer

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for item in batch.to_pylist():
                yield self._answers(item)

    def _answers(self, item: dict[str, Any]) -> pa.RecordBatch:
        found = self.session.call("s3", "get_object", Bucket=self.destination.bucket, Key=item["key"],
                                  ExpectedBucketOwner=self.destination.owner)
        answers = self.deserializer.decode(found["Body"].read(), None, item["n"])
        if answers.num_rows != item["n"]:
            raise errors.RowCountMismatch(
                f"s3://{self.destination.bucket}/{item['key']} must answer {item['n']} rows, it has {answers.num_rows}",
                rows_sent=item["n"], rows_received=answers.num_rows)
        # monotonically_increasing_id is partition << 33 | row within the partition (Source: its documentation).
        start = (item["part"] << 33) + item["first"]
        keys = pa.array(range(start, start + item["n"]), pa.int64())
        return pa.RecordBatch.from_arrays([keys, *answers.columns],
                                          [ROW_KEY, *(f"f{at}" for at in range(answers.num_columns))])
