"""Endpoints of ours that outlived their owner: found by tag, deleted only when asked and only when expired."""
from __future__ import annotations

import datetime
from dataclasses import dataclass

from . import errors, hosting
from .session import Session
from .settings import CreatedResources

__all__ = ["Found", "delete", "expired", "find"]


@dataclass(frozen=True)
class Found:
    """A billable resource that carries our tags.

    Attributes
    ----------
    kind : {"endpoint", "endpoint config", "model"}
    name, owner, run : str
    expires : datetime
        In UTC.
    """

    kind: str
    name: str
    owner: str
    run: str
    expires: datetime.datetime

    def is_expired(self, now: datetime.datetime | None = None) -> bool:
        return self.expires <= (now or datetime.datetime.now(datetime.timezone.utc))


_LISTINGS = (("endpoint", "list_endpoints", "Endpoints", "EndpointName", "EndpointArn"),
             ("endpoint config", "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName", "EndpointConfigArn"),
             ("model", "list_models", "Models", "ModelName", "ModelArn"))


def find(session: Session) -> list[Found]:
    """Every endpoint, endpoint config and model of the account and region that carries our tags.

    Raises
    ------
    AwsError
        A listing was refused.
    """
    found = []
    for kind, operation, key, name_field, arn_field in _LISTINGS:
        for item in session.pages("sagemaker", operation, key):
            tags = _tags(session, item[arn_field])
            if hosting.TAG_PREFIX + "run" in tags and hosting.TAG_PREFIX + "expires" in tags:
                expires = datetime.datetime.strptime(tags[hosting.TAG_PREFIX + "expires"], "%Y-%m-%dT%H:%M:%SZ")
                found.append(Found(kind, item[name_field], tags.get(hosting.TAG_PREFIX + "owner", "unknown"),
                                   tags[hosting.TAG_PREFIX + "run"], expires.replace(tzinfo=datetime.timezone.utc)))
    return found


def _tags(session: Session, arn: str) -> dict[str, str]:
    try:
        return {tag["Key"]: tag["Value"] for tag in session.pages("sagemaker", "list_tags", "Tags", ResourceArn=arn)}
    except errors.NotFound:  # deleted since it was listed
        return {}


def expired(found: list[Found]) -> list[Found]:
    """Those whose time is over."""
    return [one for one in found if one.is_expired()]


def delete(session: Session, found: list[Found]) -> None:
    """Delete these, endpoints first.

    Raises
    ------
    CleanupError
        Naming what may still exist.
    """
    remaining: list[str] = []
    for one in found:
        field = {"endpoint": "endpoint_name", "endpoint config": "endpoint_config_name", "model": "model_name"}[one.kind]
        try:
            hosting.delete(session, CreatedResources(**{field: one.name}))
        except errors.CleanupError as problem:
            remaining += problem.remaining or ()
    if remaining:
        raise errors.CleanupError(f"these may still exist and be billed: {', '.join(remaining)}", remaining=tuple(remaining))
