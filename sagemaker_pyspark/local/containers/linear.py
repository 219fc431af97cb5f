"""Linear models: regression, binary and multi-class classification, on standardised features."""
from __future__ import annotations

from typing import Any

import numpy as np

from ... import scoring
from .contract import ClientError, Job
from .data import Data

__all__ = ["train"]

#: Beyond this many rows the exact linear program of an absolute loss takes minutes.
_EXACT_ROWS = 10_000


def train(job: Job) -> None:
    data = job.channel("train")
    assert data is not None
    x, y = data.matrix(), data.needed_labels()
    kind = job.text("predictor_type", "")
    mean, scale = np.zeros(x.shape[1]), np.ones(x.shape[1])
    sparse = not isinstance(x, np.ndarray)
    if job.flag("normalize_data", True):
        first, second = np.asarray(x.mean(0)).ravel(), np.asarray((x.multiply(x) if sparse else x * x).mean(0)).ravel()
        scale = np.sqrt(np.maximum(second - first ** 2, 0)) if sparse else x.std(0)
        scale[scale == 0] = 1
        if not sparse:  # a shift would make sparse rows dense; the bias takes its place
            mean = first
    z = x.multiply(1 / scale).tocsr() if sparse else (x - mean) / scale
    fit = {"regressor": _regressor, "binary_classifier": _binary, "multiclass_classifier": _multiclass}[kind]
    weights, bias, facts = fit(job, z, y)
    weights = weights / scale[:, None]  # back to the scale of the raw features
    bias = bias - mean @ weights
    if kind == "binary_classifier":
        facts["threshold"] = _threshold(job, data, weights, bias, facts["probability"])
    scoring.save(job.model, "linear-learner", {"weights": weights, "bias": bias}, predictor_type=kind, **facts)
    scorer = scoring.load(job.model, "linear-learner")
    for name in ("train", "validation", "test"):
        channel = data if name == "train" else job.channel(name, required=False)
        if channel is not None:
            _report(job, name, kind, scorer.predict(channel.features), channel.needed_labels())


