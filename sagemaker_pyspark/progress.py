"""A line that shows how far a Spark job is, in terminals and notebooks, and nowhere else.

Classic Spark is asked for its active stages now and then; Spark Connect tells its client (from 4.0 on)
what it does every 2 seconds, so that a job shorter than that has no line there (`spark.connect.progress.reportInterval`).
"""
from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["shown"]

_WIDTH = 30
#: Shorter jobs show nothing.
_QUIET_SECONDS = 2.0
_POLL_SECONDS = 0.5


@contextlib.contextmanager
def shown(spark: SparkSession, label: str, stream: TextIO | None = None, quiet_seconds: float = _QUIET_SECONDS) -> Iterator[None]:
    """Show the progress of what Spark does inside the block.

    Parameters
    ----------
    spark : SparkSession
    label : str
    stream : file, optional
        Written to whatever it is; default standard error, if a person reads it.
    quiet_seconds : float
        Nothing is shown before.
    """
    out = stream or (sys.stderr if _is_read_by_a_person() else None)
    if out is None:
        yield
        return
    line = _Line(out, label, quiet_seconds)
    watch = _connect if type(spark).__module__.startswith("pyspark.sql.connect") else _classic
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(Exception):  # a bar is never worth a failure
            stack.enter_context(watch(spark, line))
        try:
            yield
        finally:
            stack.close()
            line.end()


def _is_read_by_a_person() -> bool:
    if "ipykernel" in sys.modules:
        return True
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


class _Line:
    """One line, written over and over."""

    def __init__(self, out: TextIO, label: str, quiet_seconds: float):
        self._out, self._label, self._quiet = out, label, quiet_seconds
        self._started, self._width = time.monotonic(), 0

    def show(self, done: int, tasks: int, running: int) -> None:
        seconds = time.monotonic() - self._started
        if seconds < self._quiet or not tasks:
            return
        filled = _WIDTH * done // tasks
        text = (f"{self._label} [{'=' * filled}{' ' * (_WIDTH - filled)}] {done}/{tasks} tasks, {running} running, "
                f"{seconds:.0f} s")
        self._write("\r" + text.ljust(self._width))
        self._width = len(text)

    def end(self) -> None:
        if self._width:
            self._write("\r" + " " * self._width + "\r")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal has gone
            self._out.write(text)
            self._out.flush()


@contextlib.contextmanager
def _classic(spark: SparkSession, line: _Line) -> Iterator[None]:
    tracker = spark.sparkContext.statusTracker()
    before, ended = set(tracker.getActiveStageIds()), threading.Event()
    seen: dict[int, Any] = {}

    def look() -> None:
        while not ended.wait(_POLL_SECONDS):
            try:
                for stage in set(tracker.getActiveStageIds()) - before:
                    seen[stage] = tracker.getStageInfo(stage) or seen.get(stage)
                known = [tracker.getStageInfo(stage) or info for stage, info in seen.items() if info]
            except Exception:  # Spark is stopping
                return
            line.show(sum(i.numCompletedTasks for i in known), sum(i.numTasks for i in known),
                      sum(i.numActiveTasks for i in known))

    thread = threading.Thread(target=look, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(5)


@contextlib.contextmanager
def _connect(spark: Any, line: _Line) -> Iterator[None]:
    def handler(stages: Any, inflight_tasks: int, operation_id: Any, done: bool) -> None:
        known = list(stages or ())
        line.show(sum(s.num_completed_tasks for s in known), sum(s.num_tasks for s in known), inflight_tasks)

    spark.registerProgressHandler(handler)
    try:
        yield
    finally:
        spark.removeProgressHandler(handler)
