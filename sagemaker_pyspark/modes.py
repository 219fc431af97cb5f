"""Where predictions come from: an endpoint, a serverless or async one, a batch transform job, or the artifact itself.

Each mode takes a model and a DataFrame and gives the same columns.
"""
from __future__ import annotations

import dataclasses
import uuid
from typing import TYPE_CHECKING, Any

from . import artifact, asynchronous, batch, columns, errors, folder, inference, resolving, staging
from .codecs.record import ProtobufRequestRowSerializer
from .codecs.text import LibSVMRequestRowSerializer
from .resources import S3AutoCreatePath
from .settings import ServerlessSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from .model import SageMakerModel

__all__ = ["run"]


def run(model: SageMakerModel, df: DataFrame) -> DataFrame:
    """Predict in the model's mode."""
    return _MODES[model.getOrDefault("mode")](model, df)


def _endpoint(model: SageMakerModel, df: DataFrame, hosting: Any = None) -> DataFrame:
    """InvokeEndpoint from Spark's workers; everything about the input is checked before an endpoint is created."""
    encoding = _checked(model, df, model.requestRowSerializer)
    name = model._deployment.ensure(model.endpointCreationPolicy, hosting)
    target = inference.Target(model.session.resolved(), name, model.requestRowSerializer.content_type,
                              model.responseRowDeserializer.accepts, model.getOrDefault("requestsInFlight"),
                              model.getOrDefault("timeoutSeconds"))
    return _score(model, df, encoding, target, model.requestRowSerializer)


def _serverless(model: SageMakerModel, df: DataFrame) -> DataFrame:
    hosting = model.hosting if model.hosting.serverless else dataclasses.replace(
        model.hosting, serverless=ServerlessSettings())
    return _endpoint(model, df, hosting)


def _async(model: SageMakerModel, df: DataFrame) -> DataFrame:
    """Requests and answers through S3; the endpoint is created as an asynchronous one."""
    session = model.session.resolved()
    encoding = _checked(model, df, model.requestRowSerializer)
    destination = resolving.destination(S3AutoCreatePath(), session, model.hosting.kms_key).unique()
    name = model._deployment.ensure(
        model.endpointCreationPolicy, None,
        asynchronous.endpoint_config(destination, model.getOrDefault("requestsInFlight")))
    target = asynchronous.AsyncTarget(session, name, model.requestRowSerializer.content_type,
                                      model.responseRowDeserializer.accepts, destination)
    return _score(model, df, encoding, target, model.requestRowSerializer)


def _local(model: SageMakerModel, df: DataFrame) -> DataFrame:
    """Score in the workers. The artifact is read on the driver first, so that an unreadable one fails here and now."""
    if not model.modelPath:
        raise errors.InvalidParameter("mode='local' needs the model's artifact (modelPath), this model has none")
    request = ProtobufRequestRowSerializer(
        featuresColumnName=getattr(model.requestRowSerializer, "featuresColumnName", "features"))
    encoding = _checked(model, df, request)
    target = artifact.LocalTarget(model.session.resolved(), model.modelPath, _algorithm(model),
                                  model.responseRowDeserializer.accepts,
                                  isinstance(model.requestRowSerializer, LibSVMRequestRowSerializer))
    target.check()
    return _score(model, df, encoding, target, request)


def _algorithm(model: SageMakerModel) -> str:
    """The algorithm's name, from the repository of its image."""
    repository = (model.modelImage or "").rsplit("/", 1)[-1].split(":")[0]
    return {"sagemaker-xgboost": "xgboost"}.get(repository, repository)


def _batch(model: SageMakerModel, df: DataFrame) -> DataFrame:
    """One transform job, run now: its answers are on S3 when this returns, and are deleted by ``unpersist`` or at exit."""
    session = model.session.resolved()
    if not model.endpointInstanceType:
        raise errors.InvalidParameter("mode='batch' needs an instance type: endpointInstanceType must be set")
    request = model.requestRowSerializer
    _checked(model, df, request)
    destination = resolving.destination(S3AutoCreatePath(), session, model.hosting.kms_key)
    rows = batch.keyed(df)
    model._keep(rows)
    staged = staging.stage(rows, request, session, destination, data_format=_batch_format(request), uniform=False,
                           codec=model.getOrDefault("codec"), object_bytes=64 << 20)
    try:
        output = batch.run(session, staged, model._deployment.ensure_model(), request.content_type,
                           model.responseRowDeserializer.accepts, model.endpointInstanceType, model.endpointInitialInstanceCount)
    finally:
        staged.delete(session)
    model._keep(_Objects(session, output))
    return batch.read(rows, output, session, model.responseRowDeserializer, model.prependResultRows)


def _batch_format(request: Any) -> str:
    return {"application/x-recordio-protobuf": "sagemaker", "text/csv": "csv", "text/libsvm": "libsvm",
            "application/jsonlines": "jsonlines"}.get(request.content_type.split(";")[0], "sagemaker")


class _Objects:
    """Answer objects on S3, released like a cached DataFrame."""

    def __init__(self, session: Any, output: batch.TransformOutput):
        self._session, self._output = session, output

    def unpersist(self) -> None:
        folder.delete_keys(self._session, self._output.destination, self._output.keys)


def _checked(model: SageMakerModel, df: DataFrame, request: Any) -> columns.Encoding:
    inference.refuse_clashes(df, model.responseRowDeserializer.fields, model._error_column(), model.prependResultRows)
    return columns.encoding(df, request, model.getOrDefault("codec"))


def _score(model: SageMakerModel, df: DataFrame, encoding: columns.Encoding, source: Any, request: Any) -> DataFrame:
    options = model._options(pool=f"sagemaker-pyspark-{uuid.uuid4().hex}")
    frame, options = inference.bounded(df, options, model.getOrDefault("maxConcurrency")
                                       if model.isDefined("maxConcurrency") else None)
    scorer = inference.Scorer(encoding.encode, source, request.body, model.responseRowDeserializer.decode, options,
                              model.responseRowDeserializer.fields)
    result, model._observed = inference.predict(frame, encoding, scorer, model.responseRowDeserializer.fields,
                                                model._error_column(), model.prependResultRows)
    return result


_MODES = {"endpoint": _endpoint, "serverless": _serverless, "async": _async, "batch": _batch, "local": _local}
