"""Predictions in the Spark workers themselves: the model artifact is fetched once per executor and scored there.

No endpoint, no request, no bill but S3's. For algorithms whose artifact can be read; see ``scoring``.
"""
from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from . import errors
from .invocation.engine import Answer
from .session import Session

__all__ = ["LocalTarget", "as_libsvm"]

_scorers: dict[str, Any] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class LocalTarget:
    """Stands where an endpoint would: takes an encoded body, gives the bytes the container would have answered."""

    session: Session
    artifact: str
    algorithm: str
    accept: str
    zeros_missing: bool = False

    def sender(self) -> Callable[[Any, int], Answer]:
        from .codecs.decode import decode_matrix

        scorer = self._scorer()

        def send(body: Any, rows: int) -> Answer:
            features, _ = decode_matrix(body)
            if self.zeros_missing:
                features = as_libsvm(features)
            return Answer(render(scorer.predict(features), self.accept), self.accept, None)

        return send

    def check(self) -> None:
        """On the driver, before Spark starts: the artifact is there and can be read.

        Raises
        ------
        UnexpectedResponse
            The artifact is of a form that cannot be scored here.
        """
        self._scorer()

    def _scorer(self) -> Any:
        from . import scoring

        with _lock:
            if self.artifact not in _scorers:
                _scorers[self.artifact] = scoring.load(self._unpacked(), self.algorithm)
            return _scorers[self.artifact]

    def _unpacked(self) -> str:
        """A folder with the artifact's files, shared by the workers of this executor.

        Workers of one executor are forked by one daemon, so the parent's process id names the executor; a rename is
        atomic, so a half-unpacked artifact is never seen.
        """
        tag = hashlib.sha256(f"{self.artifact}|{os.getppid()}|{os.getuid()}".encode()).hexdigest()[:32]
        final = os.path.join(tempfile.gettempdir(), f"sagemaker-pyspark-model-{tag}")
        if os.path.isdir(final):
            return final
        place = urlsplit(self.artifact)
        work = tempfile.mkdtemp(prefix="sagemaker-pyspark-model-")
        packed = os.path.join(work, ".model.tar.gz")
        found = self.session.call("s3", "get_object", Bucket=place.netloc, Key=place.path.lstrip("/"))
        with open(packed, "wb") as out:
            for chunk in found["Body"].iter_chunks(1 << 20):
                out.write(chunk)
        _unpack(packed, work, self.artifact)
        os.remove(packed)
        try:
            os.rename(work, final)
        except OSError:  # another worker was first; its copy is as good
            import shutil

            shutil.rmtree(work, ignore_errors=True)
        import atexit
        import shutil

        atexit.register(shutil.rmtree, final, True)
        return final


def _unpack(packed: str, folder: str, artifact: str) -> None:
    """Plain files only: a link or a path that leaves the folder is refused."""
    with tarfile.open(packed) as archive:
        for member in archive.getmembers():
            target = os.path.realpath(os.path.join(folder, member.name))
            if not (member.isfile() or member.isdir()) or not (target + os.sep).startswith(os.path.realpath(folder) + os.sep):
                raise errors.UnexpectedResponse(
                    f"{artifact} must hold plain files, it has {member.name!r}, which is a link or leaves the folder")
            archive.extract(member, folder)


def as_libsvm(features: Any) -> np.ndarray:
    """Features as a model sees them that was trained and served on LibSVM lines: zeros are missing values.

    All but the first and the last of a row, which the serializer always writes (see ``LibSVMRequestRowSerializer``).
    """
    dense = np.array(features if isinstance(features, np.ndarray) else features.toarray(), np.float32)
    dense[:, 1:-1][dense[:, 1:-1] == 0] = np.nan
    return dense


def render(answer: dict[str, np.ndarray], accept: str) -> bytes:
    """Predictions as a container would send them: RecordIO-protobuf, CSV or JSON Lines."""
    kind = accept.split(";")[0]
    if kind == "application/x-recordio-protobuf":
        from .codecs.labels import encode_response

        return encode_response(answer)
    rows = [np.asarray(column) for column in answer.values()]
    if kind == "text/csv":
        table = np.column_stack([c.reshape(len(c), -1) for c in rows])
        return "\n".join(",".join(repr(float(v)) for v in row) for row in table).encode() + b"\n"
    if kind in ("application/jsonlines", "application/json"):
        import json

        lines = [dict(zip(answer, values)) for values in zip(*(c.tolist() for c in rows))]
        if kind == "application/json":
            return json.dumps({"predictions": lines}).encode()
        return b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    raise errors.InvalidParameter(f"mode='local' can answer RecordIO, CSV and JSON, not {accept!r}")
