"""Random rows: what is encoded decodes to the same float32 values, on the fast path and on the plain one."""
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vectors import VECTOR

from sagemaker_pyspark import errors
from sagemaker_pyspark.codecs import decode, record

numbers = st.one_of(st.floats(width=64), st.sampled_from([0.0, -0.0, math.nan, math.inf, 5e-324, 1e39, -1e300, 1e-45]))


def f32(values):
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(values, np.float64).astype(np.float32)


@st.composite
def sparse(draw):
    size = draw(st.sampled_from([1, 2, 127, 128, 129, 16384, 2**21, 2**31 - 1]))
    indices = sorted(draw(st.sets(st.integers(0, size - 1), max_size=6)))
    return {"type": 0, "size": size, "indices": indices, "values": [draw(numbers) for _ in indices]}


dense = st.lists(numbers, max_size=40).map(lambda v: {"type": 1, "values": v})


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.one_of(dense, sparse()), numbers), min_size=1, max_size=12), st.booleans())
def test_vectors(rows, labeled):
    features = pa.array([f for f, _ in rows], VECTOR)
    labels = pa.array([label for _, label in rows], pa.float64()) if labeled else None
    frames = [v.as_py() for v in record.encode(features, labels)]
    for made, (row, label) in zip(frames, rows):
        shape = (row["size"],) if row["type"] == 0 else None
        plain = record.encode_tensor(row["values"], row.get("indices"), shape, label if labeled else None)
        assert made == plain
        back = decode.decode(made)[0]
        np.testing.assert_array_equal(back.features["values"].values, f32(row["values"]))
        if labeled:
            np.testing.assert_array_equal(back.label["values"].values, f32([label]))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30), st.integers(1, 9), st.booleans())
def test_the_fast_reader_agrees_with_the_plain_one(dim, rows, labeled):
    rng = np.random.default_rng(dim * 10 + rows)
    x, y = rng.normal(size=(rows, dim)), rng.normal(size=rows)
    data, offsets = record.encode_dense(x, y if labeled else None)
    assert offsets[-1] == len(data)
    features, labels = decode.decode_matrix(data.tobytes())
    np.testing.assert_array_equal(features, x.astype(np.float32))
    plain = decode.decode(data.tobytes())
    np.testing.assert_array_equal(np.array([r.features["values"].values for r in plain]).reshape(rows, dim), features)
    assert (labels is None) == (not labeled)


def test_sliced_arrays_and_nulls():
    rows = [{"type": 1, "values": [float(i), 2.0]} if i % 3 else None for i in range(20)]
    whole = pa.array(rows, VECTOR)
    for start, length in ((0, 20), (1, 7), (5, 15), (19, 1)):
        part = record.encode(whole.slice(start, length))
        for at in range(length):
            row = rows[start + at]
            assert part[at].as_py() == (None if row is None else record.encode_tensor(row["values"]))
    assert record.encode(pa.array([None, None], VECTOR)).null_count == 2


def test_a_null_label_is_a_null_record():
    made = record.encode(pa.array([[1.0], [2.0]]), pa.array([None, 1.0]))
    assert made[0].as_py() is None and made[1].as_py() == record.encode_tensor([2.0], label=1.0)


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64(), pa.int32(), pa.int64()])
def test_lists_of_numbers(kind):
    made = record.encode(pa.array([[1, 2], [3, 4], [5]], pa.list_(kind)))
    assert [m.as_py() for m in made] == [record.encode_tensor(v) for v in ([1, 2], [3, 4], [5])]
    fixed = record.encode(pa.array([[1, 2], [3, 4]], pa.list_(kind, 2)))
    assert fixed[1].as_py() == record.encode_tensor([3, 4])


def test_a_null_inside_a_row_is_refused():
    with pytest.raises(errors.CodecError, match="null"):
        record.encode(pa.array([[1.0, None]]))


def test_sparse_matrix_reader():
    rows = [{"type": 0, "size": 9, "indices": [0, 8], "values": [1.0, 2.0]}, {"type": 0, "size": 9, "indices": [], "values": []}]
    data = b"".join(v.as_py() for v in record.encode(pa.array(rows, VECTOR), pa.array([1.0, 0.0])))
    features, labels = decode.decode_matrix(data)
    assert features.shape == (2, 9)
    assert features.toarray()[0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert labels.tolist() == [1.0, 0.0]


def test_a_row_of_a_million_features():
    values = np.arange(1_000_000, dtype=np.float64)
    made = record.encode(pa.array([values]))
    np.testing.assert_array_equal(decode.decode_matrix(made[0].as_py())[0][0], values.astype(np.float32))
