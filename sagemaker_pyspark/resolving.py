"""What the user left open, worked out against AWS before anything is created: region, role, bucket."""
from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from . import errors
from .folder import Destination
from .session import Session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["bucket_and_prefix", "destination", "output_uri", "role_arn"]

log = logging.getLogger(__name__)

#: Stands for the execution role on the local SageMaker when none is configured, so that a script runs there unchanged.
LOCAL_ROLE = "arn:aws:iam::123456789012:role/sagemaker-local"


def role_arn(resource: Any, spark: SparkSession, session: Session) -> str:
    """The ARN of the execution role.

    Parameters
    ----------
    resource : IAMRole, IAMRoleFromConfig or str
        A role ARN, a role name of the caller's account, or the name of a Spark configuration entry that holds either.

    Raises
    ------
    Unresolved
        The configuration entry is not set.
    """
    key = getattr(resource, "configKey", None)
    role = spark.conf.get(key, None) if key else getattr(resource, "role", resource)
    if not role:
        if session.local:
            return LOCAL_ROLE
        raise errors.Unresolved(
            f"no execution role: pass sagemakerRole=IAMRole('arn:aws:iam::...:role/...') or start Spark with "
            f"--conf {key}=<role ARN>")
    if role.startswith("arn:"):
        return role
    partition = {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(
        next((p for p in ("cn", "us-gov") if (session.region or "").startswith(p + "-")), ""), "aws")
    return f"arn:{partition}:iam::{session.account_id}:role/{role}"


def bucket_and_prefix(resource: Any, session: Session) -> tuple[str, str, bool]:
    """(bucket, prefix, whether it may be created) of an S3DataPath or S3AutoCreatePath."""
    bucket = getattr(resource, "bucket", None)
    if bucket:
        prefix = (getattr(resource, "objectPath", "") or "").strip("/")
        return bucket, prefix + "/" if prefix else "", False
    return f"sagemaker-{session.region}-{session.account_id}", "sagemaker-pyspark/", True


def destination(resource: Any, session: Session, kms_key: str | None) -> Destination:
    """Where to stage, in a bucket that exists and is the caller's.

    The name of an automatic bucket can be guessed, so anyone could have created it first: ownership is checked here and
    again by S3 on every write (ExpectedBucketOwner).

    Raises
    ------
    BucketOwnershipError
        The bucket belongs to another account.
    Unresolved
        The bucket does not exist.
    """
    bucket, prefix, create = bucket_and_prefix(resource, session)
    owner = getattr(resource, "owner", None) or session.account_id
    try:
        session.call("s3", "head_bucket", Bucket=bucket, ExpectedBucketOwner=owner)
    except errors.AccessDenied:
        raise errors.BucketOwnershipError(
            f"bucket {bucket!r} must belong to account {owner}: S3 refused access, so it is another account's, or the "
            "caller lacks s3:ListBucket on it. Nothing was written. Name a bucket of yours with S3DataPath(bucket, path)"
        ) from None
    except errors.NotFound:
        if not create:
            raise errors.Unresolved(
                f"bucket {bucket!r} must exist, it does not; create it or name another in S3DataPath") from None
        _create_bucket(session, bucket)
    return Destination(bucket, prefix, owner, kms_key)


def _create_bucket(session: Session, bucket: str) -> None:
    arguments: dict[str, Any] = {"Bucket": bucket}
    if session.region != "us-east-1":  # the one region that must not be named (Source: S3 CreateBucket)
        arguments["CreateBucketConfiguration"] = {"LocationConstraint": session.region}
    try:
        session.call("s3", "create_bucket", **arguments)
        log.info("created bucket %s", bucket)
    except errors.AlreadyExists as problem:
        if problem.code != "BucketAlreadyOwnedByYou":  # two jobs of one account may race; another account is fatal
            raise errors.BucketOwnershipError(
                f"bucket {bucket!r} belongs to another account. Name a bucket of yours with S3DataPath(bucket, path)"
            ) from None


def output_uri(resource: Any, session: Session) -> str:
    """``s3://`` URI that training jobs write their artifacts under."""
    bucket, prefix, _ = bucket_and_prefix(resource, session)
    return f"s3://{bucket}/{prefix}".rstrip("/")
