"""Hyperparameters by declaration.

A declaration becomes a pyspark.ml Param whose converter holds the rule, so that the constructor, a setter, ``set``,
``fit(df, {param: value})`` and loading all refuse the same values with the same words: "k must be >= 2, got 1".
"""
from __future__ import annotations

import json
import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.ml.param import Param, Params

from . import errors

__all__ = ["Hyperparameters", "Rule", "boolean", "choice", "integer", "items", "real", "text"]


@dataclass(frozen=True)
class Rule:
    """One declared hyperparameter.

    Attributes
    ----------
    kind : {"int", "float", "bool", "choice", "list", "text"}
    doc : str
    accessor : str or None
        What follows get and set where 1.4.5 had an irregular name.
    key : str or None
        The service's name where it is not Python's.
    ge, gt, le, lt : number or None
        Bounds.
    choices : tuple of str
    auto : bool
        Whether ``"auto"`` is a value.
    required : bool
        Whether a job cannot run without it.
    separator : str
        Between list items; empty for a JSON list.
    """

    kind: str
    doc: str
    accessor: str | None = None
    key: str | None = None
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    choices: tuple[str, ...] = ()
    auto: bool = False
    required: bool = False
    separator: str = ","
    extra: tuple[str, ...] = ()

    def converter(self, name: str) -> Callable[[Any], Any]:
        """The function that checks and normalises a value."""

        def convert(value: Any) -> Any:
            if isinstance(value, str) and ((self.auto and value == "auto") or value in self.extra):
                return value
            made = _CONVERTERS[self.kind](self, value)
            if made is None or not self._within(made):
                raise errors.InvalidParameter(f"{name} must be {self.describe()}, got {value!r}")
            return made

        return convert

    def _within(self, value: Any) -> bool:
        if self.kind in ("choice", "list") and self.choices:
            given = value if isinstance(value, list) else [value]
            return bool(given) and all(str(v).split("@")[0] in self.choices for v in given)
        if self.kind not in ("int", "float"):
            return True
        return ((self.ge is None or value >= self.ge) and (self.gt is None or value > self.gt)
                and (self.le is None or value <= self.le) and (self.lt is None or value < self.lt))

    def describe(self) -> str:
        """The rule in words."""
        base = {"int": "a whole number", "float": "a number", "bool": "True or False", "choice": "", "list": "a list",
                "text": "text"}[self.kind]
        bounds = [f"{sign} {bound:g}" for sign, bound in ((">=", self.ge), (">", self.gt), ("<=", self.le), ("<", self.lt))
                  if bound is not None]
        words = " and ".join(bounds) if bounds and self.kind == "float" else " ".join([base, " and ".join(bounds)]).strip()
        if self.choices:
            words = ("a list of " if self.kind == "list" else "one of ") + ", ".join(self.choices)
        options = [*(["'auto'"] if self.auto else []), *map(repr, self.extra)]
        return words + (f" or {' or '.join(options)}" if options else "")

    def encode(self, value: Any) -> str:
        """As CreateTrainingJob wants it: strings, ``True`` and ``False``, lists as JSON or with separators."""
        if isinstance(value, bool):
            return str(value)
        if isinstance(value, list):
            return self.separator.join(map(str, value)) if self.separator else json.dumps(value)
        if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
            return str(value)
        return str(value)


def _int(rule: Rule, value: Any) -> int | None:
    number = _real(rule, value)
    return int(number) if number is not None and math.isfinite(number) and number == int(number) else None


def _real(rule: Rule, value: Any) -> float | None:
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if not isinstance(value, numbers.Real) and not hasattr(value, "item"):
        return None
    number = float(value)
    return None if math.isnan(number) else number


