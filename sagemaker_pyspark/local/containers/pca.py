"""Principal components, exact or randomized."""
from __future__ import annotations

import numpy as np

from ... import scoring
from .contract import ClientError, Job

__all__ = ["train"]


def train(job: Job) -> None:
    data = job.channel("train")
    assert data is not None
    x, wanted = data.dense(), job.whole("num_components", 1)
    if wanted > min(x.shape):
        raise ClientError(f"num_components must be at most {min(x.shape)}, the smaller of rows and features; got {wanted}")
    mean = x.mean(0, keepdims=True) if job.flag("subtract_mean", True) else np.zeros((1, x.shape[1]))
    centred = x - mean
    if job.text("algorithm_mode", "regular") == "randomized":
        from sklearn.utils.extmath import randomized_svd

        extra = job.whole("extra_components", -1)
        _, s, vt = randomized_svd(centred, wanted, n_oversamples=extra if extra >= 0 else max(10, wanted), random_state=0)
    else:
        _, s, vt = np.linalg.svd(centred, full_matrices=False)
    # The container keeps components from the least to the most significant.
    v, s = vt[:wanted][::-1].T, s[:wanted][::-1]
    scoring.save(job.model, "pca", {"mean": mean.astype(np.float32), "v": v.astype(np.float32), "s": s.astype(np.float32)})
    job.metric("train", "explained_variance", float((s ** 2).sum() / max((centred ** 2).sum(), 1e-300)))
