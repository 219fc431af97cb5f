"""Text requests, answers of every format, codecs of one's own, and their saved form."""
import json

import numpy as np
import pyarrow as pa
import pytest
from vectors import VECTOR

from sagemaker_pyspark import errors
from sagemaker_pyspark.codecs import labels
from sagemaker_pyspark.codecs.base import RequestRowSerializer, ResponseRowDeserializer
from sagemaker_pyspark.transformation import deserializers as d
from sagemaker_pyspark.transformation import serializers as s

ROWS = pa.array([{"type": 1, "values": [1.0, 0.0, 2.5]}, {"type": 0, "size": 3, "indices": [1], "values": [4.0]}, None], VECTOR)
BATCH = pa.RecordBatch.from_arrays([ROWS, pa.array([1.0, 0.0, 1.0])], ["features", "label"])


def lines(serializer):
    return [v.as_py() for v in serializer.encode(BATCH)]


def test_csv():
    assert lines(s.UnlabeledCSVRequestRowSerializer()) == [b"1.0,0.0,2.5\n", b"0.0,4.0,0.0\n", None]
    assert lines(s.CSVRequestRowSerializer(labelColumnName="label"))[0] == b"1.0,1.0,0.0,2.5\n"


def test_libsvm_counts_from_zero_and_names_the_first_and_last_index():
    assert lines(s.LibSVMRequestRowSerializer()) == [b"1.0 0:1.0 2:2.5\n", b"0.0 0:0.0 1:4.0 2:0.0\n", None]


def test_json():
    made = s.JSONLinesRequestRowSerializer()
    first, second, _ = lines(made)
    assert json.loads(first) == {"features": [1.0, 0.0, 2.5]}
    assert json.loads(second) == {"data": {"features": {"keys": [1], "shape": [3], "values": [4.0]}}}
    body = s.JSONRequestRowSerializer().body(first + second)
    assert [list(i) for i in json.loads(body)["instances"]] == [["features"], ["data"]]


ANSWERS = [
    (d.KMeansProtobufResponseRowDeserializer(), {"closest_cluster": [1.0, 2.0], "distance_to_cluster": [0.5, 0.25]},
     {"distance_to_cluster": [0.5, 0.25], "closest_cluster": [1.0, 2.0]}),
    (d.PCAProtobufResponseRowDeserializer("p"), {"projection": [[1.0, 2.0], [3.0, 4.0]]}, {"p": [[1.0, 2.0], [3.0, 4.0]]}),
    (d.LDAProtobufResponseRowDeserializer(), {"topic_mixture": [[0.5, 0.5]]}, {"topic_mixture": [[0.5, 0.5]]}),
    (d.LinearLearnerBinaryClassifierProtobufResponseRowDeserializer(), {"score": [0.5], "predicted_label": [1.0]},
     {"score": [0.5], "predicted_label": [1.0]}),
    (d.LinearLearnerMultiClassClassifierProtobufResponseRowDeserializer(), {"score": [[0.5, 0.5]], "predicted_label": [1.0]},
     {"score": [[0.5, 0.5]], "predicted_label": [1.0]}),
    (d.LinearLearnerRegressorProtobufResponseRowDeserializer("s"), {"score": [2.0, 3.0]}, {"s": [2.0, 3.0]}),
    (d.FactorizationMachinesBinaryClassifierDeserializer(), {"score": [0.5], "predicted_label": [0.0]},
     {"score": [0.5], "predicted_label": [0.0]}),
    (d.FactorizationMachinesRegressorDeserializer(), {"score": [0.5]}, {"score": [0.5]}),
]


@pytest.mark.parametrize("deserializer, columns, expected", ANSWERS, ids=lambda v: type(v).__name__)
def test_protobuf_answers(deserializer, columns, expected):
    body = labels.encode_response({k: np.array(v) for k, v in columns.items()})
    assert deserializer.decode(body).to_pydict() == expected


def test_one_record_may_answer_several_rows():
    from sagemaker_pyspark.codecs import message, recordio

    made = message.message_class()()
    made.label["score"].float32_tensor.values.extend([1.0, 2.0, 3.0])
    body = recordio.frame(made.SerializeToString())
    assert d.LinearLearnerRegressorProtobufResponseRowDeserializer().decode(body).num_rows == 3


def test_a_missing_key_names_those_that_are_there():
    body = labels.encode_response({"score": np.array([1.0])})
    with pytest.raises(errors.UnexpectedResponse, match="'projection'.*score"):
        d.PCAProtobufResponseRowDeserializer().decode(body)


