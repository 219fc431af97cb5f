"""What the service lays before a container, and bytes of the formats it is laid in."""
import json
import os
import sys

import numpy as np

from sagemaker_pyspark.codecs import record

PROGRAM = [sys.executable, "-m", "sagemaker_pyspark.local.containers"]
RECORDIO = "application/x-recordio-protobuf"
CSV = "text/csv;label_size=0"


def environment(folder, **more):
    return {**os.environ, "SAGEMAKER_BASE_DIR": str(folder), "OMP_NUM_THREADS": "1", **more}


def recordio(features, labels=None):
    return bytes(record.encode_dense(np.asarray(features), labels)[0])


def sparse(features, labels=None):
    """Sparse records, zeros left out."""
    framed = []
    for at, row in enumerate(features):
        keys = np.flatnonzero(row)
        framed.append(record.encode_tensor(row[keys], keys.tolist(), [len(row)], None if labels is None else labels[at]))
    return b"".join(framed)


def csv(table):
    return "\n".join(",".join(map(repr, row)) for row in np.asarray(table, float).tolist()).encode()


def lay_out(folder, hyper, channels, kind):
    """Write what the service puts in front of a container; channels is {name: bytes or {file: bytes}}."""
    config = folder / "input/config"
    config.mkdir(parents=True)
    (folder / "model").mkdir()
    (config / "hyperparameters.json").write_text(json.dumps({k: str(v) for k, v in hyper.items()}))
    (config / "inputdataconfig.json").write_text(json.dumps({name: {"ContentType": kind} for name in channels}))
    (config / "resourceconfig.json").write_text(json.dumps({"current_host": "algo-1", "hosts": ["algo-1"]}))
    for name, files in channels.items():
        place = folder / "input/data" / name
        place.mkdir(parents=True)
        for file, content in (files if isinstance(files, dict) else {"part-0": files}).items():
            (place / file).parent.mkdir(parents=True, exist_ok=True)
            (place / file).write_bytes(content)
    return folder


def crossed(rows, seed):
    """Labels that only a product of two features tells, as two one-hot fields of four: no linear model learns them."""
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, 4, (2, rows))
    x = np.zeros((rows, 8), np.float32)
    x[np.arange(rows), left] = 1
    x[np.arange(rows), 4 + right] = 1
    return x, ((left + right) % 2).astype(float)
