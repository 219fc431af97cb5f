"""XGBoost, by xgboost."""
from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from .contract import ClientError, Job

__all__ = ["train"]

#: Settings of the container and not of the library.
_OURS = {"num_round", "early_stopping_rounds", "csv_weights", "_tuning_objective_metric", "save_model_on_termination",
         "deterministic_histogram", "use_dask_gpu_training", "prob_buffer_row", "dsplit", "predictor", "sketch_eps"}
_GROWS = ("auc", "aucpr", "map", "ndcg")  # of the library's own metrics, those where more is better


def train(job: Job) -> None:
    import xgboost

    refused = sorted({"_kfold", "_num_cv_round"} & set(job.hyper))
    if refused:
        raise ClientError(f"Cross-validation inside the container ({', '.join(refused)}) is not done by the local one")
    matrix = _matrix(job, "train")
    watched: list[Any] = [(matrix, "train")]
    if job.has("validation"):
        watched.append((_matrix(job, "validation"), "validation"))
    parameters: dict[str, Any] = {k: v for k, v in job.hyper.items() if k not in _OURS}
    metrics = [name.strip() for name in parameters.pop("eval_metric", "").split(",") if name.strip()]
    if metrics:
        parameters["eval_metric"] = [name for name in metrics if name not in _METRICS]
        parameters["disable_default_eval_metric"] = not parameters["eval_metric"]
    # Threads cost more than they give on small data, much more where other containers want the cores too.
    parameters["nthread"] = 1 if matrix.num_row() * matrix.num_col() < 1_000_000 else os.cpu_count()
    own = [name for name in metrics if name in _METRICS]
    rounds, callbacks = job.whole("early_stopping_rounds", 0), []
    if rounds:
        # The last metric decides, as in the container; without any the library takes its objective's own.
        last = metrics[-1] if metrics else None
        more = last is not None and (last.split("@")[0] in _GROWS or (last in _METRICS and last != "mse"))
        callbacks.append(xgboost.callback.EarlyStopping(rounds, last, watched[-1][1], maximize=more, save_best=True))
    try:
        booster = xgboost.train(parameters, matrix, job.whole("num_round", 1), evals=watched, verbose_eval=True,
                                custom_metric=_measure(own, parameters.get("objective", "")) if own else None,
                                callbacks=callbacks)
    except xgboost.core.XGBoostError as problem:
        raise ClientError(_reason(str(problem))) from None
    (job.model / "xgboost-model").write_bytes(bytes(booster.save_raw("ubj")))


def _matrix(job: Job, channel: str) -> Any:
    import xgboost

    data = job.channel(channel)
    assert data is not None
    return xgboost.DMatrix(data.matrix(), data.needed_labels(), weight=data.weights)


def _reason(message: str) -> str:
    """The sentence of a library error, which comes before a stack trace and after a place in its source."""
    text = message.split("Stack trace")[0].strip()
    return (text.split("Check failed:")[-1].strip() if "Check failed:" in text else text.split("] ", 1)[-1]) or "training failed"


def _measure(names: list[str], objective: str) -> Callable[[np.ndarray, Any], list[tuple[str, float]]]:
    cut = {"binary:logistic": 0.5, "reg:logistic": 0.5, "binary:hinge": 0.5, "binary:logitraw": 0.0}.get(objective)

    def measure(answer: np.ndarray, matrix: Any) -> list[tuple[str, float]]:
        chosen = answer.argmax(1) if answer.ndim == 2 else answer if cut is None else answer > cut
        return [(name, float(_METRICS[name](matrix.get_label(), answer if name in ("mse", "r2") else chosen)))
                for name in names]

    return measure


def _of_classes(name: str, **options: Any) -> Callable[[np.ndarray, np.ndarray], float]:
    def value(truth: np.ndarray, chosen: np.ndarray) -> float:
        from sklearn import metrics

        return float(getattr(metrics, name)(truth.astype(int), chosen.astype(int), **options))

    return value


def _r2(truth: np.ndarray, answer: np.ndarray) -> float:
    from sklearn.metrics import r2_score

    return float(r2_score(truth, answer))


#: Metrics the container adds to the library's. Source: sagemaker-xgboost-container, custom_metrics.py (names).
_METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": _of_classes("accuracy_score"), "balanced_accuracy": _of_classes("balanced_accuracy_score"),
    "f1": _of_classes("f1_score", average="macro"), "f1_binary": _of_classes("f1_score", average="binary"),
    "f1_macro": _of_classes("f1_score", average="macro"),
    **{f"{name}{end}": _of_classes(f"{name}_score", average=kind, zero_division=0) for name in ("precision", "recall")
       for end, kind in (("", "binary"), ("_macro", "macro"), ("_micro", "micro"))},
    "mse": lambda truth, answer: float(((truth - answer) ** 2).mean()), "r2": _r2}
