"""Model artifacts to predictions, with numpy (and xgboost for its own models): for ``mode="local"`` and local endpoints.

Two forms are read. Ours: ``model_algo-1`` is a numpy .npz without pickles and ``model.json`` says what it is. The real
containers' where documented: ``xgboost-model``, and for K-Means and PCA an MXNet NDArray file.
"""
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import errors, mxnet
from .codecs.decode import Csr

__all__ = ["Scorer", "load", "save"]

FORMAT = 1
Features = Any  # ndarray (rows, dim) or Csr


class Scorer:
    """A loaded model.

    Attributes
    ----------
    algorithm : str
    """

    def __init__(self, algorithm: str, predict: Callable[[Features], dict[str, np.ndarray]], dim: int | None):
        self.algorithm, self._predict, self.dim = algorithm, predict, dim

    def predict(self, features: Features) -> dict[str, np.ndarray]:
        """Answers by the keys the containers use.

        Parameters
        ----------
        features : ndarray of float, shape (rows, dim), or Csr

        Raises
        ------
        DimensionMismatch
            Rows of another length than the model was trained on.
        """
        if self.dim is not None and features.shape[1] != self.dim:
            raise errors.DimensionMismatch(
                f"rows must have {self.dim} features, as the {self.algorithm} model was trained on; got {features.shape[1]}")
        rows, dim = features.shape
        if isinstance(features, Csr) and self.algorithm in _MAKES_DENSE and rows * dim > _DENSE_CELLS and rows > 1:
            half = rows // 2  # a request of a few MB of sparse rows may be gigabytes of dense ones
            parts = self.predict(_rows(features, 0, half)), self.predict(_rows(features, half, rows))
            return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        return self._predict(features)


def load(folder: str | Path, algorithm: str) -> Scorer:
    """Load the model files in a folder.

    Raises
    ------
    UnexpectedResponse
        The files are of a form that cannot be read here; the message says which can.
    """
    folder = Path(folder)
    if algorithm == "xgboost":
        return _xgboost(folder)
    model, described = folder / "model_algo-1", folder / "model.json"
    if algorithm not in _SCORERS:
        raise errors.UnexpectedResponse(
            f"models of {algorithm or 'this image'} cannot be scored without an endpoint; it works for xgboost, "
            f"{', '.join(_SCORERS)}. Use mode='endpoint' or mode='batch'")
    if not model.exists():
        raise errors.UnexpectedResponse(f"the artifact must hold model_algo-1, it has "
                                        f"{', '.join(sorted(p.name for p in folder.iterdir())) or 'nothing'}")
    if described.exists():
        facts = json.loads(described.read_text())
        if facts.get("format") != FORMAT or facts.get("algorithm") != algorithm:
            raise errors.UnexpectedResponse(f"model.json must describe {algorithm} in format {FORMAT}, got {facts}")
        with np.load(model, allow_pickle=False) as arrays:
            return _SCORERS[algorithm]({name: arrays[name] for name in arrays.files}, facts)
    if algorithm in ("kmeans", "pca"):
        return _SCORERS[algorithm](mxnet.read(model.read_bytes()), {})
    raise errors.UnexpectedResponse(
        f"the {algorithm} container's own artifact is not documented, so it cannot be scored without an endpoint; use "
        "mode='endpoint' or mode='batch'")


