"""Requests checked against botocore's own service model, with the words of the real service."""
from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

__all__ = ["ServiceError", "check", "unsupported"]


class ServiceError(Exception):
    """An answer with an AWS error code."""

    def __init__(self, code: str, message: str, status: int = 400, **extra: Any):
        super().__init__(message)
        self.code, self.message, self.status, self.extra = code, message, status, extra


def unsupported(what: str, got: Any, takes: str) -> ServiceError:
    """What AWS would take and the local SageMaker must not pretend to have done."""
    return ServiceError("ValidationException", f"{what} must be {takes} on the local SageMaker, got {str(got)[:200]!r}: "
                        "anything else is not supported by the local SageMaker, only by AWS.")


@lru_cache(maxsize=1)
def _model() -> Any:
    import botocore.session

    return botocore.session.get_session().get_service_model("sagemaker")


def check(operation: str, request: dict[str, Any]) -> None:
    """Refuse a request that the service model does not allow: required members, types, lengths, patterns, enums.

    Raises
    ------
    ServiceError
        ``ValidationException``.
    """
    shape = _model().operation_model(operation).input_shape
    problems: list[str] = []
    _walk(shape, request, "", problems)
    if problems:
        count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected: "
        raise ServiceError("ValidationException", count + "; ".join(problems))


def _walk(shape: Any, value: Any, path: str, problems: list[str]) -> None:
    kind = shape.type_name
    where = path or "request"
    if kind == "structure":
        if not isinstance(value, dict):
            problems.append(_problem(value, where, "Member must be a structure"))
            return
        for name in shape.required_members:
            if value.get(name) is None:
                problems.append(_problem("null", f"{path}.{name}".strip("."), "Member must not be null", quote=False))
        for name, member in value.items():
            if name not in shape.members:
                problems.append(f"Unknown member {name!r} at {where!r}")
            elif member is not None:
                _walk(shape.members[name], member, f"{path}.{_lower(name)}".strip("."), problems)
    elif kind == "list":
        if not isinstance(value, list):
            problems.append(_problem(value, where, "Member must be a list"))
            return
        _bounds(shape, len(value), value, where, problems, "length")
        for at, member in enumerate(value):
            _walk(shape.member, member, f"{path}.{at + 1}.member", problems)
    elif kind == "map":
        if not isinstance(value, dict):
            problems.append(_problem(value, where, "Member must be a map"))
            return
        _bounds(shape, len(value), value, where, problems, "length")
        for key, member in value.items():
            _walk(shape.key, key, f"{path}.{key}", problems)
            _walk(shape.value, member, f"{path}.{key}", problems)
    elif kind == "string":
        if not isinstance(value, str):
            problems.append(_problem(value, where, "Member must be a string"))
            return
        _bounds(shape, len(value), value, where, problems, "length")
        if shape.enum and value not in shape.enum:
            problems.append(_problem(value, where, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"))
        pattern = shape.metadata.get("pattern")
        if pattern and not _matches(pattern, value):
            problems.append(_problem(value, where, f"Member must satisfy regular expression pattern: {pattern}"))
    elif kind in ("integer", "long", "float", "double"):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            problems.append(_problem(value, where, "Member must be a number"))
            return
        _bounds(shape, value, value, where, problems, "value")


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:  # a Java pattern that Python does not know
        return True


def _bounds(shape: Any, size: float, value: Any, where: str, problems: list[str], what: str) -> None:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    noun = "length " if what == "length" else "value "
    if low is not None and size < low:
        problems.append(_problem(value, where, f"Member must have {noun}greater than or equal to {low}"))
    if high is not None and size > high:
        problems.append(_problem(value, where, f"Member must have {noun}less than or equal to {high}"))


def _problem(value: Any, where: str, rule: str, quote: bool = True) -> str:
    shown = f"'{str(value)[:200]}'" if quote else str(value)
    return f"Value {shown} at '{_lower(where)}' failed to satisfy constraint: {rule}"


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]
