"""The rows of proto/vectors and the bytes that 1.4.5 wrote for them, as tests need them."""
import json
import struct
from pathlib import Path

import pyarrow as pa

VECTORS = Path(__file__).parents[1] / "proto" / "vectors"
CASES = sorted(p.stem for p in VECTORS.glob("*.json"))
REFUSED = sorted((VECTORS / "refused").glob("*.bin"))
VECTOR = pa.struct([("type", pa.int8()), ("size", pa.int32()), ("indices", pa.list_(pa.int32())),
                    ("values", pa.list_(pa.float64()))])
MATRIX = pa.struct([("type", pa.int8()), ("numRows", pa.int32()), ("numCols", pa.int32()), ("colPtrs", pa.list_(pa.int32())),
                    ("rowIndices", pa.list_(pa.int32())), ("values", pa.list_(pa.float64())), ("isTransposed", pa.bool_())])


def number(text):
    return struct.unpack(">d", bytes.fromhex(text))[0]


def storage(features):
    if "dense" in features:
        return {"type": 1, "values": [number(v) for v in features["dense"]]}
    if "sparse" in features:
        s = features["sparse"]
        return {"type": 0, "size": s["size"], "indices": s["indices"], "values": [number(v) for v in s["values"]]}
    if "dense_matrix" in features:
        m = features["dense_matrix"]
        return {"type": 1, "numRows": m["rows"], "numCols": m["cols"], "isTransposed": False,
                "values": [number(v) for v in m["column_major_values"]]}
    m = features["sparse_matrix"]
    return {"type": 0, "numRows": m["rows"], "numCols": m["cols"], "colPtrs": m["colPtrs"], "isTransposed": False,
            "rowIndices": m["rowIndices"], "values": [number(v) for v in m["values"]]}


def load(case):
    described = json.loads((VECTORS / f"{case}.json").read_text())
    rows = [(None if r["label"] is None else number(r["label"]), r["features"]) for r in described["rows"]]
    kind = MATRIX if any("matrix" in key for _, f in rows for key in f) else VECTOR
    labels = None if rows[0][0] is None else pa.array([label for label, _ in rows], pa.float64())
    return pa.array([storage(f) for _, f in rows], kind), labels, rows, (VECTORS / f"{case}.bin").read_bytes()
