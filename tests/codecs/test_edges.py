"""Odd answers and odd streams: the right rows or an error of ours, never another row's numbers or a library's traceback."""
import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vectors import VECTOR

from sagemaker_pyspark import errors
from sagemaker_pyspark.codecs import decode, message, record, recordio
from sagemaker_pyspark.codecs import labels as answers
from sagemaker_pyspark.codecs.base import RequestRowSerializer, ResponseRowDeserializer
from sagemaker_pyspark.transformation import deserializers as d
from sagemaker_pyspark.transformation import serializers as s

READ = Path(__file__).parents[2] / "proto" / "vectors" / "read"


def one(fill):
    made = message.message_class()()
    fill(made)
    return recordio.frame(made.SerializeToString())


def features(values, keys=(), shape=()):
    def fill(made):
        tensor = made.features["values"].float32_tensor
        tensor.values.extend(values)
        tensor.keys.extend(keys)
        tensor.shape.extend(shape)
    return one(fill)


def label(key, values, keys=(), shape=()):
    def fill(made):
        tensor = made.label[key].float32_tensor
        tensor.values.extend(values)
        tensor.keys.extend(keys)
        tensor.shape.extend(shape)
    return one(fill)


@pytest.mark.parametrize("path", sorted(READ.glob("*.bin")), ids=lambda p: p.stem)
def test_streams_that_must_be_read(path):
    expected = json.loads(path.with_suffix(".json").read_text())

    def plain(tensor):
        values = [v.hex() for v in tensor.values] if isinstance(tensor.values, list) else tensor.values.tolist()
        return {"values": values, "keys": None if tensor.keys is None else tensor.keys.tolist(),
                "shape": None if tensor.shape is None else list(tensor.shape)}

    found = [{"features": {k: plain(v) for k, v in r.features.items()}, "label": {k: plain(v) for k, v in r.label.items()},
              "uid": r.uid, "metadata": r.metadata, "configuration": r.configuration} for r in decode.decode(path.read_bytes())]
    assert found == expected


def test_every_vector_is_described():
    text = (READ.parent / "README.md").read_text()
    assert all(f"`{p.stem}`" in text for folder in ("read", "refused") for p in (READ.parent / folder).glob("*.bin"))


def test_there_are_streams_to_read():
    assert {p.stem for p in READ.glob("*.bin")} >= {"float64", "int32", "bytes", "texts", "unpacked", "unknown_field"}


@pytest.mark.parametrize("stream, words", [
    (features([1.0, 2.0, 3.0], (), [10**9]), "as many values as its shape"),
    (features([1.0, 2.0], [5, 9]), "must have a shape"),
    (features([1.0], [0], [2**63, 2**63]), "at most"),
    (features([1.0], [2**63], [2**64 - 1]), "at most"),
    (one(lambda m: m.features["values"].bytes.value.append(b"x")), "numbers"),
    (one(lambda m: (m.features["values"].float32_tensor.values.append(1), m.label["values"].bytes.value.append(b"x"))), "numbers"),
], ids=["dense_shape", "no_shape", "shape_overflow", "key_overflow", "bytes", "bytes_label"])
def test_what_is_no_row_of_a_matrix(stream, words):
    with pytest.raises(errors.MalformedRecord, match=words):
        decode.decode_matrix(stream)


@pytest.mark.parametrize("payload", [b"\x0a\x0b\x0a\x03\xff\xfe\xfd\x12\x04\x12\x02\x0a\x00", b"\x1a\x02\xff\xfe"],
                         ids=["key", "uid"])
def test_text_that_is_not_utf8(payload):
    with pytest.raises(errors.MalformedRecord, match="UTF-8"):
        decode.decode(recordio.frame(payload))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_random_payloads_end_in_records_or_our_error(payload):
    stream = recordio.frame(payload)
    for read in (decode.decode, decode.decode_matrix, lambda b: d.PCAProtobufResponseRowDeserializer().decode(b)):
        try:
            read(stream)
        except errors.CodecError:
            pass


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=1, max_size=6), st.integers(0, 59))
def test_a_damaged_record_ends_in_records_or_our_error(damage, at):
    good = record.encode_tensor([1.0, 2.0], [3, 700], [900], 1.0)
    stream = good[:at] + damage + good[at + len(damage):]
    try:
        decode.decode_matrix(stream)
    except errors.CodecError:
        pass


