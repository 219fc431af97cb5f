"""Seconds to turn a DataFrame into RecordIO-protobuf, beyond reading it: our two paths and what a user writes by hand.

Three data sets: dense 784 wide, dense 50 wide, sparse 10,000 wide with 30 set; to local files and to the local S3.
"""
from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)


class FileSink:
    """Writes each batch's records to a file of the task."""

    def __init__(self, encode, folder):
        self.encode, self.folder = encode, folder

    def __call__(self, batches):
        import pyarrow as pa

        from sagemaker_pyspark.upload import record_bytes

        size = 0
        with open(f"{self.folder}/{uuid.uuid4().hex}", "wb", buffering=0) as out:
            for batch in batches:
                data = record_bytes(self.encode(batch.columns))
                out.write(data)
                size += len(data)
        yield pa.RecordBatch.from_pydict({"bytes": [size]})


def by_hand(folder):
    """A protobuf message a row, in mapInPandas."""
    def write(frames):
        import struct

        import pandas as pd

        from sagemaker_pyspark.codecs.message import message_class

        size = 0
        with open(f"{folder}/{uuid.uuid4().hex}", "wb") as out:
            for frame in frames:
                for row in frame["features"]:
                    record = message_class()()
                    tensor = record.features["values"].float32_tensor
                    tensor.values.extend(row["values"])
                    if row["indices"] is not None:
                        tensor.keys.extend(row["indices"])
                        tensor.shape.append(row["size"])
                    payload = record.SerializeToString()
                    out.write(struct.pack("<II", 0xCED7230A, len(payload)) + payload + bytes(-len(payload) % 4))
                    size += len(payload)
        yield pd.DataFrame({"bytes": [size]})

    return write


def data(spark, folder):
    """(name, DataFrame over Parquet files)"""
    import numpy as np
    import pandas as pd
    from pyspark.ml.linalg import SparseVector, VectorUDT
    from pyspark.sql.types import StructField, StructType

    def dense(rows, width, name):
        (spark.range(0, rows, 1, 4).selectExpr(f"transform(sequence(1, {width}), x -> rand(x) ) v")
         .write.parquet(f"{folder}/{name}"))
        from pyspark.ml.functions import array_to_vector

        spark.read.parquet(f"{folder}/{name}").select(array_to_vector("v").alias("features")).write.parquet(f"{folder}/{name}-v")
        return spark.read.parquet(f"{folder}/{name}-v")

    yield "dense 784 x 100,000", dense(100_000, 784, "wide")
    yield "dense 50 x 1,000,000", dense(1_000_000, 50, "narrow")
    rng = np.random.default_rng(0)
    schema = StructType([StructField("features", VectorUDT())])

    def sparse(frames):
        for frame in frames:
            yield pd.DataFrame({"id": frame["id"], "i": [np.sort(rng.choice(10_000, 30, replace=False)) for _ in range(len(frame))],
                                "v": list(rng.random((len(frame), 30)))})

    raw = spark.range(0, 300_000, 1, 4).mapInPandas(sparse, "id long, i array<int>, v array<double>")
    from pyspark.sql.functions import udf

    raw.select(udf(lambda i, v: SparseVector(10_000, i, v), schema["features"].dataType)("i", "v").alias("features")).write.parquet(
        f"{folder}/sparse")
    yield "sparse 10,000 x 300,000, 30 set", spark.read.parquet(f"{folder}/sparse")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--by-hand-runs", type=int, default=1, help="it takes minutes")
    options = parser.parse_args()
    import pyspark.sql.functions as F
    from pyspark.sql import SparkSession

    from sagemaker_pyspark import S3AutoCreatePath, columns, jvm, local, resolving, staging
    from sagemaker_pyspark.codecs.record import ProtobufRequestRowSerializer

    spark = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config("spark.driver.memory", "4g")
             .config("spark.ui.showConsoleProgress", "false").getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")

    def median(run, times):
        taken = []
        for _ in range(times):
            started = time.perf_counter()
            run()
            taken.append(time.perf_counter() - started)
        return statistics.median(taken)

    with tempfile.TemporaryDirectory() as folder, local.SageMaker() as aws:
        sink = Path(folder) / "sink"
        sink.mkdir()

        def to_files(df, codec):
            made = columns.encoding(df, ProtobufRequestRowSerializer(), codec)
            df.select(*[c.alias(f"c{i}") for i, c in enumerate(made.inputs)]).mapInArrow(
                FileSink(made.encode, str(sink)), "bytes long").collect()
            for path in sink.iterdir():
                path.unlink()

        def to_s3(df, codec):
            place = resolving.destination(S3AutoCreatePath(), aws.session, None)
            staging.stage(df, ProtobufRequestRowSerializer(), aws.session, place, codec=codec).delete(aws.session)

        def hand(df):
            df.select(F.unwrap_udt("features").alias("features")).mapInPandas(by_hand(str(sink)), "bytes long").collect()
            for path in sink.iterdir():
                path.unlink()

        print(f"seconds beyond a noop read, medians of {options.runs} runs (by hand: {options.by_hand_runs}); JVM codec "
              f"{'present' if jvm.jar_path() else 'absent'}")
        for name, df in data(spark, folder):
            def read(df=df):
                df.write.format("noop").mode("overwrite").save()

            read(), to_files(df, "auto")
            base = median(read, options.runs)
            found = {}
            if jvm.attach(spark):
                udf_only = columns.encoding(df, ProtobufRequestRowSerializer(), "jvm").inputs[0]
                found["JVM encode alone"] = median(
                    lambda df=df, u=udf_only: df.select(u).write.format("noop").mode("overwrite").save(), options.runs)
            found["default path, files"] = median(lambda df=df: to_files(df, "auto"), options.runs)
            found["numpy path, files"] = median(lambda df=df: to_files(df, "numpy"), options.runs)
            found["default path, local S3"] = median(lambda df=df: to_s3(df, "auto"), options.runs)
            found["by hand, files"] = median(lambda df=df: hand(df), options.by_hand_runs)
            ours = found["default path, files"] - base
            print(f"{name} (noop read {base:.2f} s)")
            for what, seconds in found.items():
                beyond = seconds - base
                print(f"  {what:24} {beyond:7.2f}   {beyond / ours:6.1f} x the default path")
    spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
