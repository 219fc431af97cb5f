"""The JVM codec: the same bytes as numpy, in every kind of session, on executors of their own."""
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sagemaker_pyspark import S3AutoCreatePath, columns, errors, jvm, resolving, staging
from sagemaker_pyspark.codecs import record
from sagemaker_pyspark.codecs.record import ProtobufRequestRowSerializer
from sagemaker_pyspark.codecs.text import (
    CSVRequestRowSerializer,
    JSONLinesRequestRowSerializer,
    JSONRequestRowSerializer,
    LibSVMRequestRowSerializer,
    UnlabeledCSVRequestRowSerializer,
)

needs_jar = pytest.mark.skipif(jvm.jar_path() is None, reason="built without Maven: there is no jar")
ODD = [0.0, -0.0, 1.0, -2.5, math.nan, math.inf, -math.inf, 5e-324, 1e39, -1e300, 1e-45, 16777217.0]


def random_vectors(count, seed, sizes=(200, 20000, 2**31 - 1), linalg="ml"):
    from importlib import import_module

    Vectors = import_module(f"pyspark.{linalg}.linalg").Vectors
    rng = np.random.default_rng(seed)
    for _ in range(count):
        n = int(rng.integers(0, 40))
        values = [float(v) for v in np.where(rng.random(n) < 0.3, rng.choice(ODD, n), rng.normal(size=n) * 10.0 ** rng.integers(-50, 50))]
        if rng.random() < 0.5:
            yield Vectors.dense(values)
        else:
            size = int(rng.choice([max(n, 1), *sizes]))
            yield Vectors.sparse(size, sorted(rng.choice(min(size, 10**6), min(n, size), replace=False).tolist()),
                                 values[:min(n, size)])


def any_numbers(rng, count):
    """Doubles of every size and length: any bits, whole numbers, a few decimals, powers of two, and those of ODD."""
    kinds = [rng.integers(0, 2**64, count, dtype=np.uint64).view(np.float64), rng.integers(-10**6, 10**6, count).astype(float),
             rng.integers(-2**63, 2**63 - 1, count).astype(float), np.round(rng.normal(size=count) * 1000, 3),
             rng.normal(size=count).astype(np.float32).astype(float), 2.0 ** rng.integers(-1074, 1024, count),
             10.0 ** rng.integers(-30, 30, count), rng.choice(ODD, count)]
    return np.choose(rng.integers(0, len(kinds), count), kinds)


def encoded(df, codec, label=None, serializer=None):
    made = columns.encoding(df, serializer or ProtobufRequestRowSerializer(labelColumnName=label), codec)
    assert made.path == codec
    if codec == "jvm":
        return [None if r[0] is None else bytes(r[0]) for r in df.select(*made.inputs).collect()]
    encode = made.encode

    def run(batches):
        for batch in batches:
            out = encode(batch.columns)
            yield pa.RecordBatch.from_arrays([out.cast(pa.binary())], ["record"])

    rows = df.select(*[c.alias(f"c{i}") for i, c in enumerate(made.inputs)]).mapInArrow(run, "record binary").collect()
    return [None if r[0] is None else bytes(r[0]) for r in rows]


@needs_jar
@pytest.mark.parametrize("label", [None, "label"])
def test_thousands_of_random_rows_are_the_same_bytes(spark, label):
    rng = np.random.default_rng(3)
    rows = [(float(rng.choice(ODD)), v) for v in random_vectors(2000, 1)]
    rows[7] = (rows[7][0], None)
    rows[9] = (None, rows[9][1])
    df = spark.createDataFrame(rows, ["label", "features"]).coalesce(1)
    assert encoded(df, "jvm", label) == encoded(df, "numpy", label)


