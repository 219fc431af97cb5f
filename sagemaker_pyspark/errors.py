"""Everything this library raises on purpose, as one tree.

::

    SageMakerError
    ├── InvalidInput (also ValueError)       what the caller gave cannot be used; nothing was created
    │   ├── InvalidParameter                 a hyperparameter or setting breaks its rule
    │   ├── UnsupportedColumn                a column is missing or of a type no codec takes
    │   ├── NullRows                         nulls where a value is needed
    │   ├── DimensionMismatch                ragged rows, or feature_dim that disagrees with the data
    │   ├── EmptyInput                       a DataFrame without rows
    │   └── Unresolved                       no region, role, bucket or image could be worked out
    ├── CodecError (also ValueError)
    │   ├── MalformedRecord                  bytes that are not what their format says
    │   ├── RecordTooLarge                   one row beyond what a format or a request can hold
    │   └── UnexpectedResponse               an answer the deserializer cannot read
    ├── AwsError                             AWS refused a call; carries operation, code, request id
    │   ├── AccessDenied
    │   ├── ExpiredCredentials
    │   ├── Throttled
    │   ├── NotFound
    │   ├── AlreadyExists
    │   ├── QuotaExceeded
    │   └── Unreachable                      no answer at all
    ├── BucketOwnershipError                 the bucket belongs to another account
    ├── StagingError                         the data could not be written to S3
    ├── TrainingError                        the job did not complete
    ├── HostingError                         the endpoint did not come into service
    ├── InvocationError                      an endpoint answered with an error
    │   └── RowCountMismatch                 an answer with another number of rows than its request
    └── CleanupError                         something of ours may still exist; ``remaining`` names it

Every error survives pickling, since many are raised in Spark's Python workers and read on the driver.
"""
from __future__ import annotations

from typing import Any

__all__ = [
    "AccessDenied", "AlreadyExists", "AwsError", "BucketOwnershipError", "CleanupError", "CodecError",
    "DimensionMismatch", "EmptyInput", "ExpiredCredentials", "HostingError", "InvalidInput", "InvalidParameter",
    "InvocationError", "MalformedRecord", "NotFound", "NullRows", "QuotaExceeded", "RecordTooLarge",
    "RowCountMismatch", "SageMakerError", "StagingError", "Throttled", "TrainingError", "UnexpectedResponse",
    "Unreachable", "Unresolved", "UnsupportedColumn", "aws_error_class",
]


class SageMakerError(Exception):
    """Base of all errors of this library.

    Parameters
    ----------
    message : str
        What must hold, what was found, what to do.
    **details
        Facts a program may want, kept as attributes (``job_name``, ``created``, ...).
    """

    def __init__(self, message: str, **details: Any):
        super().__init__(message)
        self.message = message
        self.details = details
        for name, value in details.items():
            setattr(self, name, value)

    def __reduce__(self):
        return _rebuild, (type(self), self.message, self.details)

    def __getattr__(self, name: str) -> Any:
        # Only reached for attributes that were not given; a typed None reads better than AttributeError
        # in an except block, but dunder look-ups (copy, pickle) must fail as usual.
        if name in _OPTIONAL_DETAILS:
            return None
        raise AttributeError(name)


_OPTIONAL_DETAILS = frozenset({
    "operation", "code", "http_status", "request_id", "job_name", "status", "failure_reason", "log_tail", "created",
    "remaining", "offset", "rows_sent", "rows_received", "attempts", "column", "endpoint_name", "original_status",
    "retry_after",
})


def _rebuild(cls: type[SageMakerError], message: str, details: dict[str, Any]) -> SageMakerError:
    return cls(message, **details)


class InvalidInput(SageMakerError, ValueError):
    """The caller's data or arguments cannot be used. Nothing was created."""


class InvalidParameter(InvalidInput):
    """A hyperparameter or setting breaks its rule."""


class UnsupportedColumn(InvalidInput):
    """A column is missing, or of a type that no codec takes."""


class NullRows(InvalidInput):
    """Rows are null where a value is needed."""


