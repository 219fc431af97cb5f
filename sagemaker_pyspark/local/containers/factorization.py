"""Factorization machines of the second order, by Adam on mini-batches."""
from __future__ import annotations

from typing import Any

import numpy as np

from ... import scoring
from .contract import ClientError, Job

__all__ = ["train"]

#: Learning rates and weight decays as documented. Source: developer guide, hyperparameters.
_RATES = {"bias": 0.1, "linear": 0.001, "factors": 0.0001}
_DECAYS = {"bias": 0.01, "linear": 0.001, "factors": 0.00001}
#: The service steps slowly over large data. On the small data of a local run the documented rates would learn nothing, so
#: they all stand for the first step size here; others in proportion, up to the second, beyond which steps overshoot.
_STEP, _LARGEST_STEP = 0.02, 0.2
#: For the same reason the documented decays of bias and weights would outweigh what is learned.
_LESS_DECAY = {"bias": 0.01, "linear": 0.01, "factors": 1.0}
#: Spread of starting values. The documented one of factors is a tenth of it, from which few steps would not lead away.
_SPREAD = 0.01


def train(job: Job) -> None:
    data = job.channel("train")
    assert data is not None
    x, y, binary = data.matrix(), data.needed_labels(), job.text("predictor_type", "") == "binary_classifier"
    if binary and not set(np.unique(y)) <= {0.0, 1.0}:
        raise ClientError(f"Labels of a binary classifier must be 0 or 1, got {sorted(np.unique(y))[:5]}")
    shift = 0.0 if binary else float(y.mean())
    parameters = _fit(job, x, y - shift, binary)
    parameters["bias"] = parameters["bias"] + shift
    scoring.save(job.model, "factorization-machines", parameters,
                 predictor_type="binary_classifier" if binary else "regressor")
    scorer = scoring.load(job.model, "factorization-machines")
    for name in ("train", "test"):
        channel = data if name == "train" else job.channel(name, required=False)
        if channel is None:
            continue
        answer, truth = scorer.predict(channel.features), channel.needed_labels()
        if binary:
            label, score = answer["predicted_label"], np.clip(answer["score"], 1e-15, 1 - 1e-15)
            job.metric(name, "binary_classification_accuracy", float((label == truth).mean()))
            job.metric(name, "binary_classification_cross_entropy",
                       float(-np.where(truth == 1, np.log(score), np.log(1 - score)).mean()))
            both = 2 * float(((label == 1) & (truth == 1)).sum())
            job.metric(name, "binary_f_beta", both / max(float((label == 1).sum() + (truth == 1).sum()), 1))
        else:
            job.metric(name, "rmse", float(np.sqrt(((answer["score"] - truth) ** 2).mean())))


def _fit(job: Job, x: Any, y: np.ndarray, binary: bool) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    rows, dim = x.shape
    shapes = {"bias": (), "linear": (dim,), "factors": (dim, job.whole("num_factors", 8))}
    p: dict[str, Any] = {term: _start(job, rng, term, shape) for term, shape in shapes.items()}
    decay = {term: job.number(f"{term}_wd", usual) * _LESS_DECAY[term] for term, usual in _DECAYS.items()}
    rates = {term: min(_STEP * job.number(f"{term}_lr", usual) / usual, _LARGEST_STEP) for term, usual in _RATES.items()}
    eps, clip = job.number("eps", 1e-8), abs(job.number("clip_gradient", np.inf))
    # The service's epochs go over large data; on the small data of a local run they would end before learning began.
    batch = min(rows, job.whole("mini_batch_size", 1000))
    drawn = min(batch, 256)
    rescale = job.number("rescale_grad", 1 / drawn)
    steps = max(job.whole("epochs", 1) * -(-rows // batch), 1500)
    first = {k: np.zeros_like(v) for k, v in p.items()}
    second = {k: np.zeros_like(v) for k, v in p.items()}
    for step in range(1, steps + 1):
        chosen = rng.integers(0, rows, drawn)
        xb, yb = x[chosen], y[chosen]
        squares = xb ** 2 if isinstance(xb, np.ndarray) else xb.multiply(xb).tocsr()
        sums = xb @ p["factors"]
        raw = p["bias"] + xb @ p["linear"] + 0.5 * (sums ** 2 - squares @ (p["factors"] ** 2)).sum(1)
        error = ((0.5 * (1 + np.tanh(raw / 2)) if binary else raw) - yb) * rescale
        gradient = {"bias": error.sum(), "linear": xb.T @ error,
                    "factors": xb.T @ (error[:, None] * sums) - (squares.T @ error)[:, None] * p["factors"]}
        slower = min(1.0, 3 * (1 - step / (steps + 1)))
        for key in p:
            g = np.clip(gradient[key], -clip, clip) + decay[key] * p[key]
            first[key] = 0.9 * first[key] + 0.1 * g
            second[key] = 0.999 * second[key] + 0.001 * g * g
            p[key] = p[key] - rates[key] * slower * (first[key] / (1 - 0.9 ** step)) / (
                np.sqrt(second[key] / (1 - 0.999 ** step)) + eps)
    return p


def _start(job: Job, rng: np.random.Generator, term: str, shape: tuple[int, ...]) -> np.ndarray:
    """What a term starts from."""
    method = job.text(f"{term}_init_method", "normal")
    if method == "constant":
        return np.full(shape, job.number(f"{term}_init_value", _SPREAD))
    if method == "uniform":
        scale = job.number(f"{term}_init_scale", _SPREAD)
        return rng.uniform(-scale, scale, shape)
    return np.asarray(rng.normal(0, job.number(f"{term}_init_sigma", _SPREAD), shape))
