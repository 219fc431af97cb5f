"""Factorization machines."""
from __future__ import annotations

from .. import hyper
from ..codecs.record import ProtobufRequestRowSerializer
from ..codecs.responses import (
    FactorizationMachinesBinaryClassifierDeserializer,
    FactorizationMachinesRegressorDeserializer,
)
from .builtin import BuiltIn

__all__ = ["FactorizationMachinesBinaryClassifier", "FactorizationMachinesParams", "FactorizationMachinesRegressor"]


class FactorizationMachinesParams(hyper.Hyperparameters):
    """Hyperparameters of both predictors."""

    feature_dim = hyper.integer("number of features; filled in from the data when unset", ge=1)
    num_factors = hyper.integer("dimension of the factorization", ge=1, required=True)
    predictor_type = hyper.choice("what is predicted", "binary_classifier", "regressor")
    bias_init_method = hyper.choice("bias init method", "normal", "uniform", "constant")
    bias_init_scale = hyper.real("bias init scale", ge=0)
    bias_init_sigma = hyper.real("bias init sigma", ge=0)
    bias_init_value = hyper.real("bias init value")
    bias_lr = hyper.real("bias lr", ge=0)
    bias_wd = hyper.real("bias wd", ge=0)
    clip_gradient = hyper.real("gradients are clipped to plus and minus this")
    epochs = hyper.integer("passes over the data", ge=1)
    eps = hyper.real("keeps divisions from zero")
    factors_init_method = hyper.choice("factors init method", "normal", "uniform", "constant")
    factors_init_scale = hyper.real("factors init scale", ge=0)
    factors_init_sigma = hyper.real("factors init sigma", ge=0)
    factors_init_value = hyper.real("factors init value")
    factors_lr = hyper.real("factors lr", ge=0)
    factors_wd = hyper.real("factors wd", ge=0)
    linear_lr = hyper.real("linear lr", ge=0)
    linear_init_method = hyper.choice("linear init method", "normal", "uniform", "constant")
    linear_init_scale = hyper.real("linear init scale", ge=0)
    linear_init_sigma = hyper.real("linear init sigma", ge=0)
    linear_init_value = hyper.real("linear init value")
    linear_wd = hyper.real("linear wd", ge=0)
    mini_batch_size = hyper.integer("rows of one step", ge=1)
    rescale_grad = hyper.real("gradients are multiplied by this")


class FactorizationMachinesBinaryClassifier(FactorizationMachinesParams, BuiltIn):
    """Labels 0 and 1 from pairwise interactions; transform appends ``score`` and ``predicted_label``."""

    algorithm = "factorization-machines"
    supervised = True
    fixed = {"predictor_type": "binary_classifier"}
    request = ProtobufRequestRowSerializer
    response = FactorizationMachinesBinaryClassifierDeserializer


class FactorizationMachinesRegressor(FactorizationMachinesParams, BuiltIn):
    """Numbers from pairwise interactions; transform appends ``score``."""

    algorithm = "factorization-machines"
    supervised = True
    fixed = {"predictor_type": "regressor"}
    request = ProtobufRequestRowSerializer
    response = FactorizationMachinesRegressorDeserializer
