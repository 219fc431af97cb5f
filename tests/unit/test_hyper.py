"""Hyperparameters: every declaration has the documented range, every way of setting refuses alike."""
import json
import math
from pathlib import Path

import numpy as np
import pytest

import sagemaker_pyspark.local.containers as containers
from sagemaker_pyspark import algorithms, errors

RANGES = json.loads((Path(containers.__file__).parent / "hyperparameters.json").read_text())
CLASSES = [getattr(algorithms, name) for name in algorithms.__all__]


def documented(cls):
    return {rule.key or name: (name, rule) for name, rule in cls._rules.items()}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_rules_are_the_documented_ones(cls):
    for key, (_, rule) in documented(cls).items():
        if key == "silent":
            continue
        fact = RANGES[cls.algorithm][key]
        if rule.kind in ("int", "float"):
            low, high = (rule.ge if rule.ge is not None else rule.gt), (rule.le if rule.le is not None else rule.lt)
            assert (low, high) == (fact.get("min"), fact.get("max")), key
            assert (rule.gt is not None) == bool(fact.get("min_exclusive")), key
            assert rule.auto == bool(fact.get("accepts_auto")), key
        if rule.choices:
            assert list(rule.choices) == fact["enum"]


@pytest.mark.parametrize("algorithm", RANGES)
def test_no_documented_hyperparameter_is_missing(algorithm):
    declared = {key for cls in CLASSES if cls.algorithm == algorithm for key in documented(cls)}
    assert {k for k in RANGES[algorithm] if not k.startswith("_")} <= declared


def test_every_way_of_setting_refuses_alike():
    cls = algorithms.KMeansSageMakerEstimator
    made = cls(k=3)
    message = "k must be a whole number >= 2, got 1"
    for attempt in (lambda: cls(k=1), lambda: made.setK(1), lambda: made.set(made.k, 1), lambda: made._set(k=1),
                    lambda: made.copy({made.k: 1})):
        with pytest.raises(errors.InvalidParameter, match=message):
            attempt()
    assert made.getK() == 3


@pytest.mark.parametrize("value", [True, "many", math.nan, math.inf, 2.5, [3], object()])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(errors.InvalidParameter, match="k must be"):
        algorithms.KMeansSageMakerEstimator().setK(value)


def test_numbers_of_other_kinds_are_taken():
    made = algorithms.KMeansSageMakerEstimator(k=np.int64(5)).setTol(np.float32(0.5)).setEvalMetrics(["msd", "ssd"])
    assert made._hyperparameter_map() == {"k": "5", "local_lloyd_tol": "0.5", "eval_metrics": '["msd", "ssd"]'}
    assert algorithms.KMeansSageMakerEstimator(k="7").getK() == 7


def test_words_lists_booleans_and_auto():
    ll = algorithms.LinearLearnerRegressor(use_bias=False, wd="auto", loss="huber_loss")
    assert ll._hyperparameter_map() == {"use_bias": "False", "wd": "auto", "loss": "huber_loss", "predictor_type": "regressor"}
    with pytest.raises(errors.InvalidParameter, match="one of"):
        ll.setOptimizer("magic")
    with pytest.raises(errors.InvalidParameter, match="another predictor"):
        ll.setLoss("softmax_loss")
    with pytest.raises(errors.InvalidParameter, match="use the class"):
        ll._set(predictor_type="binary_classifier")
    xgb = algorithms.XGBoostSageMakerEstimator(num_round=1, eval_metric="auc,error@0.7", lambda_weights=2, silent=1)
    assert xgb._hyperparameter_map() == {"num_round": "1", "eval_metric": "auc,error@0.7", "lambda": "2.0", "verbosity": "0"}


def test_required_ones_are_named_before_anything_happens():
    with pytest.raises(errors.InvalidParameter, match="num_round must be set.*setNumRound"):
        algorithms.XGBoostSageMakerEstimator().fit(None)
    with pytest.raises(errors.InvalidParameter, match="num_class"):
        algorithms.XGBoostSageMakerEstimator(num_round=1, objective="multi:softmax").fit(None)
    with pytest.raises(errors.InvalidParameter, match="num_classes"):
        algorithms.LinearLearnerMultiClassClassifier().fit(None)


def test_an_unknown_argument_lists_the_known():
    with pytest.raises(errors.InvalidParameter, match="'clusters'.*local_lloyd_tol"):
        algorithms.KMeansSageMakerEstimator(clusters=3)


def test_explain_params_says_the_rule():
    assert "k: number of clusters: a whole number >= 2 (required)" in algorithms.KMeansSageMakerEstimator().explainParams()
