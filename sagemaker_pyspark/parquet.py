"""Rows as Parquet: label first, then one flat column per feature, as the XGBoost container reads it; or whole, as they are."""
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from . import columns, errors, workers
from .staging import Worker
from .upload import Upload

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["plan"]


def plan(df: DataFrame, serializer: Any, codec: str) -> tuple[DataFrame, Worker, str]:
    """Project a DataFrame for :class:`ParquetWorker`: label and features if there is a features column, else all of it."""
    from pyspark.ml.functions import vector_to_array

    features = getattr(serializer, "featuresColumnName", None)
    label = getattr(serializer, "labelColumnName", None)
    if features not in df.columns:
        return df, ParquetWorker((), 0, False), "arrow"
    columns.check_features(df.schema, features)
    kind = df.schema[features].dataType
    column = columns.named(df, features)
    flat = vector_to_array(column) if type(kind).__name__ == "VectorUDT" else column.cast("array<double>")
    projection = [flat.alias("features"), columns.dimension(df, features).alias("dimension")]
    if label in df.columns:
        columns.check_label(df.schema, label)
        projection.insert(1, columns.named(df, label).cast("double").alias("label"))
    return df.select(*projection), ParquetWorker(("features", "label"), len(projection) - 1, True), "arrow"


class ParquetWorker(Worker):
    """Writes each task's rows as one Parquet object, a row group a batch, streamed to S3."""

    def __init__(self, encode: Any, inputs: int, has_dimension: bool):
        super().__init__(self._flatten, inputs, has_dimension)
        self.flat = bool(encode)
        self._writer: Any = None

    def bind(self, session: Any, folder: Any, extension: str, compression: str | None, part_bytes: int,
             object_bytes: int) -> None:
        if compression == "gzip":
            raise errors.InvalidParameter("trainingCompressionCodec must be unset for parquet, which compresses itself")
        super().bind(session, folder, extension, compression, part_bytes, object_bytes=1 << 62)

    def _flatten(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """(rows,) lists of one length to one column a feature."""
        names = batch.schema.names
        values = batch.column(names.index("features"))
        width = len(values.values) // len(values) if len(values) else 0
        matrix = np.asarray(values.flatten()).reshape(len(values), width)
        flat = {f"f{at}": matrix[:, at] for at in range(width)}
        if "label" in names:
            flat = {"label": batch.column(names.index("label")), **flat}
        return pa.RecordBatch.from_pydict(flat)

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        workers.prepare()
        upload = Upload(self.session, self.folder.put_arguments(), self._new_key, self.part_bytes, self.object_bytes)
        sink, writer = _Sink(upload), None
        low = high = None
        rows = nulls = 0
        error = None
        try:
            for batch in batches:
                if batch.num_rows == 0:
                    continue
                if self.flat:
                    dims = pc.min_max(batch.column(batch.schema.names.index("dimension"))).as_py()
                    low = dims["min"] if low is None else min(low, dims["min"] or low)
                    high = dims["max"] if high is None else max(high, dims["max"] or high)
                    nulls += sum(column.null_count for column in batch.columns[:self.inputs])
                    if nulls or low != high:
                        continue  # the driver refuses the data; what was written is deleted
                    batch = self._flatten(batch)
                else:
                    batch = _nullable(batch)
                if writer is None:
                    writer = pq.ParquetWriter(sink, batch.schema)
                writer.write_batch(batch)
                rows += batch.num_rows
            if writer is not None:
                writer.close()
                upload.count(rows)
            upload.close()
            self.take_back_if_late(upload)
        except Exception as problem:  # reported to the driver, see Worker
            error = f"{type(problem).__name__}: {problem}"
            upload.abort()
        yield self.report(upload, nulls, low, high, error)


def _nullable(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with nulls allowed everywhere: of a null vector Spark sends null members that it declares not to be null."""
    return batch.cast(pa.schema([_loose(field) for field in batch.schema]))


def _loose(field: pa.Field) -> pa.Field:
    kind = field.type
    if pa.types.is_struct(kind):
        kind = pa.struct([_loose(kind.field(at)) for at in range(kind.num_fields)])
    elif pa.types.is_list(kind):
        kind = pa.list_(_loose(kind.value_field))
    elif pa.types.is_map(kind):
        kind = pa.map_(kind.key_field, _loose(kind.item_field))
    return pa.field(field.name, kind, True, field.metadata)


class _Sink:
    """A write-only file over an upload."""

    closed = False

    def __init__(self, upload: Upload):
        self._upload = upload
        self._at = 0

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._upload.write_bytes(view, 0)
        self._at += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False
