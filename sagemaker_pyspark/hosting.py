"""Model artifact to an endpoint: CreateModel, CreateEndpointConfig, CreateEndpoint, and their undoing.

Names are made before the first call and tags go with it, so that after a call whose answer was lost the resource can be
found by name and recognised as ours. Whatever was created is undone when a later step fails; what could not be undone is
named in the error, because it may still be billed.
"""
from __future__ import annotations

import datetime
import getpass
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import errors, waiting
from .session import Session
from .settings import CreatedResources, HostingSettings, merged

__all__ = ["Container", "delete", "deploy", "tags_of"]

log = logging.getLogger(__name__)

_IN_SERVICE = frozenset({"InService", "Failed", "OutOfService"})
TAG_PREFIX = "sagemaker-pyspark:"
_NAME_FIELD = {"model": "ModelName", "endpoint_config": "EndpointConfigName", "endpoint": "EndpointName"}
_ARN_FIELD = {"model": "ModelArn", "endpoint_config": "EndpointConfigArn", "endpoint": "EndpointArn"}


@dataclass(frozen=True)
class Container:
    """An image and its model data, as CreateModel wants them."""

    image: str
    artifact: str | None
    environment: tuple[tuple[str, str], ...] = ()

    def definition(self) -> dict[str, Any]:
        made: dict[str, Any] = {"Image": self.image, "Environment": dict(self.environment)}
        if self.artifact:
            made["ModelDataUrl"] = self.artifact
        return made


def tags_of(purpose: str, run: str, expiry_seconds: int) -> dict[str, str]:
    """Tags that say whose a resource is, which run made it and when it may be swept."""
    expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=expiry_seconds)
    return {TAG_PREFIX + "owner": getpass.getuser() if _has_user() else "unknown", TAG_PREFIX + "run": run,
            TAG_PREFIX + "purpose": purpose, TAG_PREFIX + "expires": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}


def _has_user() -> bool:
    try:
        return bool(getpass.getuser())
    except (KeyError, OSError):  # containers may run under a uid without a name
        return False


def deploy(session: Session, names: CreatedResources, container: Container, role: str, settings: HostingSettings,
           tags: dict[str, str], endpoint: bool = True, endpoint_config_extra: dict[str, Any] | None = None
           ) -> CreatedResources:
    """Create model, endpoint config and endpoint, and wait until it is in service.

    Parameters
    ----------
    names : CreatedResources
        The names to use.
    endpoint : bool
        False creates the model only (batch transform needs no endpoint).

    Returns
    -------
    CreatedResources
        What exists now.

    Raises
    ------
    HostingError
        The endpoint did not come into service. Everything created was deleted again; what could not be is in ``created``.
    AwsError
        A call was refused; likewise.
    """
    tag_list = [{"Key": key, "Value": value} for key, value in tags.items()]
    account = _Account(session, tags)
    try:
        account.create("model", names.model_name, merged(
            {"ModelName": names.model_name, "ExecutionRoleArn": role, "PrimaryContainer": container.definition(),
             "Tags": tag_list}, settings.model_overrides))
        if not endpoint:
            return account.made()
        config: dict[str, Any] = {
            "EndpointConfigName": names.endpoint_config_name, "ProductionVariants": [_variant(names, settings)],
            "Tags": tag_list, **(endpoint_config_extra or {})}
        if settings.kms_key and settings.serverless is None:
            config["KmsKeyId"] = settings.kms_key
        account.create("endpoint_config", names.endpoint_config_name,
                       merged(config, settings.endpoint_config_overrides))
        account.create("endpoint", names.endpoint_name, {
            "EndpointName": names.endpoint_name, "EndpointConfigName": names.endpoint_config_name, "Tags": tag_list})
        _wait_in_service(session, names.endpoint_name, settings)
        return account.made()
    except BaseException as problem:
        account.undo(problem)
        raise