def test_what_cannot_be_encoded_names_its_type():
    for wrong in (pa.array([["a"]]), pa.array([{"a": 1}]), pa.array(["a"])):
        with pytest.raises(errors.CodecError, match="must be"):
            record.encode(wrong)
    with pytest.raises(errors.CodecError, match="label"):
        record.encode(pa.array([[1.0]]), pa.array(["a"]))


@pytest.mark.parametrize("serializer", [s.ProtobufRequestRowSerializer, s.UnlabeledCSVRequestRowSerializer])
def test_a_missing_column_is_named(serializer):
    with pytest.raises(errors.UnsupportedColumn, match="'nope'.*features"):
        serializer(featuresColumnName="nope").encode(pa.RecordBatch.from_pydict({"features": [[1.0]]}))


# Answers


def test_an_empty_answer_has_no_rows():
    for deserializer in (d.PCAProtobufResponseRowDeserializer(), d.KMeansProtobufResponseRowDeserializer()):
        assert deserializer.decode(b"").num_rows == 0


def test_one_record_may_answer_several_rows_of_vectors():
    body = label("projection", [1.0, 2.0, 3.0, 4.0], (), [2, 2])
    made = d.PCAProtobufResponseRowDeserializer()
    assert made.decode(body, rows=2).to_pydict() == {"projection": [[1.0, 2.0], [3.0, 4.0]]}
    assert made.decode(body, rows=1).to_pydict() == {"projection": [[1.0, 2.0, 3.0, 4.0]]}


def test_sparse_answers_are_written_out():
    made = d.PCAProtobufResponseRowDeserializer()
    assert made.decode(label("projection", [1.0, 2.0], [0, 3], [4]) + label("projection", [5.0], [1], [4])).to_pydict() == {
        "projection": [[1.0, 0.0, 0.0, 2.0], [0.0, 5.0, 0.0, 0.0]]}
    for shape in ((), (2**40,)):
        with pytest.raises(errors.UnexpectedResponse, match="shape"):
            made.decode(label("projection", [1.0], [0], shape))


def test_answers_of_many_classes_take_the_fast_path(monkeypatch):
    """The order of the labels is found beyond the first few KB of an answer too."""
    scores, labels = np.arange(6000.0).reshape(3, 2000), np.array([1.0, 2.0, 3.0])
    body = answers.encode_response({"score": scores, "predicted_label": labels})
    seen = []
    monkeypatch.setattr(answers, "parsed", lambda *a: seen.append(1) or decode.parsed(*a))
    for _ in range(2):  # the layout is found once
        found = answers.decode_labels(body, ("predicted_label", "score"), (False, True))
        np.testing.assert_array_equal(found[0], labels)
        np.testing.assert_array_equal(found[1], scores)
    assert len(seen) == 1
    other = answers.encode_response({"scare": scores, "predicted_label": labels})  # as long, but not the same
    assert len(other) == len(body)
    with pytest.raises(errors.UnexpectedResponse, match="must have the label 'score'"):
        answers.decode_labels(other, ("predicted_label", "score"), (False, True))


@pytest.mark.parametrize("kind, values", [("int", [np.nan]), ("int", [1.5]), ("bigint", [1e300])])
def test_numbers_that_do_not_fit_their_column(kind, values):
    body = answers.encode_response({"score": np.array(values)})
    with pytest.raises(errors.UnexpectedResponse, match=f"'score' of the answer must be {kind}"):
        d.ProtobufResponseRowDeserializer(f"score {kind}").decode(body)


@pytest.mark.parametrize("schema, body, expected", [
    ("a bigint", b"9007199254740993\n", {"a": [9007199254740993]}),
    ("a boolean", b"true\nFalse\n1\n", {"a": [True, False, True]}),
    ("a string, b double", b'"x,y",1\n', {"a": ["x,y"], "b": [1.0]}),
    ("label double, p vector", b'1.0,"[0.1, 0.9]"\n', {"label": [1.0], "p": [[0.1, 0.9]]}),
])
def test_csv_cells(schema, body, expected):
    assert d.CSVResponseRowDeserializer(schema).decode(body).to_pydict() == expected


@pytest.mark.parametrize("schema, body", [
    ("a int", b"nan"), ("a int", b"inf"), ("a int", b"1.7"), ("a int", b"99999999999"), ("a boolean", b"2"),
    ("a double", b"\xff\xfe"), ("a double", b"<html>")])
def test_csv_cells_that_are_refused(schema, body):
    with pytest.raises(errors.UnexpectedResponse):
        d.CSVResponseRowDeserializer(schema).decode(body)


