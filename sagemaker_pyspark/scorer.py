"""The body of the UDF that asks for predictions: an iterator over Arrow batches.

It cuts the record column into requests, keeps several of them in flight (see ``invocation``) and yields one struct a row,
in order.
"""
from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from . import columns, tensorrows, workers
from .codecs.responses import arrow_type
from .invocation.engine import invoke
from .invocation.metrics import Metrics, report
from .invocation.options import Options

__all__ = ["ERROR_DDL", "Scorer"]

#: The error column of ``onError="column"``: null where the row was answered.
ERROR_DDL = "struct<code:string,message:string,http_status:int,request_id:string,attempts:int>"


class Scorer:
    """The body of the UDF: arrays of encoder inputs in, struct arrays of predictions out.

    Parameters
    ----------
    encode : callable
        ``list[pyarrow.Array] -> pyarrow.Array``, one record a row.
    source : object
        ``sender()`` gives the function that gets an answer for a body.
    body, decode : callable
        The serializer's and the deserializer's.
    fields : tuple of (name, type)
        The deserializer's.
    names : tuple of str, optional
        Names of the struct's members, for people. Without them they are positions (a user's field may be called
        anything), and the task's report comes with its last row.
    """

    def __init__(self, encode: Any, source: Any, body: Any, decode: Any, options: Options,
                 fields: tuple[tuple[str, str], ...], names: tuple[str, ...] | None = None):
        self.encode, self.source, self.body, self.decode, self.options = encode, source, body, decode, options
        self.schema = pa.schema([(f"f{at}", arrow_type(kind)) for at, (_, kind) in enumerate(fields)])
        self.names, self.kinds = names, tuple(columns.spark_type(kind) for _, kind in fields)

    def __call__(self, batches: Iterator[Any]) -> Iterator[pa.RecordBatch]:
        workers.prepare()
        options = self.options
        if options.pool_size:  # one pool for all workers of this executor: they share the daemon that forked them
            options = replace(options, pool_directory=os.path.join(
                tempfile.gettempdir(), f"{options.pool_directory}-{os.getppid()}"))
        records = (self.encode(_arrays(batch)) for batch in batches)
        metrics, held = Metrics(), None
        for batch in invoke(records, self.source.sender(), self.decode, self.body, options, self.schema, metrics):
            if batch.num_rows == 0:
                continue
            if self.names is not None:
                yield batch.rename_columns(list(self.names))
                continue
            if held is not None:
                yield _reporting(held, None)
            held = batch  # the last row of the task is known only when there is no other
        if held is not None:
            yield _reporting(held, report(metrics, workers.partition()))

    def ddl(self) -> str:
        """The struct that the UDF gives."""
        error = [ERROR_DDL] if self.options.on_error == "column" else []
        kinds = [*self.kinds, *error]
        names = self.names or [*self.schema.names, *(["error"] if error else [])]
        members = ["`{}` {}".format(name.replace("`", "``"), kind) for name, kind in zip(names, kinds)]
        return ", ".join(members if self.names else [*members, "report string"])

    def function(self, inputs: int) -> Any:
        """The UDF of so many columns, on Arrow where Spark has that (4.1), else on pandas.

        It is marked non-deterministic so that the optimizer neither copies it into a filter nor runs it once per output
        column: a second evaluation would be a second bill.
        """
        try:
            from pyspark.sql.functions import arrow_udf
        except ImportError:
            return self._pandas_function()

        def run(batches: Any) -> Any:
            for batch in self(batches):
                yield batch.to_struct_array()

        one = pa.Array if inputs == 1 else tuple[pa.Array, ...]
        run.__annotations__ = {"batches": Iterator[one], "return": Iterator[pa.Array]}  # type: ignore[valid-type]
        make: Any = arrow_udf
        return make(run, self.ddl()).asNondeterministic()

    def _pandas_function(self) -> Any:
        from pyspark.sql.functions import PandasUDFType, pandas_udf

        def run(batches: Any) -> Any:
            import pandas as pd

            def exact(kind: pa.DataType) -> Any:
                """Types of pandas that tell null from NaN, and keep whole numbers whole beside a null."""
                return pd.ArrowDtype(kind) if pa.types.is_integer(kind) or pa.types.is_floating(kind) else None

            for batch in self(batches):
                yield batch.to_pandas(types_mapper=exact)

        with warnings.catch_warnings():  # types are preferred, but cannot say "one column or several"
            warnings.simplefilter("ignore", UserWarning)
            return pandas_udf(run, self.ddl(), PandasUDFType.SCALAR_ITER).asNondeterministic()


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
        batch = pa.RecordBatch.from_arrays([_series(values[name]) for name in values.columns], list(values.columns))
        # pandas has no null struct: a null row arrives as one whose members are all null.
        absent = np.logical_and.reduce([np.asarray(column.is_null()) for column in batch.columns])
        return pa.StructArray.from_arrays(batch.columns, fields=list(batch.schema), mask=pa.array(absent))
    first = next((value for value in values if value is not None), None) if values.dtype == object else None
    udt = getattr(first, "__UDT__", None)
    if udt is not None:  # a vector in SQL before Spark 4.1
        kind = tensorrows.ARROW["vector" if type(udt).__name__ == "VectorUDT" else "matrix"]
        names = [kind.field(at).name for at in range(kind.num_fields)]
        return pa.array([None if v is None else dict(zip(names, udt.serialize(v))) for v in values], kind)
    return _series(values)


def _series(values: Any) -> pa.Array:
    """In a column of objects a null is None, and a NaN inside a list is a number."""
    array = pa.array(values.to_numpy(), from_pandas=False) if values.dtype == object else pa.Array.from_pandas(values)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
