"""Where predictions come from: an endpoint, a serverless or async one, a batch transform job, or the artifact itself.

Each mode takes a model and a DataFrame and gives the same columns.
"""
from __future__ import annotations

import dataclasses
import logging
import uuid
from typing import TYPE_CHECKING, Any

from . import artifact, asynchronous, batch, columns, errors, folder, inference, materialized, progress, resolving, staging
from .codecs.record import ProtobufRequestRowSerializer
from .codecs.text import LibSVMRequestRowSerializer
from .resources import S3AutoCreatePath, S3DataPath
from .scorer import Scorer
from .settings import ServerlessSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from .model import SageMakerModel

__all__ = ["request", "run", "source"]

log = logging.getLogger(__name__)


def run(model: SageMakerModel, df: DataFrame) -> DataFrame:
    """Predict in the model's mode."""
    result = _batch(model, df) if model.getOrDefault("mode") == "batch" else _invoked(model, df)
    if model.isDefined("materialize"):
        return _materialized(model, result, model.getOrDefault("materialize"))
    return result


def source(model: SageMakerModel) -> Any:
    """Where requests go, for the modes that ask for one request after another; made if it is not there.

    Raises
    ------
    InvalidParameter
        ``mode="batch"``, which is one job over all rows.
    """
    mode = model.getOrDefault("mode")
    if mode not in _SOURCES:
        raise errors.InvalidParameter(f"mode must be one of {', '.join(_SOURCES)} here, got {mode!r}")
    return _SOURCES[mode](model)


def _invoked(model: SageMakerModel, df: DataFrame) -> DataFrame:
    """Requests from Spark's workers; everything about the input is checked before anything is created."""
    rows = request(model)
    encoding = _checked(model, df, rows)
    target = source(model)
    options = model._options(pool=f"sagemaker-pyspark-{uuid.uuid4().hex}")
    frame, options = inference.bounded(df, options, model._most())
    deserializer = model.responseRowDeserializer
    scorer = Scorer(encoding.encode, target, rows.body, deserializer.decode, options, deserializer.fields)
    result, model._observed = inference.predict(frame, encoding, scorer, deserializer.fields, model._error_column(),
                                                model.prependResultRows)
    return result


def request(model: SageMakerModel) -> Any:
    """What encodes rows: the model's serializer, or for ``mode="local"`` RecordIO, whatever the endpoint would be sent."""
    if model.getOrDefault("mode") != "local":
        return model.requestRowSerializer
    return ProtobufRequestRowSerializer(
        featuresColumnName=getattr(model.requestRowSerializer, "featuresColumnName", "features"))


def _endpoint(model: SageMakerModel, hosting: Any = None) -> Any:
    """InvokeEndpoint."""
    name = model._deployment.ensure(model.endpointCreationPolicy, hosting)
    return inference.Target(model.session.resolved(), name, model.requestRowSerializer.content_type,
                            model.responseRowDeserializer.accepts, model.getOrDefault("requestsInFlight"),
                            model.getOrDefault("timeoutSeconds"))


def _serverless(model: SageMakerModel) -> Any:
    hosting = model.hosting if model.hosting.serverless else dataclasses.replace(
        model.hosting, serverless=ServerlessSettings())
    return _endpoint(model, hosting)


def _async(model: SageMakerModel) -> Any:
    """Requests and answers through S3; the endpoint is created as an asynchronous one."""
    session = model.session.resolved()
    destination = resolving.destination(S3AutoCreatePath(), session, model.hosting.kms_key).unique()
    name = model._deployment.ensure(
        model.endpointCreationPolicy, None,
        asynchronous.endpoint_config(destination, model.getOrDefault("requestsInFlight")))
    return asynchronous.AsyncTarget(session, name, model.requestRowSerializer.content_type,
                                    model.responseRowDeserializer.accepts, destination)


def _local(model: SageMakerModel) -> Any:
    """Score in the workers. The artifact is read on the driver first, so that an unreadable one fails here and now."""
    if not model.modelPath:
        raise errors.InvalidParameter("mode='local' needs the model's artifact (modelPath), this model has none")
    target = artifact.LocalTarget(model.session.resolved(), model.modelPath, _algorithm(model),
                                  model.responseRowDeserializer.accepts,
                                  isinstance(model.requestRowSerializer, LibSVMRequestRowSerializer))
    target.check()
    return target


def _algorithm(model: SageMakerModel) -> str:
    """The algorithm's name, from the repository of its image."""
    repository = (model.modelImage or "").rsplit("/", 1)[-1].split(":")[0]
    return {"sagemaker-xgboost": "xgboost"}.get(repository, repository)


def _batch(model: SageMakerModel, df: DataFrame) -> DataFrame:
    """One transform job, run now: its answers are on S3 when this returns, and are deleted by ``unpersist`` or at exit."""
    session = model.session.resolved()
    if model._error_column() is not None:
        raise errors.InvalidParameter("onError must be 'raise' for mode='batch', which is one job over all rows")
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


def _materialized(model: SageMakerModel, result: DataFrame, place: str) -> DataFrame:
    """The result on S3: kept for good where a prefix was named, until ``unpersist`` or exit in the automatic bucket."""
    if result.isStreaming:
        raise errors.InvalidParameter("materialize must be unset for a stream; write the stream to a sink of its own")
    session = model.session.resolved()
    resource = S3AutoCreatePath() if place == "auto" else S3DataPath(*place.split("://", 1)[1].partition("/")[::2])
    destination = resolving.destination(resource, session, model.hosting.kms_key)
    with progress.shown(result.sparkSession, "transform"):
        frame, made = materialized.write(result, session, destination)
    if place == "auto":
        model._keep(made)
    log.info("predictions are at %s", made.uri)
    return frame


_SOURCES = {"endpoint": _endpoint, "serverless": _serverless, "async": _async, "local": _local}
