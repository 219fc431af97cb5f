"""``spark.read.format("sagemaker")``: files of RecordIO-protobuf as DataFrames, and back (Spark 4.0 and later).

::

    from sagemaker_pyspark import datasource
    datasource.register(spark)
    spark.read.format("sagemaker").load("s3://bucket/train/")       # label double, features vector
    df.write.format("sagemaker").mode("append").save("/data/train")

Options of reading: ``labelColumnName``, ``featuresColumnName`` (1.4.5's, what the columns are called), ``featuresType``
(``vector``, ``matrix`` or ``array``), ``tensors`` (``true`` appends every tensor of the record with ``uid``, ``metadata`` and
``configuration``), ``splitBytes`` (128 MB; 0 reads each file in one task). Of writing: the two names and ``compression``
(``gzip``). Of both, on S3: ``bucketOwner``, the account that must own the bucket; writing asks for the session's own account
where it is not given. A schema given by hand may leave columns out, which then cost nothing.

Local paths are those of the machine that reads: on a cluster they must be mounted everywhere. No file but the data is
written, since a training job reads all it finds under a prefix.
"""
from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from . import columns, errors, recordfiles, tensorrows, workers
from .codecs import record
from .session import Session, current
from .upload import record_bytes

try:
    from pyspark.sql import datasource as api
except ImportError:  # Spark 3.5: register says what to do
    api = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.types import StructType

__all__ = ["register"]

_SPLIT_BYTES = 128 << 20
_ROWS = 1000
_OPTIONS = {"path", "paths", "labelcolumnname", "featurescolumnname", "featurestype", "tensors", "splitbytes", "compression",
            "bucketowner"}


def register(spark: SparkSession, session: Session | None = None) -> None:
    """Make ``format("sagemaker")`` known to a Spark session.

    Parameters
    ----------
    session : Session, optional
        How S3 is reached, on the driver and in the tasks; the default is the one in use now.

    Raises
    ------
    InvalidParameter
        On Spark 3.5, which has no data sources in Python.
    """
    if api is None:
        import pyspark

        raise errors.InvalidParameter(
            f'format("sagemaker") in Python needs Spark 4.0 or later, this is {pyspark.__version__}; use the JVM data source '
            "(scala/datasource) or sagemaker_pyspark.codecs.decode")
    chosen = session or current()
    try:
        chosen = chosen.resolved()
    except errors.Unresolved:  # no region: local paths need none, S3 will say so
        pass
    # A class made here travels to the workers by value and takes the session along; an option could only carry text.
    spark.dataSource.register(type("SageMakerDataSource", (SageMakerDataSource,), {"session": chosen}))


def _everything() -> dict[str, Any]:
    """Spark's types of the columns beside label and features."""
    from pyspark.sql.types import ArrayType, BinaryType, DoubleType, LongType, MapType, StringType, StructType

    tensor = (StructType().add("kind", StringType()).add("values", ArrayType(DoubleType()))
              .add("keys", ArrayType(LongType())).add("shape", ArrayType(LongType()))
              .add("bytes", ArrayType(BinaryType())))
    types = {"text": StringType(), "tensors": MapType(StringType(), tensor)}
    return {name: types[kind] for name, kind in tensorrows.EVERYTHING.items()}


def _wanted(schema: StructType, label: str, features: str) -> list[tuple[str, str, str]]:
    """Where each column of a schema comes from."""
    made, everything = [], _everything()
    for field in schema.fields:
        kind = field.dataType
        if field.name == label and kind.typeName() == "double":
            made.append((field.name, "label", "label"))
        elif field.name == features and columns._storage(kind):
            made.append((field.name, "features", str(columns._storage(kind))))
        elif field.name == features and kind.simpleString() == "array<double>":
            made.append((field.name, "features", "array"))
        elif field.name in everything and kind.simpleString() == everything[field.name].simpleString():
            made.append((field.name, field.name, tensorrows.EVERYTHING[field.name]))
        else:
            raise errors.UnsupportedColumn(
                f"column {field.name!r} of type {kind.simpleString()} cannot be read from a record: there are {label!r} "
                f"(double), {features!r} (vector, matrix or array<double>), {', '.join(tensorrows.EVERYTHING)}",
                column=field.name)
    return made


