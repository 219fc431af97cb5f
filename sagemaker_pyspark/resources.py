"""Where data lies and who works on it: S3 paths and IAM roles, as plain values."""
from __future__ import annotations

import re
from typing import Any

from . import errors
from .codecs.base import Described

__all__ = ["IAMRole", "IAMRoleFromConfig", "IAMRoleResource", "S3AutoCreatePath", "S3DataPath", "S3Resource", "from_json"]

#: Source: S3's bucket naming rules.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]")


class IAMRoleResource(Described):
    """An execution role."""


class IAMRole(IAMRoleResource):
    """A role by ARN, or by name in the caller's account.

    Parameters
    ----------
    role : str
    """

    def __init__(self, role: str):
        if not isinstance(role, str) or not role:
            raise errors.InvalidParameter(f"role must be a role ARN or name, got {role!r}")
        self.role = role


class IAMRoleFromConfig(IAMRoleResource):
    """The role that a Spark configuration entry names.

    Parameters
    ----------
    configKey : str
    """

    def __init__(self, configKey: str = "com.amazonaws.services.sagemaker.sparksdk.sagemakerrole"):
        self.configKey = configKey


class S3Resource(Described):
    """A place on S3."""


class S3DataPath(S3Resource):
    """A folder in a bucket.

    Parameters
    ----------
    bucket : str
    objectPath : str
        Key prefix, without leading slash.
    owner : str, optional
        Account id the bucket must belong to; default the caller's.
    """

    def __init__(self, bucket: str, objectPath: str = "", owner: str | None = None):
        if not isinstance(bucket, str) or not _BUCKET.fullmatch(bucket):
            raise errors.InvalidParameter(
                f"bucket must be a bucket name (3 to 63 of a-z, 0-9, '.', '-'), without s3://; got {bucket!r}")
        self.bucket, self.objectPath, self.owner = bucket, objectPath, owner

    def toS3UriString(self) -> str:
        """``s3://bucket/objectPath``."""
        return f"s3://{self.bucket}/{self.objectPath}"


class S3AutoCreatePath(S3Resource):
    """The bucket ``sagemaker-<region>-<account>``, created if it is missing, refused if it is another account's."""

    def __init__(self) -> None:
        pass


def from_json(data: dict[str, Any]) -> Any:
    """A resource from its saved form."""
    kind = str(data["class"]).rsplit(".", 1)[-1]
    return (IAMRoleResource if kind.startswith("IAM") else S3Resource).from_json(data)
