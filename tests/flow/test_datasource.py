"""format("sagemaker"): what 1.4.5 wrote, what we write, and what must be refused."""
import gzip
import os
from pathlib import Path

import numpy as np
import pytest

pyspark = pytest.importorskip("pyspark")

import pyspark.sql.functions as F  # noqa: E402
from pyspark.ml.linalg import Matrices, SparseVector, Vectors  # noqa: E402
from vectors import CASES, REFUSED, VECTORS, load, number  # noqa: E402

from sagemaker_pyspark import datasource, errors, recordfiles, tensorrows  # noqa: E402
from sagemaker_pyspark.codecs import decode, message, record, recordio  # noqa: E402

OLD = int(pyspark.__version__.split(".")[0]) < 4
needs_4 = pytest.mark.skipif(OLD, reason="Spark 3.5 has no data sources in Python")


@pytest.fixture(scope="module")
def registered(spark):
    datasource.register(spark)
    return spark


@pytest.fixture
def source(registered):
    return registered.read.format("sagemaker")


@pytest.mark.skipif(not OLD, reason="only Spark 3.5 refuses")
def test_spark_3_says_what_to_do(spark):
    with pytest.raises(errors.InvalidParameter, match="Spark 4.0"):
        datasource.register(spark)


def float32(values):
    with np.errstate(over="ignore"):
        return np.array(values, np.float64).astype(np.float32).astype(np.float64)


@needs_4
@pytest.mark.parametrize("case", CASES)
def test_what_the_older_library_wrote_reads_back(source, case):
    _, _, rows, _ = load(case)
    if case.startswith("matrix"):
        source = source.option("featuresType", "matrix")
    found = source.load(str(VECTORS / f"{case}.bin")).collect()
    assert len(found) == len(rows)
    for got, (label, features) in zip(found, rows):
        assert got.label is None if label is None else np.array_equal(got.label, float32([label])[0], equal_nan=True)
        [(kind, value)] = features.items()
        if kind == "dense":
            np.testing.assert_array_equal(got.features.values, float32([number(v) for v in value]))
        elif kind == "sparse":
            assert isinstance(got.features, SparseVector) and got.features.size == value["size"]
            assert got.features.indices.tolist() == value["indices"]
            np.testing.assert_array_equal(got.features.values, float32([number(v) for v in value["values"]]))
        elif kind == "dense_matrix":
            want = Matrices.dense(value["rows"], value["cols"], [number(v) for v in value["column_major_values"]])
            np.testing.assert_array_equal(got.features.toArray(), want.toArray())
        else:
            want = Matrices.sparse(value["rows"], value["cols"], value["colPtrs"], value["rowIndices"],
                                   [number(v) for v in value["values"]])
            np.testing.assert_array_equal(got.features.toArray(), want.toArray())


def mixed(spark, count=500):
    rng = np.random.default_rng(2)
    rows = []
    for at in range(count):
        values = rng.normal(size=int(rng.integers(0, 30))).astype(np.float32).astype(float)
        if at % 3:
            rows.append((float(at), Vectors.dense(values)))
        else:
            rows.append((float(at), Vectors.sparse(1000, sorted(rng.choice(1000, len(values), replace=False).tolist()), values)))
    return spark.createDataFrame(rows, ["label", "features"]), rows


@needs_4
@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("split", ["0", "10000", "134217728"])
def test_round_trip(spark, source, tmp_path, compression, split):
    df, rows = mixed(spark)
    path = str(tmp_path / "data")
    df.repartition(3).write.format("sagemaker").option("compression", compression).mode("append").save(path)
    names = os.listdir(path)
    assert names and all(n.startswith("part-") and n.endswith(".pbr.gz" if compression == "gzip" else ".pbr") for n in names)
    found = source.option("splitBytes", split).load(path)
    assert [(r.label, r.features) for r in sorted(found.collect(), key=lambda r: r.label)] == rows
    if compression == "none" and split == "10000":
        assert found.select(F.spark_partition_id()).distinct().count() >= 6


@needs_4
def test_the_bytes_are_those_of_the_codec(spark, source, tmp_path):
    *_, expected = load("dense_label")
    read = source.load(str(VECTORS / "dense_label.bin"))
    read.coalesce(1).write.format("sagemaker").mode("append").save(str(tmp_path))
    [path] = tmp_path.glob("part-*")
    assert path.read_bytes() == expected


