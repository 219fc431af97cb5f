"""The model servers: every content type in, every one out, refusals, speed."""
import json
import signal
import socket
import time

import numpy as np
import pytest
from conftest import Server
from opt_ml import RECORDIO, crossed, csv, lay_out, recordio, sparse

from sagemaker_pyspark import scoring
from sagemaker_pyspark.codecs.decode import decode
from sagemaker_pyspark.codecs.labels import decode_labels

JSON, LINES, TEXT = "application/json", "application/jsonlines", "text/csv"


def bodies(x):
    """The same rows in every content type of the first-party containers, by a name for the test."""
    rows = [[float(v) for v in row] for row in x]
    keyed = [{"data": {"features": {"keys": list(range(len(row))), "shape": [len(row)], "values": row}}} for row in rows]
    return {
        "csv": (TEXT, csv(x)), "csv, newline, charset": ("text/csv; charset=utf-8", csv(x) + b"\n"),
        "json": (JSON, json.dumps({"instances": [{"features": row} for row in rows]}).encode()),
        "json, sparse": (JSON, json.dumps({"instances": keyed}).encode()),
        "json, dense data": (JSON, json.dumps(
            {"instances": [{"data": {"features": {"values": row}}} for row in rows]}).encode()),
        "jsonlines": (LINES, "\n".join(json.dumps({"features": row}) for row in rows).encode()),
        "jsonlines, sparse": (LINES, "".join(json.dumps(one) + "\n" for one in keyed).encode()),
        "recordio": (RECORDIO, recordio(x)), "recordio, sparse": (RECORDIO, sparse(x)),
    }


@pytest.mark.parametrize("form", bodies(np.ones((1, 1), np.float32)))
def test_every_content_type_means_the_same_rows(serve, kmeans, digits, form):
    x = digits[:7].astype(np.float32)
    kind, body = bodies(x)[form]
    status, accept, answer = serve(kmeans).ask(body, kind)
    assert (status, accept) == (200, JSON)
    expected = scoring.load(kmeans.folder / "model", "kmeans").predict(x)
    found = json.loads(answer)["predictions"]
    assert [set(one) for one in found] == [{"closest_cluster", "distance_to_cluster"}] * 7
    for key, values in expected.items():
        np.testing.assert_allclose([one[key] for one in found], values, rtol=1e-5)


def test_every_accept_says_the_same(serve, kmeans, digits):
    server, x = serve(kmeans), digits[:5]
    answers = {accept: server.ask(csv(x), TEXT, accept) for accept in (JSON, LINES, TEXT, RECORDIO, "*/*")}
    assert {status for status, _, _ in answers.values()} == {200}
    assert [kind for _, kind, _ in answers.values()] == [JSON, LINES, TEXT, RECORDIO, JSON]
    rows = json.loads(answers[JSON][2])["predictions"]
    assert [json.loads(line) for line in answers[LINES][2].splitlines()] == rows
    assert [[float(cell) for cell in line.split(b",")] for line in answers[TEXT][2].splitlines()] == [
        [row["closest_cluster"], row["distance_to_cluster"]] for row in rows]
    closest, distance = decode_labels(answers[RECORDIO][2], ("closest_cluster", "distance_to_cluster"), (False, False))
    assert list(closest) == [row["closest_cluster"] for row in rows]
    np.testing.assert_allclose(distance, [row["distance_to_cluster"] for row in rows], rtol=1e-6)
    assert all(not one.features for one in decode(answers[RECORDIO][2]))


def test_pca_answers_projections(serve, pca, digits):
    status, _, answer = serve(pca).ask(csv(digits[:3]), TEXT)
    assert status == 200
    found = json.loads(answer)["projections"]
    assert len(found) == 3 and [len(one["projection"]) for one in found] == [5, 5, 5]
    _, _, packed = serve(pca).ask(recordio(digits[:3]), RECORDIO, RECORDIO)
    (projected,) = decode_labels(packed, ("projection",), (True,))
    np.testing.assert_allclose(projected, [one["projection"] for one in found], rtol=1e-4)


def test_the_linear_learner_answers_score_and_label(serve, binary, cancer):
    _, _, held, truth = cancer
    status, _, answer = serve(binary).ask(csv(held), TEXT, LINES)
    rows = [json.loads(line) for line in answer.splitlines()]
    assert status == 200 and all(set(row) == {"score", "predicted_label"} for row in rows)
    assert np.mean([row["predicted_label"] == y for row, y in zip(rows, truth)]) > 0.93


def test_factorization_machines_take_no_csv(serve, machine):
    x, y = crossed(40, 5)
    status, _, message = serve(machine).ask(csv(x), TEXT)
    assert status == 415 and b"text/csv not supported" in message
    status, _, answer = serve(machine).ask(sparse(x), RECORDIO)
    assert status == 200
    found = json.loads(answer)["predictions"]
    assert [row["predicted_label"] for row in found] == [float(row["score"] >= 0.5) for row in found]
    assert np.mean([row["predicted_label"] == label for row, label in zip(found, y)]) > 0.9


def test_lda_answers_mixtures(serve, lda):
    status, _, answer = serve(lda).ask(csv(lda.counts[:6]), TEXT)
    assert status == 200
    assert [sum(one["topic_mixture"]) for one in json.loads(answer)["predictions"]] == pytest.approx([1] * 6)
    assert serve(lda).ask(b'{"features": [1]}', LINES)[0] == 415


