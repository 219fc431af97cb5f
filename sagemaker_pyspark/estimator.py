"""SageMakerEstimator: a pyspark.ml Estimator whose fit stages a DataFrame and runs a training job."""
from __future__ import annotations

import dataclasses
import logging
import uuid
from typing import TYPE_CHECKING, Any

from pyspark.ml import Estimator

from . import errors, formats, hosting, parquet, resolving, staging, training
from . import session as sessions
from .codecs.base import RequestRowSerializer, ResponseRowDeserializer
from .model import SageMakerModel
from .naming import NamePolicyFactory, RandomNamePolicyFactory
from .params import InferenceParams
from .persistence import JsonStage, from_plain, to_plain
from .resources import IAMRoleFromConfig, S3AutoCreatePath
from .resources import from_json as resource_from_json
from .session import Session
from .settings import EndpointCreationPolicy, HostingSettings, TrainingSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["SageMakerEstimator", "SageMakerEstimatorBase"]

log = logging.getLogger(__name__)


class SageMakerEstimatorBase(Estimator, InferenceParams, JsonStage):
    """What all estimators share. Use :class:`SageMakerEstimator` or one of ``sagemaker_pyspark.algorithms``.

    The keyword arguments are those of 1.4.5; see :class:`SageMakerEstimator`.
    """

    #: Whether training needs a label: True, False, or None where only the user's image knows.
    supervised: bool | None = None
    #: Whether rows must all have the same number of features.
    uniform: bool = True

    def __init__(self, trainingImage: str | None = None, modelImage: str | None = None,
                 trainingInstanceType: str = "ml.m5.xlarge", trainingInstanceCount: int = 1,
                 endpointInstanceType: str | None = None, endpointInitialInstanceCount: int = 1,
                 requestRowSerializer: RequestRowSerializer | None = None,
                 responseRowDeserializer: ResponseRowDeserializer | None = None,
                 hyperParameters: dict[str, Any] | None = None, trainingInputS3DataPath: Any = None,
                 trainingOutputS3DataPath: Any = None, trainingInstanceVolumeSizeInGB: int = 30,
                 trainingProjectedColumns: list[str] | None = None, trainingChannelName: str = "train",
                 trainingContentType: str | None = None, trainingS3DataDistribution: str = "ShardedByS3Key",
                 trainingSparkDataFormat: str = "sagemaker",
                 trainingSparkDataFormatOptions: dict[str, str] | None = None, trainingInputMode: str = "File",
                 trainingCompressionCodec: str | None = None, trainingMaxRuntimeInSeconds: int = 24 * 60 * 60,
                 trainingKmsKeyId: str | None = None, modelEnvironmentVariables: dict[str, str] | None = None,
                 endpointCreationPolicy: Any = EndpointCreationPolicy.EPHEMERAL, sagemakerClient: Any = None,
                 sagemakerRole: Any = None, s3Client: Any = None, stsClient: Any = None,
                 modelPrependInputRowsToTransformationRows: bool = True, deleteStagingDataAfterTraining: bool = True,
                 namePolicyFactory: NamePolicyFactory | None = None, uid: str | None = None, *,
                 region: str | None = None, session: Session | None = None,
                 trainingRequestOverrides: dict[str, Any] | None = None, hosting: HostingSettings | None = None):
        super().__init__()
        if requestRowSerializer is None or responseRowDeserializer is None:
            raise errors.InvalidParameter("requestRowSerializer and responseRowDeserializer must be given, got None")
        codec = str(trainingCompressionCodec).lower() if trainingCompressionCodec else None
        self._training = TrainingSettings(
            trainingInstanceType, trainingInstanceCount, trainingInstanceVolumeSizeInGB, trainingChannelName,
            trainingContentType, trainingS3DataDistribution, trainingSparkDataFormat,
            dict(trainingSparkDataFormatOptions or {}),
            tuple(trainingProjectedColumns) if trainingProjectedColumns is not None else None, trainingInputMode,
            None if codec == "none" else codec, trainingMaxRuntimeInSeconds, trainingKmsKeyId,
            deleteStagingDataAfterTraining, None, dict(trainingRequestOverrides or {}))
        base = hosting or HostingSettings()
        self._hosting = dataclasses.replace(
            base, instance_type=endpointInstanceType or base.instance_type, instance_count=endpointInitialInstanceCount,
            environment={**base.environment, **(modelEnvironmentVariables or {})},
            kms_key=base.kms_key or trainingKmsKeyId)
        self._images = (trainingImage, modelImage)
        self._serializer, self._deserializer = requestRowSerializer, responseRowDeserializer
        self._hyper = {str(key): str(value) for key, value in (hyperParameters or {}).items()}
        self._input = trainingInputS3DataPath or S3AutoCreatePath()
        self._output = trainingOutputS3DataPath or S3AutoCreatePath()
        self._policy = endpointCreationPolicy
        self._role = sagemakerRole or IAMRoleFromConfig()
        self._clients = {"sagemaker": sagemakerClient, "s3": s3Client, "sts": stsClient}
        self._prepend = modelPrependInputRowsToTransformationRows
        self._names = namePolicyFactory or RandomNamePolicyFactory()
        self._region, self._given_session = region, session
        self._latest: training.TrainingJob | None = None
        if uid:
            self._resetUid(uid)

    # -- 1.4.5's properties -------------------------------------------------------------------------------------------

    latestTrainingJob = property(lambda self: self._latest)
    trainingImage = property(lambda self: self._images[0])
    modelImage = property(lambda self: self._images[1] or self.trainingImage)
    requestRowSerializer = property(lambda self: self._serializer)
    responseRowDeserializer = property(lambda self: self._deserializer)
    sagemakerRole = property(lambda self: self._role)
    trainingInputS3DataPath = property(lambda self: self._input)
    trainingOutputS3DataPath = property(lambda self: self._output)
    trainingInstanceType = property(lambda self: self._training.instance_type)
    trainingInstanceCount = property(lambda self: self._training.instance_count)
    trainingInstanceVolumeSizeInGB = property(lambda self: self._training.volume_size_gb)
    trainingProjectedColumns = property(
        lambda self: list(self._training.projected_columns) if self._training.projected_columns is not None else None)
    trainingChannelName = property(lambda self: self._training.channel_name)
    trainingContentType = property(lambda self: self._training.content_type)
    trainingS3DataDistribution = property(lambda self: self._training.s3_distribution)
    trainingSparkDataFormat = property(lambda self: self._training.data_format)
    trainingSparkDataFormatOptions = property(lambda self: dict(self._training.data_format_options))
    trainingInputMode = property(lambda self: self._training.input_mode)
    trainingCompressionCodec = property(lambda self: self._training.compression)
    trainingMaxRuntimeInSeconds = property(lambda self: self._training.max_runtime_seconds)
    trainingKmsKeyId = property(lambda self: self._training.kms_key)
    modelEnvironmentVariables = property(lambda self: dict(self._hosting.environment))
    endpointInstanceType = property(lambda self: self._hosting.instance_type)
    endpointInitialInstanceCount = property(lambda self: self._hosting.instance_count)
    endpointCreationPolicy = property(lambda self: self._policy)
    sagemakerClient = property(lambda self: self.session.client("sagemaker"))
    s3Client = property(lambda self: self.session.client("s3"))
    stsClient = property(lambda self: self.session.client("sts"))
    modelPrependInputRowsToTransformationRows = property(lambda self: self._prepend)
    deleteStagingDataAfterTraining = property(lambda self: self._training.delete_staging)
    namePolicyFactory = property(lambda self: self._names)

    @property
    def hyperParameters(self) -> dict[str, str]:
        """What the training job will get, as strings."""
        return {**self._hyper, **self._hyperparameter_map()}

    @property
    def session(self) -> Session:
        """How AWS is reached."""
        session = self._given_session or sessions.current()
        if self._region:
            session = dataclasses.replace(session, region=self._region)
        return session.with_clients(**self._clients)

    # -- hooks of the built-in algorithms -----------------------------------------------------------------------------

    def _hyperparameter_map(self) -> dict[str, str]:
        """Hyperparameters that are Params; see ``hyper.Hyperparameters``."""
        return {}

    def _check_complete(self) -> None:
        """Refuse what cannot train before anything is uploaded."""

    def _declared_dim(self) -> int | None:
        """``feature_dim`` where the user set it."""
        value = self._hyper.get("feature_dim")
        return int(value) if value and value.isdigit() else None

    def _complete(self, rows: int, dim: int | None) -> dict[str, str]:
        """Hyperparameters that only the data can tell."""
        return {}

    def _resolve_images(self, session: Session) -> tuple[str, str]:
        """(training image, model image)."""
        if not self._images[0]:
            raise errors.InvalidParameter("trainingImage must be given, got None")
        return self._images[0], self._images[1] or self._images[0]

    # -- fit ----------------------------------------------------------------------------------------------------------

    def _fit(self, dataset: DataFrame) -> SageMakerModel:
        """Stage, train, and wrap what came out. Nothing is created before everything that can be checked is."""
        self._check_complete()
        names = self._names.createNamePolicy()
        session = self.session.resolved()
        images = self._resolve_images(session)
        frame = formats.project(dataset, self._training)
        rows, content_type = formats.training_rows(frame, self._training, self._serializer, self.supervised)
        role = resolving.role_arn(self._role, dataset.sparkSession, session)
        target = resolving.destination(self._input, session, self._training.kms_key)
        output = resolving.output_uri(self._output, session)
        staged = staging.stage(
            frame, rows, session, target, data_format=self._training.data_format, compression=self._training.compression,
            uniform=self.uniform, feature_dim=self._declared_dim(), codec=self.getOrDefault("codec"),
            plan=parquet.plan if self._training.data_format == "parquet" else None)
        known = False
        try:
            self._check_shards(staged)
            hyperparameters = {**self.hyperParameters, **self._complete(staged.rows, staged.dimension)}
            settings = dataclasses.replace(self._training, content_type=content_type)
            tags = hosting.tags_of("training", uuid.uuid4().hex, self._hosting.expiry_seconds)
            job = training.request(names.trainingJobName, images[0], role, staged.manifest_uri, output, hyperparameters,
                                   settings, tags)
            self._latest = training.TrainingJob(names.trainingJobName, session.region)
            trained = training.train(session, job, settings)
            known = True
        finally:
            self._clean(session, staged, names.trainingJobName, known)
        return self._model(trained, images[1], role, names)

    def _check_shards(self, staged: staging.StagedData) -> None:
        count = self._training.instance_count
        if self._training.s3_distribution == "ShardedByS3Key" and len(staged.keys) < count:
            raise errors.InvalidInput(
                f"each of the {count} training instances must get at least one object, {len(staged.keys)} were staged; "
                f"repartition the DataFrame to {count} or more, or use trainingS3DataDistribution='FullyReplicated'")

    def _clean(self, session: Session, staged: staging.StagedData, job: str, succeeded: bool) -> None:
        """Delete the staged data, but never while the job may still read it."""
        if not self._training.delete_staging:
            return
        if not succeeded and not training.is_final(session, job):
            log.warning("staged data is kept, since job %s may still be reading it: %s", job, staged.manifest_uri)
            return
        try:
            staged.delete(session)
        except errors.CleanupError as problem:
            log.warning("%s", problem)

    def _model(self, trained: training.TrainedModel, image: str, role: str, names: Any) -> SageMakerModel:
        model = SageMakerModel(
            None, None, self._serializer, self._deserializer, None, image, trained.artifact, None, role, self._policy,
            None, self._prepend, names, self.uid, session=self.session, hosting=self._hosting)
        model._trained = trained
        return self._copyValues(model)  # type: ignore[no-any-return]

    # -- saving -------------------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        return {
            "training": to_plain(self._training), "hosting": to_plain(self._hosting), "images": list(self._images),
            "request": self._serializer.to_json(), "response": self._deserializer.to_json(),
            "hyperParameters": self._hyper, "input": to_plain(self._input), "output": to_plain(self._output),
            "policy": self._policy.name, "role": to_plain(self._role), "prepend": self._prepend,
            "names": to_plain(self._names), "region": self._region}

    @classmethod
    def _restored(cls, state: dict[str, Any]) -> Any:
        made = cls(requestRowSerializer=RequestRowSerializer.from_json(state["request"]),
                   responseRowDeserializer=ResponseRowDeserializer.from_json(state["response"]))
        made._training = from_plain(TrainingSettings, state["training"])
        made._hosting = from_plain(HostingSettings, state["hosting"])
        made._images = tuple(state["images"])
        made._hyper, made._prepend, made._region = state["hyperParameters"], state["prepend"], state["region"]
        made._input, made._output = resource_from_json(state["input"]), resource_from_json(state["output"])
        made._role = resource_from_json(state["role"]) if isinstance(state["role"], dict) else state["role"]
        made._policy = EndpointCreationPolicy.named(state["policy"])
        made._names = NamePolicyFactory.from_json(state["names"])
        return made