@needs_4
def test_names_types_and_missing_labels(spark, tmp_path):
    datasource.register(spark)
    df = spark.createDataFrame([([1.0, 2.0],), ([3.0, 4.0],)], ["x"])
    df.write.format("sagemaker").option("featuresColumnName", "x").mode("append").save(str(tmp_path / "a"))
    read = spark.read.format("sagemaker").option("labelColumnName", "y").option("featuresColumnName", "x").option(
        "featuresType", "array").load(str(tmp_path / "a"))
    assert read.columns == ["y", "x"]
    assert sorted(tuple(r.x) for r in read.collect()) == [(1.0, 2.0), (3.0, 4.0)] and {r.y for r in read.collect()} == {None}
    narrow = spark.read.schema("x array<double>").format("sagemaker").option("featuresColumnName", "x").load(str(tmp_path / "a"))
    assert narrow.count() == 2


@needs_4
def test_every_other_tensor(source, tmp_path):
    made = message.message_class()(uid="u", metadata="m", configuration="c")
    made.features["values"].float32_tensor.values.extend([1.0, 2.0])
    made.features["a"].float64_tensor.values.extend([1e300, 2.0])
    made.features["a"].float64_tensor.keys.extend([3, 9])
    made.features["a"].float64_tensor.shape.extend([10])
    made.features["b"].int32_tensor.values.extend([-5, 7])
    made.features["c"].bytes.value.append(b"raw")
    made.label["weight"].float32_tensor.values.append(0.5)
    (tmp_path / "x.pbr").write_bytes(recordio.frame(made.SerializeToString()))
    [row] = source.option("tensors", "true").load(str(tmp_path)).collect()
    assert row.features == Vectors.dense(1.0, 2.0) and row.label is None
    assert (row.uid, row.metadata, row.configuration) == ("u", "m", "c")
    tensors = row.featureTensors
    assert tensors["a"].kind == "float64" and list(tensors["a"].values) == [1e300, 2.0]
    assert list(tensors["a"]["keys"]) == [3, 9] and list(tensors["a"].shape) == [10]
    assert tensors["b"].kind == "int32" and list(tensors["b"]["values"]) == [-5.0, 7.0]
    assert [bytes(b) for b in tensors["c"].bytes] == [b"raw"]
    assert list(row.labelTensors["weight"]["values"]) == [0.5]


@pytest.mark.parametrize("kind, shape, error", [
    ("array", [1 << 30], "featuresType=vector"), ("matrix", [1 << 30, 1 << 30], "hold up to"),
    ("matrix", [1 << 25, 1 << 5], None), ("matrix", [1 << 5, 1 << 25], None), ("matrix", [1 << 15, 1 << 16], "hold up to")])
def test_a_small_record_cannot_ask_for_much_memory(kind, shape, error):
    made = message.message_class()()
    tensor = made.features["values"].float32_tensor
    tensor.values.append(2.5)
    tensor.keys.append(7)
    tensor.shape.extend(shape)
    frames = memoryview(recordio.frame(made.SerializeToString()))
    if error:
        with pytest.raises(errors.MalformedRecord, match=error):
            list(tensorrows.batches(frames, [("features", "features", kind)]))
        return
    [batch] = tensorrows.batches(frames, [("features", "features", kind)])
    [row] = batch.column(0).to_pylist()
    assert row["isTransposed"] == (shape[1] > shape[0]) and len(row["colPtrs"]) == min(shape) + 1 or not row["isTransposed"]
    at = row["colPtrs"].index(1) - 1
    assert (at, row["rowIndices"]) == ((0, [7]) if row["isTransposed"] else (7, [0])) and row["values"] == [2.5]


@needs_4
@pytest.mark.parametrize("path", REFUSED, ids=lambda p: p.stem)
def test_malformed_files_are_refused(source, path):
    with pytest.raises(Exception, match="MalformedRecord"):
        source.load(str(path)).collect()


