"""Seconds to turn a DataFrame into RecordIO-protobuf, beyond reading it: our two paths and what a user writes by hand.

Three data sets: dense 784 wide, dense 50 wide, sparse 10,000 wide with 30 set; to local files and to the local S3. With
``--reference PYTHON`` 1.4.5's own writer runs on the same files, in the environment of that interpreter (``reference.py``).
"""
from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from functools import partial
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
os.environ["PYTHONPATH"] = str(HERE.parent)
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)

#: name: (rows, width, values set)
DATA = {"dense 784 x 100,000": (100_000, 784, None), "dense 50 x 1,000,000": (1_000_000, 50, None),
        "sparse 10,000 x 300,000": (300_000, 10_000, 30)}


class FileSink:
    """Writes each batch's records to a file of the task; without a folder it only receives them."""

    def __init__(self, encode, folder):
        self.encode, self.folder = encode, folder

    def __call__(self, batches):
        import pyarrow as pa

        from sagemaker_pyspark import workers
        from sagemaker_pyspark.upload import record_bytes

        workers.prepare()  # as the staging worker does
        size = 0
        with open(f"{self.folder}/{uuid.uuid4().hex}" if self.folder else os.devnull, "wb", buffering=0) as out:
            for batch in batches:
                data = record_bytes(self.encode(batch.columns))
                size += out.write(data)
        yield pa.RecordBatch.from_pydict({"bytes": [size]})


def written_by_hand(rows, folder):
    """A protobuf message for each (values, indices or None, size), to a file; its bytes."""
    import struct

    from sagemaker_pyspark.codecs.message import message_class

    size = 0
    with open(f"{folder}/{uuid.uuid4().hex}", "wb") as out:
        for values, indices, width in rows:
            record = message_class()()
            tensor = record.features["values"].float32_tensor
            tensor.values.extend(values)
            if indices is not None:
                tensor.keys.extend(indices)
                tensor.shape.append(width)
            payload = record.SerializeToString()
            out.write(struct.pack("<II", 0xCED7230A, len(payload)) + payload + bytes(-len(payload) % 4))
            size += len(payload)
    return size


def by_hand(df, folder):
    """In mapInPandas, on the vectors' storage."""
    import pyspark.sql.functions as F

    def write(frames):
        import pandas as pd

        cells = (cell for frame in frames for cell in frame["features"])
        yield pd.DataFrame({"bytes": [written_by_hand(((c["values"], c["indices"], c["size"]) for c in cells), folder)]})

    df.select(F.unwrap_udt("features").alias("features")).mapInPandas(write, "bytes long").collect()


def by_hand_on_rdd(df, folder):
    """In rdd.mapPartitions, on the vectors themselves."""
    def write(rows):
        cells = (row.features for row in rows)
        yield written_by_hand(((c.values, getattr(c, "indices", None), c.size) for c in cells), folder)

    df.rdd.mapPartitions(write).collect()


def make(spark, folder, name):
    """One data set as four Parquet files of a vector column."""
    import numpy as np
    import pyarrow as pa
    import pyspark.sql.functions as F
    from pyspark.ml.functions import array_to_vector
    from pyspark.ml.linalg import SparseVector, VectorUDT

    rows, width, filled = DATA[name]

    def dense(batches):
        for batch in batches:
            count = batch.num_rows
            values = np.random.default_rng(batch.column(0)[0].as_py()).random(count * width, dtype=np.float32)
            yield pa.RecordBatch.from_arrays(
                [pa.ListArray.from_arrays(np.arange(count + 1, dtype=np.int32) * width, values.astype(np.float64))], ["v"])

    def sparse(batches):
        for batch in batches:
            rng = np.random.default_rng(batch.column(0)[0].as_py())
            for _ in range(batch.num_rows):
                yield pa.RecordBatch.from_pydict({"i": [np.sort(rng.choice(width, filled, replace=False)).astype(np.int32)],
                                                  "v": [rng.random(filled)]})

    ids = spark.range(0, rows, 1, 4)
    if filled is None:
        made = ids.mapInArrow(dense, "v array<double>").select(array_to_vector("v").alias("features"))
    else:
        to_vector = F.udf(lambda i, v: SparseVector(width, i, v), VectorUDT())
        made = ids.mapInArrow(sparse, "i array<int>, v array<double>").select(to_vector("i", "v").alias("features"))
    made.write.parquet(f"{folder}/{name}")