@needs_jar
def test_every_accepted_type(spark):
    import pyspark.sql.functions as F
    from pyspark.ml.linalg import Matrices
    from pyspark.mllib.linalg import Vectors as OldVectors

    frames = [
        spark.createDataFrame([(OldVectors.dense([1.0, 2.0]),), (OldVectors.sparse(9, [3], [4.0]),)], ["features"]),
        spark.createDataFrame([(Matrices.dense(2, 3, [1.0, 2, 3, 4, 5, 6]),), (Matrices.sparse(2, 2, [0, 1, 2], [0, 1], [7.0, 8]),)],
                              ["features"]),
        spark.createDataFrame([([1.0, 2.0],), ([3.0, math.nan],), ([],)], ["features"]),
        spark.createDataFrame([([1, 2],), ([3, 4],)], ["features"]),
        spark.createDataFrame([([1.5, 2.0],)], ["features"]).select(F.col("features").cast("array<float>").alias("features")),
        spark.createDataFrame([(3.5,), (4.0,)], ["features"]),
        spark.createDataFrame([(3,), (4,)], ["features"])]
    for df in frames:
        assert encoded(df.coalesce(1), "jvm") == encoded(df.coalesce(1), "numpy"), df.schema.simpleString()


class Custom(UnlabeledCSVRequestRowSerializer):
    """A codec of a user's own."""


TEXTS = [CSVRequestRowSerializer(labelColumnName="label"), UnlabeledCSVRequestRowSerializer(), LibSVMRequestRowSerializer(),
         LibSVMRequestRowSerializer(labelColumnName="none"), JSONRequestRowSerializer()]


@pytest.fixture(scope="module")
def text_frames(spark):
    """2000 rows of every accepted type, nulls among them, made once."""
    import pyspark.sql.functions as F

    rng = np.random.default_rng(11)
    labels = [*any_numbers(rng, 1900).tolist(), *[None] * 50, *[-0.0, 0.0] * 25]

    def frame(values, kind="features array<double>"):
        values = [*values[:-7], None, *values[-6:]]
        rows = list(zip(labels, values))
        return spark.createDataFrame(rows, ["label", "features"] if kind is None else f"label double, {kind}").coalesce(1).cache()

    numbers = any_numbers(rng, 2000)
    arrays = np.split(any_numbers(rng, 20000), np.sort(rng.integers(0, 20000, 1999)))
    doubles = frame([a.tolist() for a in arrays])
    whole = frame(rng.integers(-2**63, 2**63 - 1, 2000).tolist(), "features bigint")
    frames = {
        "ml": frame(list(random_vectors(2000, 5, (200, 2000))), None),
        "mllib": frame(list(random_vectors(2000, 6, (200, 2000), "mllib")), None),
        "array<double>": doubles,
        "array<float>": doubles.withColumn("features", F.col("features").cast("array<float>")),
        "array<bigint>": whole.withColumn("features", F.when(F.col("features").isNotNull(), F.array("features", -F.col("features") + 1))),
        "double": frame(numbers.tolist(), "features double"),
        "float": frame(numbers.tolist(), "features double").withColumn("features", F.col("features").cast("float")),
        "bigint": whole,
        "int": whole.withColumn("features", (F.col("features") % 2**31).cast("int")),
        "decimal": whole.withColumn("features", (F.col("features").cast("decimal(38,0)") / 10**7).cast("decimal(30,7)"))}
    yield frames
    for one in frames.values():
        one.unpersist()


@needs_jar
@pytest.mark.parametrize("serializer", TEXTS, ids=repr)
def test_lines_are_the_same_bytes_for_every_type(spark, text_frames, serializer):
    for name, df in text_frames.items():
        ours, theirs = encoded(df, "jvm", serializer=serializer), encoded(df, "numpy", serializer=serializer)
        assert len(ours) == 2000 and None in ours
        different = [pair for pair in zip(ours, theirs) if pair[0] != pair[1]]
        assert not different, (name, len(different), different[0])


@needs_jar
def test_a_subclass_is_not_written_by_the_codec(spark):
    df = spark.createDataFrame([([1.0],)], ["features"])
    assert columns.encoding(df, Custom()).path == "numpy"
    for exactly in (CSVRequestRowSerializer(), JSONLinesRequestRowSerializer()):
        assert columns.encoding(df, exactly).path == "jvm"


