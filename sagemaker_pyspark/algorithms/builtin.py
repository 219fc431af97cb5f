"""The base of the built-in algorithms: 1.4.5's constructor, plus every hyperparameter as a keyword."""
from __future__ import annotations

from typing import Any

from .. import errors, hyper, images
from ..codecs.base import RequestRowSerializer, ResponseRowDeserializer
from ..estimator import SageMakerEstimatorBase
from ..session import Session
from ..settings import EndpointCreationPolicy, HostingSettings

__all__ = ["BuiltIn"]


class BuiltIn(hyper.Hyperparameters, SageMakerEstimatorBase):
    """A first-party algorithm; a subclass declares the names below and its hyperparameters.

    The image is looked up by region when a job starts; ``trainingImage`` and ``modelImage`` override it.
    """

    algorithm: str
    request: type[RequestRowSerializer]
    response: type[ResponseRowDeserializer]
    data_format = "sagemaker"
    #: Hyperparameters that make the class what it is.
    fixed: dict[str, str] = {}
    #: Values of a hyperparameter that another predictor of the same algorithm would take.
    refused: dict[str, tuple[str, ...]] = {}
    #: For algorithms that require mini_batch_size: it is the number of rows, at most this, when unset.
    most_mini_batch: int | None = None
    #: Whether the container comes in versions.
    versioned = False

    def __init__(self, trainingInstanceType: str = "ml.m5.xlarge", trainingInstanceCount: int = 1,
                 endpointInstanceType: str | None = None, endpointInitialInstanceCount: int = 1, sagemakerRole: Any = None,
                 requestRowSerializer: RequestRowSerializer | None = None,
                 responseRowDeserializer: ResponseRowDeserializer | None = None, trainingInputS3DataPath: Any = None,
                 trainingOutputS3DataPath: Any = None, trainingInstanceVolumeSizeInGB: int = 30,
                 trainingProjectedColumns: list[str] | None = None, trainingChannelName: str = "train",
                 trainingContentType: str | None = None, trainingS3DataDistribution: str = "ShardedByS3Key",
                 trainingSparkDataFormat: str | None = None,
                 trainingSparkDataFormatOptions: dict[str, str] | None = None, trainingInputMode: str = "File",
                 trainingCompressionCodec: str | None = None, trainingMaxRuntimeInSeconds: int = 24 * 60 * 60,
                 trainingKmsKeyId: str | None = None, modelEnvironmentVariables: dict[str, str] | None = None,
                 endpointCreationPolicy: Any = EndpointCreationPolicy.EPHEMERAL, sagemakerClient: Any = None,
                 region: str | None = None, s3Client: Any = None, stsClient: Any = None,
                 modelPrependInputRowsToTransformationRows: bool = True, deleteStagingDataAfterTraining: bool = True,
                 namePolicyFactory: Any = None, uid: str | None = None, javaObject: Any = None, *,
                 session: Session | None = None, trainingImage: str | None = None, modelImage: str | None = None,
                 trainingRequestOverrides: dict[str, Any] | None = None, hosting: HostingSettings | None = None,
                 version: str | None = None, **hyperparameters: Any):
        super().__init__(
            trainingImage, modelImage, trainingInstanceType, trainingInstanceCount, endpointInstanceType,
            endpointInitialInstanceCount, requestRowSerializer or self.request(),
            responseRowDeserializer or self.response(), None, trainingInputS3DataPath, trainingOutputS3DataPath,
            trainingInstanceVolumeSizeInGB, trainingProjectedColumns, trainingChannelName, trainingContentType,
            trainingS3DataDistribution, trainingSparkDataFormat or self.data_format, trainingSparkDataFormatOptions,
            trainingInputMode, trainingCompressionCodec, trainingMaxRuntimeInSeconds, trainingKmsKeyId,
            modelEnvironmentVariables, endpointCreationPolicy, sagemakerClient, sagemakerRole, s3Client, stsClient,
            modelPrependInputRowsToTransformationRows, deleteStagingDataAfterTraining, namePolicyFactory, uid,
            region=region, session=session, trainingRequestOverrides=trainingRequestOverrides, hosting=hosting)
        if version is not None and not self.versioned:
            raise errors.InvalidParameter(f"{type(self).__name__} has no versions to choose from, got {version!r}")
        self._version = version
        unknown = sorted(set(hyperparameters) - {p.name for p in self.params})
        if unknown:
            raise errors.InvalidParameter(
                f"{type(self).__name__} has no argument or hyperparameter {unknown[0]!r}; its hyperparameters are "
                f"{', '.join(sorted(self._rules))}")
        self._set(**self.fixed)
        self._set(**{name: value for name, value in hyperparameters.items() if value is not None})

    def _set(self, **values: Any) -> Any:
        for name, value in values.items():
            if name in self.fixed and value != self.fixed[name]:
                raise errors.InvalidParameter(
                    f"{name} of {type(self).__name__} must be {self.fixed[name]!r}, got {value!r}; use the class for it")
            if value in self.refused.get(name, ()):
                raise errors.InvalidParameter(
                    f"{name} of {type(self).__name__} must not be {value!r}, which belongs to another predictor type")
        return super()._set(**values)

    def _check_complete(self) -> None:
        super()._check_complete()
        if self._training.compression == "gzip" and self._training.input_mode != "Pipe":
            raise errors.InvalidParameter(
                f"trainingCompressionCodec='gzip' needs trainingInputMode='Pipe' for {self.algorithm}, which cannot read "
                "compressed files; got 'File'")

    def _complete(self, rows: int, dim: int | None) -> dict[str, str]:
        """feature_dim and, where the service requires it, mini_batch_size, when the user left them open."""
        made: dict[str, str] = {}
        if "feature_dim" in self._rules and not self.isDefined("feature_dim") and dim is not None:
            made["feature_dim"] = str(dim)
        if self.most_mini_batch is not None and not self.isDefined("mini_batch_size"):
            made["mini_batch_size"] = str(min(rows, self.most_mini_batch))
        return made

    def _resolve_images(self, session: Session) -> tuple[str, str]:
        training, model = self._images
        if not training:
            training = images.uri(self.algorithm, session.region, self._version)
        return training, model or training

    @property
    def trainingImage(self) -> str | None:
        """The image a job would use; None while no region is known."""
        if self._images[0]:
            return self._images[0]
        try:
            return images.uri(self.algorithm, self.session.resolved().region, self._version)
        except errors.Unresolved:
            return None

    def _state(self) -> dict[str, Any]:
        return {**super()._state(), "version": self._version}

    @classmethod
    def _restored(cls, state: dict[str, Any]) -> Any:
        made = super()._restored(state)
        made._version = state.get("version")
        return made
