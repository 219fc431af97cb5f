"""What a Spark worker should not do again for each task: read the directories of zip archives that have not changed.

Spark calls ``importlib.invalidate_caches()`` at the beginning of every task. Until Python 3.13 that reads the directory of each
zip on ``sys.path`` again, in pure Python; for ``pyspark.zip``, which is always there, a tenth of a second a task (Source:
CPython issue 103200). Worker processes are reused, so the next task is quicker once one has been here.
"""
from __future__ import annotations

import os
import sys
import zipimport
from typing import Any

__all__ = ["keep_unchanged"]


def keep_unchanged() -> None:
    """Have this process read a zip archive again only if it is another file than before. Cheap to call for each task."""
    for finder in list(sys.path_importer_cache.values()):
        if isinstance(finder, zipimport.zipimporter) and "invalidate_caches" not in vars(finder):
            finder.invalidate_caches = _WhereChanged(finder)  # type: ignore[method-assign]


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
