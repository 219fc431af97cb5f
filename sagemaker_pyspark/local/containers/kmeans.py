"""K-Means: Lloyd's iterations, the best of several starts."""
from __future__ import annotations

import numpy as np

from ... import scoring
from .contract import ClientError, Job

__all__ = ["train"]


def train(job: Job) -> None:
    from sklearn.cluster import KMeans

    data = job.channel("train")
    assert data is not None
    x, k = data.dense(), job.whole("k", 10)
    if len(x) < k:
        raise ClientError(f"k must not exceed the number of rows: k is {k}, there are {len(x)} rows")
    start = {"kmeans++": "k-means++", "random": "random"}[job.text("local_lloyd_init_method", "kmeans++")]
    found = KMeans(k, init=start, n_init=job.whole("local_lloyd_num_trials", 3), random_state=0,
                   max_iter=job.whole("local_lloyd_max_iter", 300), tol=job.number("local_lloyd_tol", 1e-4)).fit(x)
    scoring.save(job.model, "kmeans", {"centroids": found.cluster_centers_.astype(np.float32)})
    job.metric("train", "msd", found.inertia_ / len(x))
    test = job.channel("test", required=False)
    if test is not None:
        distances = scoring.load(job.model, "kmeans").predict(test.dense())["distance_to_cluster"]
        job.metric("test", "msd", float((distances ** 2).mean()))
        job.metric("test", "ssd", float((distances ** 2).sum()))
