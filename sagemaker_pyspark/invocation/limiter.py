"""How many requests may be in flight: within a task, adapting to the endpoint, and over all workers of an executor."""
from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import random
import shutil
import threading
import time
from collections.abc import Iterator

__all__ = ["Adaptive", "TokenPool"]


class Adaptive:
    """A limit that finds what the endpoint bears.

    It begins at two and doubles per round trip until the first throttle, then adds one per round trip; a throttle takes
    off a fifth, at most once per round trip. Without ``adaptive`` it stays at the ceiling.
    """

    def __init__(self, ceiling: int, adaptive: bool = True):
        self._ceiling, self._adaptive = ceiling, adaptive
        self.limit = float(min(2, ceiling)) if adaptive else float(ceiling)
        self.peak = self._in_flight = 0
        self._throttled = False
        self._quiet_until = 0.0
        self._round_trip = 0.0
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

    def took(self, seconds: float) -> None:
        """Tell how long an answer took."""
        self._round_trip += 0.2 * (seconds - self._round_trip) if self._round_trip else seconds

    def succeeded(self) -> None:
        if not self._adaptive:
            return
        with self._changed:
            before = int(self.limit)
            self.limit = min(self._ceiling, self.limit + (1.0 / self.limit if self._throttled else 1.0))
            self._changed.notify(int(self.limit) - before)

    def throttled(self, seconds: float = 0.0) -> None:
        """Tell that a request was throttled. A refusal comes faster than an answer, so the round trip is the answers'."""
        if not self._adaptive:
            return
        now = time.monotonic()
        with self._changed:
            self._throttled = True
            if now >= self._quiet_until:
                self.limit = max(1.0, self.limit * 0.8)
                self._quiet_until = now + max(seconds, self._round_trip)


class TokenPool:
    """``size`` tokens shared by processes of one machine, as locks on files.

    The operating system releases a lock when its process dies, so a killed worker never keeps a token. Within a process
    a token goes from thread to thread without the operating system; now and then it is let go, for the others' sake.

    Parameters
    ----------
    directory : str
        Made if missing.
    size : int
    """

    #: How long a process passes a token on among its threads before the others get a chance at it.
    KEEP_SECONDS = 1.0
    #: How often a process with tokens looks for more. One without looks five times as often: it stands still.
    LOOK_SECONDS = 0.005

    def __init__(self, directory: str, size: int):
        self._directory, self._size = directory, size
        self._changed = threading.Condition()
        self._files: list[int] = []  # one for each token, opened at first use
        self._taken: dict[int, float] = {}  # token: when its lock was taken
        self._idle: list[int] = []  # locked, passed on to the next thread
        self._waiting = 0
        self._looking = False  # one thread looks for what other processes let go, the others wait for it

    @contextlib.contextmanager
    def token(self, stop: threading.Event) -> Iterator[None]:
        """Hold one token; waits for it, unless ``stop`` is set."""
        held = self._acquire(stop)
        try:
            yield
        finally:
            if held is not None:
                self._release(held)

    def close(self) -> None:
        """Let go of every lock."""
        with self._changed:
            for file in self._files:
                os.close(file)
            self._files.clear()
            self._taken.clear()
            self._idle.clear()

    def _acquire(self, stop: threading.Event) -> int | None:
        with self._changed:
            self._waiting += 1
            try:
                while not stop.is_set():
                    if self._idle:
                        return self._idle.pop()
                    if self._looking:
                        self._changed.wait(0.1)
                        continue
                    locked = self._lock()
                    if locked is not None:
                        return locked
                    self._looking = True
                    pause = self.LOOK_SECONDS if self._taken else self.LOOK_SECONDS / 5
                    try:  # another process's release is seen by looking; one of ours wakes this up
                        self._changed.wait(random.uniform(0.5, 1.5) * pause)
                    finally:
                        self._looking = False
                return None
            finally:
                self._waiting -= 1
                self._changed.notify()  # whoever waits looks next

    def _release(self, token: int) -> None:
        with self._changed:
            if token not in self._taken:  # closed meanwhile
                return
            if self._waiting and time.monotonic() - self._taken[token] < self.KEEP_SECONDS:
                self._idle.append(token)
                self._changed.notify()
            else:  # nobody here is told, so that this process is not always the first to see it
                del self._taken[token]
                fcntl.flock(self._files[token], fcntl.LOCK_UN)

    def _lock(self) -> int | None:
        """A token that nobody has, now ours."""
        if not self._files:
            _directory(self._directory)
            for token in range(self._size):
                self._files.append(os.open(os.path.join(self._directory, f"{token}.lock"),
                                           os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        start = random.randrange(self._size)
        for at in range(self._size):
            token = (start + at) % self._size
            if token in self._taken:
                continue
            try:
                fcntl.flock(self._files[token], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            self._taken[token] = time.monotonic()
            return token
        return None


_made: set[str] = set()


def _directory(path: str) -> None:
    """The folder of lock files, removed when this process ends: others make it again if they still need it, and the bound is
    then theirs alone for a moment."""
    if path not in _made:
        _made.add(path)
        atexit.register(shutil.rmtree, path, True)
    os.makedirs(path, mode=0o700, exist_ok=True)
