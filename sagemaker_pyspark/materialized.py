"""A DataFrame written to S3 once, as Parquet, and the DataFrame over what was written.

Both ways go through the session and not through Hadoop, so that nothing needs to be configured in Spark. Row order is kept:
an object is a partition, and partitions are read in the order they were written.
"""
from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from . import errors, parquet, staging
from .folder import Destination
from .session import Session
from .staging import StagedData

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType

__all__ = ["Materialized", "write"]

_BATCH_ROWS = 10_000


@dataclass(frozen=True)
class Materialized:
    """Parquet objects on S3 and how they are reached.

    Attributes
    ----------
    session : Session
    staged : StagedData
    """

    session: Session
    staged: StagedData

    @property
    def uri(self) -> str:
        """The folder, for other readers; its manifest's name begins with an underscore, so Spark skips it."""
        return f"s3://{self.staged.destination.bucket}/{self.staged.destination.prefix}"

    def unpersist(self) -> None:
        """Delete the objects."""
        self.staged.delete(self.session)


def write(df: DataFrame, session: Session, destination: Destination) -> tuple[DataFrame, Materialized]:
    """Write every row once and give the DataFrame over the objects, with the same schema and order.

    Raises
    ------
    UnsupportedColumn
        A column's type does not pass Arrow (intervals of years and months).
    StagingError
        A worker failed; what was written has been deleted.
    """
    for field in df.schema.fields:
        _check(field.name, field.dataType)
    staged = staging.stage(df, None, session, destination, data_format="parquet", uniform=False, plan=parquet.plan,
                           manifest_name="_manifest", may_be_empty=True)
    made = Materialized(session, staged)
    if not staged.keys:
        return df.sparkSession.createDataFrame([], df.schema), made
    indices = df.sparkSession.range(0, len(staged.keys), 1, len(staged.keys))
    reader: Any = _Reader(session.resolved(), staged.destination, staged.keys)
    return indices.mapInArrow(reader, df.schema), made


def _check(name: str, kind: DataType) -> None:
    from pyspark.sql.types import ArrayType, MapType, StructType

    inner: list[Any] = []
    if isinstance(kind, ArrayType):
        inner = [kind.elementType]
    elif isinstance(kind, MapType):
        inner = [kind.keyType, kind.valueType]
    elif isinstance(kind, StructType):
        inner = [field.dataType for field in kind.fields]
    for one in inner:
        _check(name, one)
    if kind.typeName() in ("yearmonthinterval", "interval", "calendarinterval", "variant", "time"):
        raise errors.UnsupportedColumn(
            f"column {name!r} of type {kind.simpleString()} cannot be materialized; cast it to string, or leave materialize "
            "unset and keep predictions in Spark's storage (sendOnce)", column=name)


class _Reader:
    """Runs in the workers: the n-th task reads the n-th object."""

    def __init__(self, session: Session, destination: Destination, keys: tuple[str, ...]):
        self._session, self._destination, self._keys = session, destination, keys

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for index in batch.column(0).to_pylist():
                yield from self._read(self._keys[index])

    def _read(self, key: str) -> Iterator[pa.RecordBatch]:
        import pyarrow.parquet as pq

        found = self._session.call("s3", "get_object", Bucket=self._destination.bucket, Key=key,
                                   ExpectedBucketOwner=self._destination.owner)
        with tempfile.TemporaryFile(prefix="sagemaker-pyspark-") as file:  # Parquet is read from its end
            for chunk in found["Body"].iter_chunks(1 << 20):
                file.write(chunk)
            file.seek(0)
            yield from pq.ParquetFile(file).iter_batches(_BATCH_ROWS)
