"""The training programs learn, and say why when they cannot."""
import gzip
import io
import re
import resource
import subprocess

import numpy as np
import pytest
from opt_ml import CSV, PROGRAM, RECORDIO, crossed, csv, environment, lay_out, recordio, sparse

from sagemaker_pyspark import scoring
from sagemaker_pyspark.codecs import record
from sagemaker_pyspark.local.containers import METRICS, boosting, contract


def metrics_of(trained):
    """Last value of each declared metric in the log, as the local service reads them."""
    found = {}
    for metric in METRICS[trained.algorithm]:
        values = re.findall(metric["Regex"], trained.log)
        if values:
            found[metric["Name"]] = float(values[-1])
    return found


def scored(trained, features):
    return scoring.load(trained.folder / "model", trained.algorithm).predict(features)


def r2(truth, score):
    return 1 - ((truth - score) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()


def test_kmeans_is_as_tight_as_scikit_learn(kmeans, digits):
    from sklearn.cluster import KMeans

    answer = scored(kmeans, digits)
    inertia = float((answer["distance_to_cluster"] ** 2).sum())
    assert inertia < 1.05 * KMeans(10, n_init=10, random_state=1).fit(digits).inertia_
    measured = metrics_of(kmeans)
    assert measured["train:msd"] == pytest.approx(inertia / len(digits), rel=1e-3)  # both files were read
    assert measured["test:ssd"] == pytest.approx(100 * measured["test:msd"])


def test_pca_finds_scikit_learns_components_least_significant_first(pca, digits):
    from sklearn.decomposition import PCA

    found = scored(pca, digits)["projection"]
    expected = PCA(5, svd_solver="full").fit(digits)
    projected = expected.transform(digits)[:, ::-1]
    signs = np.sign((found * projected).sum(0))
    np.testing.assert_allclose(found * signs, projected, atol=1e-2)
    assert (np.diff(found.var(0)) > 0).all()
    with np.load(pca.folder / "model/model_algo-1", allow_pickle=False) as model:
        assert model["mean"].shape == (1, 64) and model["v"].shape == (64, 5)
        np.testing.assert_allclose(model["s"][::-1], expected.singular_values_, rtol=1e-3)
    assert metrics_of(pca)["train:explained_variance"] == pytest.approx(expected.explained_variance_ratio_.sum(), rel=1e-3)


def test_randomized_pca_explains_nearly_as_much(train, digits, pca):
    other = train("pca", {"feature_dim": 64, "num_components": 5, "mini_batch_size": 500, "algorithm_mode": "randomized",
                          "subtract_mean": "true"}, {"train": csv(digits)}, CSV)
    assert metrics_of(other)["train:explained_variance"] > 0.98 * metrics_of(pca)["train:explained_variance"]


def test_the_binary_classifier_classifies_and_is_calibrated(binary, cancer):
    _, _, held, truth = cancer
    answer = scored(binary, held)
    accuracy = float((answer["predicted_label"] == truth).mean())
    assert accuracy > 0.93
    assert ((answer["score"] >= 0) & (answer["score"] <= 1)).all()
    assert abs(answer["score"].mean() - truth.mean()) < 0.05
    measured = metrics_of(binary)
    assert measured["validation:binary_classification_accuracy"] == pytest.approx(accuracy, abs=1e-3)
    assert measured["validation:roc_auc_score"] > 0.97 and measured["validation:objective_loss"] < 0.4
    assert {"validation:precision", "validation:recall", "validation:binary_f_beta"} <= set(measured)


def test_the_threshold_follows_the_selection_criterion(train, cancer):
    x, y, _, _ = cancer
    hard = x[:, :1] + np.random.default_rng(0).normal(0, 3, (len(x), 1))  # one noisy feature: the target must cost precision
    made = train("linear-learner", {
        "predictor_type": "binary_classifier", "binary_classifier_model_selection_criteria": "precision_at_target_recall",
        "target_recall": 0.98}, {"train": recordio(hard, y)})
    label = scored(made, hard.astype(np.float32))["predicted_label"]
    assert 0.98 <= label[y == 1].mean() < 1.0
    assert label[y == 0].mean() > 0.15


def test_the_regressor_comes_within_five_hundredths_of_ridge(train):
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import train_test_split

    x, held, y, truth = train_test_split(*load_diabetes(return_X_y=True), random_state=0)
    made = train("linear-learner", {"predictor_type": "regressor", "feature_dim": 10},
                 {"train": csv(np.column_stack([y, x])), "test": csv(np.column_stack([truth, held]))}, "text/csv")
    found, expected = r2(truth, scored(made, held)["score"]), Ridge(1e-3).fit(x, y).score(held, truth)
    assert abs(found - expected) < 0.05 and found > 0.3
    assert metrics_of(made)["test:rmse"] == pytest.approx(metrics_of(made)["test:mse"] ** 0.5)


def test_the_multiclass_classifier_reads_digits_from_sparse_rows(train):
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order].astype(float)
    made = train("linear-learner", {"predictor_type": "multiclass_classifier", "num_classes": 12},
                 {"train": sparse(x[:1200].astype(np.float32), y[:1200])})
    answer = scored(made, x[1200:])
    assert (answer["predicted_label"] == y[1200:]).mean() > 0.92
    np.testing.assert_allclose(answer["score"].sum(1), 1)
    assert answer["score"].shape == (597, 12) and answer["score"][:, 10:].max() < 1e-9  # classes without a row