class _Account:
    """What one deployment made: ``certain`` after a clear answer, ``doubtful`` after none."""

    def __init__(self, session: Session, tags: dict[str, str]):
        self._session, self._tags = session, tags
        self._certain: dict[str, str] = {}
        self._doubtful: dict[str, str] = {}

    def made(self) -> CreatedResources:
        return CreatedResources(self._certain.get("model"), self._certain.get("endpoint_config"),
                                self._certain.get("endpoint"))

    def create(self, kind: str, name: str | None, request: dict[str, Any]) -> None:
        """Create, and after an unclear answer look whether it is there and ours."""
        if not name:
            raise errors.InvalidParameter(f"a name for the {kind.replace('_', ' ')} is needed, got none")
        try:
            self._session.call("sagemaker", f"create_{kind}", **request)
        except errors.AwsError as problem:
            # A retry inside botocore after a lost answer meets its own resource: AlreadyExists is unclear as well.
            unclear = isinstance(problem, (errors.AlreadyExists, errors.Unreachable)) or (
                (problem.http_status or 0) >= 500)
            if not unclear:
                raise
            self._doubtful[kind] = name
            if not self._is_ours(kind, name):
                del self._doubtful[kind]
                raise
            del self._doubtful[kind]
        except BaseException:  # interrupted while the request was under way
            self._doubtful[kind] = name
            raise
        self._certain[kind] = name
        log.info("created %s %s", kind.replace("_", " "), name)

    def _is_ours(self, kind: str, name: str) -> bool:
        try:
            arn = self._session.call("sagemaker", f"describe_{kind}", **{_NAME_FIELD[kind]: name})[_ARN_FIELD[kind]]
            found = {t["Key"]: t["Value"]
                     for t in self._session.pages("sagemaker", "list_tags", "Tags", ResourceArn=arn)}
        except errors.NotFound:
            return False
        return found.get(TAG_PREFIX + "run") == self._tags.get(TAG_PREFIX + "run")

    def undo(self, cause: BaseException) -> None:
        """Delete what exists after a failed deployment; if that fails too, the cause learns what may remain."""
        remaining: list[str] = []
        for kind, name in self._doubtful.items():
            try:
                if self._is_ours(kind, name):
                    self._certain[kind] = name
            except errors.AwsError:
                remaining.append(f"{kind.replace('_', ' ')} {name}")
        try:
            delete(self._session, self.made())
        except errors.CleanupError as problem:
            remaining += problem.remaining or ()
        if remaining:
            log.error("after a failed deployment these may still exist and be billed: %s", ", ".join(remaining))
        if isinstance(cause, errors.SageMakerError):
            cause.created = cause.details["created"] = tuple(remaining)  # type: ignore[attr-defined]
            if remaining:
                cause.message += f". May still exist and be billed: {', '.join(remaining)}"
                cause.args = (cause.message,)


def _variant(names: CreatedResources, settings: HostingSettings) -> dict[str, Any]:
    variant: dict[str, Any] = {"VariantName": "AllTraffic", "ModelName": names.model_name}
    if settings.serverless is not None:
        variant["ServerlessConfig"] = {"MemorySizeInMB": settings.serverless.memory_mb,
                                       "MaxConcurrency": settings.serverless.max_concurrency}
    else:
        if not settings.instance_type:
            raise errors.InvalidParameter("endpointInstanceType must be set to create an endpoint, got none")
        variant.update(InstanceType=settings.instance_type, InitialInstanceCount=settings.instance_count,
                       InitialVariantWeight=1.0)
    return variant


def _wait_in_service(session: Session, name: str | None, settings: HostingSettings) -> None:
    report = waiting.Reporter(str(name))
    try:
        done = waiting.until(
            session, lambda: session.call("sagemaker", "describe_endpoint", EndpointName=name),
            lambda d: d["EndpointStatus"], _IN_SERVICE.__contains__, poll_seconds=settings.poll_seconds,
            timeout_seconds=settings.timeout_seconds, what=f"endpoint {name}",
            on_poll=lambda d, elapsed: report(d["EndpointStatus"], elapsed))
    except TimeoutError as problem:
        raise errors.HostingError(f"{problem}; raise timeout_seconds of the hosting settings", created=(name,),
                                  endpoint_name=name) from None
    if done["EndpointStatus"] != "InService":
        raise errors.HostingError(
            f"endpoint {name} must come into service, it ended {done['EndpointStatus']}: "
            f"{done.get('FailureReason', 'no reason given')}. Its container's log is in /aws/sagemaker/Endpoints/{name}",
            created=(name,), endpoint_name=name, status=done["EndpointStatus"], failure_reason=done.get("FailureReason"))


def delete(session: Session, resources: CreatedResources, wait: bool = False) -> None:
    """Delete endpoint, endpoint config and model, each tried even if another fails.

    Only "there is no such thing" counts as gone; a refused call does not.

    Raises
    ------
    CleanupError
        ``remaining`` names each resource that may still exist.
    """
    steps: tuple[tuple[str, str | None], ...] = (
        ("endpoint", resources.endpoint_name), ("endpoint_config", resources.endpoint_config_name),
        ("model", resources.model_name))
    remaining: list[str] = []
    reasons: list[str] = []
    for kind, name in steps:
        if name:
            _attempt(lambda kind=kind, name=name: _delete(session, kind, name), f"{kind.replace('_', ' ')} {name}",
                     remaining, reasons)
    if remaining:
        raise errors.CleanupError(
            f"these may still exist and be billed: {', '.join(remaining)} ({'; '.join(reasons)}); delete them in the "
            "console or run python -m sagemaker_pyspark sweep", remaining=tuple(remaining))


def _attempt(step: Callable[[], None], what: str, remaining: list[str], reasons: list[str]) -> None:
    try:
        step()
    except Exception as problem:  # every step is tried; the caller raises with all that failed
        remaining.append(what)
        reasons.append(str(problem))


def _delete(session: Session, kind: str, name: str) -> None:
    for last in (False, False, True):
        try:
            session.call("sagemaker", f"delete_{kind}", **{_NAME_FIELD[kind]: name})
            log.info("deleted %s %s", kind.replace("_", " "), name)
            return
        except errors.NotFound:
            return
        except errors.AwsError as problem:
            transient = isinstance(problem, (errors.Throttled, errors.Unreachable)) or (problem.http_status or 0) >= 500
            if last or not transient:
                raise
