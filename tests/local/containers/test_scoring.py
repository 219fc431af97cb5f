"""Models scored without a container: the same answers for dense and sparse rows, refusals that help."""
import json
import subprocess
import sys

import numpy as np
import pytest

from sagemaker_pyspark import scoring
from sagemaker_pyspark.codecs.decode import Csr
from sagemaker_pyspark.errors import DimensionMismatch, UnexpectedResponse

RNG = np.random.default_rng(0)


def sparse_of(x):
    keys = [np.flatnonzero(row) for row in x]
    return Csr(np.concatenate([[0], np.cumsum([len(k) for k in keys])]), np.concatenate(keys),
               np.concatenate([row[k] for row, k in zip(x, keys)]), x.shape[1])


MODELS = {
    "kmeans": ({"centroids": RNG.normal(size=(4, 6))}, {}),
    "pca": ({"mean": RNG.normal(size=(1, 6)), "v": RNG.normal(size=(6, 2)), "s": np.ones(2)}, {}),
    "linear-learner": ({"weights": RNG.normal(size=(6, 3)), "bias": RNG.normal(size=3)},
                       {"predictor_type": "multiclass_classifier"}),
    "factorization-machines": ({"bias": np.ones(()), "linear": RNG.normal(size=6), "factors": RNG.normal(size=(6, 3))},
                               {"predictor_type": "regressor"}),
    "lda": ({"topics": RNG.dirichlet(np.ones(6), 3)}, {"alpha": 0.3}),
}


@pytest.mark.parametrize("algorithm", sorted(MODELS))
def test_sparse_rows_score_as_their_dense_selves(tmp_path, algorithm, monkeypatch):
    arrays, facts = MODELS[algorithm]
    scoring.save(tmp_path, algorithm, arrays, **facts)
    scorer = scoring.load(tmp_path, algorithm)
    x = RNG.poisson(0.7, (50, 6)).astype(np.float32)
    dense = scorer.predict(x)
    for cells in (1 << 23, 7):  # whole, and in parts of a row or so
        monkeypatch.setattr(scoring, "_DENSE_CELLS", cells)
        sparse = scorer.predict(sparse_of(x))
        assert list(sparse) == list(dense)
        for key in dense:
            np.testing.assert_allclose(sparse[key], dense[key], rtol=1e-4, atol=1e-5)


def test_factorization_counts_every_pair_once(tmp_path):
    arrays, facts = MODELS["factorization-machines"]
    scoring.save(tmp_path, "factorization-machines", arrays, **facts)
    x, f = RNG.normal(size=6), arrays["factors"]
    by_hand = 1 + x @ arrays["linear"] + sum(f[i] @ f[j] * x[i] * x[j] for i in range(6) for j in range(i + 1, 6))
    assert scoring.load(tmp_path, "factorization-machines").predict(x[None])["score"] == pytest.approx(by_hand)


@pytest.mark.parametrize("algorithm", sorted(MODELS))
def test_rows_of_another_length_are_refused(tmp_path, algorithm):
    arrays, facts = MODELS[algorithm]
    scoring.save(tmp_path, algorithm, arrays, **facts)
    with pytest.raises(DimensionMismatch, match="must have 6 features.*got 5"):
        scoring.load(tmp_path, algorithm).predict(np.ones((2, 5)))


def test_an_artifact_with_pickles_in_it_is_not_opened(tmp_path):
    scoring.save(tmp_path, "kmeans", MODELS["kmeans"][0])
    with open(tmp_path / "model_algo-1", "wb") as out:
        np.savez(out, centroids=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        scoring.load(tmp_path, "kmeans")


def test_a_pickled_xgboost_model_is_not_opened(tmp_path):
    (tmp_path / "xgboost-model").write_bytes(b"\x80\x04\x95")
    with pytest.raises(UnexpectedResponse, match="pickle"):
        scoring.load(tmp_path, "xgboost")


def test_what_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(UnexpectedResponse, match="cannot be scored without an endpoint"):
        scoring.load(tmp_path, "blazingtext")
    with pytest.raises(UnexpectedResponse, match="model_algo-1"):
        scoring.load(tmp_path, "kmeans")
    scoring.save(tmp_path, "pca", MODELS["pca"][0])
    with pytest.raises(UnexpectedResponse, match="describe kmeans"):
        scoring.load(tmp_path, "kmeans")
    described = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**described, "format": 99}))
    with pytest.raises(UnexpectedResponse, match="format 1"):
        scoring.load(tmp_path, "pca")


def test_the_model_server_imports_nothing_that_is_slow_to_load():
    code = ("import sys, sagemaker_pyspark.local.containers.serving; "
            "print([m for m in ('sklearn', 'scipy', 'xgboost', 'boto3', 'pyspark', 'moto', 'pandas') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
