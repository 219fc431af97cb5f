"""Hyperparameters act on what is trained: each test fails where its hyperparameter is ignored."""
import importlib
import json
import re

import numpy as np
import pytest
from opt_ml import CSV, RECORDIO, csv, lay_out, recordio

from sagemaker_pyspark import scoring
from sagemaker_pyspark.local.containers import __main__, contract


class Made:
    def __init__(self, algorithm, folder, log):
        self.log, self.scorer = log, scoring.load(folder / "model", algorithm)
        self.facts = json.loads((folder / "model/model.json").read_text())
        with np.load(folder / "model/model_algo-1", allow_pickle=False) as arrays:
            self.arrays = {name: arrays[name] for name in arrays.files}

    def metric(self, name):
        return float(re.findall(rf"train {name} <loss>=(\S+)", self.log)[-1])


@pytest.fixture
def fit(tmp_path_factory, monkeypatch, capsys):
    """Train in this process, for speed."""

    def run(algorithm, hyper, kind=RECORDIO, **channels):
        folder = lay_out(tmp_path_factory.mktemp(algorithm), hyper, channels, kind)
        monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(folder))
        module = importlib.import_module(f"sagemaker_pyspark.local.containers.{__main__._MODULES[algorithm]}")
        assert contract.run(algorithm, module.train) == 0, (folder / "output/failure").read_text()
        return Made(algorithm, folder, capsys.readouterr().out)

    return run


