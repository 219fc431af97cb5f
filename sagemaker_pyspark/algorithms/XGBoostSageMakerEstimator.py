"""Gradient boosted trees."""
from __future__ import annotations

from typing import Any

from .. import errors, hyper
from ..codecs.responses import XGBoostCSVRowDeserializer
from ..codecs.text import LibSVMRequestRowSerializer
from .builtin import BuiltIn

__all__ = ["XGBoostSageMakerEstimator"]


class XGBoostSageMakerEstimator(BuiltIn):
    """Gradient boosted trees; transform appends ``prediction``.

    Parameters
    ----------
    version : str, optional
        Container version, default the newest supported one ("3.2-0"). Further arguments as for every algorithm.

    Notes
    -----
    For ``objective="multi:softprob"`` pass ``responseRowDeserializer=XGBoostCSVRowDeserializer(vector=True)``.
    """

    algorithm = "xgboost"
    supervised = True
    data_format = "libsvm"
    versioned = True
    request = LibSVMRequestRowSerializer
    response = XGBoostCSVRowDeserializer

    num_round = hyper.integer("boosting rounds", ge=1, required=True)
    csv_weights = hyper.integer("whether CSV column 2 is a weight", ge=0, le=1)
    early_stopping_rounds = hyper.integer("rounds without progress that end training", ge=1)
    booster = hyper.choice("kind of weak learner", "gbtree", "gblinear", "dart")
    verbosity = hyper.integer("how much is logged", ge=0, le=3)
    nthread = hyper.integer("threads", "NThread", ge=1)
    eta = hyper.real("shrinkage of each step", ge=0, le=1)
    gamma = hyper.real("least loss reduction of a split", ge=0)
    max_depth = hyper.integer("depth of a tree", ge=0)
    min_child_weight = hyper.real("least weight of a leaf", ge=0)
    max_delta_step = hyper.real("largest step of a leaf", ge=0)
    subsample = hyper.real("fraction of rows a tree sees", gt=0, le=1)
    colsample_bytree = hyper.real("fraction of features a tree sees", "ColSampleByTree", gt=0, le=1)
    colsample_bylevel = hyper.real("fraction of features a level sees", "ColSampleByLevel", gt=0, le=1)
    colsample_bynode = hyper.real("fraction of features a split sees", gt=0, le=1)
    lambda_weights = hyper.real("L2 regularisation", "Lambda", ge=0, key="lambda")
    alpha = hyper.real("L1 regularisation", ge=0)
    tree_method = hyper.choice("how splits are found", "auto", "exact", "approx", "hist", "gpu_hist")
    sketch_eps = hyper.real("accuracy of the approximate sketch", gt=0, lt=1)
    scale_pos_weight = hyper.real("weight of positive rows", gt=0)
    updater = hyper.items("tree updaters", ("grow_colmaker", "distcol", "grow_histmaker", "grow_skmaker", "sync",
        "refresh", "prune", "shotgun", "coord_descent",))
    dsplit = hyper.choice("how data is split over instances", "row", "col")
    refresh_leaf = hyper.integer("whether refreshing updates leaves", ge=0, le=1)
    process_type = hyper.choice("new trees or updated ones", "default", "update")
    grow_policy = hyper.choice("which node grows first", "depthwise", "lossguide")
    max_leaves = hyper.integer("most leaves of a tree", ge=0)
    max_bin = hyper.integer("bins of the hist method", ge=0)
    predictor = hyper.choice("what predicts", "auto", "cpu_predictor", "gpu_predictor")
    monotone_constraints = hyper.text("direction of each feature")
    interaction_constraints = hyper.text("features that may interact")
    sample_type = hyper.choice("how dart drops trees", "uniform", "weighted")
    normalize_type = hyper.choice("how dart weighs trees", "tree", "forest")
    rate_drop = hyper.real("fraction of trees dart drops", ge=0, le=1)
    one_drop = hyper.integer("whether dart drops at least one tree", ge=0, le=1)
    skip_drop = hyper.real("probability that dart drops none", ge=0, le=1)
    lambda_bias = hyper.real("L2 regularisation of the bias", ge=0, le=1)
    tweedie_variance_power = hyper.real("variance of the Tweedie distribution", gt=1, lt=2)
    objective = hyper.choice("what is learned", "binary:logistic", "binary:logitraw", "binary:hinge", "count:poisson",
        "multi:softmax", "multi:softprob", "rank:pairwise", "rank:ndcg", "rank:map", "reg:linear",
        "reg:squarederror", "reg:logistic", "reg:gamma", "reg:pseudohubererror", "reg:squaredlogerror",
        "reg:absoluteerror", "reg:tweedie", "survival:aft", "survival:cox")
    num_class = hyper.integer("number of classes", "NumClasses", ge=2)
    base_score = hyper.real("initial prediction", ge=0)
    eval_metric = hyper.items("metrics of the validation channel", ("accuracy", "auc", "aucpr", "balanced_accuracy", "f1",
        "f1_binary", "f1_macro", "map", "ndcg", "precision", "r2", "recall", "precision_macro", "precision_micro",
        "recall_macro", "recall_micro", "aft-nloglik", "cox-nloglik", "error", "gamma-deviance", "gamma-nloglik",
        "interval-regression-accuracy", "logloss", "mae", "mape", "merror", "mlogloss", "mphe", "mse",
        "poisson-nloglik", "rmse", "rmsle", "tweedie-nloglik",))
    seed = hyper.integer("of the random numbers", gt=-2147483648, lt=2147483647)
    num_parallel_tree = hyper.integer("trees a round", ge=1)
    save_model_on_termination = hyper.choice("whether a stopped job saves its model", "true", "false")
    aft_loss_distribution = hyper.choice("of survival:aft", "normal", "logistic", "extreme")
    aft_loss_distribution_scale = hyper.real("of survival:aft", ge=0)
    deterministic_histogram = hyper.choice("whether histograms are reproducible", "true", "false")
    sampling_method = hyper.choice("how rows are drawn", "uniform", "gradient_based")
    prob_buffer_row = hyper.integer("rows of the gpu buffer", gt=1)
    use_dask_gpu_training = hyper.choice("whether several GPUs are used", "true", "false")
    silent = hyper.integer("1.4.5's name for little logging, sent as verbosity", ge=0, le=1)

    def _hyperparameter_map(self) -> dict[str, str]:
        made = super()._hyperparameter_map()
        silent = made.pop("silent", None)  # unknown to containers since 1.0, which refuse the job
        if silent is not None:
            made.setdefault("verbosity", "0" if silent == "1" else "1")
        return made

    def _check_complete(self) -> None:
        super()._check_complete()
        objective = self._value("objective") or ""
        if objective.startswith("multi:") and self._value("num_class") is None:
            raise errors.InvalidParameter(
                f"num_class must be set for objective {objective!r}, got nothing. Call setNumClasses(...)")
        if objective == "multi:softprob" and dict(self.responseRowDeserializer.fields) == {"prediction": "double"}:
            raise errors.InvalidParameter(
                "multi:softprob answers a probability for each class: pass "
                "responseRowDeserializer=XGBoostCSVRowDeserializer(vector=True)")

    def _value(self, name: str) -> Any:
        return self.getOrDefault(name) if self.isDefined(name) else None
