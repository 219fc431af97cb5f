"""Frozen settings: everything about a job or an endpoint that is not a hyperparameter.

A setting is plain data, so it pickles to Spark's workers and is saved as JSON beside the Params.
Defaults are the safe ones; where 1.4.5 had another default, ``docs/migration.md`` says so.
"""
from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from .errors import InvalidParameter

__all__ = ["CreatedResources", "HostingSettings", "ServerlessSettings", "TrainingSettings", "EndpointCreationPolicy", "merged"]

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class TrainingSettings:
    """What CreateTrainingJob needs besides data and hyperparameters.

    Attributes
    ----------
    volume_size_gb : int
        Size of the training volume in GB. 1.4.5 asked for 1024 GB, which is billed; 30 GB is the service's usual default.
    max_runtime_seconds : int
        The service stops the job after this many seconds. At most 28 days (Source: CreateTrainingJob StoppingCondition).
    request_overrides : dict
        Deep-merged into the CreateTrainingJob request last, so every field of the API is reachable (VpcConfig, spot
        training, checkpoints, tags).
    """

    instance_type: str = "ml.m5.xlarge"
    instance_count: int = 1
    volume_size_gb: int = 30
    channel_name: str = "train"
    content_type: str | None = None
    s3_distribution: str = "ShardedByS3Key"
    data_format: str = "sagemaker"
    data_format_options: dict[str, str] = field(default_factory=dict)
    projected_columns: tuple[str, ...] | None = None
    input_mode: str = "File"
    compression: str | None = None
    max_runtime_seconds: int = 24 * 60 * 60
    kms_key: str | None = None
    delete_staging: bool = True
    poll_seconds: float | None = None
    request_overrides: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _whole("trainingInstanceCount", self.instance_count, 1)
        _whole("trainingInstanceVolumeSizeInGB", self.volume_size_gb, 1)
        _whole("trainingMaxRuntimeInSeconds", self.max_runtime_seconds, 1, 28 * 24 * 60 * 60)
        _one_of("trainingS3DataDistribution", self.s3_distribution, ("ShardedByS3Key", "FullyReplicated"))
        _one_of("trainingInputMode", self.input_mode, ("File", "Pipe", "FastFile"))
        _one_of("trainingSparkDataFormat", self.data_format, ("sagemaker", "csv", "libsvm", "jsonlines", "parquet"))
        if self.compression is not None:
            _one_of("trainingCompressionCodec", str(self.compression).lower(), ("gzip", "none"))


@dataclass(frozen=True)
class ServerlessSettings:
    """A serverless endpoint: memory in MB (1024..6144 in steps of 1024) and concurrency (1..200)."""

    memory_mb: int = 2048
    max_concurrency: int = 5

    def __post_init__(self) -> None:
        _one_of("memory_mb", self.memory_mb, (1024, 2048, 3072, 4096, 5120, 6144))
        _whole("max_concurrency", self.max_concurrency, 1, 200)


@dataclass(frozen=True)
class HostingSettings:
    """What CreateModel, CreateEndpointConfig and CreateEndpoint need besides the model's artifact.

    Attributes
    ----------
    expiry_seconds : int
        An endpoint of ours that is still there after this many seconds is listed by ``sagemaker_pyspark sweep``.
        It is a tag and not a timer: nothing is deleted by itself once this process is gone.
    """

    instance_type: str | None = None
    instance_count: int = 1
    serverless: ServerlessSettings | None = None
    environment: dict[str, str] = field(default_factory=dict)
    kms_key: str | None = None
    expiry_seconds: int = 24 * 60 * 60
    timeout_seconds: float = 3600
    poll_seconds: float | None = None
    model_overrides: dict[str, Any] = field(default_factory=dict)
    endpoint_config_overrides: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _whole("endpointInitialInstanceCount", self.instance_count, 1)


@dataclass(frozen=True)
class CreatedResources:
    """Names of what was created for one endpoint; None where nothing was.

    Attributes
    ----------
    model_name, endpoint_config_name, endpoint_name : str or None
    """

    model_name: str | None = None
    endpoint_config_name: str | None = None
    endpoint_name: str | None = None

    @property
    def modelName(self) -> str | None:
        return self.model_name

    @property
    def endpointConfigName(self) -> str | None:
        return self.endpoint_config_name

    @property
    def endpointName(self) -> str | None:
        return self.endpoint_name

    def __bool__(self) -> bool:
        return any(dataclasses.astuple(self))


class _Policy:
    """One way to come by an endpoint; compared by name so that it survives pickling and JSON."""

    def __init__(self, name: str):
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Policy) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"EndpointCreationPolicy.{self.name}"


class EndpointCreationPolicy:
    """When an endpoint is created, and whether it outlives the process.

    Attributes
    ----------
    EPHEMERAL
        The default: created by the first ``transform``, deleted when the interpreter exits or by ``model.delete()``.
    CREATE_ON_TRANSFORM
        Created by the first ``transform`` and left running until deleted, as in 1.4.5.
    CREATE_ON_CONSTRUCT
        Created inside ``fit`` and left running, 1.4.5's default. It bills until deleted.
    DO_NOT_CREATE
        Never created; ``transform`` needs an existing endpoint or another mode.
    """

    EPHEMERAL = _Policy("EPHEMERAL")
    CREATE_ON_TRANSFORM = _Policy("CREATE_ON_TRANSFORM")
    CREATE_ON_CONSTRUCT = _Policy("CREATE_ON_CONSTRUCT")
    DO_NOT_CREATE = _Policy("DO_NOT_CREATE")

    @classmethod
    def named(cls, name: str) -> _Policy:
        """The policy of that name (the inverse of ``policy.name``)."""
        policy = getattr(cls, str(name), None)
        if not isinstance(policy, _Policy):
            raise InvalidParameter(
                f"endpointCreationPolicy must be one of EPHEMERAL, CREATE_ON_TRANSFORM, CREATE_ON_CONSTRUCT, "
                f"DO_NOT_CREATE; got {name!r}")
        return policy


def _whole(name: str, value: Any, low: int, high: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        bound = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise InvalidParameter(f"{name} must be a whole number {bound}, got {value!r}")


def _one_of(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    if value not in choices:
        raise InvalidParameter(f"{name} must be one of {', '.join(map(str, choices))}; got {value!r}")


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``over`` written into ``base``, dictionaries merged key by key, anything else replaced."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result
