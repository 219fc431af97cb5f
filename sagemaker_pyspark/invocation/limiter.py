"""How many requests may be in flight: within a task, adapting to the endpoint, and over all workers of an executor."""
from __future__ import annotations

import contextlib
import fcntl
import os
import random
import threading
import time
from collections.abc import Iterator

__all__ = ["Adaptive", "TokenPool"]


class Adaptive:
    """A limit that finds what the endpoint bears.

    It begins at one and doubles per round trip until the first throttle, then adds one per round trip; a throttle takes
    off three tenths, at most once per round trip. Without ``adaptive`` it stays at the ceiling.
    """

    def __init__(self, ceiling: int, adaptive: bool = True):
        self._ceiling, self._adaptive = ceiling, adaptive
        self.limit = 1.0 if adaptive else float(ceiling)
        self.peak = self._in_flight = 0
        self._throttled = False
        self._quiet_until = 0.0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def slot(self, stop: threading.Event) -> Iterator[None]:
        """Hold one place in flight."""
        with self._changed:
            while self._in_flight >= int(self.limit) and not stop.is_set():
                self._changed.wait(1.0)
            self._in_flight += 1
            self.peak = max(self.peak, self._in_flight)
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify()

    def succeeded(self) -> None:
        if not self._adaptive:
            return
        with self._changed:
            self.limit = min(self._ceiling, self.limit + (1.0 / self.limit if self._throttled else 1.0))
            self._changed.notify_all()

    def throttled(self, round_trip_seconds: float) -> None:
        if not self._adaptive:
            return
        now = time.monotonic()
        with self._changed:
            self._throttled = True
            if now >= self._quiet_until:
                self.limit = max(1.0, self.limit * 0.7)
                self._quiet_until = now + round_trip_seconds


class TokenPool:
    """``size`` tokens shared by processes of one machine, as locks on files.

    The operating system releases a lock when its process dies, so a killed worker never keeps a token. Each holder keeps
    its token while it has work, so that handing over costs nothing.

    Parameters
    ----------
    directory : str
        Made if missing.
    size : int
    """

    def __init__(self, directory: str, size: int):
        self._directory, self._size = directory, size

    @contextlib.contextmanager
    def token(self, stop: threading.Event) -> Iterator[None]:
        """Hold one token; waits for it, unless ``stop`` is set."""
        held = self._acquire(stop)
        try:
            yield
        finally:
            if held is not None:
                os.close(held)

    def _acquire(self, stop: threading.Event) -> int | None:
        while not stop.is_set():
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            start = random.randrange(self._size)
            for at in range(self._size):
                path = os.path.join(self._directory, f"{(start + at) % self._size}.lock")
                try:
                    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                except FileNotFoundError:  # the directory was removed under us
                    break
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return held
                except OSError:
                    os.close(held)
            stop.wait(random.uniform(0.001, 0.01))
        return None
