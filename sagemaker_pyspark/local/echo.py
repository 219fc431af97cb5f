"""What stands behind ``local.Echo``: each row is answered with its first value."""
from __future__ import annotations

import json
from typing import Any

__all__ = ["answer"]


def answer(body: bytes, content_type: str, accept: str) -> tuple[int, bytes, str]:
    """(status, body, content type), the same for an endpoint and for a transform job."""
    try:
        return 200, _rendered(_first_values(body, content_type), accept), accept or "text/csv"
    except (ValueError, KeyError, IndexError, TypeError) as problem:  # a container refuses what it cannot read
        return 400, f"unable to evaluate payload provided: {problem}".encode(), "text/plain"


def _first_values(body: bytes, content_type: str) -> list[float]:
    if content_type.startswith("application/x-recordio-protobuf"):
        from ..codecs.decode import decode_matrix

        features: Any = decode_matrix(body)[0]
        dense = features if not hasattr(features, "toarray") else features.toarray()
        return [float(v) for v in dense[:, 0]]
    if content_type.startswith("application/json"):
        lines = json.loads(body)["instances"] if b'"instances"' in body[:20] else [json.loads(x) for x in body.splitlines()]
        return [float(line["features"][0]) for line in lines]
    first = [line.split(b",")[0] for line in body.splitlines()]
    return [float(cell.split()[0] if b" " in cell else cell) for cell in first]


def _rendered(values: list[float], accept: str) -> bytes:
    """CSV lines, RecordIO under ``score``, or JSON."""
    if accept.startswith("application/x-recordio-protobuf"):
        import numpy as np

        from ..codecs.labels import encode_response

        return encode_response({"score": np.array(values)})
    if accept.startswith("application/jsonlines"):
        return "".join(f'{{"score": {v!r}}}\n' for v in values).encode()
    if accept.startswith("application/json"):
        return json.dumps({"predictions": [{"score": v} for v in values]}).encode()
    return "".join(f"{v!r}\n" for v in values).encode()
