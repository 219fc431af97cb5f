"""K-Means as the service does it: more centres than asked for follow the stream of rows, and are grouped to ``k`` at the end.

Source: developer guide, how K-Means clustering works.
"""
from __future__ import annotations

import json
from typing import Any

import numpy as np

from ... import scoring
from .contract import ClientError, Job

__all__ = ["train"]

#: What ``auto`` means is not documented. With 50 centres a cluster the result is as good as Lloyd's iterations over all
#: rows; many clusters, or long rows, must do with fewer, for time and memory.
_AUTO_FACTOR, _AUTO_LEAST, _AUTO_CENTRES, _AUTO_CELLS = 50, 4, 4000, 1 << 24


def train(job: Job) -> None:
    from sklearn.cluster import KMeans
    from sklearn.metrics import pairwise_distances_argmin_min

    data = job.channel("train")
    assert data is not None
    x, k = data.matrix(), job.whole("k", 10)
    if x.shape[0] < k:
        raise ClientError(f"k must not exceed the number of rows: k is {k}, there are {x.shape[0]} rows")
    centres, weights = _stream(job, x, k)
    start = {"kmeans++": "k-means++", "random": "random"}[job.text("local_lloyd_init_method", "kmeans++")]
    found = KMeans(k, init=start, n_init=job.whole("local_lloyd_num_trials", 10), random_state=0,
                   max_iter=job.whole("local_lloyd_max_iter", 300), tol=job.number("local_lloyd_tol", 1e-4))
    found.fit(centres, sample_weight=weights)
    scoring.save(job.model, "kmeans", {"centroids": found.cluster_centers_.astype(np.float32)})
    job.metric("train", "msd", float((pairwise_distances_argmin_min(x, found.cluster_centers_)[1] ** 2).mean()))
    test = job.channel("test", required=False)
    if test is not None:
        distances = scoring.load(job.model, "kmeans").predict(test.features)["distance_to_cluster"]
        for name in json.loads(job.hyper.get("eval_metrics", '["msd"]')):
            job.metric("test", name, float((distances ** 2).mean() if name == "msd" else (distances ** 2).sum()))


def _stream(job: Job, x: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres after all passes over the rows, and how many rows each stands for."""
    from sklearn.metrics import pairwise_distances_argmin

    rows, dim = x.shape
    most = min(max(_AUTO_LEAST, _AUTO_CENTRES // k), _AUTO_CELLS // (k * dim))
    factor = job.whole("extra_center_factor", max(1, min(_AUTO_FACTOR, most)))
    count, batch = min(rows, k * factor), job.whole("mini_batch_size", 5000)
    # A point counts half after this many others; 0 is never.
    half_life = job.whole("half_life_time_size", 0)
    centres, weights = _start(job, x, count, max(batch, count)), np.zeros(count)
    for at in [at for _ in range(job.whole("epochs", 1)) for at in range(0, rows, batch)]:
        part = x[at:at + batch]
        closest = pairwise_distances_argmin(part, centres)
        taken = np.bincount(closest, minlength=count)
        sums = _sums(part, closest, count)
        if half_life:
            weights = weights * 0.5 ** (part.shape[0] / half_life)
        total, moved = weights + taken, taken > 0
        centres[moved] = (centres[moved] * weights[moved, None] + sums[moved]) / total[moved, None]
        weights = total
    return centres, weights


def _start(job: Job, x: Any, count: int, sample: int) -> np.ndarray:
    """The first centres, from a sample of the rows."""
    from sklearn.cluster import kmeans_plusplus

    chosen = np.random.default_rng(0).permutation(x.shape[0])[:sample]
    if job.text("init_method", "random") == "kmeans++":
        found = kmeans_plusplus(x[chosen], count, random_state=0)[0]
    else:
        found = x[chosen[:count]]
    return np.array(found if isinstance(found, np.ndarray) else found.toarray(), np.float64)


def _sums(part: Any, closest: np.ndarray, count: int) -> np.ndarray:
    """Sum of the rows of each centre, sparse rows or not."""
    from scipy.sparse import csr_matrix

    belongs = csr_matrix((np.ones(len(closest)), (closest, np.arange(len(closest)))), (count, len(closest)))
    found = belongs @ part
    return np.asarray(found if isinstance(found, np.ndarray) else found.toarray())
