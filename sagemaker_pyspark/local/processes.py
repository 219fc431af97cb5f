"""Containers as processes: SageMaker's container contract in a folder instead of /opt/ml."""
from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

__all__ = ["Container", "Images", "free_port", "pack", "python_path", "unpack"]

#: Repository of an image to the algorithm that stands in for it.
BUILT_IN = {"kmeans": "kmeans", "pca": "pca", "linear-learner": "linear-learner", "lda": "lda",
            "factorization-machines": "factorization-machines", "sagemaker-xgboost": "xgboost", "xgboost": "xgboost"}
_PR_SET_PDEATHSIG = 1
#: Linux sends the death signal when the thread that started a process ends, so one that lives as long as we do starts all.
_spawner = ThreadPoolExecutor(1, thread_name_prefix="spawner")


class Images:
    """Which command, echo or algorithm an image stands for."""

    def __init__(self, mapped: dict[str, Any]):
        self._mapped = mapped

    def algorithm(self, image: str) -> str | None:
        return None if image in self._mapped else BUILT_IN.get(image.rsplit("/", 1)[-1].split(":")[0].split("@")[0])

    def echo(self, image: str) -> dict[str, Any] | None:
        found = self._mapped.get(image)
        return found if isinstance(found, dict) else None

    def command(self, image: str, verb: str) -> list[str] | None:
        """The command that trains or serves; None for an image nobody mapped."""
        found = self._mapped.get(image)
        if isinstance(found, list):
            return [*found, verb]
        algorithm = self.algorithm(image)
        return [sys.executable, "-m", "sagemaker_pyspark.local.containers", algorithm, verb] if algorithm else None


class Container:
    """One container: a folder, a process, its log lines.

    Parameters
    ----------
    folder : Path
        Stands for /opt/ml.
    on_line : callable
        Gets each line of its output.
    """

    def __init__(self, folder: Path, command: list[str], environment: dict[str, str], on_line: Callable[[str], None]):
        self.folder, self._command, self._on_line = folder, command, on_line
        for name in ("input/config", "input/data", "model", "output/data", "checkpoints"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        # Nothing of the caller's credentials, and nothing of its network beyond loopback, is a container's business.
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        self._environment.update({
            "SAGEMAKER_BASE_DIR": str(folder), "SM_MODEL_DIR": str(folder / "model"), "PYTHONUNBUFFERED": "1",
            "SM_OUTPUT_DATA_DIR": str(folder / "output/data"), "OMP_NUM_THREADS": "2", **environment})
        path = python_path(self._environment.get("PYTHONPATH"), "PYTHONPATH" not in environment)
        if path:
            self._environment["PYTHONPATH"] = path
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = _spawner.submit(
            subprocess.Popen, self._command, env=self._environment, cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=_die_with_parent).result()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._on_line(line.decode("utf-8", "replace").rstrip("\n"))

    def wait(self, seconds: float) -> int | None:
        """Exit code, None if it still runs."""
        assert self._process is not None
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self._reader.join(5)
        return code

    def stop(self, grace_seconds: float = 2.0) -> None:
        """SIGTERM, and SIGKILL for what is left of its process group."""
        if self._process is None:
            return
        for which, patience in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 5.0)):
            try:
                os.killpg(self._process.pid, which)
            except ProcessLookupError:
                pass
            if self.wait(patience) is not None:
                break
        try:
            os.killpg(self._process.pid, signal.SIGKILL)  # children that outlived it
        except ProcessLookupError:
            pass

    def write_config(self, name: str, data: Any) -> None:
        (self.folder / "input/config" / name).write_text(json.dumps(data))

    def failure(self) -> str | None:
        """What the container wrote as its reason."""
        path = self.folder / "output/failure"
        return path.read_text(errors="replace")[:1024] if path.exists() else None

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _die_with_parent() -> None:
    """Ask Linux to end this process with the server, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def python_path(given: str | None, relative_to_us: bool = True) -> str:
    """PYTHONPATH for a process that runs in another folder and must find this very package.

    A package in the interpreter's own site-packages is found anyway, and naming that folder would put it before the
    standard library of whatever Python a container brings.
    """
    entries = given.split(os.pathsep) if given else []
    if relative_to_us:
        entries = [os.path.abspath(entry) for entry in entries]
    ours = str(Path(__file__).resolve().parents[2])
    if ours not in entries and Path(ours).name not in ("site-packages", "dist-packages"):
        entries.append(ours)
    return os.pathsep.join(entries)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pack(folder: Path, target: Path) -> None:
    """model.tar.gz of a folder."""
    with tarfile.open(target, "w:gz", compresslevel=1) as archive:
        for entry in sorted(folder.iterdir()):
            archive.add(entry, entry.name)


def unpack(packed: Path, folder: Path) -> None:
    """The files of a model.tar.gz; links and paths that leave the folder are refused."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(packed) as archive:
        for member in archive.getmembers():
            target = (folder / member.name).resolve()
            if not (member.isfile() or member.isdir()) or not target.is_relative_to(folder.resolve()):
                raise ValueError(f"model.tar.gz must hold plain files, it has {member.name!r}")
            archive.extract(member, folder)


def wait_for(condition: Callable[[], bool], seconds: float, pause: float = 0.05) -> bool:
    """Whether a condition came true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(pause)
    return condition()
