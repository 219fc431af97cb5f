"""DataFrame to S3: Spark's workers upload parts, the driver commits them with a manifest.

Each task attempt writes objects of its own under an unguessable prefix and reports their keys. The driver collects the
reports of the attempts that Spark counts as successful and names exactly their keys in a ManifestFile, which is what the
training job reads. A killed, retried or speculative attempt leaves at most objects that no manifest names.
"""
from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from . import columns, errors, jvm, workers
from .folder import Destination, begin, delete_keys, sweep_orphans
from .session import Session
from .upload import Upload

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["Destination", "StagedData", "stage"]

log = logging.getLogger(__name__)

_REPORT = pa.schema([("key", pa.string()), ("rows", pa.int64()), ("bytes", pa.int64()), ("nulls", pa.int64()),
                     ("dim_min", pa.int32()), ("dim_max", pa.int32()), ("error", pa.string())])
_REPORT_DDL = ("key string, rows bigint, bytes bigint, nulls bigint, dim_min int, dim_max int, error string")
_EXTENSIONS = {"sagemaker": "pbr", "csv": "csv", "libsvm": "libsvm", "jsonlines": "jsonl", "parquet": "parquet"}


@dataclass(frozen=True)
class StagedData:
    """What a training or transform job reads.

    Attributes
    ----------
    destination : Destination
    keys : tuple of str
        Exactly the objects that hold the data.
    manifest_key : str
    rows, size : int
        Rows and bytes staged.
    dimension : int or None
        Features of a row, when every row has the same number.
    """

    destination: Destination
    keys: tuple[str, ...]
    manifest_key: str
    rows: int
    size: int
    dimension: int | None
    path: str = "numpy"
    parts: tuple[tuple[str, int], ...] = field(default=(), repr=False)

    @property
    def manifest_uri(self) -> str:
        return f"s3://{self.destination.bucket}/{self.manifest_key}"

    def delete(self, session: Session) -> None:
        """Delete the keys recorded here, and nothing else.

        Raises
        ------
        CleanupError
            Naming the keys that are still there.
        """
        delete_keys(session, self.destination, (*self.keys, self.manifest_key))


def stage(df: DataFrame, serializer: Any, session: Session, destination: Destination, *, data_format: str = "sagemaker",
          compression: str | None = None, uniform: bool = True, feature_dim: int | None = None, codec: str = "auto",
          part_bytes: int = 16 << 20, object_bytes: int = 256 << 20, plan: Any = None,
          manifest_name: str = "train.manifest", may_be_empty: bool = False) -> StagedData:
    """Write a DataFrame to S3 and commit it with a manifest.

    Parameters
    ----------
    df : DataFrame
    serializer : RequestRowSerializer
        How a row is encoded; for ``data_format="parquet"`` it only names the columns.
    destination : Destination
        A unique folder is made below it.
    uniform : bool
        Whether every row must have the same number of features.
    feature_dim : int, optional
        The declared number of features; a disagreement is refused.
    part_bytes, object_bytes : int
        Bytes of one multipart part (a worker holds about two of them), and size after which a new object begins.
    plan : callable, optional
        Projects the DataFrame for a format that is not written record by record (``parquet.plan``).
    may_be_empty : bool
        Whether a DataFrame without rows is fine.

    Raises
    ------
    EmptyInput, NullRows, DimensionMismatch
        The data cannot be trained on; every object written has been deleted again.
    CodecError
        A row has no record, ``RecordTooLarge`` where it is too large for one; likewise.
    StagingError
        A worker could not write; likewise.
    """
    folder = destination.unique()
    make: Any = plan or _record_plan
    frame, worker, path = make(df, serializer, codec)
    worker.bind(session.resolved(), folder, _EXTENSIONS[data_format], compression, part_bytes, object_bytes)
    begin(session, folder)
    try:
        reports = frame.mapInArrow(worker, _REPORT_DDL).collect()
    except BaseException as problem:
        sweep_orphans(session, folder)
        refused = jvm.refusal(problem)
        if refused is not None:
            raise refused from problem
        raise
    delete_keys(session, folder, (folder.open_key,))
    keys = tuple(sorted(r["key"] for r in reports if r["key"]))
    try:
        _refuse_bad(df, serializer, reports, uniform, feature_dim, may_be_empty)
        manifest = folder.prefix + manifest_name
        _commit(session, folder, manifest, keys)
    except BaseException:
        delete_keys(session, folder, keys)
        raise
    low = min((r["dim_min"] for r in reports if r["dim_min"] is not None), default=None)
    high = max((r["dim_max"] for r in reports if r["dim_max"] is not None), default=None)
    staged = StagedData(folder, keys, manifest, sum(r["rows"] for r in reports), sum(r["bytes"] for r in reports),
                        low if low == high else None, path,
                        tuple(sorted((r["key"], r["rows"]) for r in reports if r["key"])))
    log.info("staged %d rows, %.1f MB in %d objects under s3://%s/%s (%s codec)", staged.rows, staged.size / 1e6,
             len(keys), folder.bucket, folder.prefix, path)
    return staged