def test_probabilities_in_one_line():
    """multi:softprob from containers before 1.2-2; a line of one row is never cut into rows of one number."""
    made = d.XGBoostCSVRowDeserializer(vector=True)
    assert made.decode(b"[0.1, 0.9],[0.2, 0.8]", rows=2).to_pydict() == {"prediction": [[0.1, 0.9], [0.2, 0.8]]}
    assert made.decode(b"0.1,0.9", rows=2).num_rows == 1
    with pytest.raises(errors.UnexpectedResponse, match="vector"):
        d.XGBoostCSVRowDeserializer().decode(b"[0.1, 0.9]", rows=2)


@pytest.mark.parametrize("kind, value", [("boolean", True), ("boolean", False), ("bigint", 9007199254740993), ("double", 0.1),
                                         ("double", None), ("vector", [1.0, 2.0]), ("string", "x")])
def test_json_values(kind, value):
    body = json.dumps({"predictions": [{"a": value}]}).encode()
    assert d.JSONResponseRowDeserializer(f"a {kind}").decode(body).to_pydict() == {"a": [value]}


@pytest.mark.parametrize("kind, value", [("double", "x"), ("double", [1]), ("double", {"b": 1}), ("vector", "xx"), ("int", 1.5),
                                         ("string", 1.5), ("boolean", 3)])
def test_json_values_of_another_type_name_key_and_row(kind, value):
    good = {"double": 1.0, "vector": [1.0], "int": 1, "string": "s", "boolean": True}[kind]
    body = json.dumps({"predictions": [{"a": good}, {"a": value}]}).encode()
    with pytest.raises(errors.UnexpectedResponse, match="'a' in row 1"):
        d.JSONResponseRowDeserializer(f"a {kind}").decode(body)


def test_json_nested_without_end():
    with pytest.raises(errors.UnexpectedResponse, match="JSON"):
        d.JSONResponseRowDeserializer("a double").decode(b"[" * 100_000)


@pytest.mark.parametrize("body", [b"\xff 1:2", b"1 1", "1 ²:1".encode()])
def test_libsvm_answers_that_are_refused(body):
    with pytest.raises(errors.UnexpectedResponse):
        d.LibSVMResponseRowDeserializer(3, "l", "f").decode(body)


# Saved forms


@dataclasses.dataclass
class Separated(RequestRowSerializer):
    separator: str = ","


class Outer:
    class Inner(RequestRowSerializer):
        pass


class Keyed(RequestRowSerializer):
    def __init__(self, **options):
        self.options = options


class Listed(RequestRowSerializer):
    def __init__(self, *columns):
        self.columns = columns


@pytest.mark.parametrize("codec", [Separated(";"), Outer.Inner(), Keyed(a=1, b="x"),
                                   d.ProtobufResponseRowDeserializer((("a", "double"),), ("k",))], ids=repr)
def test_saved_and_loaded_is_the_same(codec):
    base = RequestRowSerializer if isinstance(codec, RequestRowSerializer) else ResponseRowDeserializer
    again = base.from_json(json.loads(json.dumps(codec.to_json())))
    assert again == codec
    assert again.to_json() == json.loads(json.dumps(codec.to_json()))


def test_what_has_no_saved_form_says_so():
    with pytest.raises(errors.InvalidInput, match=r"\*columns"):
        Listed("a", "b").to_json()


@pytest.mark.parametrize("data, words", [
    ({}, "'class'"), ({"class": "nowhere.at_all", "arguments": {}}, "cannot be imported"), ({"class": "plain", "arguments": {}}, "imported"),
    ({"class": "sagemaker_pyspark.codecs.text.CSVRequestRowSerializer", "arguments": {"zz": 1}}, "does not fit"),
    ({"class": "sagemaker_pyspark.codecs.base.RequestRowSerializer.encode", "arguments": {}}, "not a")])
def test_a_saved_form_that_cannot_be_loaded(data, words):
    with pytest.raises(errors.InvalidInput, match=words):
        RequestRowSerializer.from_json(data)


def test_wide_rows_and_sliced_sparse_arrays():
    """The vectorised varints at every size of an index, against the plain writer."""
    edges = [0, 1, 127, 128, 16383, 16384, 2**21 - 1, 2**21, 2**28 - 1, 2**28, 2**31 - 2]
    rows = [{"type": 0, "size": 2**31 - 1, "indices": edges[at:], "values": [float(i) for i in range(len(edges) - at)]}
            for at in range(len(edges) + 1)]
    array = pa.array(rows, VECTOR).slice(3, 7)
    for made, row in zip(record.encode(array), rows[3:10]):
        assert made.as_py() == record.encode_tensor(row["values"], row["indices"], (row["size"],))
