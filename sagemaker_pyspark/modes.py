"""Where predictions come from: an endpoint, a serverless or async one, a batch transform job, or the artifact itself.

Each mode takes a model and a DataFrame and gives the same columns.
"""
from __future__ import annotations

import dataclasses
import uuid
from typing import TYPE_CHECKING, Any

from . import columns, errors, inference
from .settings import ServerlessSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from .model import SageMakerModel

__all__ = ["run"]


def run(model: SageMakerModel, df: DataFrame) -> DataFrame:
    """Predict in the model's mode."""
    mode = model.getOrDefault("mode")
    if mode not in _MODES:
        raise errors.InvalidParameter(f"mode must be one of {', '.join(_MODES)}; got {mode!r}")
    return _MODES[mode](model, df)


def _with_requests(model: SageMakerModel, df: DataFrame, hosting: Any = None) -> DataFrame:
    """InvokeEndpoint from Spark's workers; everything about the input is checked before an endpoint is created."""
    encoding = columns.encoding(df, model.requestRowSerializer, model.getOrDefault("codec"))
    name = model._deployment.ensure(model.endpointCreationPolicy, hosting)
    target = inference.Target(model.session.resolved(), name, model.requestRowSerializer.content_type,
                              model.responseRowDeserializer.accepts, model.getOrDefault("requestsInFlight"))
    return _score(model, df, encoding, target)


def _score(model: SageMakerModel, df: DataFrame, encoding: columns.Encoding, source: Any) -> DataFrame:
    options = model._options(pool=f"sagemaker-pyspark-{uuid.uuid4().hex}")
    scorer = inference.Scorer(encoding.encode, source, model.requestRowSerializer.body,
                              model.responseRowDeserializer.decode, options)
    return inference.predict(df, encoding, scorer, model.responseRowDeserializer.fields,
                             model.getOrDefault("errorCol") if model.getOrDefault("onError") == "column" else None,
                             model.prependResultRows)


def _endpoint(model: SageMakerModel, df: DataFrame) -> DataFrame:
    return _with_requests(model, df)


def _serverless(model: SageMakerModel, df: DataFrame) -> DataFrame:
    hosting = model.hosting if model.hosting.serverless else dataclasses.replace(
        model.hosting, serverless=ServerlessSettings())
    return _with_requests(model, df, hosting)


_MODES = {"endpoint": _endpoint, "serverless": _serverless}