@pytest.mark.parametrize("codec", [pytest.param("jvm", marks=needs_jar), "numpy"])
@pytest.mark.parametrize("row, serializer, kind, match", [
    ("sparse", CSVRequestRowSerializer(), errors.RecordTooLarge, r"this row has 8589934588 or more \(2147483647 features"),
    ("null", CSVRequestRowSerializer(), errors.CodecError, "must not hold nulls"),
    ("null", ProtobufRequestRowSerializer(), errors.CodecError, "must not hold nulls"),
    ("matrix", LibSVMRequestRowSerializer(), errors.CodecError, "cannot carry a matrix")])
def test_a_row_without_a_record_is_the_same_error_on_both_paths(spark, aws, codec, row, serializer, kind, match):
    from pyspark.ml.linalg import Matrices, Vectors

    df = {"sparse": lambda: spark.createDataFrame([(Vectors.sparse(2**31 - 1, [], []),)], ["features"]),
          "null": lambda: spark.createDataFrame([([1.0, None],)], "features array<double>"),
          "matrix": lambda: spark.createDataFrame([(Matrices.dense(1, 1, [1.0]),)], ["features"])}[row]()
    place = resolving.destination(S3AutoCreatePath(), aws.session, None)
    with pytest.raises(errors.CodecError, match=match) as caught:
        staging.stage(df, serializer, aws.session, place, codec=codec)
    assert type(caught.value) is kind
    assert aws.remaining()["objects"] == []


def test_a_record_above_the_frame_is_too_large(spark, aws, monkeypatch):
    """A row of half a gigabyte is too much for a test; these are the codec's words for it (RecordWriter.java)."""
    import pyspark.sql.functions as F

    words = ("java.lang.IllegalArgumentException: RecordTooLarge: a RecordIO record must be smaller than 536870912 bytes, this row "
             "has 540000032 (135000000 values); use fewer features or sparse vectors\n\tat io.sagemakerpyspark")
    monkeypatch.setattr(jvm, "record_function", lambda *_: lambda *_: F.raise_error(F.lit(words)).cast("binary"))
    df = spark.createDataFrame([([1.0],)], ["features"])
    with pytest.raises(errors.RecordTooLarge, match=r"has 540000032 \(135000000 values\); use fewer features or sparse vectors$"):
        staging.stage(df, ProtobufRequestRowSerializer(), aws.session, resolving.destination(S3AutoCreatePath(), aws.session, None))


@needs_jar
def test_a_row_of_a_million_features(spark):
    import pyspark.sql.functions as F

    df = spark.range(1).select(F.transform(F.sequence(F.lit(1), F.lit(1_000_000)), lambda v: v.cast("double")).alias("features"))
    made = columns.encoding(df, ProtobufRequestRowSerializer(), "jvm")
    assert df.select(F.length(made.inputs[0])).first()[0] == len(record.encode_tensor(np.arange(1, 1_000_001)))


@needs_jar
def test_forced_paths(spark, monkeypatch):
    df = spark.createDataFrame([([1.0],)], ["features"])
    assert columns.encoding(df, ProtobufRequestRowSerializer(), "numpy").path == "numpy"
    with pytest.raises(errors.InvalidParameter, match="codec='jvm'.*Custom"):
        columns.encoding(df, Custom(), "jvm")
    monkeypatch.setenv(jvm.CODEC_VARIABLE, "numpy")
    assert columns.encoding(df, ProtobufRequestRowSerializer(), "auto").path == "numpy"


def test_a_broken_jar_is_one_log_line_and_numpy(spark, monkeypatch, tmp_path, caplog):
    broken = tmp_path / "broken.jar"
    broken.write_bytes(b"not a jar")
    monkeypatch.setenv(jvm.JAR_VARIABLE, str(broken))
    monkeypatch.setattr(jvm, "_PACKAGE", "io.sagemakerpyspark.nowhere")
    assert "nowhere" in jvm._attach(spark)
    assert len([r for r in caplog.records if "cannot be attached" in r.getMessage()]) == 1


