"""Which failures are worth another try, and when."""
from __future__ import annotations

import random
import threading
from typing import Any

from .. import errors
from .options import Options

__all__ = ["FATAL", "ROW", "RETRY", "SLOW", "THROTTLED", "TOO_LARGE", "Budget", "classify", "pause_seconds"]

#: Every row would meet the same: wrong credentials, no such endpoint.
FATAL = "fatal"
#: A row of the request is refused; the same request would be refused again.
ROW = "row"
#: A passing fault.
RETRY = "retry"
#: The request has too many bytes: half of it may go through.
TOO_LARGE = "too large"
#: There was no answer in time: half of it may get one.
SLOW = "slow"
#: The endpoint asks for fewer requests.
THROTTLED = "throttled"

#: A service that asks for more is asked again all the same.
LONGEST_RETRY_AFTER_SECONDS = 300.0
_PASSING = frozenset({"ServiceUnavailable", "ServiceUnavailableException", "InternalFailure", "InternalServerError",
                      "InternalServerException", "InternalDependencyException", "RequestTimeout"})


def classify(problem: BaseException) -> str:
    """What to do about a failed request.

    Notes
    -----
    Source: InvokeEndpoint's errors (botocore service model): ModelError 424 carries the container's own status,
    ModelNotReadyException 429 is a cold start, InternalDependencyException 530.
    """
    if isinstance(problem, errors.Throttled):
        return THROTTLED
    if isinstance(problem, (errors.AccessDenied, errors.ExpiredCredentials, errors.NotFound)):
        return FATAL
    if isinstance(problem, errors.Unreachable):
        return SLOW if problem.code in ("ReadTimeoutError", "AsyncTimeout") else RETRY
    if isinstance(problem, (errors.RowCountMismatch, errors.CodecError, errors.DimensionMismatch)):
        return ROW
    if not isinstance(problem, (errors.AwsError, errors.InvocationError)):
        return FATAL
    code, status = problem.code or "", problem.http_status or 0
    if code == "ModelError" or status == 424:
        return _container(problem.original_status)
    if code == "ModelNotReadyException" or status == 429:
        return THROTTLED
    if status == 413 or (status == 400 and _about_size(str(problem))):
        return TOO_LARGE
    if code in _PASSING or status >= 500:
        return RETRY
    if status in (401, 403, 404) or "not found" in str(problem).lower():
        return FATAL
    return ROW


def _container(status: Any) -> str:
    status = int(status or 0)
    if status == 413:
        return TOO_LARGE
    if status == 429:
        return THROTTLED
    return RETRY if status >= 500 or status == 0 else ROW


def _about_size(message: str) -> bool:
    text = message.lower()
    return ("body" in text or "payload" in text or "request" in text) and any(
        word in text for word in ("too large", "oversize", "less than or equal to", "exceed", "length"))


def pause_seconds(options: Options, tries: int, problem: BaseException, rng: random.Random) -> float:
    """Full jitter, and never less than the service's Retry-After.

    Parameters
    ----------
    tries : int
        How often the request has failed in this way, from 1.
    """
    pause = rng.uniform(0, min(options.backoff_cap_seconds, options.backoff_seconds * 2 ** min(tries - 1, 20)))
    try:
        return max(pause, min(float(getattr(problem, "retry_after", None) or 0), LONGEST_RETRY_AFTER_SECONDS))
    except ValueError:
        return pause


class Budget:
    """Retries a task may spend: each costs one, each answer gives one back, up to the size."""

    def __init__(self, size: int):
        self._size, self._left, self._lock = size, float(size), threading.Lock()

    def spend(self) -> bool:
        """Whether there was one left."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True

    def earn(self) -> None:
        with self._lock:
            self._left = min(self._size, self._left + 1)