def test_a_factorization_machine_learns_what_no_linear_model_can(machine):
    from sklearn.linear_model import LogisticRegression

    x, y = crossed(1000, 1)
    assert LogisticRegression().fit(*crossed(2000, 0)).score(x, y) < 0.65
    assert (scored(machine, x)["predicted_label"] == y).mean() > 0.95
    assert metrics_of(machine)["train:binary_classification_cross_entropy"] < 0.3


def test_a_factorization_machine_regresses(train):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1500, 4)).astype(np.float32)
    y = 50 + 3 * x[:, 0] * x[:, 1] + x[:, 2]
    made = train("factorization-machines", {"predictor_type": "regressor", "feature_dim": 4, "num_factors": 4},
                 {"train": recordio(x[:1000], y[:1000]), "test": recordio(x[1000:], y[1000:])})
    assert r2(y[1000:], scored(made, x[1000:])["score"]) > 0.95
    assert metrics_of(made)["test:rmse"] < 1


def test_lda_separates_topics(lda):
    mixture = scored(lda, lda.counts)["topic_mixture"]
    np.testing.assert_allclose(mixture.sum(1), 1)
    named = mixture.argmax(1)
    assert len(set(named[:3])) == 3 and (named == np.tile(named[:3], 40)).all()
    assert -3.5 < metrics_of(lda)["test:pwll"] < -1.5  # ten equal words a topic: about -log 10 = -2.3 a word


def test_xgboost_classifies_and_keeps_its_best_round(xgboost, cancer):
    _, _, held, truth = cancer
    assert ((scored(xgboost, held)["score"] > 0.5) == truth).mean() >= 0.93
    rounds = re.findall(r"\[\d+\]\ttrain-\S+\t.*validation-auc:([0-9.]+)", xgboost.log)
    assert 10 < len(rounds) < 200, "early stopping"
    import xgboost as library

    booster = library.Booster()
    booster.load_model(bytearray((xgboost.folder / "model/xgboost-model").read_bytes()))
    assert booster.num_boosted_rounds() < len(rounds)
    assert metrics_of(xgboost)["validation:accuracy"] > 0.93


def libsvm(x, y, weights=None):
    return "\n".join(f"{label:g}{'' if weights is None else f':{weights[at]:g}'} " + " ".join(
        f"{i}:{v!r}" for i, v in enumerate(row) if v) for at, (row, label) in enumerate(zip(x.tolist(), y))).encode()


def parquet(x, y):
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.table({f"c{at}": column for at, column in enumerate([y, *x.T])}), out)
    return out.getvalue()


FORMATS = {
    "text/csv": lambda x, y: csv(np.column_stack([y, x])),
    "text/libsvm": libsvm, "libsvm": lambda x, y: libsvm(x, y) + b"\n", "parquet": parquet,
    RECORDIO: recordio, "recordio-protobuf": sparse,
}


@pytest.mark.parametrize("kind", FORMATS)
def test_xgboost_reads_each_format_alike(kind, tmp_path, monkeypatch):
    """In this process, for speed; several files, some of them compressed, some without a last newline."""
    rng = np.random.default_rng(0)
    x = rng.integers(1, 9, (300, 4)).astype(np.float32)
    y = (x[:, 0] * x[:, 1]).astype(float)
    whole = FORMATS[kind]
    files = {"a/part-0": whole(x[:100], y[:100]), "part-1": whole(x[100:200], y[100:200]),
             "part-2" if kind == "parquet" else "part-2.gz": whole(x[200:], y[200:]), "_SUCCESS": b""}
    if kind != "parquet":
        files["part-2.gz"] = gzip.compress(files["part-2.gz"])
    folder = lay_out(tmp_path, {"num_round": 60, "max_depth": 3}, {"train": files}, kind)
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(folder))
    assert contract.run("xgboost", boosting.train) == 0, (folder / "output/failure").read_text()
    assert r2(y, scoring.load(folder / "model", "xgboost").predict(x)["score"]) > 0.97


