"""What makes a Spark task's Python worker slow to start, taken out of the way. Workers are reused, so the next task gains too.

* Spark calls ``importlib.invalidate_caches()`` at the beginning of every task. Until Python 3.13 that reads the directory of
  each zip on ``sys.path`` again, in pure Python; for ``pyspark.zip``, which is always there, a tenth of a second a task
  (Source: CPython issue 103200).
* The JVM writes to the worker's socket in small pieces and waits for each to be acknowledged, which Linux delays by up to
  40 ms when nothing is sent back (Nagle's algorithm and delayed acknowledgements, RFC 1122 4.2.3.2 and 4.2.3.4).
* After every task the worker collects garbage, before it can be given another: with the modules of pandas, Arrow and boto3
  loaded that looks at half a million objects, of which none ever goes.
"""
from __future__ import annotations

import contextlib
import gc
import os
import socket
import stat
import sys
import zipimport
from typing import Any

__all__ = ["partition", "prepare"]

_tasks = 0  # of this process


def prepare() -> None:
    """Call at the beginning of a task, in the worker; costs less than a millisecond."""
    _keep_unchanged_archives()
    _pass_over_what_stays()
    with contextlib.suppress(OSError):  # where there is no /proc
        _acknowledge_at_once()


def partition() -> int:
    """The number of this task's partition; 0 outside of a task."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return context.partitionId() if context is not None else 0


def _pass_over_what_stays() -> None:
    """Have collections pass over what is alive at the beginning of the 1st, 2nd, 4th... task: modules, as good as all of it.
    What tasks make in between stays collectable, so nothing can pile up."""
    global _tasks
    _tasks += 1
    if _tasks & (_tasks - 1) == 0:
        gc.freeze()


def _keep_unchanged_archives() -> None:
    """Have this process read a zip archive again only if it is another file than before."""
    for finder in list(sys.path_importer_cache.values()):
        if isinstance(finder, zipimport.zipimporter) and "invalidate_caches" not in vars(finder):
            finder.invalidate_caches = _WhereChanged(finder)  # type: ignore[method-assign]


def _acknowledge_at_once() -> None:
    """For the TCP connections of this process, which are those to its JVM and its clients'; Linux forgets it after a while."""
    option = getattr(socket, "TCP_QUICKACK", None)
    if option is None:
        return
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError, ValueError):
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(name))) as connection:
                if connection.family in (socket.AF_INET, socket.AF_INET6) and connection.type == socket.SOCK_STREAM:
                    connection.setsockopt(socket.IPPROTO_TCP, option, 1)


class _WhereChanged:
    def __init__(self, finder: Any):
        self._finder, self._seen = finder, _identity(finder.archive)

    def __call__(self) -> None:
        now = _identity(self._finder.archive)
        if now is None or now != self._seen:
            self._seen = now
            type(self._finder).invalidate_caches(self._finder)


def _identity(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
