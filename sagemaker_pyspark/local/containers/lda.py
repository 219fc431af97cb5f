"""Latent Dirichlet allocation, by expectation maximisation.

The service decomposes a tensor of the words' moments by alternating least squares. Its hyperparameters are those of any
iteration from random starts: how many starts, how many iterations, which change ends them.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import scoring
from .contract import ClientError, Job

__all__ = ["train"]

#: After so many iterations the starts are compared, and only the best goes on.
_TRIAL_ITERATIONS = 20
#: Added to the count of each word in each topic, so that no word is impossible.
_WORD_PRIOR = 0.01
#: Numbers that are held at once while word probabilities are computed.
_CELLS = 1 << 22


def train(job: Job) -> None:
    from scipy.sparse import csr_matrix

    data = job.channel("train")
    assert data is not None
    words, topics = csr_matrix(data.matrix()), job.whole("num_topics", 1)
    if words.nnz and words.data.min() < 0:
        raise ClientError("Word counts must not be negative")
    alpha = job.number("alpha0", 1.0) / topics
    most, tol = job.whole("max_iterations", 1000), job.number("tol", 1e-8)
    rng = np.random.default_rng(0)
    fits = [_Fit(rng.dirichlet(np.ones(topics), words.shape[0]), rng.dirichlet(np.ones(words.shape[1]), topics))
            for _ in range(job.whole("max_restarts", 10))]
    for fit in fits:
        fit.run(words, alpha, min(most, _TRIAL_ITERATIONS), tol)
    best = max(fits, key=lambda fit: fit.likelihood)
    best.run(words, alpha, most, tol)
    print(f"[lda] {best.iterations} iterations from the best of {len(fits)} starts", flush=True)
    share = best.topics
    scoring.save(job.model, "lda", {"topics": share}, alpha=alpha)
    for name in ("train", "test"):
        channel = data if name == "train" else job.channel(name, required=False)
        if channel is not None:
            counts = channel.dense()
            mixture = scoring.load(job.model, "lda").predict(counts)["topic_mixture"]
            likelihood = (counts * np.log(np.maximum(mixture @ share, 1e-300))).sum() / max(counts.sum(), 1)
            job.metric(name, "pwll", float(likelihood))


@dataclass
class _Fit:
    """Mixtures of the documents, shape (rows, topics), and words of the topics, shape (topics, words)."""

    mixtures: np.ndarray
    topics: np.ndarray
    likelihood: float = -np.inf
    iterations: int = 0
    done: bool = False

    def run(self, words: Any, alpha: float, most: int, tol: float) -> None:
        """Iterate until ``most`` iterations in all, or until the likelihood of a word changes by less than ``tol``."""
        rows = np.repeat(np.arange(words.shape[0]), np.diff(words.indptr))
        while self.iterations < most and not self.done:
            expected = self._expected(rows, words.indices)
            ratio = words.copy()
            ratio.data = words.data / expected
            mixtures = self.mixtures * (ratio @ self.topics.T) + alpha
            topics = self.topics * (ratio.T @ self.mixtures).T + _WORD_PRIOR
            self.mixtures = mixtures / mixtures.sum(1, keepdims=True)
            self.topics = topics / topics.sum(1, keepdims=True)
            likelihood = float((words.data * np.log(expected)).sum() / max(words.sum(), 1))
            self.done = abs(likelihood - self.likelihood) < tol
            self.likelihood = likelihood
            self.iterations += 1

    def _expected(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Probability of each word that occurs in its document."""
        step = max(1, _CELLS // len(self.topics))
        parts = [np.einsum("ij,ij->i", self.mixtures[rows[at:at + step]], self.topics.T[columns[at:at + step]])
                 for at in range(0, len(rows), step)]
        return np.maximum(np.concatenate([np.empty(0), *parts]), 1e-300)
