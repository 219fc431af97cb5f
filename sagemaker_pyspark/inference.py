"""DataFrame to predictions: one Python UDF that sees only the record column, so every input column stays in the JVM.

The UDF is an iterator over Arrow batches: it cuts the record column into requests, keeps several of them in flight (see
``invocation``) and yields one struct a row, in order. Columns of any Spark type survive because they never leave Spark.
"""
from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from . import columns, errors
from .codecs.responses import arrow_type
from .invocation.engine import Answer, invoke
from .invocation.metrics import Metrics, report
from .invocation.options import Options
from .invoker import Invoker
from .observing import Observed, observe
from .session import Session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

__all__ = ["ERROR_DDL", "Scorer", "Target", "bounded", "output_fields", "predict", "refuse_clashes"]

log = logging.getLogger(__name__)

#: The error column of ``onError="column"``: null where the row was answered.
ERROR_DDL = "struct<code:string,message:string,http_status:int,request_id:string,attempts:int>"
_ANSWER = "__sagemaker_answer"


@dataclass(frozen=True)
class Target:
    """Where requests go, shipped to every worker; a recipe and no client."""

    session: Session
    endpoint_name: str
    content_type: str
    accept: str
    max_connections: int = 10
    timeout_seconds: float = 70.0

    def sender(self) -> Callable[[Any, int], Answer]:
        """A function that sends one body; built in the worker, around this process's client."""
        invoker = self._invoker()

        def send(body: Any, rows: int) -> Answer:
            nonlocal invoker
            body = body if isinstance(body, bytes) else bytes(body)
            try:
                return Answer(*invoker(body))
            except errors.ExpiredCredentials:
                # A long job outlives its credentials: the next client asks for fresh ones. A second refusal is final.
                self.session.forget("sagemaker-runtime")
                invoker = self._invoker()
                return Answer(*invoker(body))

        return send

    def _invoker(self) -> Invoker:
        return Invoker(self.session, self.endpoint_name, self.content_type, self.accept, self.max_connections,
                       self.timeout_seconds)


class Scorer:
    """The body of the UDF: arrays of encoder inputs in, struct arrays of predictions out."""

    def __init__(self, encode: Any, source: Any, body: Any, decode: Any, options: Options,
                 fields: tuple[tuple[str, str], ...]):
        self.encode, self.source, self.body, self.decode, self.options = encode, source, body, decode, options
        # Positions and not names: a user's field name may hold anything.
        self.schema = pa.schema([(f"f{at}", arrow_type(kind)) for at, (_, kind) in enumerate(fields)])

    def __call__(self, batches: Iterator[Any]) -> Iterator[pa.RecordBatch]:
        options = self.options
        if options.pool_size:  # one pool for all workers of this executor: they share the daemon that forked them
            options = replace(options, pool_directory=os.path.join(
                tempfile.gettempdir(), f"{options.pool_directory}-{os.getppid()}"))
        records = (self.encode(_arrays(batch)) for batch in batches)
        metrics, held = Metrics(), None
        for batch in invoke(records, self.source.sender(), self.decode, self.body, options, self.schema, metrics):
            if batch.num_rows == 0:
                continue
            if held is not None:
                yield _reporting(held, None)
            held = batch  # the last row of the task is known only when there is no other
        if held is not None:
            yield _reporting(held, report(metrics, _partition()))


def _partition() -> int:
    from pyspark import TaskContext

    context = TaskContext.get()
    return context.partitionId() if context is not None else 0


def _reporting(batch: pa.RecordBatch, text: str | None) -> pa.RecordBatch:
    """The batch with the task's report in its last row."""
    reports = pa.nulls(batch.num_rows, pa.string()) if text is None else pa.array(
        [None] * (batch.num_rows - 1) + [text], pa.string())
    return pa.RecordBatch.from_arrays([*batch.columns, reports], [*batch.schema.names, "report"])


def _arrays(batch: Any) -> list[pa.Array]:
    """What Spark hands an iterator UDF: one array or a tuple of them, of Arrow or (before 4.1) pandas."""
    return [_arrow(one) for one in (batch if isinstance(batch, tuple) else (batch,))]


def _arrow(values: Any) -> pa.Array:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if hasattr(values, "columns"):  # a struct column reaches a pandas UDF as a DataFrame
        batch = pa.RecordBatch.from_pandas(values, preserve_index=False)
        # pandas has no null struct: a null row arrives as one whose members are all null.
        absent = np.logical_and.reduce([np.asarray(column.is_null()) for column in batch.columns])
        return pa.StructArray.from_arrays(batch.columns, fields=list(batch.schema), mask=pa.array(absent))
    array = pa.Array.from_pandas(values)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def predict(df: DataFrame, encoding: columns.Encoding, scorer: Scorer, fields: tuple[tuple[str, str], ...],
            error_column: str | None, keep_inputs: bool) -> tuple[DataFrame, Observed | None]:
    """Append the answers to the DataFrame; with them, what the workers will report (not of a stream).

    Parameters
    ----------
    fields : tuple of (name, type)
        The deserializer's fields, in order.
    error_column : str or None
        Name of the error column for ``onError="column"``.
    keep_inputs : bool
        Whether the input columns are kept (1.4.5's ``modelPrependInputRowsToTransformationRows``).
    """
    import pyspark.sql.functions as F

    answer = _udf(scorer, len(encoding.inputs), fields, error_column is not None)(*encoding.inputs).alias(_ANSWER)
    wide = df.select("*", answer) if keep_inputs else df.select(answer)
    observed = None
    if not df.isStreaming:
        wide, observed = observe(wide, F.col(_ANSWER)["report"])
    outputs = [columns.restore(F.col(_ANSWER)[f"f{at}"], kind).alias(name) for at, (name, kind) in enumerate(fields)]
    if error_column is not None:
        outputs.append(F.col(_ANSWER)["error"].alias(error_column))
    return wide.select("*", *outputs).drop(_ANSWER), observed


