"""SageMakerModel: a pyspark.ml Model whose transform appends what SageMaker answers."""
from __future__ import annotations

import atexit
import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pyspark.ml import Model

from . import errors, inference, training
from . import session as sessions
from .cleanup import SageMakerResourceCleanup, session_of
from .codecs.base import RequestRowSerializer, ResponseRowDeserializer
from .deployment import Deployment
from .hosting import Container
from .invocation.metrics import TransformMetrics
from .naming import NamePolicy, RandomNamePolicy
from .observing import Observed
from .params import InferenceParams
from .persistence import JsonStage, from_plain, to_plain
from .session import Session
from .settings import CreatedResources, EndpointCreationPolicy, HostingSettings, ServerlessSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

__all__ = ["SageMakerModel", "SageMakerResourceCleanup"]

log = logging.getLogger(__name__)


class SageMakerModel(Model, InferenceParams, JsonStage):
    """Predictions from a SageMaker endpoint, a batch transform job, or the model's artifact itself.

    Parameters
    ----------
    endpointInstanceType : str or None
        For example ``"ml.m5.xlarge"``; not needed for an existing endpoint or ``mode="serverless"``.
    endpointInitialInstanceCount : int
    requestRowSerializer : RequestRowSerializer
        Rows to request bytes.
    responseRowDeserializer : ResponseRowDeserializer
        Answer bytes to columns.
    existingEndpointName : str, optional
        Use this endpoint; it is never deleted.
    modelImage, modelPath, modelExecutionRoleARN : str, optional
        Image, ``s3://`` URI of model.tar.gz and role, from which an endpoint can be created.
    modelEnvironmentVariables : dict, optional
    endpointCreationPolicy : EndpointCreationPolicy member
        Default ``EPHEMERAL``: created by the first ``transform``, deleted at interpreter exit or by :meth:`delete`.
    sagemakerClient : boto3 client, optional
        Used in this process instead of one built by ``session``.
    prependResultRows : bool
        Keep the input columns.
    namePolicy : NamePolicy
    session : Session, optional
        Default :func:`sagemaker_pyspark.session.current`.
    hosting : HostingSettings, optional
        Everything else about the endpoint.

    Raises
    ------
    InvalidParameter
        A value breaks its rule.
    """

    def __init__(self, endpointInstanceType: str | None = None, endpointInitialInstanceCount: int | None = 1,
                 requestRowSerializer: RequestRowSerializer | None = None,
                 responseRowDeserializer: ResponseRowDeserializer | None = None,
                 existingEndpointName: str | None = None, modelImage: str | None = None, modelPath: Any = None,
                 modelEnvironmentVariables: dict[str, str] | None = None, modelExecutionRoleARN: str | None = None,
                 endpointCreationPolicy: Any = EndpointCreationPolicy.EPHEMERAL, sagemakerClient: Any = None,
                 prependResultRows: bool = True, namePolicy: NamePolicy | None = None, uid: str | None = None,
                 javaObject: Any = None, *, session: Session | None = None, hosting: HostingSettings | None = None):
        super().__init__()
        if requestRowSerializer is None or responseRowDeserializer is None:
            raise errors.InvalidParameter("requestRowSerializer and responseRowDeserializer must be given, got None")
        base = hosting or HostingSettings()
        self._hosting = dataclasses.replace(
            base, instance_type=endpointInstanceType or base.instance_type,
            instance_count=endpointInitialInstanceCount or base.instance_count,
            environment={**base.environment, **(modelEnvironmentVariables or {})})
        self._serializer, self._deserializer = requestRowSerializer, responseRowDeserializer
        self._policy = endpointCreationPolicy
        self._image, self._path, self._role = modelImage, _uri(modelPath), modelExecutionRoleARN
        self._prepend, self._names = prependResultRows, namePolicy or RandomNamePolicy()
        self._client = sagemakerClient
        self._given_session = session
        self._existing = existingEndpointName
        self._trained: training.TrainedModel | None = None
        self._deployment_: Deployment | None = None
        self._kept: list[Any] = []
        # Lists, so that copies share what they hold.
        self._leaving: list[Any] = []
        self._last: list[Observed | None] = [None]
        if uid:
            self._resetUid(uid)
        if endpointCreationPolicy == EndpointCreationPolicy.CREATE_ON_CONSTRUCT and not existingEndpointName:
            self._deployment.ensure(endpointCreationPolicy)

    # -- other ways to come by a model ------------------------------------------------------------------------------

    @classmethod
    def fromTrainingJob(cls, trainingJobName: str, modelImage: str, modelExecutionRoleARN: str,
                        endpointInstanceType: str | None, endpointInitialInstanceCount: int | None,
                        requestRowSerializer: RequestRowSerializer, responseRowDeserializer: ResponseRowDeserializer,
                        modelEnvironmentVariables: dict[str, str] | None = None,
                        endpointCreationPolicy: Any = EndpointCreationPolicy.EPHEMERAL, sagemakerClient: Any = None,
                        prependResultRows: bool = True, namePolicy: NamePolicy | None = None, uid: str | None = None, *,
                        session: Session | None = None, hosting: HostingSettings | None = None) -> SageMakerModel:
        """The model of a training job, waiting for it if it still runs (also the way to attach after a lost driver).

        Raises
        ------
        TrainingError
            The job did not complete.
        NotFound
            There is no such job.
        """
        reach = session_of(session, sagemakerClient)
        trained = training.wait(reach, trainingJobName)
        model = cls.fromModelS3Path(
            trained.artifact, modelImage or trained.image, modelExecutionRoleARN or trained.role, endpointInstanceType,
            endpointInitialInstanceCount, requestRowSerializer, responseRowDeserializer, modelEnvironmentVariables,
            endpointCreationPolicy, sagemakerClient, prependResultRows, namePolicy, uid, session=session, hosting=hosting)
        model._trained = trained
        return model

    @classmethod
    def fromModelS3Path(cls, modelPath: Any, modelImage: str, modelExecutionRoleARN: str,
                        endpointInstanceType: str | None, endpointInitialInstanceCount: int | None,
                        requestRowSerializer: RequestRowSerializer, responseRowDeserializer: ResponseRowDeserializer,
                        modelEnvironmentVariables: dict[str, str] | None = None,
                        endpointCreationPolicy: Any = EndpointCreationPolicy.EPHEMERAL, sagemakerClient: Any = None,
                        prependResultRows: bool = True, namePolicy: NamePolicy | None = None, uid: str | None = None, *,
                        session: Session | None = None, hosting: HostingSettings | None = None) -> SageMakerModel:
        """The model in a model.tar.gz on S3."""
        return cls(endpointInstanceType, endpointInitialInstanceCount, requestRowSerializer, responseRowDeserializer,
                   None, modelImage, modelPath, modelEnvironmentVariables, modelExecutionRoleARN, endpointCreationPolicy,
                   sagemakerClient, prependResultRows, namePolicy, uid, session=session, hosting=hosting)

    @classmethod
    def fromEndpoint(cls, endpointName: str, requestRowSerializer: RequestRowSerializer,
                     responseRowDeserializer: ResponseRowDeserializer,
                     modelEnvironmentVariables: dict[str, str] | None = None, sagemakerClient: Any = None,
                     prependResultRows: bool = True, namePolicy: NamePolicy | None = None, uid: str | None = None, *,
                     session: Session | None = None) -> SageMakerModel:
        """A model over an endpoint that exists; it is used and never deleted."""
        return cls(None, None, requestRowSerializer, responseRowDeserializer, endpointName, None, None,
                   modelEnvironmentVariables, None, EndpointCreationPolicy.DO_NOT_CREATE, sagemakerClient,
                   prependResultRows, namePolicy, uid, session=session)

    # -- what it is ---------------------------------------------------------------------------------------------------

    endpointInstanceType = property(lambda self: self._hosting.instance_type)
    endpointInitialInstanceCount = property(lambda self: self._hosting.instance_count)
    requestRowSerializer = property(lambda self: self._serializer)
    responseRowDeserializer = property(lambda self: self._deserializer)
    existingEndpointName = property(lambda self: self._existing)
    modelImage = property(lambda self: self._image)
    modelPath = property(lambda self: self._path)
    modelEnvironmentVariables = property(lambda self: dict(self._hosting.environment))
    modelExecutionRoleARN = property(lambda self: self._role)
    endpointCreationPolicy = property(lambda self: self._policy)
    prependResultRows = property(lambda self: self._prepend)
    namePolicy = property(lambda self: self._names)
    hosting = property(lambda self: self._hosting)

    @property
    def session(self) -> Session:
        """How AWS is reached."""
        return session_of(self._given_session, self._client)

    @property
    def sagemakerClient(self) -> Any:
        """The boto3 client of this process."""
        return self.session.client("sagemaker")

    @property
    def endpointName(self) -> str | None:
        """Name of the endpoint, None while there is none."""
        return self._deployment.endpoint_name

    @property
    def trainingMetrics(self) -> dict[str, float]:
        """Last value of each metric of the training job, empty if this model was not trained here."""
        return dict(self._trained.metrics) if self._trained else {}

    @property
    def trainingJobName(self) -> str | None:
        """The job this model came from, None if it did not."""
        return self._trained.job_name if self._trained else None

    @property
    def resourceCleanup(self) -> SageMakerResourceCleanup:
        return SageMakerResourceCleanup(self._client, session=self.session)

    @property
    def lastTransformMetrics(self) -> TransformMetrics | None:
        """What the requests of the last ``transform`` came to: how many, retries, throttles, latencies, bytes, rows, over all
        and for each partition. None before an action has run to its end, and for ``mode="batch"`` and streams."""
        return self._observed.metrics() if self._observed is not None else None

    @property
    def _observed(self) -> Observed | None:
        return self._last[0]

    @_observed.setter
    def _observed(self, value: Observed | None) -> None:
        self._last[0] = value

    def getCreatedResources(self) -> CreatedResources:
        """Names of what this model created on SageMaker."""
        return self._deployment.created

    @property
    def _deployment(self) -> Deployment:
        if self._deployment_ is None:
            container = (Container(self._image, self._path, tuple(self._hosting.environment.items()))
                         if self._image else None)
            names = CreatedResources(self._names.modelName, self._names.endpointConfigName, self._names.endpointName)
            self._deployment_ = Deployment(self.session.resolved(), container, self._role, self._hosting, names,
                                           self._existing)
        return self._deployment_

    def copy(self, extra: Any = None) -> SageMakerModel:
        """A copy with other Params that shares this model's endpoint."""
        shared = self._deployment  # made now, so that both hold the same one
        made = super().copy(extra)
        made._deployment_ = shared
        return made

    # -- predictions --------------------------------------------------------------------------------------------------

    def transform(self, dataset: DataFrame, params: Any = None) -> DataFrame:
        """Append the predictions.

        Parameters
        ----------
        dataset : DataFrame
            Any columns; those the serializer names are sent.
        params : dict, optional
            Params for this call.

        Returns
        -------
        DataFrame
            The input's columns, then the response deserializer's, then ``errorCol`` with ``onError="column"``. Rows keep
            their number and order.

        Raises
        ------
        UnsupportedColumn
            Before anything is created or sent.
        HostingError
            The endpoint did not come into service.

        Notes
        -----
        Spark is lazy: rows are sent by the action that needs them, and what goes wrong then (``InvocationError``,
        ``RowCountMismatch``) is raised by that action.
        """
        return super().transform(dataset, params) if params else self._transform(dataset)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        from .modes import run

        self._observed = None
        result = run(self, dataset)
        if self.getOrDefault("sendOnce") and not dataset.isStreaming and not self.isDefined("materialize"):
            from pyspark import StorageLevel

            result = result.persist(StorageLevel.MEMORY_AND_DISK)
            self._keep(result)
        if self._observed is not None and log.isEnabledFor(logging.INFO):
            self._observed.watch(result)
        return result

    def registerFunction(self, name: str, spark: SparkSession | None = None) -> Any:
        """Make the model a SQL function: ``SELECT score(features).closest_cluster FROM t``.

        Parameters
        ----------
        name : str
            In SQL, until the Spark session ends.
        spark : SparkSession, optional
            Default the active one.

        Returns
        -------
        callable
            The same function for the DataFrame API. It takes the features (or the columns the serializer declares, in
            order) and gives a struct with the response deserializer's fields, vectors as ``array<double>``, and ``errorCol``
            with ``onError="column"``.

        Raises
        ------
        InvalidParameter
            ``mode="batch"``, a serializer that sends whole rows, or a ``maxConcurrency`` that cannot be held.

        Notes
        -----
        The endpoint is created now. Unlike ``transform``, nothing is kept: each query sends its rows again.
        """
        from pyspark.sql import SparkSession as Sessions

        from .sqlfunction import register

        active: Any = spark or Sessions.getActiveSession()
        if active is None:
            raise errors.InvalidParameter("there is no active Spark session: pass spark=")
        return register(self, active, name)

    @contextlib.contextmanager
    def progress(self) -> Iterator[None]:
        """Show a bar for what Spark does inside the block, in a terminal or notebook: ``with model.progress(): df.count()``."""
        from pyspark.sql import SparkSession as Sessions

        from . import progress

        with progress.shown(Sessions.getActiveSession(), "transform"):  # type: ignore[arg-type]
            yield

    def _keep(self, resource: Any) -> None:
        """Remember something with ``unpersist`` that lives until :meth:`unpersist` or the interpreter's exit."""
        if not self._leaving:
            self._leaving.append(atexit.register(_release_at_exit, self._kept))
        self._kept.append(resource)

    def _error_column(self) -> str | None:
        return self.getOrDefault("errorCol") if self.getOrDefault("onError") == "column" else None

    def transformSchema(self, schema: StructType) -> StructType:
        """The schema that ``transform`` gives for an input schema, without Spark doing anything."""
        from pyspark.sql.types import StructType

        added = inference.output_fields(self._deserializer.fields, self._error_column())
        return StructType([*(schema.fields if self._prepend else ()), *added.fields])

    def unpersist(self) -> SageMakerModel:
        """Release what transforms keep: predictions in Spark's storage (``sendOnce``), and their objects on S3 of
        ``mode="batch"`` and ``materialize="auto"``.

        Raises
        ------
        CleanupError
            Naming the objects that could not be deleted; call it again.
        """
        remaining = _release(self._kept)
        if remaining:
            raise errors.CleanupError(f"{len(remaining)} objects could not be deleted; first: {remaining[0]}",
                                      remaining=tuple(remaining))
        return self

    # -- the endpoint's life ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def deployed(self, serverless: ServerlessSettings | None = None) -> Iterator[SageMakerModel]:
        """An endpoint for the block: created on entry, deleted on success, on an exception and on Ctrl-C.

        Use the predictions inside the block: a DataFrame is lazy, and its rows are sent by its action.
        """
        hosting = dataclasses.replace(self._hosting, serverless=serverless) if serverless else self._hosting
        deployment = self._deployment
        already = deployment.endpoint_name is not None
        deployment.ensure(EndpointCreationPolicy.EPHEMERAL, hosting)
        try:
            yield self
        finally:
            if not already:
                deployment.delete()

    def delete(self) -> None:
        """Delete the endpoint, endpoint config and model that this stage created; nothing else.

        Raises
        ------
        CleanupError
            Naming what may still exist.
        """
        self._deployment.delete()

    # -- saving -------------------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        outlives = self._policy in (EndpointCreationPolicy.CREATE_ON_CONSTRUCT, EndpointCreationPolicy.CREATE_ON_TRANSFORM)
        return {
            "request": self._serializer.to_json(), "response": self._deserializer.to_json(),
            "hosting": to_plain(self._hosting), "image": self._image, "path": self._path, "role": self._role,
            "policy": self._policy.name, "prepend": self._prepend, "names": to_plain(self._names),
            "endpoint": self._existing or (self._deployment.created.endpoint_name if outlives else None),
            "trained": to_plain(self._trained), "region": self.session.region,
        }

    @classmethod
    def _restored(cls, state: dict[str, Any]) -> SageMakerModel:
        hosting = dict(state["hosting"])
        if hosting.get("serverless"):
            hosting["serverless"] = from_plain(ServerlessSettings, hosting["serverless"])
        current = sessions.current()
        model = cls(
            None, None, RequestRowSerializer.from_json(state["request"]),
            ResponseRowDeserializer.from_json(state["response"]), state["endpoint"], state["image"], state["path"], None,
            state["role"], EndpointCreationPolicy.DO_NOT_CREATE if state["endpoint"] else
            EndpointCreationPolicy.named(state["policy"]), None, state["prepend"], NamePolicy.from_json(state["names"]),
            hosting=from_plain(HostingSettings, hosting),
            session=None if current.region or not state["region"] else dataclasses.replace(
                current, region=state["region"]))
        model._trained = from_plain(training.TrainedModel, state["trained"]) if state["trained"] else None
        return model


def _release(kept: list[Any]) -> list[str]:
    """Release what transforms keep, and name what is left. At exit Spark may be gone, and its storage with it."""
    remaining: list[str] = []
    failed = []
    while kept:
        resource = kept.pop()
        try:
            resource.unpersist()
        except errors.CleanupError as problem:
            failed.append(resource)
            remaining += problem.details.get("remaining", ())
        except Exception as problem:
            log.debug("releasing predictions: %s", problem)
    kept += failed
    return remaining


def _release_at_exit(kept: list[Any]) -> None:
    remaining = _release(kept)
    if remaining:
        log.warning("predictions on S3 were not deleted: %s", ", ".join(remaining[:20]))


def _uri(path: Any) -> str | None:
    return path.toS3UriString() if hasattr(path, "toS3UriString") else path