class SageMakerEstimator(SageMakerEstimatorBase):
    """Train any container image on a DataFrame.

    Parameters
    ----------
    trainingImage, modelImage : str
        ECR URIs.
    trainingInstanceType, trainingInstanceCount
        For example ``"ml.m5.xlarge"``, 1.
    endpointInstanceType, endpointInitialInstanceCount
        Of the endpoint that ``transform`` creates.
    requestRowSerializer, responseRowDeserializer
        Rows to request bytes, answer bytes to columns.
    hyperParameters : dict, optional
        Sent as strings.
    trainingInputS3DataPath, trainingOutputS3DataPath : S3DataPath or S3AutoCreatePath
        Where data is staged and artifacts go. The default is the bucket ``sagemaker-<region>-<account>``, created if it
        is missing and refused if it is another account's.
    trainingInstanceVolumeSizeInGB : int
        GB, default 30 (1.4.5: 1024).
    trainingProjectedColumns : list of str, optional
        Columns to stage; default all that the format needs.
    trainingChannelName, trainingContentType, trainingS3DataDistribution, trainingInputMode
        The input channel.
    trainingSparkDataFormat : {"sagemaker", "csv", "libsvm", "jsonlines", "parquet"}
        ``sagemaker`` is RecordIO-protobuf.
    trainingSparkDataFormatOptions : dict, optional
        ``labelColumnName``, ``featuresColumnName``; for plain tables the options of Spark's writer.
    trainingCompressionCodec : "gzip", optional
    trainingMaxRuntimeInSeconds : int
        Seconds.
    trainingKmsKeyId : str, optional
        Encrypts staged objects, volumes, artifacts.
    modelEnvironmentVariables : dict, optional
    endpointCreationPolicy : EndpointCreationPolicy member
        Default ``EPHEMERAL`` (1.4.5: an endpoint inside ``fit``).
    sagemakerClient, s3Client, stsClient : boto3 clients, optional
    sagemakerRole : IAMRole, IAMRoleFromConfig or str
    modelPrependInputRowsToTransformationRows : bool
    deleteStagingDataAfterTraining : bool
        Delete exactly the staged keys once the job can no longer read them.
    namePolicyFactory : NamePolicyFactory
    uid : str, optional
    region : str, optional
    session : Session, optional
    trainingRequestOverrides : dict, optional
        Merged into CreateTrainingJob last: VpcConfig, spot training, checkpoints, tags.
    hosting : HostingSettings, optional

    Raises
    ------
    InvalidParameter
        A value breaks its rule.
    """
