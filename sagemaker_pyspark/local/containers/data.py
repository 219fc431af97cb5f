"""Files of a channel to features and labels."""
from __future__ import annotations

import gzip
import zlib
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
    """Features (ndarray or Csr, shape (rows, dim)), labels and weights of rows (shape (rows,), or None)."""

    features: Any
    labels: np.ndarray | None
    weights: np.ndarray | None = None

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

    def values(self) -> np.ndarray:
        """The numbers that are written, of dense and sparse rows alike."""
        return np.asarray(self.features.values if isinstance(self.features, Csr) else self.features)

    def needed_labels(self) -> np.ndarray:
        if self.labels is None:
            raise BadData("The data has no labels")
        return self.labels


def read(folder: Path, content_type: str | None, algorithm: str, weighted: bool = False) -> Data:
    """All files of a channel, in the order of their names.

    Parameters
    ----------
    weighted : bool
        The second column of CSV data is the weight of its row.
    """
    default = "text/libsvm" if algorithm == "xgboost" else "application/x-recordio-protobuf"
    kind = (content_type or default).split(";")[0].strip().lower()
    kind = {"csv": "text/csv", "libsvm": "text/libsvm", "text/x-libsvm": "text/libsvm", "parquet": "application/x-parquet",
            "recordio-protobuf": "application/x-recordio-protobuf"}.get(kind, kind)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(("_", ".")))
    if not files:
        raise BadData("There are no files")
    if kind not in _TAKES.get(algorithm, _USUAL):
        raise BadData(f"Content type {content_type!r} is not supported. Supported: "
                      f"{', '.join(_TAKES.get(algorithm, _USUAL))}")
    try:
        found = _parsed(files, kind, "label_size=0" not in (content_type or "").replace(" ", ""), weighted)
    except (SageMakerError, ValueError, OSError, EOFError, zlib.error) as problem:
        raise BadData(str(problem)) from None
    if not found.features.shape[0]:
        raise BadData("There are no rows")
    if algorithm != "xgboost" and not np.isfinite(found.values()).all():
        raise BadData("The features must be finite numbers, some are empty, NaN or infinite")
    if found.labels is not None and not np.isfinite(found.labels).all():
        raise BadData("The labels must be finite numbers, some are empty, NaN or infinite")
    return found


#: Source: developer guide, each algorithm's input formats.
_USUAL = ("application/x-recordio-protobuf", "text/csv")
_TAKES = {"xgboost": ("text/libsvm", *_USUAL, "application/x-parquet"),
          "factorization-machines": ("application/x-recordio-protobuf",)}


def _parsed(files: list[Path], kind: str, labeled: bool, weighted: bool) -> Data:
    if kind == "application/x-parquet":
        return _parquet(files)
    contents = [gzip.decompress(p.read_bytes()) if p.suffix == ".gz" else p.read_bytes() for p in files]
    if kind == "application/x-recordio-protobuf":
        return Data(*decode_matrix(b"".join(contents)))
    lines = b"\n".join(contents)  # the last line of a file need not end with a newline
    return _csv(lines, labeled, weighted) if kind == "text/csv" else read_libsvm(lines)


def _csv(content: bytes, labeled: bool, weighted: bool) -> Data:
    rows = [line.split(b",") for line in content.splitlines() if line.strip()]
    if not rows:
        raise BadData("There are no rows")
    if len({len(row) for row in rows}) > 1:
        raise BadData("Rows of the CSV data have different numbers of columns")
    table = np.array([[float(cell.strip() or b"nan") for cell in row] for row in rows])
    if table.shape[1] < labeled + weighted + 1:
        raise BadData(f"Rows of the CSV data must have more than {labeled + weighted} columns, got {table.shape[1]}")
    if weighted:
        return Data(table[:, 2:], table[:, 0], table[:, 1])
    return Data(table[:, 1:], table[:, 0]) if labeled else Data(table, None)


def read_libsvm(content: bytes, dim: int | None = None) -> Data:
    """LibSVM lines with indices from 0, as the XGBoost container reads them; what is not written is missing."""
    labels, weights, counts, indices, values = [], [], [], [], []
    for number, line in enumerate(content.split(b"\n")):
        cells = line.split()
        if not cells:
            continue
        try:
            label, _, weight = cells[0].partition(b":")
            labels.append(float(label))
            weights.append(float(weight or 1))
            pairs = [cell.split(b":") for cell in line.split(b"#")[0].split()[1:]]
            indices += [int(at) for at, _ in pairs]
            values += [float(value) for _, value in pairs]
        except ValueError:
            raise BadData(f"Line {number} is not LibSVM: {line[:60]!r}") from None
        counts.append(len(pairs))
    found = np.array(indices, np.int64)
    if len(found) and found.min() < 0:
        raise BadData(f"LibSVM indices must not be negative, got {found.min()}")
    width = dim or (int(found.max()) + 1 if len(found) else 0)
    return Data(Csr(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), found, np.array(values, np.float32), width),
                np.array(labels), np.array(weights) if any(weight != 1 for weight in weights) else None)


def _parquet(files: list[Path]) -> Data:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.concat_tables([pq.ParquetFile(p).read() for p in files])
    columns = [table.column(at).to_numpy() for at in range(table.num_columns)]
    return Data(np.column_stack(columns[1:]).astype(np.float64), columns[0].astype(np.float64))
