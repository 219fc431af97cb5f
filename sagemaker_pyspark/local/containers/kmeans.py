"""K-Means: Lloyd's iterations, the best of several starts."""
from __future__ import annotations

import json

import numpy as np

from ... import scoring
from .contract import ClientError, Job

__all__ = ["train"]


def train(job: Job) -> None:
    from sklearn.cluster import KMeans

    data = job.channel("train")
    assert data is not None
    x, k = data.matrix(), job.whole("k", 10)
    if x.shape[0] < k:
        raise ClientError(f"k must not exceed the number of rows: k is {k}, there are {x.shape[0]} rows")
    start = {"kmeans++": "k-means++", "random": "random"}[job.text("local_lloyd_init_method", "kmeans++")]
    found = KMeans(k, init=start, n_init=job.whole("local_lloyd_num_trials", 3), random_state=0,
                   max_iter=job.whole("local_lloyd_max_iter", 300), tol=job.number("local_lloyd_tol", 1e-4)).fit(x)
    scoring.save(job.model, "kmeans", {"centroids": found.cluster_centers_.astype(np.float32)})
    job.metric("train", "msd", found.inertia_ / x.shape[0])
    test = job.channel("test", required=False)
    if test is not None:
        distances = scoring.load(job.model, "kmeans").predict(test.features)["distance_to_cluster"]
        for name in json.loads(job.hyper.get("eval_metrics", '["msd"]')):
            job.metric("test", name, float((distances ** 2).mean() if name == "msd" else (distances ** 2).sum()))
