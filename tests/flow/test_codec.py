"""The JVM codec: the same bytes as numpy, in every kind of session, on executors of their own."""
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sagemaker_pyspark import columns, errors, jvm
from sagemaker_pyspark.codecs import record
from sagemaker_pyspark.codecs.record import ProtobufRequestRowSerializer
from sagemaker_pyspark.codecs.text import UnlabeledCSVRequestRowSerializer

needs_jar = pytest.mark.skipif(jvm.jar_path() is None, reason="built without Maven: there is no jar")
ODD = [0.0, -0.0, 1.0, -2.5, math.nan, math.inf, -math.inf, 5e-324, 1e39, -1e300, 1e-45, 16777217.0]


def random_vectors(count, seed):
    from pyspark.ml.linalg import Vectors

    rng = np.random.default_rng(seed)
    for _ in range(count):
        n = int(rng.integers(0, 40))
        values = [float(v) for v in np.where(rng.random(n) < 0.3, rng.choice(ODD, n), rng.normal(size=n) * 10.0 ** rng.integers(-50, 50))]
        if rng.random() < 0.5:
            yield Vectors.dense(values)
        else:
            size = int(rng.choice([max(n, 1), 200, 20000, 2**31 - 1]))
            yield Vectors.sparse(size, sorted(rng.choice(min(size, 10**6), min(n, size), replace=False).tolist()),
                                 values[:min(n, size)])


def encoded(df, codec, label=None):
    made = columns.encoding(df, ProtobufRequestRowSerializer(labelColumnName=label), codec)
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


@needs_jar
def test_a_row_of_a_million_features(spark):
    import pyspark.sql.functions as F

    df = spark.range(1).select(F.transform(F.sequence(F.lit(1), F.lit(1_000_000)), lambda v: v.cast("double")).alias("features"))
    made = columns.encoding(df, ProtobufRequestRowSerializer(), "jvm")
    assert df.select(F.length(made.inputs[0])).first()[0] == len(record.encode_tensor(np.arange(1, 1_000_001)))


def test_forced_paths(spark, monkeypatch):
    df = spark.createDataFrame([([1.0],)], ["features"])
    assert columns.encoding(df, ProtobufRequestRowSerializer(), "numpy").path == "numpy"
    with pytest.raises(errors.InvalidParameter, match="codec='jvm'"):
        columns.encoding(df, UnlabeledCSVRequestRowSerializer(), "jvm")
    monkeypatch.setenv(jvm.CODEC_VARIABLE, "numpy")
    assert columns.encoding(df, ProtobufRequestRowSerializer(), "auto").path == "numpy"


def test_a_broken_jar_is_one_log_line_and_numpy(spark, monkeypatch, tmp_path, caplog):
    broken = tmp_path / "broken.jar"
    broken.write_bytes(b"not a jar")
    monkeypatch.setenv(jvm.JAR_VARIABLE, str(broken))
    monkeypatch.setattr(jvm, "_PACKAGE", "io.sagemakerpyspark.nowhere")
    assert jvm._attach(spark) is False
    assert len([r for r in caplog.records if "cannot be attached" in r.getMessage()]) == 1


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
