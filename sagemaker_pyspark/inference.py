"""DataFrame to predictions: one Python UDF that sees only the record column, so every input column stays in the JVM.

Columns of any Spark type survive because they never leave Spark. What the UDF does is in ``scorer``.
"""
from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from . import columns, errors
from .invocation.engine import Answer
from .invocation.options import Options
from .invoker import Invoker
from .observing import Observed, observe
from .scorer import ERROR_DDL, Scorer
from .session import Session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

__all__ = ["Target", "bounded", "executors", "output_fields", "predict", "refuse_clashes", "shared"]

log = logging.getLogger(__name__)

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

    def sender(self) -> _Sender:
        """What sends one body; built in the worker, around this process's client."""
        return _Sender(self)

    def _invoker(self) -> Invoker:
        return Invoker(self.session, self.endpoint_name, self.content_type, self.accept, self.max_connections,
                       self.timeout_seconds)


class _Sender:
    """Sends bodies to a target, in one step or two (see ``invocation.engine.Send``)."""

    def __init__(self, target: Target):
        self._target, self._invoker = target, target._invoker()

    def __call__(self, body: Any, rows: int) -> Answer:
        return self.prepared(body, rows)()

    def prepared(self, body: Any, rows: int) -> Callable[[], Answer]:
        body = body if isinstance(body, bytes) else bytes(body)
        try:
            first = self._invoker.prepared(body)
        except errors.ExpiredCredentials:
            first = self._renewed().prepared(body)

        def send() -> Answer:
            try:
                return Answer(*first())
            except errors.ExpiredCredentials:
                # A long job outlives its credentials: the next client asks for fresh ones. A second refusal is final.
                return Answer(*self._renewed()(body))

        return send

    def _renewed(self) -> Invoker:
        self._target.session.forget("sagemaker-runtime")
        self._invoker = self._target._invoker()
        return self._invoker


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

    answer = scorer.function(len(encoding.inputs))(*encoding.inputs).alias(_ANSWER)
    wide = df.select("*", answer) if keep_inputs else df.select(answer)
    observed = None
    if not df.isStreaming:
        wide, observed = observe(wide, F.col(_ANSWER)["report"])
    outputs = [columns.restore(F.col(_ANSWER)[f"f{at}"], kind).alias(name) for at, (name, kind) in enumerate(fields)]
    if error_column is not None:
        outputs.append(F.col(_ANSWER)["error"].alias(error_column))
    return wide.select("*", *outputs).drop(_ANSWER), observed


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
    count = executors(df.sparkSession)
    if count is not None and most >= count:
        return df, shared(options, most, count)
    return df.coalesce(most), replace(options, max_concurrency=1)


def shared(options: Options, most: int, count: int) -> Options:
    """The options of each task where so many executors have their part of the bound."""
    return replace(options, max_concurrency=min(options.max_concurrency, most), pool_size=most // count)


def executors(spark: Any) -> int | None:
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