if api is not None:

    class SageMakerDataSource(api.DataSource):
        """The format; see the module."""

        session = Session()

        def __init__(self, options: Any):
            super().__init__(options)
            unknown = [name for name in options if name.lower() not in _OPTIONS]
            if unknown:
                raise errors.InvalidParameter(f"unknown option {unknown[0]!r}; there are {', '.join(sorted(_OPTIONS))}")
            self.label = options.get("labelColumnName", "label")
            self.features = options.get("featuresColumnName", "features")

        @classmethod
        def name(cls) -> str:
            return "sagemaker"

        def schema(self) -> Any:
            from pyspark.ml.linalg import MatrixUDT, VectorUDT
            from pyspark.sql.types import ArrayType, DoubleType, StructType

            kinds = {"vector": VectorUDT(), "matrix": MatrixUDT(), "array": ArrayType(DoubleType())}
            kind = self.options.get("featuresType", "vector")
            if kind not in kinds:
                raise errors.InvalidParameter(f"featuresType must be one of {', '.join(kinds)}, got {kind!r}")
            made = StructType().add(self.label, DoubleType()).add(self.features, kinds[kind])
            if self.options.get("tensors", "false").lower() == "true":
                for name, type_ in _everything().items():
                    made.add(name, type_)
            return made

        def reader(self, schema: StructType) -> Any:
            split_bytes = int(self.options.get("splitBytes", _SPLIT_BYTES))
            if split_bytes < 0:
                raise errors.InvalidParameter(f"splitBytes must be 0 or more, got {split_bytes}")
            return _Reader(schema, _wanted(schema, self.label, self.features), self._paths(), self.session, split_bytes,
                           self.options.get("bucketOwner"))

        def writer(self, schema: StructType, overwrite: bool) -> Any:
            if self.features not in schema.names:
                raise columns._missing(self.features, schema, 'format("sagemaker")')
            columns.check_features(schema, self.features)
            label = self.label if self.label in schema.names else None
            if label is None and "labelColumnName" in self.options:
                raise columns._missing(self.label, schema, 'format("sagemaker")')
            if label:
                columns.check_label(schema, label)
            compression = self.options.get("compression", "none").lower()
            if compression not in ("none", "gzip"):
                raise errors.InvalidParameter(f"compression must be none or gzip, got {compression!r}")
            [path] = self._paths()
            return _Writer(schema, self.features, label, recordfiles.folder(
                path, self.session, self.options.get("bucketOwner")), overwrite, compression == "gzip")

        def _paths(self) -> list[str]:
            found: list[Any] = json.loads(self.options["paths"]) if "paths" in self.options else [self.options.get("path")]
            if not found or not all(found):
                raise errors.InvalidParameter('format("sagemaker") needs a path: load(path) or save(path)')
            return found

    class _Piece(api.InputPartition):
        def __init__(self, part: recordfiles.Part):
            self.part = part

    class _Reader(api.DataSourceReader):
        def __init__(self, schema: StructType, wanted: Any, paths: list[str], session: Session, split_bytes: int,
                     owner: str | None):
            self._schema, self._owner = schema, owner
            self._wanted, self._paths, self._session, self._split_bytes = wanted, paths, session, split_bytes

        def partitions(self) -> Any:
            return [_Piece(part) for part in recordfiles.parts(
                self._paths, self._session, self._split_bytes, self._owner)] or [
                _Piece(recordfiles.Part("", 0, 0, 1))]

        def read(self, partition: Any) -> Iterator[pa.RecordBatch]:
            from pyspark.sql.pandas.types import to_arrow_schema

            # Spark compares the schemas to the letter, with the names and the nullability of what lists hold.
            schema = to_arrow_schema(self._schema)
            if partition.part.path:
                for frames in recordfiles.open_part(partition.part, self._session, self._owner):
                    for batch in tensorrows.batches(frames, self._wanted):
                        yield pa.RecordBatch.from_arrays(
                            [column.cast(field.type) for column, field in zip(batch.columns, schema)], schema=schema)

    class _Message(api.WriterCommitMessage):
        def __init__(self, written: Any):
            self.written = written

    _BaseWriter: Any = getattr(api, "DataSourceArrowWriter", api.DataSourceWriter)

    class _Writer(_BaseWriter):
        """Takes Arrow batches, or rows on Spark 4.0, which hands over nothing else."""

        def __init__(self, schema: StructType, features: str, label: str | None, folder: Any, overwrite: bool, gzip: bool):
            self._schema, self._features, self._label = schema, features, label
            self._folder, self._gzip = folder, gzip
            self._job = folder.begin()
            self._replaced = _existing(folder) if overwrite else []

        def write(self, iterator: Iterator[Any]) -> Any:
            name = f"part-{workers.partition():05d}-{uuid.uuid4().hex}.pbr" + (".gz" if self._gzip else "")
            writer: Any = None
            try:
                for batch in _batches(iterator, self._schema, (self._features, self._label)):
                    if writer is None:
                        writer = self._folder.writer(self._job, name)
                        writer = recordfiles.Gzip(writer) if self._gzip else writer
                    writer.write(record_bytes(self._encode(batch)))
                return _Message(None if writer is None else writer.close())
            except BaseException:
                if writer is not None:
                    writer.abort()
                raise

        def _encode(self, batch: pa.RecordBatch) -> pa.Array:
            names = batch.schema.names
            features = batch.column(names.index(self._features))
            labels = batch.column(names.index(self._label)) if self._label else None
            for name, values in ((self._features, features), (self._label, labels)):
                if values is not None and values.null_count:
                    raise errors.NullRows(
                        f"column {name!r} must not be null, {values.null_count} of {len(values)} rows are; drop or fill them")
            return record.encode(features, None if labels is None else pc.cast(labels, pa.float64(), safe=False))

        def commit(self, messages: Any) -> None:
            self._folder.commit(self._job, _written(messages), self._replaced)

        def abort(self, messages: Any) -> None:
            self._folder.abort(self._job, _written(messages))


