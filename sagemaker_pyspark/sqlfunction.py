"""A model as a SQL function: ``SELECT score(features).closest_cluster FROM t``."""
from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from . import errors, inference
from .columns import TabularRows
from .scorer import Scorer

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from .model import SageMakerModel

__all__ = ["register"]


def register(model: SageMakerModel, spark: SparkSession, name: str) -> Any:
    """Register the model's predictions under a name; see ``SageMakerModel.registerFunction``."""
    from .modes import source

    target, request = source(model)
    options = model._options(pool=f"sagemaker-pyspark-{uuid.uuid4().hex}")
    if model.isDefined("maxConcurrency"):
        executors, most = inference.executors(spark), model.getOrDefault("maxConcurrency")
        if executors is None or most < executors:
            raise errors.InvalidParameter(
                f"maxConcurrency={most} cannot be held by a SQL function, which does not choose its partitions: there are "
                f"{'an unknown number of' if executors is None else executors} executors; clear it and set requestsInFlight, "
                "or use transform")
        options = replace(options, max_concurrency=min(options.max_concurrency, most), pool_size=most // executors)
    fields = model.responseRowDeserializer.fields
    error = model._error_column()
    scorer = Scorer(Encode(request, arguments(request)), target, request.body, model.responseRowDeserializer.decode, options,
                    fields, (*(field for field, _ in fields), *([error] if error else [])))
    return spark.udf.register(name, scorer.function(len(arguments(request))))


def arguments(request: Any) -> tuple[str, ...]:
    """The columns a function takes, in order: those the serializer declares, else the features.

    Raises
    ------
    InvalidParameter
        The serializer sends whole rows.
    """
    names = tuple(request.columns) if getattr(request, "columns", None) else (getattr(request, "featuresColumnName", None),)
    if isinstance(request, TabularRows) or None in names:
        raise errors.InvalidParameter(
            f"{type(request).__name__} sends whole rows and cannot be a SQL function; use transform, or a serializer with "
            "featuresColumnName or columns")
    return names


class Encode:
    """Runs the serializer in the worker on whatever SQL handed over; ready records (binary) pass as they are."""

    def __init__(self, serializer: Any, names: tuple[str, ...]):
        self.serializer, self.names = serializer, names

    def __call__(self, arrays: list[pa.Array]) -> pa.Array:
        if len(arrays) == 1 and (pa.types.is_binary(arrays[0].type) or pa.types.is_large_binary(arrays[0].type)):
            return arrays[0]
        records = self.serializer.encode(pa.RecordBatch.from_arrays(arrays, names=list(self.names)))
        return records if isinstance(records, (pa.Array, pa.ChunkedArray)) else pa.array(records, pa.large_binary())
