"""Fixtures: models trained once by real processes, model servers."""
import importlib
import socket
import subprocess
import time
from http.client import HTTPConnection

import numpy as np
import pytest
from opt_ml import CSV, PROGRAM, RECORDIO, crossed, csv, environment, lay_out, recordio, sparse


class Trained:
    def __init__(self, algorithm, folder, log):
        self.algorithm, self.folder, self.log = algorithm, folder, log


@pytest.fixture(scope="session")
def train(tmp_path_factory):
    """Train in a process of its own; it must succeed."""

    def run(algorithm, hyper, channels, kind=RECORDIO):
        folder = lay_out(tmp_path_factory.mktemp(algorithm), hyper, channels, kind)
        done = subprocess.run([*PROGRAM, algorithm, "train"], env=environment(folder), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120)
        assert done.returncode == 0, done.stdout
        assert not (folder / "output/failure").exists()
        return Trained(algorithm, folder, done.stdout)

    return run


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """Train what must fail, in this process; gives the reason of failure."""
    from sagemaker_pyspark.local.containers import __main__, contract

    def run(algorithm, hyper, channels, kind=RECORDIO):
        folder = lay_out(tmp_path / algorithm, hyper, channels, kind)
        monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(folder))
        module = importlib.import_module(f"sagemaker_pyspark.local.containers.{__main__._MODULES[algorithm]}")
        assert contract.run(algorithm, module.train) == 1
        assert not list((folder / "model").iterdir())
        return (folder / "output/failure").read_text()

    return run


class Server:
    """A model server in a process of its own, spoken to over one connection that is kept alive."""

    def __init__(self, trained, **more):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        began = time.monotonic()
        self.process = subprocess.Popen(
            [*PROGRAM, trained.algorithm, "serve"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=environment(trained.folder, SAGEMAKER_BIND_TO_PORT=str(self.port), **more))
        while True:
            assert self.process.poll() is None, "the server ended"
            assert time.monotonic() - began < 60
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.01)
        self.started_seconds = time.monotonic() - began
        self.connection = HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(self, body, kind, accept=None):
        """(status, content type, body)"""
        headers = {"Content-Type": kind, **({"Accept": accept} if accept else {})}
        self.connection.request("POST", "/invocations", body, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read()

    def get(self, path):
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def stop(self):
        self.connection.close()
        self.process.terminate()
        return self.process.wait(20)


@pytest.fixture(scope="session")
def serve():
    """Servers by model; each model is served once a run."""
    servers = {}

    def get(trained):
        if trained.folder not in servers:
            servers[trained.folder] = Server(trained)
        return servers[trained.folder]

    yield get
    assert {server.stop() for server in servers.values()} <= {0}


@pytest.fixture(scope="session")
def digits():
    from sklearn.datasets import load_digits

    return load_digits().data


@pytest.fixture(scope="session")
def cancer():
    """(features, labels, held-out features, held-out labels)"""
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import train_test_split

    x, held, y, truth = train_test_split(*load_breast_cancer(return_X_y=True), random_state=0, test_size=0.3)
    return x, y.astype(float), held, truth.astype(float)


@pytest.fixture(scope="session")
def kmeans(train, digits):
    half = len(digits) // 2
    return train("kmeans", {"k": 10, "feature_dim": 64, "eval_metrics": '["msd", "ssd"]'},
                 {"train": {"a/part-0": recordio(digits[:half]), "b/part-1": recordio(digits[half:])},
                  "test": recordio(digits[:100])})


@pytest.fixture(scope="session")
def pca(train, digits):
    return train("pca", {"feature_dim": 64, "num_components": 5, "mini_batch_size": 500}, {"train": csv(digits)}, CSV)


@pytest.fixture(scope="session")
def binary(train, cancer):
    x, y, held, truth = cancer
    return train("linear-learner", {"predictor_type": "binary_classifier", "feature_dim": 30},
                 {"train": recordio(x, y), "validation": recordio(held, truth)})


@pytest.fixture(scope="session")
def xgboost(train, cancer):
    x, y, held, truth = cancer
    return train("xgboost", {"objective": "binary:logistic", "num_round": 200, "eval_metric": "accuracy,auc",
                             "early_stopping_rounds": 10},
                 {"train": csv(np.column_stack([y, x])), "validation": csv(np.column_stack([truth, held]))}, "text/csv")


@pytest.fixture(scope="session")
def machine(train):
    x, y = crossed(2000, 0)
    return train("factorization-machines", {"predictor_type": "binary_classifier", "feature_dim": 8, "num_factors": 8},
                 {"train": sparse(x, y)})


@pytest.fixture(scope="session")
def lda(train):
    """Documents of three topics, each with ten words of its own."""
    rng = np.random.default_rng(0)
    counts = np.zeros((120, 30), np.float32)
    for row in range(120):
        counts[row, 10 * (row % 3):10 * (row % 3) + 10] = rng.poisson(3, 10)
    counts[:, 0] += counts.sum(1) == 0
    made = train("lda", {"num_topics": 3, "feature_dim": 30, "mini_batch_size": 120},
                 {"train": recordio(counts), "test": recordio(counts[:30])})
    made.counts = counts
    return made
