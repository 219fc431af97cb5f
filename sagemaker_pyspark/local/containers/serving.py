"""The model server of the local containers: /ping, /invocations, /execution-parameters."""
from __future__ import annotations

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from ... import scoring
from ...codecs.decode import decode_matrix
from ...codecs.labels import encode_response
from ...errors import SageMakerError
from .contract import base_folder
from .data import BadData, read_libsvm

__all__ = ["serve"]

_RECORDIO = "application/x-recordio-protobuf"
#: What each algorithm reads and, first, what it answers by default (Source: developer guide, common data formats).
_READS = {"xgboost": ("text/libsvm", "text/x-libsvm", "text/csv", _RECORDIO),
          "factorization-machines": ("application/json", "application/jsonlines", _RECORDIO),
          "lda": ("text/csv", "application/json", _RECORDIO)}
_ANY = ("text/csv", "application/json", "application/jsonlines", _RECORDIO)
_ENVELOPE = {"pca": "projections"}


class _Refused(Exception):
    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def serve(algorithm: str) -> int:
    """Load the model and serve it until SIGTERM."""
    scorer = scoring.load(base_folder() / "model", algorithm)
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
    handler = type("Handler", (_Handler,), {"scorer": scorer, "algorithm": algorithm})
    server = _Server(("127.0.0.1", port), handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"[{algorithm}] serving on port {port}", flush=True)
    server.serve_forever(0.1)
    return 0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    scorer: scoring.Scorer
    algorithm: str

    def do_GET(self) -> None:
        if self.path == "/ping":
            self._send(200, b"", "text/plain")
        elif self.path == "/execution-parameters":
            facts = {"MaxConcurrentTransforms": os.cpu_count(), "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}
            self._send(200, json.dumps(facts).encode(), "application/json")
        else:
            self._send(404, b"not found", "text/plain")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if self.path != "/invocations":
                raise _Refused(404, "not found")
            answer, kind = self._invoke(body)
            self._send(200, answer, kind)
        except _Refused as problem:
            self._send(problem.status, str(problem).encode(), "text/plain")
        except (SageMakerError, BadData, ValueError, KeyError, TypeError, IndexError) as problem:
            self._send(400, f"unable to evaluate payload provided: {problem}".encode(), "text/plain")
        except Exception as problem:
            self._send(500, f"{type(problem).__name__}: {problem}".encode(), "text/plain")

    def _invoke(self, body: bytes) -> tuple[bytes, str]:
        reads = _READS.get(self.algorithm, _ANY)
        kind = (self.headers.get("Content-Type") or reads[0]).split(";")[0].strip()
        if kind not in reads:
            raise _Refused(415, f"Content-type {kind} not supported. Supported: {', '.join(reads)}")
        accept = (self.headers.get("Accept") or "").split(";")[0].strip()
        if accept in ("", "*/*"):
            accept = "text/csv" if self.algorithm == "xgboost" else "application/json"
        if accept not in _ANY:
            raise _Refused(406, f"Accept type {accept} not supported. Supported: {', '.join(_ANY)}")
        if not body:
            if self.algorithm == "xgboost":
                raise _Refused(204, "")
            raise _Refused(400, "the request has no body")
        try:
            features = _features(body, kind, self.scorer.dim)
        except (SageMakerError, BadData, ValueError, KeyError, TypeError, IndexError, OverflowError) as problem:
            # Source: sagemaker-xgboost-container, serve.py: what cannot be decoded is an unsupported media type there.
            raise _Refused(415 if self.algorithm == "xgboost" else 400, f"unable to decode payload: {problem}") from None
        if self.algorithm != "xgboost" and not np.isfinite(getattr(features, "values", features)).all():
            raise _Refused(400, "unable to evaluate payload provided: features must be finite numbers")
        answer = self.scorer.predict(features)
        return _rendered(answer, accept, self.algorithm), accept

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        if arguments and str(arguments[-2] if len(arguments) > 1 else "").startswith(("4", "5")):
            print(format % arguments, file=sys.stderr, flush=True)


def _features(body: bytes, kind: str, dim: int | None) -> Any:
    if kind == _RECORDIO:
        return decode_matrix(body)[0]
    if kind in ("text/libsvm", "text/x-libsvm"):
        return read_libsvm(body, dim).features
    if kind == "text/csv":
        rows = [[float(cell or "nan") for cell in line.split(",")] for line in body.decode().strip().split("\n")]
    else:
        instances = (json.loads(body)["instances"] if kind == "application/json"
                     else [json.loads(line) for line in body.splitlines() if line.strip()])
        rows = [_instance(one) for one in instances]
    if len({len(row) for row in rows}) > 1:
        raise _Refused(400, "rows have different numbers of features")
    return np.array(rows, np.float64)


def _instance(one: dict[str, Any]) -> list[float]:
    features = one["data"]["features"] if "data" in one else one["features"]
    if not isinstance(features, dict):
        return list(features)
    if "keys" not in features:
        return list(features["values"])
    row = [0.0] * int(features["shape"][0])
    for at, value in zip(features["keys"], features["values"]):
        row[at] = value
    return row


def _rendered(answer: dict[str, np.ndarray], accept: str, algorithm: str) -> bytes:
    if accept == _RECORDIO:
        return encode_response(answer)
    if accept == "text/csv":
        table = np.column_stack([np.asarray(c, np.float64).reshape(len(c), -1) for c in answer.values()])
        return ("\n".join(",".join(map(repr, row)) for row in table.tolist()) + "\n").encode()
    rows = [dict(zip(answer, values)) for values in zip(*(c.tolist() for c in answer.values()))]
    if accept == "application/jsonlines":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    return json.dumps({_ENVELOPE.get(algorithm, "predictions"): rows}).encode()


