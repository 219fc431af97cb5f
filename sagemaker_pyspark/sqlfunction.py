"""A model as a SQL function: ``SELECT score(features).closest_cluster FROM t``."""
from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from . import columns, errors, inference
from .modes import request, source
from .scorer import Scorer

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from .model import SageMakerModel

__all__ = ["register"]


def register(model: SageMakerModel, spark: SparkSession, name: str) -> Any:
    """Register the model's predictions under a name; see ``SageMakerModel.registerFunction``."""
    target, rows = source(model), request(model)
    options = model._options(pool=f"sagemaker-pyspark-{uuid.uuid4().hex}")
    most = model._most()
    if most is not None:
        executors = inference.executors(spark)
        if executors is None or most < executors:
            raise errors.InvalidParameter(
                f"maxConcurrency={most} cannot be held by a SQL function, which does not choose its partitions: there are "
                f"{'an unknown number of' if executors is None else executors} executors; clear it and set requestsInFlight, "
                "or use transform")
        options = inference.shared(options, most, executors)
    fields = model.responseRowDeserializer.fields
    error = model._error_column()
    scorer = Scorer(Encode(rows, arguments(rows)), target, rows.body, model.responseRowDeserializer.decode, options,
                    fields, (*(field for field, _ in fields), *([error] if error else [])))
    return spark.udf.register(name, scorer.function(len(arguments(rows))))


def arguments(rows: Any) -> tuple[str, ...]:
    """The columns a function takes, in order: those the serializer declares, else the features.

    Raises
    ------
    InvalidParameter
        The serializer sends whole rows.
    """
    names = tuple(rows.columns) if getattr(rows, "columns", None) else (getattr(rows, "featuresColumnName", None),)
    if isinstance(rows, columns.TabularRows) or None in names:
        raise errors.InvalidParameter(
            f"{type(rows).__name__} sends whole rows and cannot be a SQL function; use transform, or a serializer with "
            "featuresColumnName or columns")
    return names


class Encode(columns.Encode):
    """Runs the serializer in the worker on whatever SQL handed over; ready records (binary) pass as they are."""

    def __call__(self, arrays: list[pa.Array]) -> pa.Array:
        if len(arrays) == 1 and (pa.types.is_binary(arrays[0].type) or pa.types.is_large_binary(arrays[0].type)):
            return arrays[0]
        return super().__call__(arrays)
