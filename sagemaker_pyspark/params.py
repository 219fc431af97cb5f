"""Params that estimators and models share: how predictions are asked for."""
from __future__ import annotations

from typing import Any

from pyspark.ml.param import Param, Params

from . import errors
from .invocation.options import Options

__all__ = ["InferenceParams", "MODES"]

MODES = ("endpoint", "serverless", "async", "batch", "local")

#: InvokeEndpoint takes 6,291,456 bytes (Source: botocore service model), a serverless endpoint 4 MB.
HARD_LIMIT_BYTES = {"endpoint": 6_291_456, "serverless": 4 * 1024 * 1024, "async": 1 << 30}


def _whole(name: str, low: int, high: int | None = None) -> Any:
    def convert(value: Any) -> int:
        if isinstance(value, bool) or int(value) != value or value < low or (high is not None and value > high):
            bound = f"of at least {low}" if high is None else f"from {low} to {high}"
            raise errors.InvalidParameter(f"{name} must be a whole number {bound}, got {value!r}")
        return int(value)

    return convert


def _positive(name: str) -> Any:
    def convert(value: Any) -> float:
        if isinstance(value, bool) or not float(value) > 0:
            raise errors.InvalidParameter(f"{name} must be > 0, got {value!r}")
        return float(value)

    return convert


def _one_of(name: str, *choices: str) -> Any:
    def convert(value: Any) -> str:
        if value not in choices:
            raise errors.InvalidParameter(f"{name} must be one of {', '.join(choices)}; got {value!r}")
        return str(value)

    return convert


def _truth(name: str) -> Any:
    def convert(value: Any) -> bool:
        if not isinstance(value, bool):
            raise errors.InvalidParameter(f"{name} must be True or False, got {value!r}")
        return value

    return convert


def _name(name: str) -> Any:
    def convert(value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise errors.InvalidParameter(f"{name} must be a column name, got {value!r}")
        return value

    return convert


def _place(name: str) -> Any:
    def convert(value: Any) -> str:
        if value != "auto" and not (isinstance(value, str) and value.startswith(("s3://", "s3a://")) and value.split("/")[2]):
            raise errors.InvalidParameter(f"{name} must be 'auto' or an s3:// prefix, got {value!r}")
        return str(value)

    return convert


def _param(name: str, doc: str, convert: Any) -> Any:
    return Param(Params._dummy(), name, doc, convert)  # type: ignore[attr-defined]


class InferenceParams(Params):
    """How ``transform`` asks for predictions. Every value is JSON and saved with the stage."""

    mode = _param("mode", "where predictions come from: endpoint, serverless, async, batch or local",
                  _one_of("mode", *MODES))
    maxRequestBytes = _param("maxRequestBytes", "largest request body in bytes; unset: what the endpoint kind bears",
                             _whole("maxRequestBytes", 1, 1 << 30))
    maxRequestRows = _param("maxRequestRows", "most rows of one request", _whole("maxRequestRows", 1))
    requestsInFlight = _param("requestsInFlight", "most requests that one Spark task keeps in flight",
                              _whole("requestsInFlight", 1, 256))
    maxConcurrency = _param("maxConcurrency", "most requests in flight over the whole job; unset: no bound but the tasks'",
                            _whole("maxConcurrency", 1))
    adaptiveConcurrency = _param("adaptiveConcurrency", "start low and find what the endpoint bears",
                                 _truth("adaptiveConcurrency"))
    maxAttempts = _param("maxAttempts", "how often one request is tried", _whole("maxAttempts", 1, 100))
    timeoutSeconds = _param("timeoutSeconds", "how long one request may take before it is tried again in halves",
                            _positive("timeoutSeconds"))
    onError = _param("onError", "raise: the first lost row fails the action; column: it is described in errorCol",
                     _one_of("onError", "raise", "column"))
    errorCol = _param("errorCol", "name of the error column for onError='column'", _name("errorCol"))
    sendOnce = _param("sendOnce", "keep predictions in Spark's storage, so that a sort, a join or a second action does "
                      "not send rows again; release with model.unpersist()", _truth("sendOnce"))
    materialize = _param("materialize", "write the result once to S3 as Parquet and return a DataFrame over it: an s3:// "
                         "prefix, or auto for the automatic bucket, where it is deleted by model.unpersist() and at exit",
                         _place("materialize"))
    codec = _param("codec", "auto, jvm or numpy: what encodes rows", _one_of("codec", "auto", "jvm", "numpy"))

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(mode="endpoint", maxRequestRows=2000, requestsInFlight=4, adaptiveConcurrency=True,
                         maxAttempts=8, timeoutSeconds=70.0, onError="raise", errorCol="sagemaker_error", sendOnce=True,
                         codec="auto")

    def set(self, param: Any, value: Any) -> None:
        """Set a Param. pyspark would wrap our error into a plain ValueError; converting first keeps its type and words."""
        super().set(param, param.typeConverter(value))

    def _most(self) -> int | None:
        """The job-wide bound of requests in flight, None without one."""
        return self.getOrDefault("maxConcurrency") if self.isDefined("maxConcurrency") else None

    def _options(self, pool: str) -> Options:
        """The engine's options for these Params."""
        mode = self.getOrDefault("mode")
        hard = HARD_LIMIT_BYTES.get(mode, HARD_LIMIT_BYTES["endpoint"])
        wanted = self.getOrDefault("maxRequestBytes") if self.isDefined("maxRequestBytes") else hard * 5 // 6
        return Options(
            max_request_bytes=min(wanted, hard), hard_limit_bytes=hard,
            max_request_rows=self.getOrDefault("maxRequestRows"),
            max_concurrency=self.getOrDefault("requestsInFlight"),
            adaptive=self.getOrDefault("adaptiveConcurrency"), max_attempts=self.getOrDefault("maxAttempts"),
            timeout_seconds=self.getOrDefault("timeoutSeconds"), on_error=self.getOrDefault("onError"),
            pool_directory=pool)


def _accessors(cls: type[InferenceParams]) -> None:
    """getX and chaining setX for each Param, as pyspark.ml stages have them."""
    for name, param in list(vars(cls).items()):
        if not isinstance(param, Param):
            continue

        def get(self: InferenceParams, _name: str = name) -> Any:
            return self.getOrDefault(_name) if self.isDefined(_name) else None

        def set_(self: Any, value: Any, _name: str = name) -> Any:
            return self._set(**{_name: value})

        upper = name[0].upper() + name[1:]
        get.__name__, set_.__name__ = f"get{upper}", f"set{upper}"
        get.__doc__, set_.__doc__ = f"Value of ``{name}``: {param.doc}.", f"Set ``{name}``: {param.doc}."
        setattr(cls, get.__name__, get)
        setattr(cls, set_.__name__, set_)


_accessors(InferenceParams)