def _written(messages: Any) -> list[Any]:
    return [message.written for message in messages if message is not None and message.written is not None]


def _existing(folder: Any) -> list[str]:
    """Files that an overwrite replaces: those that reading would find now, recorded before anything is written."""
    try:
        return [path for path, _ in folder.files(patterns=False)]
    except errors.InvalidParameter:  # nothing there
        return []


def _batches(iterator: Iterator[Any], schema: StructType, names: tuple[str | None, ...]) -> Iterator[pa.RecordBatch]:
    for first in iterator:
        if isinstance(first, pa.RecordBatch):
            if first.num_rows:
                yield first
            continue
        yield _from_rows([first, *islice(iterator, _ROWS - 1)], schema, names)


def _from_rows(rows: list[Any], schema: StructType, wanted: tuple[str | None, ...]) -> pa.RecordBatch:
    """The columns that are written, and no other."""
    from pyspark.sql.pandas.types import to_arrow_type

    arrays, names = [], []
    for at, field in enumerate(schema.fields):
        if field.name not in wanted:
            continue
        kind, values = columns._storage(field.dataType), [row[at] for row in rows]
        if kind:
            members = [f.name for f in tensorrows.ARROW[kind]]
            serialize = field.dataType.serialize
            values = [None if v is None else dict(zip(members, serialize(v))) for v in values]
        arrays.append(pa.array(values, tensorrows.ARROW[kind] if kind else to_arrow_type(field.dataType)))
        names.append(field.name)
    return pa.RecordBatch.from_arrays(arrays, names=names)
