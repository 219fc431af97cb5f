"""Bytes that 1.4.5 wrote: ours must be the same, and must read back."""
import numpy as np
import pytest
from vectors import CASES, REFUSED, VECTORS, load, number

from sagemaker_pyspark import errors
from sagemaker_pyspark.codecs import decode, record, recordio


def test_there_are_vectors():
    assert len(CASES) >= 11


@pytest.mark.parametrize("case", CASES)
def test_encodes_the_same_bytes(case):
    features, labels, _, expected = load(case)
    assert b"".join(v.as_py() for v in record.encode(features, labels)) == expected


@pytest.mark.parametrize("case", CASES)
def test_decodes(case):
    _, _, rows, data = load(case)
    found = decode.decode(data)
    assert len(found) == len(rows)
    for got, (label, features) in zip(found, rows):
        if label is not None:
            np.testing.assert_array_equal(got.label["values"].values, np.float32([label]))
        else:
            assert got.label == {}
        tensor = got.features["values"]
        if "dense" in features:
            with np.errstate(over="ignore"):
                want = np.array([number(v) for v in features["dense"]]).astype(np.float32)
            np.testing.assert_array_equal(tensor.values, want)
        if "sparse" in features:
            assert tensor.shape == (features["sparse"]["size"],)
            assert (tensor.keys is None and not features["sparse"]["indices"]) or list(
                tensor.keys) == features["sparse"]["indices"]




def test_the_vectors_are_described():
    text = (VECTORS / "README.md").read_text()
    assert all(f"`{case}`" in text for case in CASES) and len(REFUSED) >= 12


@pytest.mark.parametrize("path", REFUSED, ids=lambda p: p.stem)
def test_refuses_malformed_input(path):
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(errors.MalformedRecord) as caught:
        decode.decode(path.read_bytes())
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert "offset" in str(caught.value)


def test_every_cut_of_a_good_stream_is_refused_or_whole():
    data = (VECTORS / "mixed.bin").read_bytes()
    edges = {0, len(data)} | {int(s) - 8 for s in recordio.scan(data)[0]}
    for at in range(len(data)):
        if at in edges:
            decode.decode(data[:at])
        else:
            with pytest.raises(errors.MalformedRecord):
                decode.decode(data[:at])


def test_a_record_beyond_the_frame_limit_is_refused_with_its_size():
    with pytest.raises(errors.RecordTooLarge, match="536870912"):
        recordio.check_size(1 << 29)
    recordio.check_size((1 << 29) - 1)


def test_the_proto_file_is_the_message_we_read():
    """Names, numbers and types of record.proto, against the descriptor made at run time."""
    import re

    from google.protobuf import descriptor_pb2

    from sagemaker_pyspark.codecs.message import schema_file

    kinds = {v: k.replace("TYPE_", "").lower() for k, v in descriptor_pb2.FieldDescriptorProto.Type.items()}
    text = (VECTORS.parent / "record.proto").read_text()
    for message in schema_file().message_type:
        body = re.search(rf"message {message.name} {{(.*?)^}}", text, re.S | re.M).group(1)
        for field in message.field:
            kind = field.type_name.rsplit(".", 1)[-1] if field.type_name else kinds[field.type]
            kind = "map<string, Value>" if kind.endswith("Entry") else kind
            assert re.search(rf"{re.escape(kind)} {field.name} = {field.number}\b", body), (message.name, field.name)


def test_other_tensors_and_unpacked_fields_are_read():
    from sagemaker_pyspark.codecs import message

    made = message.message_class()(uid="u", metadata="m", configuration="c")
    made.features["a"].float64_tensor.values.extend([1e300, 2.0])
    made.features["b"].int32_tensor.values.extend([-5, 7])
    made.features["c"].bytes.value.append(b"raw")
    unpacked = b"\x0a\x16\x0a\x06values\x12\x0c\x12\x0a\x0d\x00\x00\x80\x3f\x0d\x00\x00\x00\x40"
    first, second = decode.decode(recordio.frame(made.SerializeToString()) + recordio.frame(unpacked))
    assert (first.uid, first.metadata, first.configuration) == ("u", "m", "c")
    assert first.features["a"].values.tolist() == [1e300, 2.0] and first.features["b"].values.tolist() == [-5, 7]
    assert first.features["c"].values == [b"raw"]
    assert second.features["values"].values.tolist() == [1.0, 2.0]
