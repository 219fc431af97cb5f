"""Programs that stand for the built-in containers: they train and serve under SageMaker's container contract.

Run as ``python -m sagemaker_pyspark.local.containers <algorithm> train|serve`` with SAGEMAKER_BASE_DIR for /opt/ml.
"""

_NUMBER = r"([0-9.eE+\-]+)"


def _quality(*names: str) -> list[dict[str, str]]:
    """The line the first-party containers print: ``#quality_metric: host=algo-1, test msd <value>=1.5``."""
    return [{"Name": f"{channel}:{name}", "Regex": rf"#quality_metric: host=\S+, {channel} {name} <\w+>={_NUMBER}"}
            for channel in ("train", "validation", "test") for name in names]


#: Source: the xgboost container's tunable metrics.
_BOOSTING = (
    "accuracy", "auc", "aucpr", "balanced_accuracy", "f1", "f1_binary", "f1_macro", "map", "ndcg", "precision", "r2", "recall",
    "precision_macro", "precision_micro", "recall_macro", "recall_micro", "aft-nloglik", "cox-nloglik", "error",
    "gamma-deviance", "gamma-nloglik", "interval-regression-accuracy", "logloss", "mae", "mape", "merror", "mlogloss", "mphe",
    "mse", "poisson-nloglik", "rmse", "rmsle", "tweedie-nloglik")

#: Metric definitions, as the service presets them for its own algorithms.
METRICS = {
    "kmeans": _quality("msd", "ssd"),
    "pca": _quality("explained_variance"),
    "linear-learner": _quality("objective_loss", "binary_classification_accuracy", "binary_f_beta", "precision", "recall",
                               "roc_auc_score", "multiclass_accuracy", "macro_f_beta", "macro_precision", "macro_recall",
                               "mse", "rmse", "absolute_loss"),
    "factorization-machines": _quality("rmse", "binary_classification_accuracy", "binary_classification_cross_entropy",
                                       "binary_f_beta"),
    "lda": _quality("pwll"),
    "xgboost": [{"Name": f"{channel}:{name}", "Regex": rf"\[\d+\].*{channel}-{name}(?:@[0-9.]+-?)?:{_NUMBER}"}
                for channel in ("train", "validation") for name in _BOOSTING],
}
