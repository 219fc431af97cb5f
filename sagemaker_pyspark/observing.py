"""What the workers counted, brought to the driver beside the rows themselves: Spark's own ``observe``, classic and Connect.

The last row of each task carries the task's report in a hidden column; Spark collects it while the rows pass.
"""
from __future__ import annotations

import logging
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .invocation.metrics import TransformMetrics, summary

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

__all__ = ["Observed", "observe"]

log = logging.getLogger(__name__)


class Observed:
    """The reports of one ``transform``, there once an action has run it to its end."""

    def __init__(self, observation: Any):
        self._observation = observation
        self._thread: threading.Thread | None = None
        self._found: TransformMetrics | None = None

    def watch(self, df: DataFrame) -> None:
        """Log one line at INFO when the first action on ``df`` has ended."""
        held = weakref.ref(df)
        self._start(lambda: held() is not None)  # the action of a DataFrame that nobody holds will not come

    def metrics(self, wait_seconds: float = 2.0) -> TransformMetrics | None:
        """The figures, None if no action has ended yet; Spark delivers them moments after the rows."""
        if self._found is None:
            deadline = time.monotonic() + wait_seconds
            self._start(lambda: time.monotonic() < deadline).join(wait_seconds)
        return self._found

    def _start(self, worthwhile: Callable[[], bool]) -> threading.Thread:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._wait, args=(worthwhile,), name="transform-metrics", daemon=True)
            self._thread.start()
        return self._thread

    def _wait(self, worthwhile: Callable[[], bool]) -> None:
        """Classic Spark waits for the action inside ``get``; Connect answers at once, with nothing before it."""
        try:
            found = self._observation.get
            while not found and worthwhile():
                time.sleep(0.1)
                found = self._observation.get
        except Exception as problem:  # Spark has stopped, or the action failed
            log.debug("no metrics: %s", problem)
            return
        if found:
            self._found = summary(filter(None, (found["reports"] or "").split("\n")))
            log.info("transform: %s", self._found)


def observe(df: DataFrame, report: Column) -> tuple[DataFrame, Observed]:
    """Collect a column of reports, mostly null, while the rows of ``df`` pass."""
    import pyspark.sql.functions as F

    kind: Any
    name = f"sagemaker-transform-{uuid.uuid4().hex}"
    if type(df).__module__.startswith("pyspark.sql.connect"):
        from pyspark.sql.connect.observation import Observation as kind

        observation = kind(name)
        observation._name = _Name(name)
    else:
        from pyspark.sql import Observation as kind

        observation = kind(name)
    # One string, since Spark 3.5 hands nothing richer to Python.
    seen = df.observe(observation, F.concat_ws("\n", F.collect_list(report)).alias("reports"))
    return seen, Observed(observation)


class _Name(str):
    """A name that does not clash with itself. Spark Connect before 4.3 joins the observations of both sides of a join with
    ``dict(**left, **right)``, which refuses a DataFrame that is joined with itself; each ``str`` of this is a key of its own."""

    __hash__ = str.__hash__

    def __str__(self) -> str:
        return _Name(str.__str__(self))

    def __eq__(self, other: object) -> bool:
        return self is other if isinstance(other, _Name) else str.__eq__(self, other)
