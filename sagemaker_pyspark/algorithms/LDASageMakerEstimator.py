"""Latent Dirichlet allocation."""
from __future__ import annotations

from .. import hyper
from ..codecs.record import ProtobufRequestRowSerializer
from ..codecs.responses import LDAProtobufResponseRowDeserializer
from .builtin import BuiltIn

__all__ = ["LDASageMakerEstimator"]


class LDASageMakerEstimator(BuiltIn):
    """Describe rows of word counts as mixtures of ``num_topics`` topics; transform appends the vector ``topic_mixture``.

    ``mini_batch_size`` is the number of documents; unset, it is counted. One CPU instance, 16 regions.
    """

    algorithm = "lda"
    supervised = False
    request = ProtobufRequestRowSerializer
    response = LDAProtobufResponseRowDeserializer
    most_mini_batch = 1 << 62

    num_topics = hyper.integer("number of topics", ge=1, required=True)
    feature_dim = hyper.integer("number of features; filled in from the data when unset", ge=1)
    mini_batch_size = hyper.integer("rows of one step", ge=1)
    alpha0 = hyper.real("concentration of the topic mixture", gt=0)
    max_restarts = hyper.integer("restarts of the alternating least squares", ge=1)
    max_iterations = hyper.integer("iterations of the alternating least squares", ge=1)
    tol = hyper.real("error that ends the iterations", gt=0)
