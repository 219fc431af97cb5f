"""Linear models."""
from __future__ import annotations

from .. import hyper
from ..codecs.record import ProtobufRequestRowSerializer
from ..codecs.responses import (
    LinearLearnerBinaryClassifierProtobufResponseRowDeserializer,
    LinearLearnerMultiClassClassifierProtobufResponseRowDeserializer,
    LinearLearnerRegressorProtobufResponseRowDeserializer,
)
from .builtin import BuiltIn

__all__ = [
    "LinearLearnerBinaryClassifier", "LinearLearnerMultiClassClassifier", "LinearLearnerParams", "LinearLearnerRegressor"]


class LinearLearnerParams(hyper.Hyperparameters):
    """Hyperparameters of the three predictors."""

    predictor_type = hyper.choice("what is predicted", "binary_classifier", "regressor", "multiclass_classifier")
    beta_1 = hyper.real("of the adam optimizer", ge=0, lt=1, auto=True)
    beta_2 = hyper.real("of the adam optimizer", ge=0, lt=1, auto=True)
    bias_lr_mult = hyper.real("bias lr mult", gt=0, auto=True)
    bias_wd_mult = hyper.real("bias wd mult", ge=0, auto=True)
    early_stopping_patience = hyper.integer("epochs without progress that end training", ge=1)
    early_stopping_tolerance = hyper.real("relative progress that counts", gt=0)
    epochs = hyper.integer("passes over the data", ge=1)
    f_beta = hyper.real("weight of recall in the f_beta metric", gt=0)
    feature_dim = hyper.integer("number of features; filled in from the data when unset", ge=1, auto=True)
    huber_delta = hyper.real("for Huber loss", ge=0)
    init_bias = hyper.real("init bias")
    init_method = hyper.choice("how starting values are drawn", "uniform", "normal")
    init_scale = hyper.real("init scale", gt=0)
    init_sigma = hyper.real("init sigma", gt=0)
    l1 = hyper.real("L1 regularisation", ge=0, auto=True)
    learning_rate = hyper.real("step size", gt=0, auto=True)
    loss = hyper.choice("what is minimised", "logistic", "squared_loss", "absolute_loss", "hinge_loss",
        "eps_insensitive_squared_loss", "eps_insensitive_absolute_loss", "quantile_loss", "huber_loss",
        "softmax_loss", "auto")
    loss_insensitivity = hyper.real("for epsilon-insensitive losses", gt=0)
    lr_scheduler_factor = hyper.real("lr scheduler factor", gt=0, lt=1, auto=True)
    lr_scheduler_minimum_lr = hyper.real("lr scheduler minimum lr", gt=0, auto=True)
    lr_scheduler_step = hyper.integer("lr scheduler step", ge=1, auto=True)
    margin = hyper.real("for hinge loss", ge=0)
    mini_batch_size = hyper.integer("rows of one step", ge=1)
    momentum = hyper.real("of the sgd optimizer", ge=0, lt=1, auto=True)
    normalize_data = hyper.boolean("whether features are scaled", auto=True)
    normalize_label = hyper.boolean("whether labels are scaled", auto=True)
    num_calibration_samples = hyper.integer("rows used to calibrate", ge=1, auto=True)
    num_models = hyper.integer("models trained in parallel, the best of which is kept", ge=1, auto=True)
    num_point_for_scaler = hyper.integer("rows the scaling is estimated from", ge=1)
    optimizer = hyper.choice("optimisation algorithm", "sgd", "adam", "rmsprop", "auto")
    quantile = hyper.real("for quantile loss", gt=0, lt=1)
    unbias_data = hyper.boolean("whether features are centred", auto=True)
    unbias_label = hyper.boolean("whether labels are centred", auto=True)
    use_bias = hyper.boolean("whether there is an intercept")
    use_lr_scheduler = hyper.boolean("whether the learning rate decays")
    wd = hyper.real("L2 regularisation", ge=0, auto=True)


class LinearLearnerBinaryClassifier(LinearLearnerParams, BuiltIn):
    """Labels 0 and 1; transform appends ``score`` and ``predicted_label``."""

    algorithm = "linear-learner"
    supervised = True
    fixed = {"predictor_type": "binary_classifier"}
    refused = {"loss": ("softmax_loss",)}
    request = ProtobufRequestRowSerializer
    response = LinearLearnerBinaryClassifierProtobufResponseRowDeserializer

    binary_classifier_model_selection_criteria = hyper.choice(
        "what the best model is best at", "accuracy", "f1", "f_beta", "precision_at_target_recall",
        "recall_at_target_precision", "cross_entropy_loss", "loss_function")
    target_recall = hyper.real("for precision_at_target_recall", gt=0, lt=1)
    target_precision = hyper.real("for recall_at_target_precision", gt=0, lt=1)
    positive_example_weight_mult = hyper.real("weight of positive rows", gt=0, auto=True, extra=("balanced",))


class LinearLearnerMultiClassClassifier(LinearLearnerParams, BuiltIn):
    """Labels 0 to ``num_classes`` - 1; transform appends the vector ``score`` and ``predicted_label``."""

    algorithm = "linear-learner"
    supervised = True
    fixed = {"predictor_type": "multiclass_classifier"}
    refused = {"loss": ("logistic", "hinge_loss")}
    request = ProtobufRequestRowSerializer
    response = LinearLearnerMultiClassClassifierProtobufResponseRowDeserializer

    num_classes = hyper.integer("number of classes", ge=3, le=1000000, required=True)
    accuracy_top_k = hyper.integer("k of top-k accuracy", ge=1, le=1000000)
    balance_multiclass_weights = hyper.boolean("whether classes weigh alike", "BalanceMultiClassWeights")


class LinearLearnerRegressor(LinearLearnerParams, BuiltIn):
    """Numbers; transform appends ``score``."""

    algorithm = "linear-learner"
    supervised = True
    fixed = {"predictor_type": "regressor"}
    refused = {"loss": ("softmax_loss", "logistic", "hinge_loss")}
    request = ProtobufRequestRowSerializer
    response = LinearLearnerRegressorProtobufResponseRowDeserializer
