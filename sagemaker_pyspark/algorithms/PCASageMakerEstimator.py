"""Principal component analysis."""
from __future__ import annotations

from .. import hyper
from ..codecs.record import ProtobufRequestRowSerializer
from ..codecs.responses import PCAProtobufResponseRowDeserializer
from .builtin import BuiltIn

__all__ = ["PCASageMakerEstimator"]


class PCASageMakerEstimator(BuiltIn):
    """Project rows on ``num_components`` principal components; transform appends the vector ``projection``.

    ``mini_batch_size`` is required by the service; unset, it is the number of rows, at most 1000.
    """

    algorithm = "pca"
    supervised = False
    request = ProtobufRequestRowSerializer
    response = PCAProtobufResponseRowDeserializer
    most_mini_batch = 1000

    feature_dim = hyper.integer("number of features; filled in from the data when unset", ge=1)
    mini_batch_size = hyper.integer("rows of one step", ge=1)
    num_components = hyper.integer("number of principal components", ge=1, required=True)
    algorithm_mode = hyper.choice("exact or randomized computation", "regular", "randomized")
    extra_components = hyper.integer("components kept in randomized mode for accuracy", ge=-1)
    subtract_mean = hyper.boolean("whether data is centred")
