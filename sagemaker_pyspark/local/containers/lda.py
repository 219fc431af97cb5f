"""Latent Dirichlet allocation."""
from __future__ import annotations

import numpy as np

from ... import scoring
from .contract import ClientError, Job

__all__ = ["train"]


def train(job: Job) -> None:
    from sklearn.decomposition import LatentDirichletAllocation

    data = job.channel("train")
    assert data is not None
    words, topics = data.matrix(), job.whole("num_topics", 1)
    if words.min() < 0:
        raise ClientError("Word counts must not be negative")
    alpha = job.number("alpha0", 1.0) / topics
    found = LatentDirichletAllocation(topics, doc_topic_prior=alpha, random_state=0,
                                      max_iter=min(job.whole("max_iterations", 1000), 50)).fit(words)
    share = found.components_ / found.components_.sum(1, keepdims=True)
    scoring.save(job.model, "lda", {"topics": share}, alpha=alpha)
    for name in ("train", "test"):
        channel = data if name == "train" else job.channel(name, required=False)
        if channel is not None:
            counts = channel.dense()
            mixture = scoring.load(job.model, "lda").predict(counts)["topic_mixture"]
            likelihood = (counts * np.log(np.maximum(mixture @ share, 1e-300))).sum() / max(counts.sum(), 1)
            job.metric(name, "pwll", float(likelihood))
