"""StagedData to a model artifact: one CreateTrainingJob and the wait for it."""
from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from . import errors, waiting
from .session import Session
from .settings import TrainingSettings, merged

__all__ = ["TrainedModel", "TrainingJob", "request", "train", "wait"]

log = logging.getLogger(__name__)

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_FINAL = frozenset({"Completed", "Failed", "Stopped"})


@dataclass(frozen=True)
class TrainingJob:
    """A training job that exists, whatever its state."""

    name: str
    region: str | None = None


@dataclass(frozen=True)
class TrainedModel:
    """What a completed training job left.

    Attributes
    ----------
    job_name : str
    artifact : str
        ``s3://`` URI of model.tar.gz.
    image, role : str
    metrics : dict
        Last value of each metric the algorithm reported.
    hyperparameters : dict
        As the job had them.
    training_seconds : int or None
    """

    job_name: str
    artifact: str
    image: str
    role: str
    metrics: dict[str, float]
    hyperparameters: dict[str, str]
    training_seconds: int | None = None


def request(name: str, image: str, role: str, manifest_uri: str, output_uri: str, hyperparameters: dict[str, str],
            settings: TrainingSettings, tags: dict[str, str]) -> dict[str, Any]:
    """The CreateTrainingJob request, as plain data."""
    channel: dict[str, Any] = {
        "ChannelName": settings.channel_name,
        "DataSource": {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": manifest_uri,
                                        "S3DataDistributionType": settings.s3_distribution}},
        "InputMode": settings.input_mode,
    }
    if settings.content_type:
        channel["ContentType"] = settings.content_type
    if settings.compression == "gzip" and settings.input_mode == "Pipe":
        channel["CompressionType"] = "Gzip"  # in File mode the service wants it unset (Source: Channel.CompressionType)
    output: dict[str, Any] = {"S3OutputPath": output_uri}
    resources: dict[str, Any] = {"InstanceType": settings.instance_type, "InstanceCount": settings.instance_count,
                                 "VolumeSizeInGB": settings.volume_size_gb}
    if settings.kms_key:
        output["KmsKeyId"] = resources["VolumeKmsKeyId"] = settings.kms_key
    made = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": settings.input_mode},
        "RoleArn": role,
        "InputDataConfig": [channel],
        "OutputDataConfig": output,
        "ResourceConfig": resources,
        "StoppingCondition": {"MaxRuntimeInSeconds": settings.max_runtime_seconds},
        "HyperParameters": hyperparameters,
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }
    return merged(made, settings.request_overrides)


def train(session: Session, job: dict[str, Any], settings: TrainingSettings) -> TrainedModel:
    """Create the job and wait until it is done.

    Parameters
    ----------
    job : dict
        From :func:`request`.

    Raises
    ------
    TrainingError
        The job failed or was stopped: carries its name, status, failure reason and last log lines.
    AwsError
        The job could not be created.
    """
    name = job["TrainingJobName"]
    try:
        session.call("sagemaker", "create_training_job", **job)
    except (errors.AlreadyExists, errors.Unreachable) as problem:
        # The name is the idempotency key: a retry inside botocore after a lost answer meets its own job.
        if not _is_ours(session, name, job):
            raise
        log.info("%s: an earlier attempt of the same call had created it (%s)", name, type(problem).__name__)
    log.info("%s: created with %s", name, job["AlgorithmSpecification"]["TrainingImage"])
    try:
        return wait(session, name, settings.poll_seconds)
    except KeyboardInterrupt:
        log.warning("%s: interrupted, asking SageMaker to stop it", name)
        session.call("sagemaker", "stop_training_job", TrainingJobName=name)
        raise


def _is_ours(session: Session, name: str, job: dict[str, Any]) -> bool:
    try:
        found = session.call("sagemaker", "describe_training_job", TrainingJobName=name)
    except errors.NotFound:
        return False
    return (found["OutputDataConfig"]["S3OutputPath"] == job["OutputDataConfig"]["S3OutputPath"]
            and found["InputDataConfig"][0]["DataSource"] == job["InputDataConfig"][0]["DataSource"])


def wait(session: Session, name: str, poll_seconds: float | None = None) -> TrainedModel:
    """Wait for a job that exists, reporting status, elapsed time and new log lines.

    Raises
    ------
    TrainingError
        See :func:`train`.
    NotFound
        There is no such job.
    """
    tail = waiting.LogTail(session, LOG_GROUP, name)
    report = waiting.Reporter(name, tail)
    done = waiting.until(
        session, lambda: session.call("sagemaker", "describe_training_job", TrainingJobName=name),
        lambda d: d["TrainingJobStatus"], _FINAL.__contains__, poll_seconds=poll_seconds, what=f"training job {name}",
        on_poll=lambda d, elapsed: report(f"{d['TrainingJobStatus']} ({d.get('SecondaryStatus', '')})", elapsed))
    status, secondary = done["TrainingJobStatus"], done.get("SecondaryStatus", "")
    artifact = done.get("ModelArtifacts", {}).get("S3ModelArtifacts")
    if status != "Completed" or not artifact:
        tail.read()
        reason = done.get("FailureReason") or secondary or "no reason given"
        lines = "".join(f"\n    {line}" for line in tail.lines)
        raise errors.TrainingError(
            f"training job {name} must complete, it ended {status}: {reason}.{' Its last log lines:' + lines if lines else ''}"
            f"\n  Console: https://console.aws.amazon.com/sagemaker/home?region={session.region}#/jobs/{name}",
            job_name=name, status=status, failure_reason=done.get("FailureReason"), log_tail=tuple(tail.lines),
            created=(f"training job {name}",))
    metrics = {m["MetricName"]: float(m["Value"]) for m in done.get("FinalMetricDataList", ())}
    return TrainedModel(name, artifact, done["AlgorithmSpecification"].get("TrainingImage", ""), done["RoleArn"], metrics,
                        dict(done.get("HyperParameters", {})), done.get("TrainingTimeInSeconds"))


def is_final(session: Session, name: str) -> bool:
    """Whether the job can no longer be reading its input; False when that cannot be known."""
    try:
        status = session.call("sagemaker", "describe_training_job", TrainingJobName=name)["TrainingJobStatus"]
    except errors.NotFound:
        return True
    except errors.AwsError:
        return False
    return status in _FINAL
