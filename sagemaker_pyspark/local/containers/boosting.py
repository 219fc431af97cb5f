"""XGBoost, by xgboost."""
from __future__ import annotations

from typing import Any

from .contract import ClientError, Job

__all__ = ["train"]

#: Settings of the container and not of the library.
_OURS = {"num_round", "early_stopping_rounds", "csv_weights", "_kfold", "_num_cv_round", "_tuning_objective_metric",
         "save_model_on_termination", "deterministic_histogram", "use_dask_gpu_training", "prob_buffer_row", "dsplit",
         "predictor", "sketch_eps"}


def train(job: Job) -> None:
    import xgboost

    data = job.channel("train")
    assert data is not None
    matrix = xgboost.DMatrix(data.matrix(), data.needed_labels())
    watched: list[Any] = [(matrix, "train")]
    validation = job.channel("validation", required=False)
    if validation is not None:
        watched.append((xgboost.DMatrix(validation.matrix(), validation.needed_labels()), "validation"))
    parameters: dict[str, Any] = {k: v for k, v in job.hyper.items() if k not in _OURS}
    if "eval_metric" in parameters:
        parameters["eval_metric"] = [m.strip() for m in parameters["eval_metric"].split(",")]
    parameters["nthread"] = 2
    try:
        booster = xgboost.train(parameters, matrix, job.whole("num_round", 1), evals=watched, verbose_eval=True,
                                early_stopping_rounds=job.whole("early_stopping_rounds", 0) or None)
    except xgboost.core.XGBoostError as problem:
        raise ClientError(str(problem).splitlines()[-1] if str(problem) else "training failed") from None
    (job.model / "xgboost-model").write_bytes(bytes(booster.save_raw("ubj")))
