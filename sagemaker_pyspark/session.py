"""The only door to AWS.

A :class:`Session` is a recipe (region, profile, role to assume, endpoint URL) and never a credential. It pickles to
Spark's Python workers, and each process builds its own clients from it, whose credentials refresh themselves there.
"""
from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from . import errors

__all__ = ["Session", "current", "use"]

log = logging.getLogger(__name__)

#: Socket read timeout for InvokeEndpoint. A container must answer within 60 s and the service's own documentation
#: asks for 70 s here, since botocore's default of 60 s gives up on answers that are on their way.
INVOKE_READ_TIMEOUT_SECONDS = 70

_clients: dict[tuple[int, Session, str, tuple], Any] = {}
_accounts: dict[Session, str] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class Session:
    """How to reach AWS, as plain data.

    Parameters
    ----------
    region : str, optional
        Region name; without it boto3's own resolution applies (environment, profile).
    profile : str, optional
        Named profile. It must exist wherever the session is used, so on a cluster prefer ``role_arn``.
    role_arn, external_id : str, optional
        A role that every process assumes on top of its own identity; refreshed before it expires.
    endpoint_url : str, optional
        One address for all services (the local SageMaker, a proxy).
    endpoint_urls : tuple of (service, url), optional
        Addresses for single services, e.g. VPC endpoints.
    local : bool
        True for the embedded local SageMaker: clients use constant dummy credentials, and the address must be loopback,
        so that nothing can reach AWS by accident.

    Examples
    --------
    >>> Session(region="eu-west-1", role_arn="arn:aws:iam::111122223333:role/spark").client("sagemaker")  # doctest: +SKIP
    """

    region: str | None = None
    profile: str | None = None
    role_arn: str | None = None
    external_id: str | None = None
    endpoint_url: str | None = None
    endpoint_urls: tuple[tuple[str, str], ...] = ()
    local: bool = False
    label: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.endpoint_urls, dict):
            object.__setattr__(self, "endpoint_urls", tuple(sorted(self.endpoint_urls.items())))
        if self.local and not _is_loopback(self.endpoint_url):
            raise errors.InvalidParameter(
                f"a local session must point at a loopback address, got endpoint_url={self.endpoint_url!r}; "
                "use local=False to talk to AWS")

    def client(self, service: str, **options: Any) -> Any:
        """The boto3 client of this process for a service, built once and shared (boto3 clients are thread-safe).

        Parameters
        ----------
        service : str
            boto3's name: ``"s3"``, ``"sts"``, ``"sagemaker"``, ``"sagemaker-runtime"``, ``"logs"``.
        **options
            Fields of ``botocore.config.Config`` that differ from ours.
        """
        key = (os.getpid(), self, service, tuple(sorted(options.items())))
        with _lock:
            client = _clients.get(key)
            if client is None:
                client = _clients[key] = self._build(service, options)
            return client

    def forget(self, service: str) -> None:
        """Drop this process's clients of a service, so that the next one is built with fresh credentials."""
        with _lock:
            for key in [key for key in _clients if key[1] == self and key[2] == service]:
                del _clients[key]

    def call(self, service: str, operation: str, **request: Any) -> dict[str, Any]:
        """One AWS call, its failure as an error of ours.

        Raises
        ------
        AwsError
            The subclass that fits the code (``NotFound``, ``AccessDenied``, ``Throttled``, ...).
        """
        with translated(f"{service}.{operation}"):
            return getattr(self.client(service), operation)(**request)

    def pages(self, service: str, operation: str, key: str, **request: Any) -> Iterator[dict[str, Any]]:
        """Every element of a paged listing."""
        with translated(f"{service}.{operation}"):
            for page in self.client(service).get_paginator(operation).paginate(**request):
                yield from page.get(key, ())

    @property
    def account_id(self) -> str:
        """The account the caller's credentials belong to (STS GetCallerIdentity, asked once)."""
        if self not in _accounts:
            _accounts[self] = self.call("sts", "get_caller_identity")["Account"]
        return _accounts[self]

    def resolved(self) -> Session:
        """The same session with what this process knows from its environment written in.

        Workers have another environment than the driver; what the driver resolved must hold there too.
        """
        if self.local:
            return self
        region = self.region or self._boto3_session().region_name
        if not region:
            raise errors.Unresolved(
                "no AWS region: pass region=..., Session(region=...), or set AWS_REGION / AWS_DEFAULT_REGION")
        return replace(self, region=region, endpoint_url=self.endpoint_url or os.environ.get("AWS_ENDPOINT_URL"))

    def with_clients(self, **clients: Any) -> Session:
        """A session that uses the caller's own boto3 clients in this process (1.4.5's ``sagemakerClient`` etc.).

        Other processes cannot be given a client; they build theirs from the client's region and address.
        """
        given = {name.replace("_", "-"): client for name, client in clients.items() if client is not None}
        if not given:
            return self
        first = next(iter(given.values()))
        if not hasattr(first, "meta"):
            raise errors.InvalidParameter(
                f"expected a boto3 client such as boto3.client('sagemaker'), got {type(first).__name__}")
        address = first.meta.endpoint_url
        session = replace(
            self, region=self.region or first.meta.region_name,
            label="-".join(f"{name}:{id(client):x}" for name, client in sorted(given.items())),  # same clients, same session
            endpoint_url=self.endpoint_url or (address if _is_loopback(address) else None))
        with _lock:
            for service, client in given.items():
                _clients[(os.getpid(), session, service, ())] = client
        return session

    # -- building -------------------------------------------------------------------------------------------------

    def _boto3_session(self) -> Any:
        import boto3
        import botocore.exceptions

        if self.local:  # constants, not credentials: they open nothing but the loopback server
            return boto3.Session("local", "local", region_name=self.region or "us-east-1")
        try:
            base = boto3.Session(profile_name=self.profile, region_name=self.region)
        except botocore.exceptions.ProfileNotFound as problem:
            raise errors.Unresolved(f"{problem}; define it in ~/.aws/config on every machine or use role_arn") from None
        if not self.role_arn:
            return base
        from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

        arguments = {"RoleSessionName": "sagemaker-pyspark"}
        if self.external_id:
            arguments["ExternalId"] = self.external_id
        core = base._session
        credentials = core.get_credentials()
        if credentials is None:
            raise errors.ExpiredCredentials(f"no AWS credentials found to assume {self.role_arn} with")
        fetcher = AssumeRoleCredentialFetcher(core.create_client, credentials, self.role_arn, extra_args=arguments)
        core._credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
        return base

    def _build(self, service: str, options: dict[str, Any]) -> Any:
        import botocore.exceptions
        from botocore.config import Config

        settings: dict[str, Any] = {"retries": {"mode": "standard", "total_max_attempts": 5}}
        if service == "sagemaker-runtime":
            # Retries of inference are ours: botocore would not retry ModelNotReady, and would hide throttling.
            settings.update(retries={"mode": "standard", "total_max_attempts": 1},
                            read_timeout=INVOKE_READ_TIMEOUT_SECONDS, max_pool_connections=50)
        if service == "s3":
            # The whole body is signed or sent under TLS already; a second checksum costs as much as the encoding.
            settings.update(request_checksum_calculation="when_required", response_checksum_validation="when_required",
                            max_pool_connections=50)
            if self.endpoint_url:
                settings["s3"] = {"addressing_style": "path"}
        settings.update(options)
        address = dict(self.endpoint_urls).get(service, self.endpoint_url)
        if self.local and not _is_loopback(address):
            raise errors.InvalidParameter(f"a local session has no address for {service}")
        try:
            return self._boto3_session().client(
                service, region_name=self.region, endpoint_url=address, config=Config(**settings))
        except botocore.exceptions.NoRegionError:
            raise errors.Unresolved(
                "no AWS region: pass region=..., Session(region=...), or set AWS_REGION / AWS_DEFAULT_REGION") from None


