"""MXNet NDArray files, written here from the format's description, read by the library."""
import struct

import numpy as np
import pytest

from sagemaker_pyspark import mxnet, scoring
from sagemaker_pyspark.errors import UnexpectedResponse

CODES = {"float32": 0, "float64": 1, "float16": 2, "uint8": 3, "int32": 4, "int8": 5, "int64": 6}


def array_bytes(array, version):
    """One array as NDArray::Save (versions 2 and 3) and its forerunners (1, 0) write it."""
    out = b""
    if version:
        out += struct.pack("<I", {1: 0xF993FAC8, 2: 0xF993FAC9, 3: 0xF993FACA}[version])
    if version >= 2:
        out += struct.pack("<i", 0)  # dense storage
    out += struct.pack("<I", array.ndim)
    out += struct.pack(f"<{array.ndim}{'q' if version else 'I'}", *array.shape)
    out += struct.pack("<ii", 1, 0)  # cpu 0
    out += struct.pack("<i", CODES[array.dtype.name])
    return out + np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()


def file_bytes(arrays, names=(), version=2):
    out = struct.pack("<QQQ", 0x112, 0, len(arrays)) + b"".join(array_bytes(a, version) for a in arrays)
    out += struct.pack("<Q", len(names))
    return out + b"".join(struct.pack("<Q", len(n.encode())) + n.encode() for n in names)


@pytest.mark.parametrize("version", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", sorted(CODES))
def test_arrays_of_every_type_and_version_come_back(version, kind):
    first, second = np.arange(6).reshape(2, 3).astype(kind), np.arange(4).astype(kind)
    found = mxnet.read(file_bytes([first, second], ["a", "ähm"], version))
    assert list(found) == ["a", "ähm"]
    for name, array in (("a", first), ("ähm", second)):
        assert found[name].dtype == array.dtype and found[name].tolist() == array.tolist()


def test_a_list_is_named_by_position():
    assert list(mxnet.read(file_bytes([np.ones(1), np.zeros(2)]))) == ["0", "1"]


def test_an_array_without_a_value_is_empty():
    nothing = struct.pack("<IiI", 0xF993FAC9, 0, 0)
    whole = struct.pack("<QQQ", 0x112, 0, 2) + nothing + array_bytes(np.ones(2), 2) + struct.pack("<Q", 0)
    found = mxnet.read(whole)
    assert found["0"].size == 0 and found["1"].tolist() == [1, 1]


def test_a_file_cut_anywhere_is_refused():
    whole = file_bytes([np.arange(6, dtype=np.float32).reshape(2, 3)], ["centroids"])
    for length in range(len(whole)):
        with pytest.raises(UnexpectedResponse):
            mxnet.read(whole[:length])


@pytest.mark.parametrize("claim, what", [
    (struct.pack("<QQQ", 0x113, 0, 0) + bytes(8), "0x112"),
    (struct.pack("<QQQ", 0x112, 0, 1 << 60), "claims"),
    (struct.pack("<QQQ", 0x112, 0, 1) + struct.pack("<Iii", 0xF993FAC9, 1, 0) + bytes(40), "sparse"),
    (struct.pack("<QQQ", 0x112, 0, 1) + struct.pack("<IiI", 0xF993FAC9, 0, 1 << 31) + bytes(40), "rank"),
    (struct.pack("<QQQ", 0x112, 0, 1) + struct.pack("<IiIqqiii", 0xF993FAC9, 0, 2, 1 << 40, 1 << 40, 1, 0, 0), "shape"),
    (struct.pack("<QQQ", 0x112, 0, 1) + struct.pack("<IiIqqiii", 0xF993FAC9, 0, 2, -2, -2, 1, 0, 0) + bytes(64), "shape"),
    (struct.pack("<QQQ", 0x112, 0, 1) + struct.pack("<IiIqiii", 0xF993FAC9, 0, 1, 1, 1, 0, 99) + bytes(64), "element type"),
    (file_bytes([np.ones(1), np.ones(1)], ["only one"]), "names"),
])
def test_claims_that_cannot_be_are_refused(claim, what):
    with pytest.raises(UnexpectedResponse, match=what):
        mxnet.read(claim)


def test_a_real_containers_kmeans_model_scores(tmp_path):
    centroids = np.array([[0, 0], [10, 0], [0, 10]], np.float32)
    (tmp_path / "model_algo-1").write_bytes(file_bytes([centroids]))
    answer = scoring.load(tmp_path, "kmeans").predict(np.array([[9.0, 0], [1, 9]]))
    assert answer["closest_cluster"].tolist() == [1, 2]
    assert answer["distance_to_cluster"].tolist() == pytest.approx([1, 2 ** 0.5])


def test_a_real_containers_pca_model_scores(tmp_path):
    v, mean = np.array([[0, 1], [1, 0], [0, 0]], np.float32), np.array([[1, 2, 3]], np.float32)
    (tmp_path / "model_algo-1").write_bytes(file_bytes([mean, np.array([1, 2], np.float32), v], ["mean", "s", "v"]))
    assert scoring.load(tmp_path, "pca").predict(np.array([[5.0, 7, 9]]))["projection"].tolist() == [[5, 4]]


@pytest.mark.parametrize("algorithm", ["linear-learner", "factorization-machines", "lda"])
def test_artifacts_nobody_documents_are_refused(tmp_path, algorithm):
    (tmp_path / "model_algo-1").write_bytes(file_bytes([np.ones(2)]))
    with pytest.raises(UnexpectedResponse, match="mode='endpoint'"):
        scoring.load(tmp_path, algorithm)
