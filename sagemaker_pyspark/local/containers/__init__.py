"""Programs that stand for the built-in containers: they train and serve under SageMaker's container contract.

Run as ``python -m sagemaker_pyspark.local.containers <algorithm> train|serve`` with SAGEMAKER_BASE_DIR for /opt/ml.
"""

_NUMBER = r"([0-9.eE+\-]+)"


def _quality(*names: str) -> list[dict[str, str]]:
    """The line the first-party containers print: ``#quality_metric: host=algo-1, test msd <value>=1.5``."""
    return [{"Name": f"{channel}:{name}", "Regex": rf"#quality_metric: host=\S+, {channel} {name} <\w+>={_NUMBER}"}
            for channel in ("train", "validation", "test") for name in names]


#: Metric definitions, as the service presets them for its own algorithms.
METRICS = {
    "kmeans": _quality("msd", "ssd"),
    "pca": _quality("explained_variance"),
    "linear-learner": _quality("objective_loss", "binary_classification_accuracy", "multiclass_accuracy", "mse",
                               "absolute_loss"),
    "factorization-machines": _quality("rmse", "binary_classification_accuracy", "binary_classification_cross_entropy"),
    "lda": _quality("pwll"),
    "xgboost": [{"Name": f"{channel}:{name}", "Regex": rf"\[\d+\].*{channel}-{name}:{_NUMBER}"}
                for channel in ("train", "validation")
                for name in ("rmse", "mae", "logloss", "error", "auc", "merror", "mlogloss", "aucpr", "rmsle", "mape")],
}
