"""A folder on S3 that is ours: where it is, whose bucket, and its clean-up by recorded keys."""
from __future__ import annotations

import logging
import re
import time
import uuid
from dataclasses import dataclass

from . import errors
from .session import Session

__all__ = ["Destination", "begin", "delete_keys", "sweep_orphans"]

log = logging.getLogger(__name__)

#: DeleteObjects takes at most this many keys a call (Source: S3 API).
_DELETE_BATCH = 1000


@dataclass(frozen=True)
class Destination:
    """Where parts go: ``s3://bucket/prefix``, ``prefix`` ending in "/", in a bucket of account ``owner``."""

    bucket: str
    prefix: str
    owner: str
    kms_key: str | None = None

    def unique(self) -> Destination:
        """An unguessable folder below this one, so that nothing else can match or overwrite it."""
        return Destination(self.bucket, f"{self.prefix}{uuid.uuid4().hex}/", self.owner, self.kms_key)

    @property
    def open_key(self) -> str:
        """An object that exists while tasks may write: a task that ends after it is gone takes its own objects back.

        Spark cancels the other tasks of a failed job without waiting for them, and lets the loser of a speculative pair run
        on. Each task looks for this object after its last upload, and the driver deletes it before it cleans up, so an
        object is seen by one of the two.
        """
        return self.prefix + "open"

    def put_arguments(self) -> dict[str, str]:
        """Arguments of every object we write: whose bucket it must be, and how it is encrypted."""
        arguments = {"Bucket": self.bucket, "ExpectedBucketOwner": self.owner}
        if self.kms_key:
            arguments.update(ServerSideEncryption="aws:kms", SSEKMSKeyId=self.kms_key)
        return arguments


def begin(session: Session, folder: Destination) -> None:
    """Say that tasks may write from now on (see ``Destination.open_key``)."""
    session.call("s3", "put_object", Key=folder.open_key, Body=b"", **folder.put_arguments())


def delete_keys(session: Session, folder: Destination, keys: tuple[str, ...]) -> None:
    """Delete exactly these keys.

    Raises
    ------
    CleanupError
        Some could not be deleted; ``remaining`` names them.
    """
    remaining: list[str] = []
    for at in range(0, len(keys), _DELETE_BATCH):
        batch = keys[at:at + _DELETE_BATCH]
        try:
            answer = session.call("s3", "delete_objects", Bucket=folder.bucket, ExpectedBucketOwner=folder.owner,
                                  Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True})
            remaining += [f"s3://{folder.bucket}/{e['Key']} ({e.get('Code')})" for e in answer.get("Errors", ())]
        except errors.AwsError as problem:
            remaining += [f"s3://{folder.bucket}/{key} ({problem.code})" for key in batch]
    if remaining:
        raise errors.CleanupError(
            f"{len(remaining)} staged objects could not be deleted and may still be stored; first: {remaining[0]}",
            remaining=tuple(remaining))


def sweep_orphans(session: Session, folder: Destination) -> None:
    """After a Spark job that failed as a whole, delete what its tasks had written.

    Their keys were lost with the job. The folder's name is 128 random bits made for this job, and only names of our own
    form below it are touched, so nothing that is not ours can match.
    """
    ours = re.compile(re.escape(folder.prefix) + r"part-\d{5,}-\d{4,}-[0-9a-f]{32}\.[a-z]+(\.gz)?")
    try:
        delete_keys(session, folder, (folder.open_key,))
        for pause in (0.0, 1.0):  # the request of a worker that was killed meanwhile may take effect a moment later
            time.sleep(pause)
            found = [item["Key"] for item in session.pages(
                "s3", "list_objects_v2", "Contents", Bucket=folder.bucket, Prefix=folder.prefix,
                ExpectedBucketOwner=folder.owner) if ours.fullmatch(item["Key"])]
            delete_keys(session, folder, tuple(found))
            for pending in session.pages("s3", "list_multipart_uploads", "Uploads", Bucket=folder.bucket,
                                         Prefix=folder.prefix, ExpectedBucketOwner=folder.owner):
                session.call("s3", "abort_multipart_upload", Bucket=folder.bucket, Key=pending["Key"],
                             UploadId=pending["UploadId"], ExpectedBucketOwner=folder.owner)
    except errors.SageMakerError as problem:
        log.warning("objects of the failed staging may remain under s3://%s/%s: %s", folder.bucket, folder.prefix, problem)