# -- the workers ----------------------------------------------------------------------------------------------------------


class Worker:
    """Runs in each task: encodes batches, uploads them, reports what it wrote.

    Faults of the data and of S3 are reported and not raised, so that the driver learns every key that exists and can
    delete it; a raised error would make Spark forget the keys of all other tasks.
    """

    def __init__(self, encode: Any, inputs: int, has_dimension: bool):
        self.encode, self.inputs, self.has_dimension = encode, inputs, has_dimension
        self._objects = 0

    def bind(self, session: Session, folder: Destination, extension: str, compression: str | None, part_bytes: int,
             object_bytes: int) -> None:
        self.session, self.folder, self.extension = session, folder, extension
        self.compression, self.part_bytes, self.object_bytes = compression, part_bytes, object_bytes

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        workers.prepare()
        upload = Upload(self.session, self.folder.put_arguments(), self._new_key, self.part_bytes, self.object_bytes,
                        gzip=self.compression == "gzip")
        low = high = None
        nulls, error = 0, None
        try:
            for batch in batches:
                if self.has_dimension:
                    dims = pc.min_max(batch.column(self.inputs)).as_py()
                    low = _lowest(low, dims["min"])
                    high = -_lowest(None if high is None else -high, -dims["max"]) if dims["max"] is not None else high
                records = self.encode(batch.columns[:self.inputs])
                nulls += records.null_count
                if nulls == 0:
                    upload.write(records)
            upload.close()
            self.take_back_if_late(upload)
        except Exception as problem:  # reported below: see the class docstring
            error = f"{type(problem).__name__}: {problem}"
            upload.abort()
        yield self.report(upload, nulls, low, high, error)

    def take_back_if_late(self, upload: Upload) -> None:
        """Delete what this task wrote if staging has ended without it (see ``Destination.open_key``)."""
        if not upload.objects:
            return
        try:
            self.session.call("s3", "head_object", Bucket=self.folder.bucket, Key=self.folder.open_key,
                              ExpectedBucketOwner=self.folder.owner)
        except errors.NotFound:
            delete_keys(self.session, self.folder, tuple(key for key, *_ in upload.objects))
            upload.objects.clear()
            raise errors.StagingError("staging had ended before this task did; what it wrote was deleted again") from None

    @staticmethod
    def report(upload: Upload, nulls: int, low: int | None, high: int | None, error: str | None) -> pa.RecordBatch:
        """One row an object, and one for what concerns the whole task."""
        rows: list[Any] = [(key, count, size, 0, None, None, None) for key, count, size in upload.objects]
        rows.append((None, 0, 0, nulls, low, high, error))
        return pa.RecordBatch.from_arrays([pa.array(values, f.type) for values, f in zip(zip(*rows), _REPORT)],
                                          schema=_REPORT)

    def _new_key(self) -> str:
        suffix = ".gz" if self.compression == "gzip" else ""
        self._objects += 1  # in the name, so that names sort as rows do
        return (f"{self.folder.prefix}part-{workers.partition():05d}-{self._objects:04d}-{uuid.uuid4().hex}.{self.extension}"
                f"{suffix}")


def _lowest(left: int | None, right: int | None) -> Any:
    return right if left is None else left if right is None else min(left, right)