@pytest.mark.parametrize("kind", ["text/csv", "text/libsvm"])
def test_weights_count_and_are_no_feature(kind, tmp_path, monkeypatch):
    x, y, weights = np.ones((4, 2)), np.array([0.0, 0, 0, 8]), np.array([1.0, 1, 1, 9])
    data = csv(np.column_stack([y, weights, x])) if kind == "text/csv" else libsvm(x, y, weights)
    hyper = {"num_round": 50, "eta": 1, "lambda": 0, "base_score": 0.5}
    folder = lay_out(tmp_path, {**hyper, **({"csv_weights": 1} if kind == "text/csv" else {})}, {"train": data}, kind)
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(folder))
    assert contract.run("xgboost", boosting.train) == 0
    assert scoring.load(folder / "model", "xgboost").predict(x)["score"].tolist() == pytest.approx([6] * 4)  # 72 / 12


@pytest.mark.parametrize("objective, metrics", [
    ("binary:logistic", "accuracy,f1_binary,error@0.7"), ("binary:logitraw", "accuracy,balanced_accuracy"),
    ("multi:softprob", "accuracy,f1_macro,mlogloss"), ("multi:softmax", "precision_macro,recall_micro,merror"),
    ("reg:squarederror", "r2,mse,rmse")])
def test_metrics_that_the_container_adds(objective, metrics, tmp_path, monkeypatch, capsys):
    y = np.repeat([0.0, 1], 30)
    hyper = {"objective": objective, "num_round": 20, "eval_metric": metrics}
    folder = lay_out(tmp_path, hyper | ({"num_class": 2} if "multi" in objective else {}),
                     {"train": csv(np.column_stack([y, y * 3]))}, "text/csv")
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(folder))
    assert contract.run("xgboost", boosting.train) == 0, (folder / "output/failure").read_text()
    printed = capsys.readouterr().out
    found = {m["Name"]: float(re.findall(m["Regex"], printed)[-1]) for m in METRICS["xgboost"]
             if re.search(m["Regex"], printed)}
    assert set(found) == {f"train:{name.split('@')[0]}" for name in metrics.split(",")}
    for name, value in found.items():
        low = any(less in name for less in ("error", "mse", "mlogloss"))
        assert value < 0.1 if low else value > 0.99, name


KMEANS, LINEAR, BOOST = {"k": 2, "feature_dim": 2}, {"predictor_type": "binary_classifier"}, {"num_round": 1}
ROWS = b"0,1\n2,3\n"