@contextlib.contextmanager
def translated(operation: str) -> Iterator[None]:
    """Turn botocore's exceptions of the block into ours, with operation, code, status and request id."""
    import botocore.exceptions as bc

    try:
        yield
    except bc.ClientError as problem:
        raise _from_client_error(operation, problem) from None
    except (bc.NoCredentialsError, bc.PartialCredentialsError, bc.CredentialRetrievalError, bc.TokenRetrievalError,
            bc.UnauthorizedSSOTokenError) as problem:
        raise errors.ExpiredCredentials(
            f"{operation}: {problem}; check the credentials of this process ({_where()})", operation=operation,
            code="NoCredentials") from None
    except bc.ParamValidationError as problem:
        raise errors.InvalidParameter(f"{operation}: {problem}") from None
    except bc.BotoCoreError as problem:
        # Only the class name and text: a connection error's text holds the address and no more.
        raise errors.Unreachable(f"{operation}: {problem}", operation=operation, code=type(problem).__name__) from None


def _from_client_error(operation: str, problem: Any) -> errors.AwsError:
    error, meta = problem.response.get("Error", {}), problem.response.get("ResponseMetadata", {})
    code, message = str(error.get("Code", "")), str(error.get("Message", ""))
    status, request_id = meta.get("HTTPStatusCode"), meta.get("RequestId")
    headers = meta.get("HTTPHeaders", {})
    cls = errors.aws_error_class(code, message)
    if cls is errors.AwsError and status in (403,):
        cls = errors.AccessDenied
    hint = {errors.ExpiredCredentials: f"; renew the credentials of this process ({_where()})",
            errors.AccessDenied: f"; the caller needs the permission for {operation}"}.get(cls, "")
    extra = {}
    if problem.response.get("OriginalStatusCode") is not None:
        extra["original_status"] = problem.response["OriginalStatusCode"]
        extra["original_message"] = problem.response.get("OriginalMessage")
    if headers.get("retry-after"):
        extra["retry_after"] = headers["retry-after"]
    text = f"{operation}: {code}: {message}{hint}" + (f" (request {request_id})" if request_id else "")
    return cls(text, operation=operation, code=code, http_status=status, request_id=request_id, aws_message=message,
               **extra)


def _where() -> str:
    return f"host {os.uname().nodename}, process {os.getpid()}" if hasattr(os, "uname") else f"process {os.getpid()}"


def _is_loopback(url: str | None) -> bool:
    host = urlsplit(url or "").hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_default: list[Session] = [Session()]


def current() -> Session:
    """The session used where none is given: the innermost :func:`use`, else boto3's own defaults."""
    return _default[-1]


@contextlib.contextmanager
def use(session: Session) -> Iterator[Session]:
    """Make ``session`` the default inside the block, in every thread of this process."""
    _default.append(session)
    try:
        yield session
    finally:
        # Blocks may end in another order than they began (notebook cells); take out this one, the last of its kind.
        for at in range(len(_default) - 1, 0, -1):
            if _default[at] is session:
                del _default[at]
                break