@needs_4
def test_bad_input_is_refused(spark, source, tmp_path):
    path = str(tmp_path / "out")
    null = spark.createDataFrame([(1.0, [1.0]), (2.0, None)], "label double, features array<double>")
    with pytest.raises(Exception, match="must not be null, 1 of"):
        null.coalesce(1).write.format("sagemaker").mode("append").save(path)
    assert not os.path.exists(path) or os.listdir(path) == []
    with pytest.raises(Exception, match="must be VectorUDT"):
        spark.createDataFrame([("a",)], ["features"]).write.format("sagemaker").mode("append").save(path)
    with pytest.raises(Exception, match="does not exist"):
        source.load(str(tmp_path / "nowhere")).collect()
    with pytest.raises(Exception, match="unknown option"):
        spark.read.format("sagemaker").option("numFeature", 3).load(str(tmp_path)).collect()
    with pytest.raises(Exception, match="featuresType=matrix"):
        spark.read.format("sagemaker").load(str(VECTORS / "matrix_dense.bin")).collect()


@needs_4
def test_overwrite_replaces_data_and_nothing_else(spark, source, tmp_path):
    (tmp_path / "_keep").write_text("x")
    for value in (1.0, 2.0):
        spark.createDataFrame([([value],)], ["features"]).write.format("sagemaker").mode("overwrite").save(str(tmp_path))
    assert [r.features for r in source.load(str(tmp_path)).collect()] == [Vectors.dense([2.0])]
    assert (tmp_path / "_keep").exists() and not list(tmp_path.glob("_temporary*"))


@needs_4
def test_rows_of_spark_4_0_become_the_same_bytes():
    from pyspark.ml.linalg import VectorUDT
    from pyspark.sql.types import DoubleType, StructType

    schema = StructType().add("label", DoubleType()).add("features", VectorUDT())
    rows = [(1.0, Vectors.dense([1.0, 2.0])), (2.0, Vectors.sparse(9, [3], [4.0]))]
    [batch] = datasource._batches(iter(rows), schema, ("label", "features"))
    assert [bytes(v.as_py()) for v in record.encode(batch.column(1), batch.column(0))] == [
        record.encode_tensor([1.0, 2.0], label=1.0), record.encode_tensor([4.0], [3], [9], 2.0)]


@needs_4
def test_s3(spark, aws, tmp_path):
    datasource.register(spark, aws.session)
    df, rows = mixed(spark, 60)
    client, bucket = aws.session.client("s3"), "datasource-test"
    client.create_bucket(Bucket=bucket)
    uri = f"s3://{bucket}/data/{tmp_path.name}"
    try:
        df.repartition(2).write.format("sagemaker").mode("append").save(uri)
        df.limit(0).write.format("sagemaker").mode("append").save(uri)
        keys = [o["Key"] for o in client.list_objects_v2(Bucket=bucket, Prefix="data/")["Contents"]]
        assert len(keys) == 2
        body = b"".join(client.get_object(Bucket=bucket, Key=k)["Body"].read() for k in keys)
        assert len(decode.decode(body)) == 60
        found = spark.read.format("sagemaker").option("splitBytes", 700).load(uri).sort("label").collect()
        assert [(r.label, r.features) for r in found] == rows
        df.limit(5).coalesce(1).write.format("sagemaker").mode("overwrite").save(uri)
        assert spark.read.format("sagemaker").load(uri).count() == 5
        for refused in (lambda: df.write.format("sagemaker").option("bucketOwner", "999999999999").mode("append").save(uri),
                        lambda: spark.read.format("sagemaker").option("bucketOwner", "999999999999").load(uri).count()):
            with pytest.raises(Exception, match="AccessDenied"):
                refused()
    finally:
        for item in client.list_objects_v2(Bucket=bucket, Prefix="data/").get("Contents", []):
            client.delete_object(Bucket=bucket, Key=item["Key"])
        client.delete_bucket(Bucket=bucket)


@needs_4
def test_what_we_compress_is_gzip(spark, tmp_path):
    datasource.register(spark)
    df, _ = mixed(spark, 20)
    df.coalesce(1).write.format("sagemaker").option("compression", "gzip").mode("append").save(str(tmp_path))
    [path] = Path(tmp_path).glob("*.gz")
    assert len(decode.decode(gzip.decompress(path.read_bytes()))) == 20


@needs_4
def test_overwrite_touches_no_other_folder(source, tmp_path, spark):
    (tmp_path / "run1").mkdir()
    (tmp_path / "run1" / "part-0.pbr").write_bytes(b"")
    for name in ("run[1]", "run1#old", "run?"):
        spark.createDataFrame([([1.0],)], ["features"]).write.format("sagemaker").mode("overwrite").save(
            f"{tmp_path}/{name}" if "#" not in name else f"file://{tmp_path}/{name}")
        assert (tmp_path / name).is_dir() and (tmp_path / "run1" / "part-0.pbr").exists()
    assert source.load(str(tmp_path / "run[1]")).count() == 1


