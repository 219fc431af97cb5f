"""Factorization machines of the second order, by Adam on mini-batches."""
from __future__ import annotations

from typing import Any

import numpy as np

from ... import scoring
from .contract import ClientError, Job

__all__ = ["train"]


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
    factors = job.whole("num_factors", 8)
    p: dict[str, Any] = {"bias": np.zeros(()), "linear": rng.normal(0, job.number("linear_init_sigma", 0.01), dim),
         "factors": rng.normal(0, max(job.number("factors_init_sigma", 0.001), 0.01), (dim, factors))}
    decay = {"bias": job.number("bias_wd", 0.01) * 0.01, "linear": job.number("linear_wd", 0.001) * 0.01,
             "factors": job.number("factors_wd", 0.00001)}
    # The service's epochs go over large data; on the small data of a local run they would end before learning began.
    batch = min(rows, job.whole("mini_batch_size", 1000))
    steps = max(job.whole("epochs", 1) * -(-rows // batch), 1500)
    first = {k: np.zeros_like(v) for k, v in p.items()}
    second = {k: np.zeros_like(v) for k, v in p.items()}
    for step in range(1, steps + 1):
        chosen = rng.integers(0, rows, min(batch, 256))
        xb, yb = x[chosen], y[chosen]
        squares = xb ** 2 if isinstance(xb, np.ndarray) else xb.multiply(xb).tocsr()
        sums = xb @ p["factors"]
        raw = p["bias"] + xb @ p["linear"] + 0.5 * (sums ** 2 - squares @ (p["factors"] ** 2)).sum(1)
        error = ((0.5 * (1 + np.tanh(raw / 2)) if binary else raw) - yb) / len(chosen)
        gradient = {"bias": error.sum(), "linear": xb.T @ error,
                    "factors": xb.T @ (error[:, None] * sums) - (squares.T @ error)[:, None] * p["factors"]}
        rate = 0.02 * min(1.0, 3 * (1 - step / (steps + 1)))
        for key in p:
            g = gradient[key] + decay[key] * p[key]
            first[key] = 0.9 * first[key] + 0.1 * g
            second[key] = 0.999 * second[key] + 0.001 * g * g
            p[key] = p[key] - rate * (first[key] / (1 - 0.9 ** step)) / (
                np.sqrt(second[key] / (1 - 0.999 ** step)) + 1e-8)
    return p
