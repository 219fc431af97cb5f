"""Waiting for AWS to finish something: one poller, with jitter, a deadline and a report of every change."""
from __future__ import annotations

import logging
import random
import sys
import time
from collections.abc import Callable
from typing import Any

from . import errors
from .session import Session

__all__ = ["LogTail", "Report", "until"]

log = logging.getLogger(__name__)

#: The service throttles Describe calls per account, so remote polls are seconds apart; the local one is not shared.
REMOTE_POLL_SECONDS = 10.0
LOCAL_POLL_SECONDS = 0.1
#: Polling survives this many failures in a row before it gives up; a wait of hours must not end with one lost packet.
TOLERATED_FAILURES = 5

Report = Callable[[str, float], None]


def until(session: Session, describe: Callable[[], dict[str, Any]], status_of: Callable[[dict[str, Any]], str],
          finished: Callable[[str], bool], *, poll_seconds: float | None = None, timeout_seconds: float | None = None,
          what: str = "the resource", on_poll: Callable[[dict[str, Any], float], None] | None = None) -> dict[str, Any]:
    """Describe something until its status is final.

    Parameters
    ----------
    describe : callable
        Returns the description.
    status_of, finished : callable
        Status of a description; whether a status is final.
    poll_seconds : float, optional
        Mean time between polls, jittered by a quarter. Default 10 s, 0.1 s on the local SageMaker.
    timeout_seconds : float, optional
        Give up after this long.
    on_poll : callable, optional
        Called with (description, elapsed seconds) after every poll.

    Returns
    -------
    dict
        The last description.

    Raises
    ------
    TimeoutError
        Still not final after ``timeout_seconds``.
    AwsError
        The description could not be had (throttling and lost connections are tolerated a few times in a row).
    """
    pause = poll_seconds or (LOCAL_POLL_SECONDS if session.local else REMOTE_POLL_SECONDS)
    started, failures = time.monotonic(), 0
    while True:
        elapsed = time.monotonic() - started
        try:
            description = describe()
            failures = 0
        except (errors.Throttled, errors.Unreachable):
            failures += 1
            if failures > TOLERATED_FAILURES:
                raise
            time.sleep(min(pause * 2 ** failures, 60) * random.uniform(0.75, 1.25))
            continue
        if on_poll is not None:
            on_poll(description, elapsed)
        if finished(status_of(description)):
            return description
        if timeout_seconds is not None and elapsed > timeout_seconds:
            raise TimeoutError(f"{what} is still {status_of(description)} after {elapsed:.0f} s")
        time.sleep(pause * random.uniform(0.75, 1.25))


class LogTail:
    """New lines of a job's CloudWatch log, read as they come.

    Missing permissions or a log group that does not exist yet are not errors here: a log is a comfort and the job is
    the point.

    Parameters
    ----------
    group : str
        For example ``/aws/sagemaker/TrainingJobs``.
    prefix : str
        Start of the stream name; streams are called ``<job>/algo-<n>-<epoch>``.
    keep : int
        How many of the last lines to keep for an error message.
    """

    def __init__(self, session: Session, group: str, prefix: str, keep: int = 20):
        self._session, self._group, self._prefix, self._keep = session, group, prefix, keep
        self._tokens: dict[str, str] = {}
        self._silent = False
        self.lines: list[str] = []

    def read(self) -> list[str]:
        """The lines that are new since the last call."""
        if self._silent:
            return []
        fresh: list[str] = []
        try:
            streams = self._session.call("logs", "describe_log_streams", logGroupName=self._group,
                                         logStreamNamePrefix=self._prefix + "/")["logStreams"]
            for stream in streams:
                fresh += self._read_stream(stream["logStreamName"])
        except (errors.NotFound, errors.Throttled, errors.Unreachable):
            pass
        except errors.AwsError as problem:
            self._silent = True
            log.debug("no log tail for %s: %s", self._prefix, problem)
        self.lines = (self.lines + fresh)[-self._keep:]
        return fresh

    def _read_stream(self, stream: str) -> list[str]:
        request: dict[str, Any] = {"logGroupName": self._group, "logStreamName": stream, "startFromHead": True}
        if stream in self._tokens:
            request["nextToken"] = self._tokens[stream]
        answer = self._session.call("logs", "get_log_events", **request)
        self._tokens[stream] = answer["nextForwardToken"]
        return [event["message"].rstrip("\n") for event in answer["events"]]


class Reporter:
    """Says once per change what a job is doing: ``INFO`` log lines, and the terminal or notebook if there is one."""

    def __init__(self, name: str, tail: LogTail | None = None):
        self._name, self._tail, self._last = name, tail, ""

    def __call__(self, status: str, elapsed: float) -> None:
        if status != self._last:
            self._last = status
            self._say(f"{self._name}: {status} after {elapsed:.1f} s")
        for line in self._tail.read() if self._tail is not None else ():
            self._say(f"{self._name} | {line}")

    @staticmethod
    def _say(line: str) -> None:
        log.info("%s", line)
        if not log.isEnabledFor(logging.INFO) and _interactive():
            print(line, file=sys.stderr, flush=True)


def _interactive() -> bool:
    return hasattr(sys, "ps1") or "ipykernel" in sys.modules