class DimensionMismatch(InvalidInput):
    """Rows of different length, or a length other than the declared ``feature_dim``."""


class EmptyInput(InvalidInput):
    """The DataFrame has no rows."""


class Unresolved(InvalidInput):
    """A region, role, bucket or image that could not be worked out from what was given."""


class CodecError(SageMakerError, ValueError):
    """Rows that cannot become bytes, or bytes that cannot become rows."""


class MalformedRecord(CodecError):
    """Bytes that are not what their format says; ``offset`` is where."""


class RecordTooLarge(CodecError):
    """One row is larger than a format or a request can hold."""


class UnexpectedResponse(CodecError):
    """An answer that the deserializer cannot read."""


class AwsError(SageMakerError):
    """AWS refused a call. Attributes: ``operation``, ``code``, ``http_status``, ``request_id``."""


class AccessDenied(AwsError):
    """The caller's identity lacks a permission. Says nothing about whether the resource exists."""


class ExpiredCredentials(AwsError):
    """The credentials are expired, invalid or missing."""


class Throttled(AwsError):
    """AWS asked to slow down."""


class NotFound(AwsError):
    """The named resource does not exist."""


class AlreadyExists(AwsError):
    """The name is taken."""


class QuotaExceeded(AwsError):
    """An account limit is reached; retrying does not help."""


class Unreachable(AwsError):
    """No answer arrived: connection refused, reset or timed out."""


class BucketOwnershipError(SageMakerError):
    """The bucket belongs to another account than the caller's; nothing was written to it."""


class StagingError(SageMakerError):
    """The data could not be written to S3."""


class TrainingError(SageMakerError):
    """A training job that did not complete. Attributes: ``job_name``, ``status``, ``failure_reason``, ``log_tail``,
    ``created``."""


class HostingError(SageMakerError):
    """An endpoint that did not come into service. Attribute ``created`` lists what may still exist."""


class InvocationError(SageMakerError):
    """An endpoint answered with an error. Attributes: ``code``, ``http_status``, ``request_id``, ``attempts``."""


class RowCountMismatch(InvocationError):
    """An answer holds another number of rows than its request. Attributes: ``rows_sent``, ``rows_received``."""


class CleanupError(SageMakerError):
    """Something of ours may still exist; ``remaining`` names each resource."""


_CODES: dict[str, type[AwsError]] = {
    **dict.fromkeys(("AccessDenied", "AccessDeniedException", "AllAccessDisabled", "UnauthorizedOperation", "403",
                     "Forbidden", "AuthorizationError"), AccessDenied),
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId",
                     "UnrecognizedClientException", "InvalidSignatureException", "SignatureDoesNotMatch",
                     "InvalidAccessKeyId", "TokenRefreshRequired", "NoCredentials"), ExpiredCredentials),
    **dict.fromkeys(("Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded",
                     "SlowDown", "ThrottledException", "Throttled", "RequestThrottled"), Throttled),
    **dict.fromkeys(("ResourceNotFound", "ResourceNotFoundException", "NoSuchBucket", "NoSuchKey", "NoSuchEntity",
                     "404", "NotFound"), NotFound),
    **dict.fromkeys(("ResourceInUse", "BucketAlreadyExists", "BucketAlreadyOwnedByYou"), AlreadyExists),
    **dict.fromkeys(("ResourceLimitExceeded", "ServiceQuotaExceededException", "LimitExceededException"),
                    QuotaExceeded),
}


def aws_error_class(code: str, message: str = "") -> type[AwsError]:
    """The exception class for an AWS error code.

    SageMaker answers a Describe or Delete of a missing name with ``ValidationException`` and the words
    "Could not find", not with a not-found code (Source: botocore's own waiters match on that text).
    """
    if code == "ValidationException":
        if message.startswith(("Could not find", "Requested resource not found")) or "does not exist" in message:
            return NotFound
        if "already existing" in message or "already exists" in message:
            return AlreadyExists
    return _CODES.get(code, AwsError)
