"""Temporary folders that say whose they are, so that what a killed process left can be told from what is in use."""
from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["PREFIX", "claim", "remove", "sweep"]

PREFIX = "sagemaker-local-"
_OWNER = "owner.json"


def claim(folder: str) -> None:
    """Record this process as the folder's owner. Its start time tells it from a later process of the same number."""
    pid = os.getpid()
    Path(folder, _OWNER).write_text(json.dumps({"pid": pid, "started": _started(pid), "machine": _machine()}))


def remove(folder: str) -> None:
    """Remove a folder that was claimed; one that the user chose stays."""
    if Path(folder, _OWNER).exists():
        shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """Remove folders of ours whose owner was killed. In doubt a folder stays."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if _is_stale(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_stale(folder: Path) -> bool:
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return False
        owner: dict[str, Any] = json.loads((folder / _OWNER).read_text())
        return owner["machine"] == _machine() and not _lives(int(owner["pid"]), owner["started"])
    except (OSError, ValueError, KeyError, TypeError):  # nobody's mark, or one that is being written
        return False


def _machine() -> list[str]:
    """Where a process number means something: a temporary folder may be shared between hosts and containers."""
    known = [socket.gethostname()]
    try:
        known += [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.readlink("/proc/self/ns/pid")]
    except OSError:
        pass
    return known


def _lives(pid: int, started: str | None) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return started is None or _started(pid) == started


def _started(pid: int) -> str | None:
    """Start time in the kernel's ticks; None where the kernel does not say, or for one that has ended and is unreaped."""
    try:
        # The name, in parentheses, may hold anything; state is the first field after it, the start the twentieth.
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return None if fields[0] in "ZX" else fields[19]