@pytest.mark.parametrize("algorithm, hyper, channels, kind, reason", [
    ("kmeans", {"feature_dim": 2}, {"train": ROWS}, CSV, "'k' is required"),
    ("kmeans", {**KMEANS, "kk": 3}, {"train": ROWS}, CSV, "Additional hyperparameters are not allowed ('kk' was unexpected)"),
    ("kmeans", {**KMEANS, "k": 1}, {"train": ROWS}, CSV, "Hyperparameter k: must be at least 2, got '1'"),
    ("kmeans", {**KMEANS, "k": "two"}, {"train": ROWS}, CSV, "k: must be a number"),
    ("kmeans", {**KMEANS, "k": "2.5"}, {"train": ROWS}, CSV, "k: must be a whole number"),
    ("kmeans", {**KMEANS, "k": "nan"}, {"train": ROWS}, CSV, "k: must be a finite number"),
    ("kmeans", {**KMEANS, "init_method": "best"}, {"train": ROWS}, CSV, "init_method: must be one of random, kmeans++"),
    ("kmeans", {**KMEANS, "eval_metrics": '["mse"]'}, {"train": ROWS}, CSV, "eval_metrics: must hold only msd, ssd"),
    ("kmeans", {**KMEANS, "k": 3}, {"train": ROWS}, CSV, "k must not exceed the number of rows"),
    ("kmeans", {**KMEANS, "feature_dim": 3}, {"train": ROWS}, CSV, "is 2, but feature_dim is 3"),
    ("kmeans", KMEANS, {"test": ROWS}, CSV, "Missing required data channel 'train'"),
    ("kmeans", KMEANS, {"train": {}}, CSV, "There are no files"),
    ("kmeans", KMEANS, {"train": b"\n"}, CSV, "There are no rows"),
    ("kmeans", KMEANS, {"train": b""}, RECORDIO, "There are no rows"),
    ("kmeans", KMEANS, {"train": b"0,1\n2\n"}, CSV, "different numbers of columns"),
    ("kmeans", KMEANS, {"train": b"a,b\n0,1\n"}, CSV, "could not convert"),
    ("kmeans", KMEANS, {"train": b"0,\n0,1\n"}, CSV, "must be finite numbers"),
    ("kmeans", KMEANS, {"train": {"a.gz": b"no gzip"}}, CSV, "Not a gzipped file"),
    ("kmeans", KMEANS, {"train": {"a.gz": gzip.compress(ROWS)[:-9]}}, CSV, "ended"),
    ("kmeans", KMEANS, {"train": b"abcdefghijkl"}, RECORDIO, "Unable to read data channel 'train'"),
    ("kmeans", KMEANS, {"train": ROWS}, "text/libsvm", "'text/libsvm' is not supported"),
    ("kmeans", {**KMEANS, "feature_dim": 3}, {"train": recordio(np.ones((4, 2)))}, RECORDIO, "is 2, but feature_dim is 3"),
    ("pca", {"feature_dim": 2, "num_components": 3, "mini_batch_size": 1}, {"train": ROWS}, CSV, "must be at most 2"),
    ("linear-learner", LINEAR, {"train": recordio(np.ones((4, 2)))}, RECORDIO, "The data has no labels"),
    ("linear-learner", LINEAR, {"train": b"0,1\n2,3\n"}, "text/csv", "must be 0 or 1, got"),
    ("linear-learner", LINEAR, {"train": b"1,1\n1,3\n"}, "text/csv", "both labels"),
    ("linear-learner", LINEAR, {"train": b"1\n0\n"}, "text/csv", "more than 1 columns"),
    ("linear-learner", {"predictor_type": "multiclass_classifier"}, {"train": ROWS}, "text/csv", "'num_classes' is required"),
    ("linear-learner", {"predictor_type": "multiclass_classifier", "num_classes": 3}, {"train": b"0,1\n3,3\n"}, "text/csv",
     "num_classes - 1 = 2"),
    ("factorization-machines", {"predictor_type": "regressor", "num_factors": 2, "feature_dim": 1}, {"train": ROWS}, "text/csv",
     "'text/csv' is not supported"),
    ("lda", {"num_topics": 2, "feature_dim": 2, "mini_batch_size": 2}, {"train": b"1,-1\n2,2\n"}, CSV, "must not be negative"),
    ("xgboost", {}, {"train": ROWS}, "text/csv", "'num_round' is required"),
    ("xgboost", {**BOOST, "objective": "multi:softmax"}, {"train": ROWS}, "text/csv", "'num_class' is required"),
    ("xgboost", {**BOOST, "eval_metric": "rmse,best"}, {"train": ROWS}, "text/csv", "eval_metric: must hold only"),
    ("xgboost", {**BOOST, "eta": 1.5}, {"train": ROWS}, "text/csv", "eta: must be at most 1"),
    ("xgboost", {**BOOST, "_kfold": 2}, {"train": ROWS}, "text/csv", "_kfold"),
    ("xgboost", BOOST, {"train": b"1 0:1 x\n"}, "text/libsvm", "not LibSVM"),
    ("xgboost", BOOST, {"train": b"1 -1:1\n"}, "text/libsvm", "must not be negative"),
    ("xgboost", {**BOOST, "objective": "multi:softmax", "num_class": 2}, {"train": b"5,1\n0,2\n"}, "text/csv", "label"),
    ("xgboost", BOOST, {"train": b"PAR1"}, "parquet", "Unable to read data channel 'train'"),
])
def test_what_is_wrong_is_the_reason_of_failure(refused, algorithm, hyper, channels, kind, reason):
    found = refused(algorithm, hyper, channels, kind)
    assert found.startswith("ClientError: ") and reason in found, found


def test_a_failing_process_ends_with_one(tmp_path):
    folder = lay_out(tmp_path, {"k": 2}, {"train": ROWS}, CSV)
    done = subprocess.run([*PROGRAM, "kmeans", "train"], env=environment(folder), capture_output=True, text=True)
    assert done.returncode == 1
    assert (folder / "output/failure").read_text() == "ClientError: Hyperparameter 'feature_dim' is required, it is missing"


def test_sparse_rows_of_a_million_columns_fit_in_memory(tmp_path):
    """Dense they would be 4 GB; the process may have 3."""
    rng = np.random.default_rng(0)
    framed = b"".join(record.encode_tensor(np.ones(2), [int(label), int(rng.integers(2, 1_000_000))], [1_000_000], float(label))
                      for label in rng.integers(0, 2, 500))
    folder = lay_out(tmp_path, {**LINEAR, "feature_dim": 1_000_000}, {"train": framed}, RECORDIO)
    done = subprocess.run(
        [*PROGRAM, "linear-learner", "train"], env=environment(folder, OPENBLAS_NUM_THREADS="1"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30)), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "train binary_classification_accuracy <loss>=1\n" in done.stdout