def _udf(scorer: Scorer, inputs: int, fields: tuple[tuple[str, str], ...], with_error: bool) -> Any:
    """The UDF, on Arrow where Spark has that (4.1), else on pandas.

    It is marked non-deterministic so that the optimizer neither copies it into a filter nor runs it once per output
    column: a second evaluation would be a second bill.
    """
    ddl = ", ".join([*(f"f{at} {columns.spark_type(kind)}" for at, (_, kind) in enumerate(fields)),
                     *([f"error {ERROR_DDL}"] if with_error else []), "report string"])
    try:
        from pyspark.sql.functions import arrow_udf
    except ImportError:
        from pyspark.sql.functions import PandasUDFType, pandas_udf

        def run_pandas(batches: Any) -> Any:
            for batch in scorer(batches):
                yield batch.to_pandas()

        with warnings.catch_warnings():  # types are preferred, but cannot say "one column or several"
            warnings.simplefilter("ignore", UserWarning)
            return pandas_udf(run_pandas, ddl, PandasUDFType.SCALAR_ITER).asNondeterministic()

    def run_arrow(batches: Any) -> Any:
        for batch in scorer(batches):
            yield batch.to_struct_array()

    one = pa.Array if inputs == 1 else tuple[pa.Array, ...]
    run_arrow.__annotations__ = {"batches": Iterator[one], "return": Iterator[pa.Array]}  # type: ignore[valid-type]
    make: Any = arrow_udf
    return make(run_arrow, ddl).asNondeterministic()


def refuse_clashes(df: DataFrame, fields: tuple[tuple[str, str], ...], error_column: str | None,
                   keep_inputs: bool) -> None:
    """Refuse output columns whose name the input already has.

    Raises
    ------
    UnsupportedColumn
        Naming the column.
    """
    existing = {name.lower() for name in df.columns} if keep_inputs else set()
    for name in (*(name for name, _ in fields), *([error_column] if error_column else [])):
        if name.lower() in existing:
            raise errors.UnsupportedColumn(
                f"output column {name!r} must not exist in the input, which has {', '.join(df.columns)}; drop or rename "
                "it, or give the response deserializer another column name", column=name)
        existing.add(name.lower())


def bounded(df: DataFrame, options: Options, most: int | None) -> tuple[DataFrame, Options]:
    """Share a job-wide bound of requests in flight among executors.

    Workers of one executor share a pool of tokens. With a known number of executors each gets its part of the bound;
    where the bound is smaller than that number, or the number is not known, the job gets at most ``most`` partitions
    with one request in flight each.

    Parameters
    ----------
    most : int or None
        The bound; None leaves each task to its own.
    """
    if most is None:
        return df, options
    executors = _executors(df.sparkSession)
    if executors is not None and most >= executors:
        return df, replace(options, max_concurrency=min(options.max_concurrency, most), pool_size=most // executors)
    return df.coalesce(most), replace(options, max_concurrency=1)


def _executors(spark: Any) -> int | None:
    """How many executors the session can have at most, None when that is open."""

    def setting(name: str, default: str | None = None) -> str | None:
        try:
            return spark.conf.get(name, default)
        except Exception:  # Connect may hide static settings; then nothing is known
            return default

    master = setting("spark.master") or ""
    if master == "local" or master.startswith("local["):
        return 1
    if setting("spark.dynamicAllocation.enabled", "false") == "true":
        most = setting("spark.dynamicAllocation.maxExecutors")
        return int(most) if most and most.isdigit() and int(most) < 1 << 20 else None
    if master.startswith("local-cluster["):
        return int(master[len("local-cluster["):].split(",")[0])
    fixed = setting("spark.executor.instances")
    return int(fixed) if fixed else None


def output_fields(fields: tuple[tuple[str, str], ...], error_column: str | None) -> StructType:
    """The Spark fields that ``predict`` appends."""
    from pyspark.ml.linalg import VectorUDT
    from pyspark.sql.types import StructField, StructType

    made = StructType()
    for name, kind in fields:
        made.add(StructField(name, VectorUDT() if kind == "vector" else _data_type(kind)))
    return made.add(StructField(error_column, _data_type(ERROR_DDL))) if error_column else made


def _data_type(kind: str) -> Any:
    """A DDL type without a JVM (``DataType.fromDDL`` needs one before 4.0), for the types deserializers declare."""
    from pyspark.sql import types as T

    simple = {"double": T.DoubleType, "float": T.FloatType, "int": T.IntegerType, "integer": T.IntegerType,
              "bigint": T.LongType, "long": T.LongType, "smallint": T.ShortType, "tinyint": T.ByteType,
              "boolean": T.BooleanType, "string": T.StringType, "binary": T.BinaryType}
    if kind in simple:
        return simple[kind]()
    if kind.startswith("array<") and kind.endswith(">"):
        return T.ArrayType(_data_type(kind[6:-1]))
    if kind == ERROR_DDL:
        return T.StructType([T.StructField(n, _data_type(t)) for n, t in
                             (pair.split(":") for pair in kind[7:-1].split(","))])
    return T._parse_datatype_string(kind)
