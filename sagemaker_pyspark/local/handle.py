"""``local.SageMaker``: starts the server in a process of its own, and leaves nothing when the block ends."""
from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from dataclasses import dataclass
from typing import Any

from .. import errors
from .. import session as sessions
from . import folders
from .processes import python_path

__all__ = ["Echo", "Faults", "SageMaker"]

ACCOUNT = "123456789012"
REGION = "us-east-1"
_RULE = frozenset({"throttle", "probability", "error", "message", "status", "retry_after", "first", "nth", "after", "latency",
                   "disconnect", "hang", "ambiguous", "drop_rows", "add_rows", "over_rows", "over_bytes", "over_concurrency",
                   "model_error"})


@dataclass(frozen=True)
class Echo:
    """An image without a model: its endpoint answers each row with the row's first value, after a fixed time.

    For tests and benchmarks of what calls endpoints.

    Attributes
    ----------
    latency_seconds : float
    concurrency : int
        Requests served at a time; more of them are throttled. 0 for no limit.
    """

    latency_seconds: float = 0.0
    concurrency: int = 0


class Faults:
    """Failures to inject, seen by every client of the server.

    Examples
    --------
    >>> aws.faults.add("InvokeEndpoint", throttle=0.3)                        # doctest: +SKIP
    >>> aws.faults.add("CreateEndpoint", error="InternalFailure", status=500, first=1)   # doctest: +SKIP
    """

    def __init__(self, owner: SageMaker):
        self._owner = owner

    def add(self, operation: str = "*", **rule: Any) -> None:
        """Add a rule.

        Parameters
        ----------
        operation : str
            API operation (``PutObject``, ``CreateEndpoint``, ``InvokeEndpoint``, ...) or ``*``.
        throttle, probability : float
            Share of the calls that are throttled (S3: SlowDown, 503; else ThrottlingException, 400), or that meet ``error``.
        error, message, status
            Code, text and HTTP status of an error.
        retry_after : float
            Seconds, sent as Retry-After with each error the call meets.
        first, nth, after : int
            Only the first n calls, only the n-th, or all but the first n.
        latency : float
            Seconds added to each call.
        disconnect, hang : bool
            Drop the connection without an answer; or never answer.
        drop_rows, add_rows : int
            InvokeEndpoint: take rows off the answer, or add some.
        over_rows : int
            InvokeEndpoint: a request of more rows is refused as too large (413).
        over_bytes : int
            InvokeEndpoint: a larger body is refused as one above the service's own limit is (ValidationError, 400).
        over_concurrency : int
            While more requests of the operation are under way, the call is throttled, or meets ``error`` if one is given.
        model_error : int
            InvokeEndpoint: the container answers this status.
        ambiguous : bool
            The call takes effect, and then its answer is lost.

        Raises
        ------
        InvalidParameter
            There is no such rule.
        """
        unknown = sorted(set(rule) - _RULE)
        if unknown:
            raise errors.InvalidParameter(f"a fault must be made of {', '.join(sorted(_RULE))}, got {', '.join(unknown)}; "
                                          "correct the name")
        self._owner.admin("faults", {"operation": operation, **rule})

    def clear(self) -> None:
        self._owner.admin("faults", None)


class SageMaker:
    """A SageMaker on this machine.

    Parameters
    ----------
    images : dict, optional
        Image URI to a command (list of str; ``train`` or ``serve`` is appended) or an :class:`Echo`. The images of the
        built-in algorithms are known.
    activate : bool
        Whether the block makes this the default session of the process.

    Attributes
    ----------
    endpoint_url, region, account_id, role_arn : str
    bucket : str
        The automatic bucket, ``sagemaker-<region>-<account>``; it exists once it was asked for.
    session : Session
    faults : Faults

    Raises
    ------
    SageMakerError
        The server did not start; the extra ``[local]`` may be missing.
    """

    account_id = ACCOUNT
    region = REGION
    role_arn = f"arn:aws:iam::{ACCOUNT}:role/sagemaker-local"

    def __init__(self, images: dict[str, Any] | None = None, activate: bool = True):
        self._images = {uri: dataclasses.asdict(to) if isinstance(to, Echo) else list(to)
                        for uri, to in (images or {}).items()}
        self._activate = activate
        self._stack = contextlib.ExitStack()
        self.faults = Faults(self)
        self.endpoint_url = ""

    def __enter__(self) -> SageMaker:
        folders.sweep()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix=folders.PREFIX, ignore_cleanup_errors=True))
        folders.claim(folder)
        path = python_path(os.environ.get("PYTHONPATH"))
        environment = {**os.environ, **({"PYTHONPATH": path} if path else {})}
        command = [sys.executable, "-m", "sagemaker_pyspark.local", "serve", "--port", "0", "--folder", folder,
                   "--images", json.dumps(self._images), "--until-stdin-closes"]
        with open(f"{folder}/server.log", "wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                             env=environment)
        self._stack.callback(self._stop)
        line = self._process.stdout.readline() if self._process.stdout else b""
        if not line:
            with open(f"{folder}/server.log", errors="replace") as log:
                tail = log.read()[-2000:]
            self._stack.close()
            raise errors.SageMakerError(
                f"the local SageMaker did not start; is the extra installed (pip install 'sagemaker_pyspark[local]')?\n{tail}")
        self.endpoint_url = json.loads(line)["endpoint_url"]
        self.session = sessions.Session(region=REGION, endpoint_url=self.endpoint_url, local=True)
        if self._activate:
            self._stack.enter_context(sessions.use(self.session))
        return self

    def __exit__(self, *_: Any) -> None:
        self._stack.close()

    def _stop(self) -> None:
        """Closing its input ends the server, also when this process dies without coming here."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def admin(self, what: str, data: Any = None, method: str = "POST") -> Any:
        """The server's private interface."""
        request = urllib.request.Request(f"{self.endpoint_url}/_local/{what}", json.dumps(data).encode(),
                                         {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    @property
    def requests(self) -> list[dict[str, Any]]:
        """Every request so far: operation, resource, rows, bytes, status (0: no answer, on purpose), seconds."""
        return list(self.admin("requests"))

    def count(self, operation: str) -> int:
        """How many requests of one operation were answered without error."""
        return sum(r["operation"] == operation and 0 < r["status"] < 400 for r in self.requests)

    def forget_requests(self) -> None:
        self.admin("requests/clear")

    @property
    def bucket(self) -> str:
        """Not a request of the caller's: it is not recorded and meets no fault."""
        name = f"sagemaker-{REGION}-{ACCOUNT}"
        self.admin("bucket", {"name": name})
        return name

    def remaining(self) -> dict[str, list[str]]:
        """What still exists: endpoints, endpoint configs, models, jobs in progress, staged objects (artifacts aside)."""
        return dict(self.admin("remaining"))

    def create_foreign_bucket(self, name: str) -> None:
        """A bucket that belongs to another account."""
        self.admin("foreign-bucket", {"name": name})