@pytest.fixture
def blobs(fit):
    """K-Means on twenty small clusters and one that holds nearly all rows."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (2000, 2)), *(rng.normal(c, 1, (5, 2)) for c in rng.uniform(-1000, 1000, (20, 2)))])

    def run(**hyper):
        return fit("kmeans", {"k": 21, "feature_dim": 2, "extra_center_factor": 1, **hyper}, CSV, train=csv(x)).metric("msd")

    return run


def test_kmeans_spreads_its_first_centres_if_told_to(blobs):
    assert blobs(init_method="kmeans++") < 0.1 * blobs(init_method="random")
    assert blobs() == blobs(init_method="random")


def test_kmeans_finds_more_with_extra_centres(blobs):
    assert blobs(extra_center_factor=50, epochs=3) < 0.5 * blobs(epochs=3)
    assert blobs(extra_center_factor="auto") < 0.5 * blobs()


def test_kmeans_gets_better_with_each_epoch(fit, digits):
    first, second, tenth = (fit("kmeans", {"k": 10, "feature_dim": 64, "extra_center_factor": 1, "epochs": epochs}, CSV,
                                train=csv(digits)).metric("msd") for epochs in (1, 2, 10))
    assert tenth < second < first


def test_kmeans_forgets_with_its_half_life(fit):
    """One cluster stays, the other drifts from 0 to 10 along the stream."""
    x = np.column_stack([np.linspace(0, 10, 1000), np.full(1000, 100.0)]).reshape(-1, 1)
    hyper = {"k": 2, "feature_dim": 1, "extra_center_factor": 1, "init_method": "kmeans++", "mini_batch_size": 20}
    for half_life, place in ((0, 5), (100, 9)):
        made = fit("kmeans", {**hyper, "half_life_time_size": half_life}, CSV, train=csv(x))
        assert made.arrays["centroids"].min() == pytest.approx(place, abs=0.6)
        assert made.arrays["centroids"].max() == pytest.approx(100)


@pytest.fixture
def machine(fit):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 4)).astype(np.float32)
    y = (x[:, 0] + 2 * x[:, 1] * x[:, 2] + 0.5 > 0).astype(float)
    hyper = {"predictor_type": "binary_classifier", "feature_dim": 4, "num_factors": 3}

    def run(**more):
        return fit("factorization-machines", {**hyper, **more}, train=recordio(x, y))

    return run


TERMS = {"bias": 0.1, "linear": 0.001, "factors": 0.0001}


@pytest.mark.parametrize("term", TERMS)
def test_a_factorization_machine_learns_each_term_at_its_rate(machine, term):
    usual = machine()
    at_zero = machine(**{f"{term}_lr": 0, f"{term}_init_method": "constant", f"{term}_init_value": 0.25})
    np.testing.assert_array_equal(at_zero.arrays[term], 0.25)
    for other in set(TERMS) - {term}:
        assert np.abs(at_zero.arrays[other]).max() > 0.1, "only this term stands still"
    slow = machine(**{f"{term}_lr": TERMS[term] / 1000})
    assert np.abs(slow.arrays[term]).max() < 0.2 * np.abs(usual.arrays[term]).max()
    told = machine(**{f"{term}_lr": TERMS[term]})
    for name in TERMS:
        np.testing.assert_array_equal(told.arrays[name], usual.arrays[name], "the documented default is the default")


def test_a_large_rate_still_learns(machine):
    made = machine(linear_lr=0.1, factors_lr=0.1)
    assert made.metric("binary_classification_accuracy") > 0.85


@pytest.mark.parametrize("still", [{"eps": 1e12}, {"clip_gradient": 0}, {"rescale_grad": 0}])
def test_a_factorization_machine_starts_as_told_and_stays_without_gradients(machine, still):
    made = machine(**still, bias_wd=0, linear_wd=0, factors_wd=0, bias_init_method="constant", bias_init_value=-3,
                   linear_init_method="uniform", linear_init_scale=7, factors_init_sigma=100)
    assert made.arrays["bias"] == pytest.approx(-3)
    assert 1 < np.abs(made.arrays["linear"]).max() <= 7
    assert 30 < made.arrays["factors"].std() < 300


@pytest.fixture
def topics(fit):
    """LDA on documents of overlapping topics, which takes hundreds of iterations."""
    rng = np.random.default_rng(0)
    share, mixtures = rng.dirichlet(np.full(60, 0.3), 6), rng.dirichlet(np.full(6, 0.5), 150)
    words = np.array([rng.multinomial(80, one @ share) for one in mixtures])

    def run(**hyper):
        made = fit("lda", {"num_topics": 6, "feature_dim": 60, "mini_batch_size": 150, **hyper}, train=recordio(words))
        return int(re.search(r"(\d+) iterations", made.log)[1]), made.metric("pwll")

    return run


def test_lda_iterates_as_often_as_told(topics):
    found = {most: topics(max_iterations=most, tol=1e-300) for most in (1, 10, 50, 400)}
    assert [iterations for iterations, _ in found.values()] == [1, 10, 50, 400]
    likelihoods = [likelihood for _, likelihood in found.values()]
    assert likelihoods == sorted(set(likelihoods))


def test_lda_ends_within_its_tolerance(topics):
    loose, usual, tight = topics(tol=1e-2)[0], topics()[0], topics(tol=1e-10, max_iterations=3000)[0]
    assert loose < usual < tight
    assert 50 < usual < 1000


def test_lda_keeps_the_best_of_its_starts(topics):
    assert topics(max_restarts=10, max_iterations=20)[1] > topics(max_restarts=1, max_iterations=20)[1]


@pytest.fixture
def judged(fit):
    """Score, predicted label and truth of noisy rows, most of them negative, with positive rows weighted tenfold."""
    rng = np.random.default_rng(0)
    y = (rng.random(3000) < 0.2).astype(float)
    x = (y + rng.normal(0, 0.7, 3000)).reshape(-1, 1).astype(np.float32)
    held = (x[2000:], y[2000:])

    def run(criterion, validation=held, **hyper):
        channels = {"validation": recordio(*validation)} if validation is not None else {}
        made = fit("linear-learner", {"predictor_type": "binary_classifier", "positive_example_weight_mult": 10,
                                      "binary_classifier_model_selection_criteria": criterion, **hyper},
                   train=recordio(x[:2000], y[:2000]), **channels)
        seen = validation if validation is not None else (x[:2000], y[:2000])
        answer = made.scorer.predict(seen[0])
        return made.facts["threshold"], answer["score"], answer["predicted_label"], seen[1]

    return run


def measures(label, y, beta=1.0):
    hits, recall = ((label == 1) & (y == 1)).sum(), label[y == 1].mean()
    precision = hits / max(label.sum(), 1)
    return {"accuracy": (label == y).mean(), "recall": recall, "precision": precision,
            "f": (1 + beta ** 2) * precision * recall / max(beta ** 2 * precision + recall, 1e-12)}


@pytest.mark.parametrize("criterion, measure, beta, target", [
    ("accuracy", "accuracy", 1, None), ("f1", "f", 1, None), ("f_beta", "f", 3, None),
    ("precision_at_target_recall", "precision", 1, "recall"), ("recall_at_target_precision", "recall", 1, "precision")])
@pytest.mark.parametrize("loss", ["logistic", "hinge_loss"])
@pytest.mark.parametrize("held_out", [True, False])
def test_no_other_threshold_is_better_at_the_selection_criterion(judged, criterion, measure, beta, target, loss, held_out):
    told = {f"target_{target}": 0.7} if target else {"f_beta": beta} if criterion == "f_beta" else {}
    _, score, label, y = judged(criterion, loss=loss, **told, **({} if held_out else {"validation": None}))
    found = measures(label, y, beta)
    others = [measures((score >= cut).astype(float), y, beta) for cut in [*np.unique(score)[::5], score.max() + 1]]
    assert found[measure] >= max(one[measure] for one in others if target is None or one[target] >= 0.7)
    assert target is None or found[target] >= 0.7


def test_losses_leave_the_threshold_where_it_is(judged):
    for criterion in ("cross_entropy_loss", "loss_function"):
        assert judged(criterion)[0] == 0.5
        assert judged(criterion, loss="hinge_loss")[0] == 0.0
    threshold, score, label, y = judged("accuracy")
    assert threshold > 0.6
    assert (label == y).mean() > ((score >= 0.5) == y).mean() + 0.05


def test_the_threshold_is_calibrated_on_validation_data_and_on_as_many_rows_as_told(judged):
    x = np.linspace(-2, 3, 200, dtype=np.float32).reshape(-1, 1)
    for cut in (1.0, -1.0):
        y = (x[:, 0] > cut).astype(float)
        _, _, label, truth = judged("accuracy", (x, y))
        np.testing.assert_array_equal(label, truth)
    _, _, label, truth = judged("accuracy", (x, y), num_calibration_samples=1)
    assert (label != truth).sum() > 20


def test_rows_that_cannot_be_told_apart_get_the_label_of_most(fit):
    y = np.array([1.0, 0, 0, 0, 0])
    made = fit("linear-learner", {"predictor_type": "binary_classifier", "positive_example_weight_mult": "balanced"},
               train=recordio(np.ones((5, 2)), y))
    assert made.scorer.predict(np.ones((2, 2)))["predicted_label"].tolist() == [0, 0]
