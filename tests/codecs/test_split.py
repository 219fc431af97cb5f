"""Parts of a stream, together, are the stream, wherever it is cut; a guess that is wrong is an error."""
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagemaker_pyspark import errors
from sagemaker_pyspark.codecs import recordio, split

MAGIC = recordio.MAGIC.to_bytes(4, "little")


def reader(data):
    return lambda at, count: data[at:at + count]


def pieces(data, part_bytes):
    read = reader(data)
    return [b"".join(map(bytes, split.part(read, len(data), index, part_bytes)))
            for index in range(-(-len(data) // part_bytes))]


# Payloads full of magic numbers and of headers that fit nothing.
payload = st.one_of(st.binary(max_size=60), st.lists(st.sampled_from([MAGIC, b"\x00\x00\x00\x00", b"\x04\x00\x00\x00"]),
                                                    max_size=12).map(b"".join))


@settings(max_examples=300, deadline=None)
@given(st.lists(payload, min_size=1, max_size=40), st.integers(1, 40), st.booleans())
def test_parts_are_the_stream_or_an_error(payloads, quarter, uniform):
    if uniform:
        payloads = [p[:20].ljust(20, b"x") for p in payloads]
    data = b"".join(map(recordio.frame, payloads))
    try:
        found = pieces(data, 4 * quarter)
    except errors.MalformedRecord as problem:
        # Only a payload that looks like frames may be refused, and it says how to read the file.
        assert "splitBytes=0" in str(problem) and any(MAGIC in p for p in payloads)
        return
    assert b"".join(found) == data


@pytest.mark.parametrize("part_bytes", [4, 12, 100, 4096, 10**9])
def test_random_records_of_many_sizes(part_bytes):
    rng = np.random.default_rng(5)
    data = b"".join(recordio.frame(rng.bytes(int(n))) for n in rng.integers(0, 3000, 60))
    assert b"".join(pieces(data, part_bytes)) == data


def test_a_stream_inside_a_payload_is_refused_not_shifted():
    inner = b"".join(recordio.frame(b"abcd") for _ in range(40))
    data = recordio.frame(inner) + b"".join(recordio.frame(b"efghijkl") for _ in range(40))
    with pytest.raises(errors.MalformedRecord, match="splitBytes=0"):
        pieces(data, 256)
    assert b"".join(pieces(data, len(data))) == data


def test_damage_in_the_middle_is_refused():
    data = bytearray(b"".join(recordio.frame(bytes([n]) * 50) for n in range(100)))
    data[3000:3100] = b"\xff" * 100
    for part_bytes in (500, 3000, 10**6):
        with pytest.raises(errors.MalformedRecord, match="offset"):
            pieces(bytes(data), part_bytes)


def test_a_claimed_length_is_not_read():
    data = struct.pack("<II", recordio.MAGIC, recordio.MAX_PAYLOAD) + b"short"
    asked = []
    with pytest.raises(errors.MalformedRecord, match="claims"):
        list(split.part(lambda at, count: asked.append(count) or data[at:at + count], len(data), 0, 10**9))
    assert max(asked) <= len(data)
    with pytest.raises(errors.MalformedRecord, match="are left"):
        stream = iter([data, b""])
        list(split.walk(lambda count: next(stream)))


def test_a_record_larger_than_a_window(monkeypatch):
    monkeypatch.setattr(split, "WINDOW_BYTES", 64)
    data = recordio.frame(b"a" * 10) + recordio.frame(b"b" * 5000) + recordio.frame(b"c")
    for part_bytes in (16, 400, 10**6):
        assert b"".join(pieces(data, part_bytes)) == data