def reference(python, folder, sink, runs, name):
    """Seconds of 1.4.5's writer on the same files, in its own environment."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYSPARK_PYTHON")}
    done = subprocess.run([python, str(HERE / "reference.py"), folder, sink, str(runs), name], env=environment,
                          stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.strip().splitlines()[-1])


def beyond(base, ways, runs):
    """Median seconds of each way beyond those of ``base``, taken one after the other in every round, so that what slows the
    machine for a while slows all of them; and the median of the base."""
    for run in (base, *ways.values()) * 2:
        run()  # warm: the JVM compiles what runs often
    bases, taken = [], {way: [] for way in ways}
    for _ in range(runs):
        bases.append(seconds(base))
        for way, run in ways.items():
            taken[way].append(seconds(run) - bases[-1])
    return statistics.median(bases), {way: statistics.median(values) for way, values in taken.items()}


def seconds(run):
    # A virtual machine gives free memory back and pays for each page it needs again; not what is measured here.
    len(b"x" * (1 << 30))
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--by-hand-runs", type=int, default=1, help="it takes minutes")
    parser.add_argument("--reference", metavar="PYTHON", help="interpreter with pyspark 3.3 and sagemaker_pyspark 1.4.5")
    parser.add_argument("--data", metavar="FOLDER", help="keep the data sets here and use them again")
    parser.add_argument("--sink", metavar="FOLDER", help="write the files below this folder; in memory (/dev/shm) the disk's "
                        "moods do not count")
    options = parser.parse_args()
    from pyspark.sql import SparkSession

    from sagemaker_pyspark import S3AutoCreatePath, columns, jvm, local, resolving, staging
    from sagemaker_pyspark.codecs.record import ProtobufRequestRowSerializer

    spark = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config("spark.driver.memory", "4g")
             .config("spark.ui.showConsoleProgress", "false").getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")

    with tempfile.TemporaryDirectory(dir=options.sink) as folder, local.SageMaker() as aws:
        data = options.data or f"{folder}/data"
        for name in DATA:
            if not os.path.exists(f"{data}/{name}/_SUCCESS"):
                shutil.rmtree(f"{data}/{name}", ignore_errors=True)
                make(spark, data, name)
        sink = Path(folder) / "sink"
        sink.mkdir()

        def to_files(df, codec, where=sink):
            made = columns.encoding(df, ProtobufRequestRowSerializer(), codec)
            df.select(*[c.alias(f"c{i}") for i, c in enumerate(made.inputs)]).mapInArrow(
                FileSink(made.encode, where and str(where)), "bytes long").collect()
            for path in sink.iterdir():
                path.unlink()

        def to_s3(df, codec):
            place = resolving.destination(S3AutoCreatePath(), aws.session, None)
            staging.stage(df, ProtobufRequestRowSerializer(), aws.session, place, codec=codec).delete(aws.session)

        def hand(df, way):
            way(df, str(sink))
            for path in sink.iterdir():
                path.unlink()

        def noop(df):
            df.write.format("noop").mode("overwrite").save()

        print(f"seconds beyond a noop read, medians of {options.runs} runs (by hand: {options.by_hand_runs}); JVM codec "
              f"{'present' if jvm.jar_path() else 'absent'}; PySpark {spark.version}; files below {folder}")
        for name in DATA:
            df = spark.read.parquet(f"{data}/{name}")
            older = reference(options.reference, data, f"{folder}/older", options.runs, name) if options.reference else None
            ways = {}
            if jvm.attach(spark):
                record = columns.encoding(df, ProtobufRequestRowSerializer(), "jvm").inputs[0]
                ways["encoding in the JVM"] = partial(noop, df.select(record))
                ways["and handing to Python"] = partial(to_files, df, "jvm", None)
            ways["default path, files"] = partial(to_files, df, "auto")
            ways["numpy path, files"] = partial(to_files, df, "numpy")
            ways["default path, local S3"] = partial(to_s3, df, "auto")
            base, found = beyond(partial(noop, df), ways, options.runs)
            for what, way in (("by hand, mapInPandas", by_hand), ("by hand, mapPartitions", by_hand_on_rdd)):
                if options.by_hand_runs:
                    found[what] = statistics.median(
                        seconds(partial(hand, df, way)) for _ in range(options.by_hand_runs)) - base
            if older is not None:
                found["1.4.5's writer, files"] = older
            print(f"{name} (noop read {base:.2f} s)")
            for what, taken in found.items():
                print(f"  {what:24} {taken:7.2f}   {taken / found['default path, files']:6.2f} x the default path", flush=True)
    spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