def _bool(rule: Rule, value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return bool(value) if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool") else None


def _text(rule: Rule, value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _list(rule: Rule, value: Any) -> list[Any] | None:
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.startswith("[") else [part.strip() for part in value.split(",")]
        except ValueError:
            return None
    return list(value) if isinstance(value, (list, tuple)) else None


_CONVERTERS: dict[str, Callable[[Rule, Any], Any]] = {
    "int": _int, "float": _real, "bool": _bool, "choice": _text, "text": _text, "list": _list}


def integer(doc: str, accessor: str | None = None, **rule: Any) -> Any:
    """A whole number; rules ``ge``, ``gt``, ``le``, ``lt``, ``auto``, ``required``, ``key``."""
    return Rule("int", doc, accessor, **rule)


def real(doc: str, accessor: str | None = None, **rule: Any) -> Any:
    """A number; rules as for :func:`integer`."""
    return Rule("float", doc, accessor, **rule)


def boolean(doc: str, accessor: str | None = None, **rule: Any) -> Any:
    """True or False, sent as ``True`` and ``False``."""
    return Rule("bool", doc, accessor, **rule)


def choice(doc: str, *choices: str, accessor: str | None = None, **rule: Any) -> Any:
    """One of some words."""
    return Rule("choice", doc, accessor, choices=choices, **rule)


def items(doc: str, choices: Sequence[str] = (), accessor: str | None = None, **rule: Any) -> Any:
    """A list, given as a list, as JSON or comma separated."""
    return Rule("list", doc, accessor, choices=tuple(choices), **rule)


def text(doc: str, accessor: str | None = None, **rule: Any) -> Any:
    """Any text."""
    return Rule("text", doc, accessor, **rule)


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.strip("_").split("_"))


class Hyperparameters(Params):
    """A mixin that turns the :class:`Rule` attributes of a class into Params with accessors."""

    _rules: dict[str, Rule] = {}

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        rules = dict(cls._rules)
        for base in reversed(cls.__mro__):
            rules.update(getattr(base, "__dict__", {}).get("_rules", {}))
        for name, rule in [(n, r) for n, r in vars(cls).items() if isinstance(r, Rule)]:
            rules[name] = rule
            doc = f"{rule.doc}: {rule.describe()}" + (" (required)" if rule.required else "")
            setattr(cls, name, Param(Params._dummy(), name, doc, rule.converter(name)))  # type: ignore[attr-defined]
            _add_accessors(cls, name, rule)
        cls._rules = rules

    def set(self, param: Any, value: Any) -> None:
        """Set a Param. pyspark would wrap our error into a plain ValueError; converting first keeps its type and words."""
        super().set(param, param.typeConverter(value))

    def _hyperparameter_map(self) -> dict[str, str]:
        """What was set, as the service wants it; what was not is left to the service's own defaults."""
        return {rule.key or name: rule.encode(self.getOrDefault(name)) for name, rule in self._rules.items()
                if self.isDefined(name)}

    def _check_complete(self) -> None:
        """Refuse a job that misses a required hyperparameter which the data cannot tell.

        Raises
        ------
        InvalidParameter
        """
        for name, rule in self._rules.items():
            if rule.required and not self.isDefined(name):
                raise errors.InvalidParameter(
                    f"{name} must be set to train {type(self).__name__}: {rule.describe()}; got nothing. Call "
                    f"set{rule.accessor or _camel(name)}(...) or pass {name}=...")

    def _declared_dim(self) -> int | None:
        if "feature_dim" not in self._rules or not self.isDefined("feature_dim"):
            return None
        value = self.getOrDefault("feature_dim")
        return None if value == "auto" else int(value)


def _add_accessors(cls: type, name: str, rule: Rule) -> None:
    def get(self: Any) -> Any:
        return self.getOrDefault(name) if self.isDefined(name) else None

    def set_(self: Any, value: Any) -> Any:
        return self._set(**{name: value})

    suffix = rule.accessor or _camel(name)
    for prefix, function in (("get", get), ("set", set_)):
        function.__name__ = prefix + suffix
        function.__qualname__ = f"{cls.__name__}.{function.__name__}"
        function.__doc__ = f"{'Value of' if prefix == 'get' else 'Set'} ``{name}``: {rule.doc}; {rule.describe()}."
        if function.__name__ not in vars(cls):
            setattr(cls, function.__name__, function)