def test_the_codec_can_be_insisted_on(spark, monkeypatch):
    df = spark.createDataFrame([([1.0],)], ["features"])
    monkeypatch.setattr(jvm, "_attached", {spark: "the reason"})
    assert columns.encoding(df, ProtobufRequestRowSerializer()).path == "numpy"
    with pytest.raises(errors.InvalidParameter, match="codec='jvm'.*the reason"):
        columns.encoding(df, ProtobufRequestRowSerializer(), "jvm")
    monkeypatch.setenv(jvm.CODEC_VARIABLE, "jvm")
    with pytest.raises(errors.InvalidParameter, match="SAGEMAKER_PYSPARK_CODEC=jvm.*the reason"):
        columns.encoding(df, ProtobufRequestRowSerializer())
    assert columns.encoding(df, ProtobufRequestRowSerializer(), "numpy").path == "numpy"


@needs_jar
@pytest.mark.skipif(os.environ.get("SPARK_MODE") == "connect", reason="starts a session of its own")
def test_a_jar_on_an_odd_path(tmp_path):
    place = tmp_path / "it's \"a\" folder\\of 100% #1 ${x}"
    place.mkdir()
    shutil.copy(jvm.jar_path(), place)
    program = """
from pyspark.sql import SparkSession
from sagemaker_pyspark import columns
from sagemaker_pyspark.codecs.text import CSVRequestRowSerializer
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
df = spark.range(3).selectExpr("array(cast(id as double)) features")
made = columns.encoding(df, CSVRequestRowSerializer(), "jvm")
print("lines", [bytes(r[0]) for r in df.select(made.inputs[0]).collect()])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240, env={
        **os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), jvm.JAR_VARIABLE: str(place / Path(jvm.jar_path()).name)})
    assert "lines [b'0.0\\n', b'1.0\\n', b'2.0\\n']" in done.stdout, done.stderr[-3000:]


def test_the_session_is_left_as_it_was(spark, aws, small):
    from sagemaker_pyspark.algorithms import KMeansSageMakerEstimator

    names = ["spark.sql.execution.arrow.maxRecordsPerBatch", "spark.sql.shuffle.partitions", "spark.sql.adaptive.enabled",
             "spark.sql.execution.arrow.pyspark.enabled", "mapreduce.fileoutputcommitter.marksuccessfuljobs"]
    before = [spark.conf.get(n, None) for n in names]
    model = KMeansSageMakerEstimator("ml.m5.xlarge", 1, "ml.m5.xlarge", 1, k=2).fit(small)
    model.transform(small).count()
    model.unpersist().delete()
    assert [spark.conf.get(n, None) for n in names] == before


@needs_jar
@pytest.mark.skipif(os.environ.get("SPARK_MODE") == "connect", reason="starts a cluster of its own")
def test_executors_of_a_cluster_get_the_codec():
    program = """
import sys
from pyspark.sql import SparkSession
from sagemaker_pyspark import columns
from sagemaker_pyspark.codecs.record import ProtobufRequestRowSerializer
spark = (SparkSession.builder.master("local-cluster[2,1,1024]").config("spark.ui.enabled", "false")
         .config("spark.executorEnv.PYTHONPATH", sys.argv[1]).getOrCreate())
df = spark.range(1000).selectExpr("array(cast(id as double)) features").repartition(4)
made = columns.encoding(df, ProtobufRequestRowSerializer(), "jvm")
print("frames", df.select(made.inputs[0].alias("r")).filter("length(r) = 40").count() or df.select(made.inputs[0].alias("r")).selectExpr("count(r)").first()[0])
"""
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", program, root], capture_output=True, text=True, timeout=240,
                          env={**os.environ, "PYTHONPATH": root, "SPARK_SCALA_VERSION": "2.13", "SPARK_HOME": _spark_home()})
    assert "frames 1000" in done.stdout, done.stderr[-3000:]


def _spark_home():
    import pyspark

    return str(Path(pyspark.__file__).parent)