def test_patterns_read_no_hidden_names(tmp_path):
    for name in ("run1/_temporary-x/part-9.pbr", "run1/_meta", "run1/part-0.pbr", "run1/.crc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = recordfiles.LocalFolder(f"{tmp_path}/run1/*").files()
    assert [Path(path).name for path, _ in found] == ["part-0.pbr"]


def two_files(folder, job):
    """What two tasks report that have written a byte each."""
    written = []
    for name in ("a.pbr", "b.pbr"):
        writer = folder.writer(job, name)
        writer.write(b"x")
        written.append(writer.close())
    return written


def test_a_failed_commit_leaves_nothing(tmp_path):
    folder = recordfiles.LocalFolder(str(tmp_path / "out"))
    job = folder.begin()
    written = two_files(folder, job)
    os.remove(written[1])
    with pytest.raises(FileNotFoundError):
        folder.commit(job, written, [])
    assert not list((tmp_path / "out").glob("*.pbr"))


@needs_4
def test_s3_markers_siblings_and_failed_commits(spark, aws):
    client, bucket = aws.session.client("s3"), "datasource-edges"
    client.create_bucket(Bucket=bucket)

    def folder(key):
        return recordfiles.folder(f"s3://{bucket}/{key}", aws.session)

    try:
        client.put_object(Bucket=bucket, Key="train-2024/p.pbr", Body=b"x")
        with pytest.raises(errors.InvalidParameter, match="does not exist"):
            folder("train").files()
        client.put_object(Bucket=bucket, Key="train", Body=b"")
        client.put_object(Bucket=bucket, Key="train/p.pbr", Body=b"x")
        assert [path for path, _ in folder("train").files()] == [f"s3://{bucket}/train/p.pbr"]
        target = folder("out")
        job = target.begin()
        written = two_files(target, job)
        where, upload, etags = written[1]
        broken = [written[0], (where, upload, ["0" * 32])]
        with pytest.raises(errors.AwsError):
            target.commit(job, broken, [])
        target.abort(job, written)
        assert "Contents" not in client.list_objects_v2(Bucket=bucket, Prefix="out/")
        assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
    finally:
        for item in client.list_objects_v2(Bucket=bucket).get("Contents", []):
            client.delete_object(Bucket=bucket, Key=item["Key"])
        client.delete_bucket(Bucket=bucket)


def test_sparse_rows_written_out_come_in_small_batches():
    frames = memoryview(b"".join(record.encode_tensor([1.0], [7], [100_000]) for _ in range(200)))
    found = list(tensorrows.batches(frames, [("features", "features", "array")]))
    assert sum(batch.num_rows for batch in found) == 200 and max(batch.num_rows for batch in found) <= 42
    assert len(list(tensorrows.batches(frames, [("features", "features", "vector")]))) == 1


def test_gzip_is_read_in_windows(tmp_path):
    data = b"".join(record.encode_tensor(np.random.default_rng(i).random(50)) for i in range(2000))
    (tmp_path / "x.gz").write_bytes(gzip.compress(data[:200_000 // 216 * 216]) + gzip.compress(data[200_000 // 216 * 216:]))
    size, reads = (tmp_path / "x.gz").stat().st_size, []
    content = (tmp_path / "x.gz").read_bytes()

    class Reader:
        def __enter__(self):
            return lambda at, count: reads.append(count) or content[at:at + count]

        def __exit__(self, *_):
            pass

    where = type("Where", (), {"open": lambda self, path: Reader()})()
    original, recordfiles.folder = recordfiles.folder, lambda *_: where
    try:
        parts = list(recordfiles.open_part(recordfiles.Part("x.gz", size, 0, size), None))
    finally:
        recordfiles.folder = original
    assert b"".join(bytes(p) for p in parts) == data and len(reads) <= 3


@needs_4
def test_rows_of_spark_4_0_may_have_other_columns():
    from pyspark.sql import Row
    from pyspark.sql.types import ArrayType, DoubleType, StringType, StructType

    schema = StructType().add("meta", StructType().add("a", StringType())).add("features", ArrayType(DoubleType()))
    [batch] = datasource._batches(iter([(Row(a="x"), []), (Row(a="y"), [])]), schema, ("label", "features"))
    assert batch.schema.names == ["features"] and len(record.encode(batch.column(0))) == 2
