"""Failures on purpose."""
from __future__ import annotations

import random
import threading
from typing import Any

__all__ = ["FaultRules"]


_THROTTLED = {"error": "ThrottlingException", "message": "Rate exceeded", "status": 400}
_SLOW_DOWN = {"error": "SlowDown", "message": "Please reduce your request rate.", "status": 503}


class FaultRules:
    """Rules in order; each call of a matching operation is counted per rule."""

    def __init__(self) -> None:
        self._rules: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._rng = random.Random(7)  # the same run meets the same faults

    def change(self, rule: dict[str, Any] | None) -> None:
        with self._lock:
            if rule is None:
                self._rules.clear()
            else:
                self._rules.append({**rule, "calls": 0})

    def meet(self, operation: str, in_flight: int = 1, s3: bool = False) -> dict[str, Any]:
        """What this call meets, all matching rules together.

        Parameters
        ----------
        in_flight : int
            Requests of the operation under way, this one among them.
        s3 : bool
            S3 throttles in words of its own.
        """
        met: dict[str, Any] = {}
        with self._lock:
            for rule in self._rules:
                if rule["operation"] not in ("*", operation):
                    continue
                rule["calls"] += 1
                if rule.get("over_concurrency") is not None and in_flight <= rule["over_concurrency"]:
                    continue
                if self._applies(rule):
                    met.update({k: v for k, v in rule.items() if k not in ("operation", "calls")})
                    if rule.get("throttle") or (rule.get("over_concurrency") is not None and "error" not in rule):
                        met.update(_SLOW_DOWN if s3 else _THROTTLED)
        return met

    def _applies(self, rule: dict[str, Any]) -> bool:
        calls = rule["calls"]
        if "first" in rule and calls > rule["first"]:
            return False
        if "nth" in rule and calls != rule["nth"]:
            return False
        if "after" in rule and calls <= rule["after"]:
            return False
        share = rule.get("throttle") or rule.get("probability")
        return share is None or self._rng.random() < share