def save(folder: str | Path, algorithm: str, arrays: dict[str, np.ndarray], **facts: Any) -> None:
    """Write our form of an artifact."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "model_algo-1", "wb") as out:
        np.savez(out, **{name: np.asarray(value) for name, value in arrays.items()})  # type: ignore[arg-type]
    (folder / "model.json").write_text(json.dumps({"algorithm": algorithm, "format": FORMAT, **facts}, indent=1))


_MAKES_DENSE, _DENSE_CELLS = ("kmeans", "lda"), 1 << 23


def _rows(features: Csr, start: int, stop: int) -> Csr:
    at = features.indptr[start:stop + 1]
    inside = slice(int(at[0]), int(at[-1]))
    return Csr(at - at[0], features.indices[inside], features.values[inside], features.dim)


def _dense(features: Features) -> np.ndarray:
    return features.toarray() if isinstance(features, Csr) else np.asarray(features, np.float64)


def _times(features: Features, weights: np.ndarray) -> np.ndarray:
    """features @ weights, without making sparse rows dense."""
    if not isinstance(features, Csr):
        return np.asarray(features, np.float64) @ weights
    rows = np.repeat(np.arange(features.shape[0]), np.diff(features.indptr))
    out = np.zeros((features.shape[0], weights.shape[1]))
    np.add.at(out, rows, features.values[:, None] * weights[features.indices])
    return out


def _kmeans(arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> Scorer:
    centroids = np.asarray(next(iter(arrays.values())), np.float64)
    norms = (centroids ** 2).sum(1)

    def predict(features: Features) -> dict[str, np.ndarray]:
        x = _dense(features)
        squared = np.maximum((x ** 2).sum(1)[:, None] - 2 * x @ centroids.T + norms, 0)
        closest = squared.argmin(1)
        # Again from the differences: the expanded form loses digits close to a centroid.
        distance = np.sqrt(((x - centroids[closest]) ** 2).sum(1))
        return {"closest_cluster": closest.astype(np.float64), "distance_to_cluster": distance}

    return Scorer("kmeans", predict, centroids.shape[1])


def _pca(arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> Scorer:
    """Components from the least to the most significant, as the container stores and answers them."""
    v, mean = np.asarray(arrays["v"], np.float64), np.asarray(arrays["mean"], np.float64).reshape(1, -1)
    shift = mean @ v

    def predict(features: Features) -> dict[str, np.ndarray]:
        return {"projection": _times(features, v) - shift}

    return Scorer("pca", predict, v.shape[0])


def _linear(arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> Scorer:
    weights, bias, kind = arrays["weights"], arrays["bias"], facts["predictor_type"]

    def predict(features: Features) -> dict[str, np.ndarray]:
        raw = _times(features, weights) + bias
        if kind == "regressor":
            return {"score": raw[:, 0]}
        if kind == "binary_classifier":
            score = _sigmoid(raw[:, 0]) if facts.get("probability", True) else raw[:, 0]
            return {"score": score, "predicted_label": (score >= facts["threshold"]).astype(np.float64)}
        shifted = np.exp(raw - raw.max(1, keepdims=True))
        return {"score": shifted / shifted.sum(1, keepdims=True), "predicted_label": raw.argmax(1).astype(np.float64)}

    return Scorer("linear-learner", predict, weights.shape[0])


def _factorization(arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> Scorer:
    bias, linear, factors = arrays["bias"], arrays["linear"].reshape(-1, 1), arrays["factors"]

    def predict(features: Features) -> dict[str, np.ndarray]:
        squares = Csr(features.indptr, features.indices, features.values ** 2, features.dim) if isinstance(
            features, Csr) else np.asarray(features, np.float64) ** 2
        pairs = 0.5 * (_times(features, factors) ** 2 - _times(squares, factors ** 2)).sum(1)
        raw = float(bias) + _times(features, linear)[:, 0] + pairs
        if facts["predictor_type"] == "regressor":
            return {"score": raw}
        score = _sigmoid(raw)
        return {"score": score, "predicted_label": (score >= 0.5).astype(np.float64)}

    return Scorer("factorization-machines", predict, factors.shape[0])


def _lda(arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> Scorer:
    topics, prior = np.asarray(arrays["topics"], np.float64), float(facts["alpha"])

    def predict(features: Features) -> dict[str, np.ndarray]:
        """Mixtures by expectation maximisation with the topics held fixed, smoothed by the prior."""
        words = _dense(features)
        mixture = np.full((len(words), len(topics)), 1 / len(topics))
        for _ in range(100):
            expected = np.maximum(mixture @ topics, 1e-300)
            new = mixture * ((words / expected) @ topics.T) + prior
            new /= new.sum(1, keepdims=True)
            done = np.abs(new - mixture).max(initial=0) < 1e-6
            mixture = new
            if done:
                break
        return {"topic_mixture": mixture}

    return Scorer("lda", predict, topics.shape[1])


def _sigmoid(raw: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(raw / 2))  # does not overflow


def _xgboost(folder: Path) -> Scorer:
    path = folder / "xgboost-model"
    if not path.exists():
        raise errors.UnexpectedResponse("the artifact must hold xgboost-model")
    head = path.read_bytes()[:2]
    if head[:1] == b"\x80":
        raise errors.UnexpectedResponse(
            "this xgboost-model is a pickle (containers before 1.3), which is never opened; retrain with a newer version")
    try:
        import xgboost
    except ImportError:
        raise errors.InvalidInput("scoring an xgboost model needs the package xgboost where Spark's workers run") from None
    booster = xgboost.Booster()
    booster.load_model(bytearray(path.read_bytes()))
    booster.set_param({"nthread": 1})  # Spark gives a task one core
    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]

    width = booster.num_features()

    def predict(features: Features) -> dict[str, np.ndarray]:
        # Sparse rows may end early, as lines of LibSVM do; xgboost itself would fill short dense rows with missing values.
        if not isinstance(features, Csr) and features.shape[1] != width:
            raise errors.DimensionMismatch(
                f"rows must have {width} features, as the xgboost model was trained on; got {features.shape[1]}")
        if isinstance(features, Csr):
            from scipy.sparse import csr_matrix

            features = csr_matrix((features.values, features.indices, features.indptr), features.shape)
        answer = booster.predict(xgboost.DMatrix(features, missing=np.nan), validate_features=False)
        return {"score": answer.astype(np.float64)}

    made = Scorer("xgboost", predict, None)
    made.objective = objective  # type: ignore[attr-defined]
    return made


_SCORERS: dict[str, Callable[[dict[str, np.ndarray], dict[str, Any]], Scorer]] = {
    "kmeans": _kmeans, "pca": _pca, "linear-learner": _linear, "factorization-machines": _factorization, "lda": _lda}
