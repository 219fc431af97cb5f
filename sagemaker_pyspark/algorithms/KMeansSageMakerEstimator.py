"""K-Means."""
from __future__ import annotations

from .. import hyper
from ..codecs.record import ProtobufRequestRowSerializer
from ..codecs.responses import KMeansProtobufResponseRowDeserializer
from .builtin import BuiltIn

__all__ = ["KMeansSageMakerEstimator"]


class KMeansSageMakerEstimator(BuiltIn):
    """Group rows around ``k`` centroids; transform appends ``distance_to_cluster`` and ``closest_cluster``."""

    algorithm = "kmeans"
    supervised = False
    request = ProtobufRequestRowSerializer
    response = KMeansProtobufResponseRowDeserializer

    feature_dim = hyper.integer("number of features; filled in from the data when unset", ge=1)
    k = hyper.integer("number of clusters", ge=2, required=True)
    epochs = hyper.integer("passes over the data", ge=1)
    eval_metrics = hyper.items("metrics to report", ("msd", "ssd",), separator="")
    extra_center_factor = hyper.integer("how many more centroids the stream phase keeps", "CenterFactor", ge=1, auto=True)
    half_life_time_size = hyper.integer("points after which an observation counts half", "HalflifeTime", ge=0)
    init_method = hyper.choice("how starting values are drawn", "random", "kmeans++")
    local_lloyd_init_method = hyper.choice("how centroids of the final step start", "random", "kmeans++",
                                           accessor="LocalInitMethod")
    local_lloyd_max_iter = hyper.integer("iterations of the final step", "MaxIter", ge=1)
    local_lloyd_num_trials = hyper.integer("trials of the final step, the best of which is kept", "TrialNum", ge=1, auto=True)
    local_lloyd_tol = hyper.real("change that ends the final step", "Tol", ge=0, le=1)
    mini_batch_size = hyper.integer("rows of one step", ge=1)