def _record_plan(df: DataFrame, serializer: Any, codec: str) -> tuple[DataFrame, Worker, str]:
    """Project the DataFrame to what the worker needs: the record (or its inputs) and the dimension."""
    encoding = columns.encoding(df, serializer, codec)
    features = getattr(serializer, "featuresColumnName", None) or ""
    projection = [column.alias(f"c{at}") for at, column in enumerate(encoding.inputs)]
    has_dimension = features in df.columns
    if has_dimension:
        projection.append(columns.dimension(df, features).alias("dimension"))
    return (df.select(*projection), Worker(encoding.encode, len(encoding.inputs), has_dimension), encoding.path)


# -- the driver -----------------------------------------------------------------------------------------------------------


def _refuse_bad(df: DataFrame, serializer: Any, reports: list[Any], uniform: bool, feature_dim: int | None,
                may_be_empty: bool) -> None:
    broken = [r["error"] for r in reports if r["error"]]
    refused = [error for error in broken if error.startswith(("CodecError: ", "RecordTooLarge: "))]
    if refused:
        name, _, why = refused[0].partition(": ")
        raise getattr(errors, name)(f"{why}. Everything written was deleted again")
    if broken:
        raise errors.StagingError(
            f"{len(broken)} of the tasks could not stage their rows; the first said: {broken[0]}. Everything written was "
            "deleted again", code=broken[0].split(":")[0])
    nulls = sum(r["nulls"] for r in reports)
    if nulls:
        raise errors.NullRows(_describe_nulls(df, serializer, nulls))
    if sum(r["rows"] for r in reports) == 0 and not may_be_empty:
        raise errors.EmptyInput("the DataFrame must have at least one row to train on, got none")
    low = min((r["dim_min"] for r in reports if r["dim_min"] is not None), default=None)
    high = max((r["dim_max"] for r in reports if r["dim_max"] is not None), default=None)
    name = getattr(serializer, "featuresColumnName", "features")
    if uniform and low != high:
        raise errors.DimensionMismatch(
            f"every row of {name!r} must have the same number of features, got {low} to {high}; pad the rows or use "
            "sparse vectors of one size")
    if feature_dim is not None and high is not None and (low, high) != (feature_dim, feature_dim):
        raise errors.DimensionMismatch(
            f"feature_dim must be the number of features in {name!r}: it is set to {feature_dim}, the data has {high}. "
            "Leave feature_dim unset to have it filled in")


def _describe_nulls(df: DataFrame, serializer: Any, nulls: int) -> str:
    """Which column is null, how often, and where first. Costs a second look at the data, only when it is bad."""
    import pyspark.sql.functions as F

    names = [n for n in (getattr(serializer, "featuresColumnName", None), getattr(serializer, "labelColumnName", None))
             if n in df.columns]
    found = []
    for name in names:
        first: Any = (df.select(columns.named(df, name).alias("__value")).withColumn("__partition", F.spark_partition_id())
                 .withColumn("__id", F.monotonically_increasing_id()).filter(F.col("__value").isNull())
                 .agg(F.count("*").alias("n"), F.min("__id").alias("at")).first())
        if first["n"]:
            # monotonically_increasing_id is partition << 33 | row within the partition (Source: its documentation).
            found.append(f"{first['n']} null in {name!r}, first in partition {first['at'] >> 33}, row "
                         f"{first['at'] & ((1 << 33) - 1)}")
    what = "; ".join(found) or f"{nulls} rows that hold a null"
    return f"rows must not be null to train on: {what}. Drop them (df.na.drop) or fill them (pyspark.ml.feature.Imputer)"


def _commit(session: Session, folder: Destination, manifest: str, keys: tuple[str, ...]) -> None:
    """Write the ManifestFile: a prefix, then one key a line below it (Source: CreateTrainingJob S3DataSource)."""
    body = [{"prefix": f"s3://{folder.bucket}/{folder.prefix}"}, *(key[len(folder.prefix):] for key in keys)]
    session.call("s3", "put_object", Key=manifest, Body=json.dumps(body).encode(), ContentType="application/json",
                 **folder.put_arguments())