def test_csv_answers():
    xgboost = d.XGBoostCSVRowDeserializer()
    assert xgboost.decode(b"0.5\n0.25\n").to_pydict() == {"prediction": [0.5, 0.25]}
    assert xgboost.decode(b"0.5,0.25,0.125", rows=3).num_rows == 3  # containers before 1.2-2
    assert d.XGBoostCSVRowDeserializer(vector=True).decode(b"0.1,0.9\n[0.2, 0.8]\n").to_pydict() == {
        "prediction": [[0.1, 0.9], [0.2, 0.8]]}
    with pytest.raises(errors.UnexpectedResponse, match="cells"):
        xgboost.decode(b"0.5,0.25\n0.1,0.9\n", rows=2)
    assert d.CSVResponseRowDeserializer("a int, b string").decode(b"1,x\n").to_pydict() == {"a": [1], "b": ["x"]}


def test_libsvm_answers():
    made = d.LibSVMResponseRowDeserializer(3, "label", "features").decode(b"1 1:2.0 3:4\n0\n")
    assert made.to_pydict() == {"label": [1.0, 0.0], "features": [[2.0, 0.0, 4.0], [0.0, 0.0, 0.0]]}
    with pytest.raises(errors.UnexpectedResponse, match="1 to 3"):
        d.LibSVMResponseRowDeserializer(3, "label", "features").decode(b"1 4:2.0\n")


def test_json_answers():
    made = d.JSONResponseRowDeserializer("score double, tags array<string>")
    assert made.decode(b'{"predictions": [{"score": 1, "tags": ["a"]}]}').to_pydict() == {"score": [1.0], "tags": [["a"]]}
    with pytest.raises(errors.UnexpectedResponse, match="'score'.*row|row 0.*'score'"):
        made.decode(b'{"predictions": [{"sccore": 1}]}')
    with pytest.raises(errors.UnexpectedResponse, match="predictions"):
        made.decode(b'{"answers": []}')
    with pytest.raises(errors.UnexpectedResponse, match="JSON"):
        made.decode(b"<html>")
    assert d.JSONLinesResponseRowDeserializer("score double").decode(b'{"score": 2}\n{"score": 3}').num_rows == 2


class Doubling(RequestRowSerializer):
    """A codec of one's own: two columns, a list of bytes."""

    content_type, columns = "text/csv", ("a", "b")

    def encode(self, batch):
        return [f"{row['a']},{row['b']}\n".encode() for row in batch.to_pylist()]


class Joined(ResponseRowDeserializer):
    accepts, fields = "text/csv", (("joined", "string"),)

    def __init__(self, sign="+"):
        self.sign = sign

    def decode(self, body, content_type=None, rows=None):
        return pa.RecordBatch.from_pydict({"joined": [x.replace(",", self.sign) for x in body.decode().splitlines()]})


def test_a_codec_of_ones_own():
    batch = pa.RecordBatch.from_pydict({"a": [1, 2], "b": ["x", "y"]})
    assert Joined().decode(b"".join(Doubling().encode(batch))).to_pydict() == {"joined": ["1+x", "2+y"]}


EVERY = [s.ProtobufRequestRowSerializer(featuresColumnName="f"), s.UnlabeledCSVRequestRowSerializer(),
         s.LibSVMRequestRowSerializer(labelColumnName="l"), s.JSONRequestRowSerializer(), Doubling(), Joined("-"),
         d.KMeansProtobufResponseRowDeserializer("x", "y"), d.LibSVMResponseRowDeserializer(3, "l", "f"),
         d.ProtobufResponseRowDeserializer("a double", ["k"]), d.XGBoostCSVRowDeserializer(vector=True)]


@pytest.mark.parametrize("codec", EVERY, ids=lambda c: type(c).__name__)
def test_saved_as_json(codec):
    base = RequestRowSerializer if isinstance(codec, RequestRowSerializer) else ResponseRowDeserializer
    again = base.from_json(json.loads(json.dumps(codec.to_json())))
    assert again == codec and repr(again) == repr(codec)
    assert getattr(again, "fields", None) == getattr(codec, "fields", None)


def test_a_saved_stage_cannot_name_another_class():
    with pytest.raises(errors.InvalidInput, match="not a"):
        RequestRowSerializer.from_json({"class": "subprocess.Popen", "arguments": {"args": "true"}})