def test_xgboost_answers_csv_unless_asked(serve, xgboost, cancer):
    server, x = serve(xgboost), cancer[2][:4]
    status, kind, answer = server.ask(csv(x), TEXT)
    assert (status, kind) == (200, TEXT)
    scores = [float(line) for line in answer.splitlines()]  # one a line
    np.testing.assert_allclose(scores, scoring.load(xgboost.folder / "model", "xgboost").predict(x)["score"], rtol=1e-6)
    libsvm = "\n".join("0 " + " ".join(f"{at}:{v!r}" for at, v in enumerate(row)) for row in x.tolist()).encode()
    for body, sent in ((libsvm, "text/libsvm"), (libsvm, "text/x-libsvm"), (recordio(x), RECORDIO)):
        np.testing.assert_allclose([float(line) for line in server.ask(body, sent)[2].splitlines()], scores, rtol=1e-6)
    assert [row["score"] for row in json.loads(server.ask(csv(x), TEXT, JSON)[2])["predictions"]] == scores


def test_xgboost_probabilities_are_one_line_a_row(tmp_path, monkeypatch):
    from sagemaker_pyspark.local.containers import boosting, contract

    y = np.tile([0.0, 1, 2], 30)
    folder = lay_out(tmp_path, {"objective": "multi:softprob", "num_class": 3, "num_round": 5},
                     {"train": csv(np.column_stack([y, y, -y]))}, TEXT)
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(folder))
    assert contract.run("xgboost", boosting.train) == 0
    answer = scoring.load(folder / "model", "xgboost").predict(np.array([[0.0, 0], [1, -1], [2, -2]]))
    from sagemaker_pyspark.local.containers.serving import _rendered

    lines = _rendered(answer, TEXT, "xgboost").decode().splitlines()
    table = np.array([[float(cell) for cell in line.split(",")] for line in lines])
    assert table.shape == (3, 3) and table.argmax(1).tolist() == [0, 1, 2]


BAD = [
    (TEXT, b"1,2\n", "must have 64 features"), (TEXT, b"a" + b",1" * 63, "could not convert"),
    (TEXT, b"1" + b",1" * 63 + b"\n1,2", "different numbers of features"), (TEXT, b"," * 63, "finite"),
    (TEXT, b"\xff\xfe", "decode"), (JSON, b"{", "decode"), (JSON, b"[]", "decode"), (JSON, b'{"rows": []}', "instances"),
    (JSON, b'{"instances": [{"features": ["x"]}]}', "decode"), (LINES, b"{}\n", "features"),
    (JSON, b'{"instances": [{"data": {"features": {"keys": [64], "shape": [64], "values": [1]}}}]}', "range"),
    (RECORDIO, b"not a record", "decode"), (RECORDIO, recordio(np.ones((2, 3))), "must have 64 features"), (TEXT, b"", "no body")]


@pytest.mark.parametrize("kind, body, message", BAD, ids=range(len(BAD)))
def test_bad_rows_are_refused_with_a_reason_and_the_connection_lives_on(serve, kmeans, digits, kind, body, message):
    server = serve(kmeans)
    status, _, answer = server.ask(body, kind)
    assert status == 400 and message in answer.decode()
    assert server.ask(csv(digits[:1]), TEXT)[0] == 200


def test_unknown_types_are_refused(serve, kmeans, digits):
    assert serve(kmeans).ask(csv(digits[:1]), "text/libsvm")[0] == 415
    assert serve(kmeans).ask(csv(digits[:1]), TEXT, "image/png")[0] == 406


def test_xgboost_has_statuses_of_its_own(serve, xgboost):
    server = serve(xgboost)
    assert server.ask(b"", TEXT)[::2] == (204, b"")
    assert server.ask(b"a,b", TEXT)[0] == 415  # not to be decoded
    assert server.ask(b"1,2,3", TEXT)[0] == 400  # decoded, and not to be predicted
    assert server.ask(b"1,2", TEXT, "image/png")[0] == 406
    assert server.get("/ping")[0] == 200


def test_the_other_paths(serve, kmeans):
    server = serve(kmeans)
    assert server.get("/ping") == (200, b"")
    status, answer = server.get("/execution-parameters")
    assert status == 200 and set(json.loads(answer)) == {"MaxConcurrentTransforms", "BatchStrategy", "MaxPayloadInMB"}
    assert server.get("/elsewhere")[0] == 404


def test_it_listens_on_loopback_only(serve, kmeans):
    port = f"{serve(kmeans).port:04X}"
    with open("/proc/net/tcp") as table:
        found = [line.split()[1] for line in table if line.split()[1].endswith(f":{port}") and line.split()[3] == "0A"]
    assert found == [f"0100007F:{port}"]


def test_it_starts_fast_and_stops_when_told(kmeans):
    server = Server(kmeans)
    seconds = server.started_seconds
    assert server.ask(b"1" + b",1" * 63, TEXT)[0] == 200
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))
    assert seconds < 6  # 0.5 on an idle machine; the bound only notices an import of something big


def test_requests_are_answered_quickly(serve, kmeans):
    server, body = serve(kmeans), b"1" + b",1" * 63
    server.ask(body, TEXT)
    began = time.perf_counter()
    for _ in range(200):
        assert server.ask(body, TEXT)[0] == 200
    assert time.perf_counter() - began < 4  # Nagle's algorithm with delayed ACKs would cost 40 ms each: 8 seconds
