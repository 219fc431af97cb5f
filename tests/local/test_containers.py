"""The model servers of the local containers: every content type that the real ones take and give."""
import http.client
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from sagemaker_pyspark import errors, mxnet, scoring
from sagemaker_pyspark.codecs import labels, record
from sagemaker_pyspark.local.processes import free_port

RECORDIO = "application/x-recordio-protobuf"
X = np.array([[1.0, 0.0, 2.0], [0.0, 5.0, 0.0]])
BODIES = {
    "text/csv": b"1,0,2\n0,5,0\n",
    "application/json": json.dumps({"instances": [{"features": [1, 0, 2]}, {"data": {"features": {
        "keys": [1], "shape": [3], "values": [5]}}}]}).encode(),
    "application/jsonlines": b'{"features": [1, 0, 2]}\n{"features": [0, 5, 0]}\n',
    RECORDIO: record.encode_dense(X)[0].tobytes()}


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """Starts the server of an algorithm over a model; gives a function that posts to it."""
    running = []

    def start(algorithm, write):
        folder = tmp_path_factory.mktemp(algorithm)
        write(folder / "model")
        port = free_port()
        running.append(subprocess.Popen([sys.executable, "-m", "sagemaker_pyspark.local.containers", algorithm, "serve"], env={
            **os.environ, "SAGEMAKER_BASE_DIR": str(folder), "SAGEMAKER_BIND_TO_PORT": str(port)}))

        def post(body, content_type, accept="", path="/invocations", method="POST"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request(method, path, body, {"Content-Type": content_type, **({"Accept": accept} if accept else {})})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.getheader("Content-Type")

        for _ in range(600):
            try:
                if post(b"", "", path="/ping", method="GET")[0] == 200:
                    return post
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the server did not come up")

    yield start
    for process in running:
        process.terminate()
        assert process.wait(10) == 0


def linear(folder):
    scoring.save(folder, "linear-learner", {"weights": np.array([[1.0], [2.0], [3.0]]), "bias": np.array([0.5])},
                 predictor_type="regressor")


def scores(body, accept):
    if accept == RECORDIO:
        return labels.decode_labels(body, ("score",), (False,))[0].tolist()
    if accept == "text/csv":
        return [float(line) for line in body.split()]
    rows = json.loads(body)["predictions"] if accept == "application/json" else [json.loads(x) for x in body.splitlines()]
    return [row["score"] for row in rows]


def test_every_content_type_in_and_out(serve):
    post = serve("linear-learner", linear)
    for content_type, body in BODIES.items():
        for accept in BODIES:
            status, answer, kind = post(body, content_type, accept)
            assert (status, kind) == (200, accept)
            assert scores(answer, accept) == pytest.approx([7.5, 10.5])
    assert post(BODIES["text/csv"], "text/csv")[2] == "application/json"  # the default answer
    assert post(b"1,0,2\n", "text/html")[0] == 415
    assert post(b"1,0,2\n", "text/csv", "text/html")[0] == 406
    for bad in (b"1,0\n", b"a,b,c\n", b"1,0,2\n1,2\n"):
        status, answer, _ = post(bad, "text/csv")
        assert status == 400 and answer
    assert post(b"garbage", RECORDIO)[0] == 400 and post(b"{", "application/json")[0] == 400
    status, answer, _ = post(b"", "", path="/execution-parameters", method="GET")
    assert status == 200 and json.loads(answer)["BatchStrategy"] == "MULTI_RECORD"


def test_xgboost_takes_libsvm_csv_and_recordio(serve):
    import xgboost

    rng = np.random.default_rng(0)
    x = rng.random((80, 3))
    booster = xgboost.train({"objective": "reg:squarederror", "nthread": 1}, xgboost.DMatrix(x, x[:, 0] * 3), 20)

    def write(folder):
        folder.mkdir(parents=True)
        (folder / "xgboost-model").write_bytes(bytes(booster.save_raw("ubj")))

    post = serve("xgboost", write)
    expected = booster.predict(xgboost.DMatrix(x[:2]))
    lines = "".join("0 " + " ".join(f"{i}:{v!r}" for i, v in enumerate(row)) + "\n" for row in x[:2].tolist())
    for content_type, body in (("text/libsvm", lines.encode()), ("text/x-libsvm", lines.encode()),
                               ("text/csv", "".join(",".join(map(repr, row)) + "\n" for row in x[:2].tolist()).encode()),
                               (RECORDIO, record.encode_dense(x[:2])[0].tobytes())):
        status, answer, kind = post(body, content_type)
        assert (status, kind) == (200, "text/csv")
        np.testing.assert_allclose([float(v) for v in answer.split()], expected, atol=1e-5)
    assert post(b'{"instances": []}', "application/json")[0] == 415


def test_artifacts_of_the_real_containers(tmp_path):
    """K-Means' and PCA's model_algo-1 as MXNet writes it: built here byte by byte from the format's description."""
    import struct

    def array(values):
        values = np.asarray(values, "<f4")
        return (struct.pack("<IiI", 0xF993FAC9, 0, values.ndim) + struct.pack(f"<{values.ndim}q", *values.shape)
                + struct.pack("<iii", 1, 0, 0) + values.tobytes())

    def container(arrays, names):
        out = struct.pack("<QQQ", 0x112, 0, len(arrays)) + b"".join(map(array, arrays)) + struct.pack("<Q", len(names))
        return out + b"".join(struct.pack("<Q", len(n)) + n.encode() for n in names)

    (tmp_path / "model_algo-1").write_bytes(container([[[0.0, 0.0], [3.0, 4.0]]], []))
    answer = scoring.load(tmp_path, "kmeans").predict(np.array([[0.0, 0.0], [3.0, 5.0]]))
    assert answer["closest_cluster"].tolist() == [0, 1] and answer["distance_to_cluster"].tolist() == pytest.approx([0, 1])
    (tmp_path / "model_algo-1").write_bytes(container([[[1.0, 1.0]], [[1.0], [0.0]], [2.0]], ["mean", "v", "s"]))
    assert scoring.load(tmp_path, "pca").predict(np.array([[3.0, 9.0]]))["projection"].tolist() == [[2.0]]
    for bad in (b"", b"\x12\x01" + bytes(30), container([[[1.0]]], [])[:40]):
        with pytest.raises(errors.UnexpectedResponse):
            mxnet.read(bad)
    for algorithm in ("linear-learner", "ntm"):
        with pytest.raises(errors.UnexpectedResponse, match="mode="):
            scoring.load(tmp_path, algorithm)
    (tmp_path / "xgboost-model").write_bytes(b"\x80\x04pickle")
    with pytest.raises(errors.UnexpectedResponse, match="pickle"):
        scoring.load(tmp_path, "xgboost")
