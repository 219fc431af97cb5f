"""Files of a channel to features and labels."""
from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...codecs.decode import Csr, decode_matrix
from ...errors import SageMakerError

__all__ = ["BadData", "Data", "read", "read_libsvm"]


class BadData(Exception):
    """Files that cannot be read as what they are said to be."""


@dataclass
class Data:
    """Features (ndarray or Csr, shape (rows, dim)) and labels (shape (rows,), or None)."""

    features: Any
    labels: np.ndarray | None

    @property
    def dim(self) -> int:
        return int(self.features.shape[1])

    def dense(self) -> np.ndarray:
        found = self.features.toarray() if isinstance(self.features, Csr) else self.features
        return np.asarray(found, np.float64)

    def matrix(self) -> Any:
        """For scikit-learn and xgboost: an array, or a scipy matrix for sparse rows."""
        if not isinstance(self.features, Csr):
            return np.asarray(self.features, np.float64)
        from scipy.sparse import csr_matrix

        return csr_matrix((self.features.values.astype(np.float64), self.features.indices, self.features.indptr),
                          self.features.shape)

    def needed_labels(self) -> np.ndarray:
        if self.labels is None:
            raise BadData("The data has no labels")
        return self.labels


def read(folder: Path, content_type: str | None, algorithm: str) -> Data:
    """All files of a channel, in the order of their names."""
    default = "text/libsvm" if algorithm == "xgboost" else "application/x-recordio-protobuf"
    kind = (content_type or default).split(";")[0].strip().lower()
    kind = {"csv": "text/csv", "libsvm": "text/libsvm", "text/x-libsvm": "text/libsvm", "parquet": "application/x-parquet",
            "recordio-protobuf": "application/x-recordio-protobuf"}.get(kind, kind)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(("_", ".")))
    if not files:
        raise BadData("There are no files")
    if kind == "application/x-parquet":
        return _parquet(files)
    content = b"".join(gzip.decompress(p.read_bytes()) if p.suffix == ".gz" else p.read_bytes() for p in files)
    try:
        if kind == "application/x-recordio-protobuf":
            return Data(*decode_matrix(content))
        if kind == "text/csv":
            return _csv(content, "label_size=0" not in (content_type or ""))
        if kind == "text/libsvm":
            return read_libsvm(content)
    except (SageMakerError, ValueError) as problem:
        raise BadData(str(problem)) from None
    raise BadData(f"Content type {content_type!r} is not supported")


def _csv(content: bytes, labeled: bool) -> Data:
    rows = [line.split(b",") for line in content.splitlines() if line.strip()]
    if len({len(row) for row in rows}) > 1:
        raise BadData("Rows of the CSV data have different numbers of columns")
    table = np.array([[float(cell or b"nan") for cell in row] for row in rows])
    return Data(table[:, 1:], table[:, 0]) if labeled else Data(table, None)


def read_libsvm(content: bytes, dim: int | None = None) -> Data:
    """LibSVM lines with indices from 0, as the XGBoost container reads them; what is not written is missing."""
    labels, counts, indices, values = [], [], [], []
    for number, line in enumerate(content.split(b"\n")):
        cells = line.split()
        if not cells:
            continue
        try:
            labels.append(float(cells[0].split(b":")[0]))
            pairs = [cell.split(b":") for cell in cells[1:] if not cell.startswith(b"#")]
            indices += [int(at) for at, _ in pairs]
            values += [float(value) for _, value in pairs]
        except ValueError:
            raise BadData(f"Line {number} is not LibSVM: {line[:60]!r}") from None
        counts.append(len(pairs))
    found = np.array(indices, np.int64)
    width = dim or (int(found.max()) + 1 if len(found) else 0)
    return Data(Csr(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), found, np.array(values, np.float32), width),
                np.array(labels))


def _parquet(files: list[Path]) -> Data:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.concat_tables([pq.ParquetFile(p).read() for p in files])
    columns = [table.column(at).to_numpy() for at in range(table.num_columns)]
    return Data(np.column_stack(columns[1:]).astype(np.float64), columns[0].astype(np.float64))