def _regressor(job: Job, z: Any, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    from sklearn import linear_model

    loss, decay, l1 = job.text("loss", "squared_loss"), job.number("wd", 1e-4), job.number("l1", 0.0)
    bias = job.flag("use_bias", True)
    model: Any
    if loss == "squared_loss":
        model = (linear_model.ElasticNet(alpha=decay + l1, l1_ratio=l1 / (decay + l1), fit_intercept=bias) if l1
                 else linear_model.Ridge(alpha=decay * z.shape[0], fit_intercept=bias))
    elif loss in ("absolute_loss", "quantile_loss"):
        share = job.number("quantile", 0.5) if loss == "quantile_loss" else 0.5
        if z.shape[0] <= _EXACT_ROWS:
            model = linear_model.QuantileRegressor(quantile=share, alpha=l1, fit_intercept=bias)
        elif share == 0.5:
            model = linear_model.SGDRegressor(loss="epsilon_insensitive", epsilon=0, alpha=1e-8, random_state=0,
                                              fit_intercept=bias)
        else:
            raise ClientError(f"The local container fits quantiles other than 0.5 to at most {_EXACT_ROWS} rows, got "
                              f"{z.shape[0]}")
    elif loss == "huber_loss":
        model = linear_model.HuberRegressor(epsilon=1 + job.number("huber_delta", 1.0), alpha=decay, fit_intercept=bias)
    else:
        squared = "squared_" if "squared" in loss else ""
        model = linear_model.SGDRegressor(loss=f"{squared}epsilon_insensitive", alpha=max(decay, 1e-8), random_state=0,
                                          epsilon=job.number("loss_insensitivity", 0.01), max_iter=1000,
                                          fit_intercept=bias)
    model.fit(z, y)
    return np.asarray(model.coef_).reshape(-1, 1), np.atleast_1d(model.intercept_).astype(float), {}


def _binary(job: Job, z: Any, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    from sklearn import linear_model

    if not set(np.unique(y)) <= {0.0, 1.0}:
        raise ClientError(f"Labels of a binary classifier must be 0 or 1, got {sorted(np.unique(y))[:5]}")
    if len(np.unique(y)) < 2:
        raise ClientError("Training data must have both labels, 0 and 1")
    weight = job.text("positive_example_weight_mult", "1.0")
    classes: Any = "balanced" if weight in ("balanced", "auto") else {0: 1.0, 1: float(weight)}
    hinge = job.text("loss", "logistic") == "hinge_loss"
    decay, bias = job.number("wd", 1e-4), job.flag("use_bias", True)
    model: Any
    if hinge:
        model = linear_model.SGDClassifier(loss="hinge", alpha=max(decay, 1e-8), class_weight=classes, random_state=0,
                                           fit_intercept=bias)
    else:
        model = linear_model.LogisticRegression(C=1 / max(decay * z.shape[0], 1e-12), class_weight=classes, max_iter=2000,
                                                fit_intercept=bias)
    model.fit(z, y)
    return model.coef_.reshape(-1, 1), np.atleast_1d(model.intercept_).astype(float), {"probability": not hinge}


def _threshold(job: Job, train: Data, weights: np.ndarray, bias: np.ndarray, probability: bool) -> float:
    """The cut that is best at what the job selects its model by, on the validation data where there is some.

    Source: developer guide, how linear learner works.
    """
    usual = 0.5 if probability else 0.0
    criterion = job.text("binary_classifier_model_selection_criteria", "accuracy")
    if criterion in ("cross_entropy_loss", "loss_function"):  # which do not depend on the cut
        return usual
    data = job.channel("validation", required=False) or train
    raw, y = np.asarray(data.matrix() @ weights + bias)[:, 0], data.needed_labels()
    chosen = np.random.default_rng(0).permutation(len(y))[:job.whole("num_calibration_samples", len(y))]
    score, y = (0.5 * (1 + np.tanh(raw / 2)) if probability else raw)[chosen], y[chosen]
    order = np.argsort(score)
    ordered, known = score[order], np.unique(score)
    # The usual one; below all scores, so that every row is positive; above all, so that none is; between any two.
    outer = [usual, np.nextafter(known[0], -np.inf), np.nextafter(known[-1], np.inf)]
    cuts = np.concatenate([outer, (known[:-1] + known[1:]) / 2])
    at = np.searchsorted(ordered, cuts)
    positive = np.concatenate([(y[order] == 1)[::-1].cumsum()[::-1], [0]])
    hits, taken = positive[at], len(y) - at
    value = _worth(job, criterion, hits, taken, int(positive[0]), len(y))
    best = cuts[value >= value.max() - 1e-12]
    return float(best[np.abs(best - usual).argmin()])


def _worth(job: Job, criterion: str, hits: np.ndarray, taken: np.ndarray, positive: int, rows: int) -> np.ndarray:
    """How good cuts are, by how many rows each takes for positive and how many of these are."""
    if criterion == "accuracy":
        return (hits + (rows - taken) - (positive - hits)) / rows
    recall, precision = hits / max(positive, 1), hits / np.maximum(taken, 1)
    if criterion in ("f1", "f_beta"):
        square = job.number("f_beta", 1.0) ** 2 if criterion == "f_beta" else 1.0
        return (1 + square) * precision * recall / np.maximum(square * precision + recall, 1e-12)
    if criterion == "precision_at_target_recall":
        return np.where(recall >= job.number("target_recall", 0.8), precision, -1)
    return np.where(precision >= job.number("target_precision", 0.8), recall, -1)


def _multiclass(job: Job, z: Any, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    from sklearn.linear_model import LogisticRegression

    count = job.whole("num_classes", 0)
    if len(np.unique(y)) < 2:
        raise ClientError("Training data must have at least two classes")
    if not ((y >= 0) & (y < count) & (y == np.floor(y))).all():
        raise ClientError(f"Labels must be whole numbers from 0 to num_classes - 1 = {count - 1}")
    model = LogisticRegression(
        C=1 / max(job.number("wd", 1e-4) * z.shape[0], 1e-12), max_iter=2000, fit_intercept=job.flag("use_bias", True),
        class_weight="balanced" if job.flag("balance_multiclass_weights", False) else None).fit(z, y.astype(int))
    coefficients, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn keeps one row for two classes
        coefficients, intercepts = np.vstack([-coefficients, coefficients]) / 2, np.concatenate([-intercepts, intercepts]) / 2
    weights, bias = np.zeros((z.shape[1], count)), np.full(count, -1e9)  # a class without rows is never predicted
    weights[:, model.classes_], bias[model.classes_] = coefficients.T, intercepts
    return weights, bias, {}


def _report(job: Job, channel: str, kind: str, answer: dict[str, np.ndarray], y: np.ndarray) -> None:
    if kind == "regressor":
        error = answer["score"] - y
        job.metric(channel, "mse", float((error ** 2).mean()))
        job.metric(channel, "absolute_loss", float(np.abs(error).mean()))
        job.metric(channel, "rmse", float(np.sqrt((error ** 2).mean())))
        job.metric(channel, "objective_loss", float((error ** 2).mean()))
        return
    from sklearn import metrics

    label, score, beta = answer["predicted_label"], answer["score"], job.number("f_beta", 1.0)
    if kind == "multiclass_classifier":
        job.metric(channel, "multiclass_accuracy", float((label == y).mean()))
        for name, value in zip(("precision", "recall", "f_beta"), metrics.precision_recall_fscore_support(
                y, label, beta=beta, average="macro", zero_division=0)):
            job.metric(channel, f"macro_{name}", float(value))
        chosen = score[np.arange(len(y)), np.clip(y.astype(int), 0, score.shape[1] - 1)]
        job.metric(channel, "objective_loss", float(-np.log(np.maximum(chosen, 1e-15)).mean()))
        return
    job.metric(channel, "binary_classification_accuracy", float((label == y).mean()))
    for name, value in zip(("precision", "recall", "binary_f_beta"), metrics.precision_recall_fscore_support(
            y, label, beta=beta, average="binary", zero_division=0)):
        job.metric(channel, name, float(value))
    if len(np.unique(y)) == 2:
        job.metric(channel, "roc_auc_score", float(metrics.roc_auc_score(y, score)))
    if job.text("loss", "logistic") != "hinge_loss":
        job.metric(channel, "objective_loss", float(metrics.log_loss(y, score, labels=[0, 1])))
