"""Staging: every format, encryption, multipart, and what happens when tasks die."""
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sagemaker_pyspark import S3AutoCreatePath, resolving, staging
from sagemaker_pyspark.codecs.decode import decode_matrix
from sagemaker_pyspark.codecs.record import ProtobufRequestRowSerializer
from sagemaker_pyspark.codecs.text import LibSVMRequestRowSerializer
from sagemaker_pyspark.columns import TabularRows


@pytest.fixture
def stage(aws):
    made = []

    def run(df, serializer=None, kms_key=None, **more):
        place = resolving.destination(S3AutoCreatePath(), aws.session, kms_key)
        staged = staging.stage(df, serializer or ProtobufRequestRowSerializer(labelColumnName="label"), aws.session, place, **more)
        made.append(staged)
        return staged

    yield run
    for staged in made:
        staged.delete(aws.session)
    assert aws.remaining()["objects"] == []


def objects(aws, staged):
    s3 = aws.session.client("s3")
    manifest = json.loads(s3.get_object(Bucket=staged.destination.bucket, Key=staged.manifest_key)["Body"].read())
    prefix = manifest[0]["prefix"].split("/", 3)[3]
    assert [prefix + name for name in manifest[1:]] == list(staged.keys)
    return [s3.get_object(Bucket=staged.destination.bucket, Key=key)["Body"].read() for key in staged.keys]


def test_recordio_holds_every_row_once(aws, stage, small):
    staged = stage(small)
    rows = [decode_matrix(data) for data in objects(aws, staged)]
    first = np.concatenate([features[:, 0] for features, _ in rows])
    assert sorted(first) == list(range(40)) and staged.rows == 40 and staged.dimension == 3
    assert sorted(np.concatenate([labels for _, labels in rows])) == [0.0] * 20 + [1.0] * 20


def test_large_data_goes_in_several_parts_and_objects(spark, aws, stage):
    import pyspark.sql.functions as F

    df = spark.range(30000).coalesce(1).select(
        F.col("id").cast("double").alias("label"), F.array_repeat(F.col("id").cast("double"), 300).alias("features"))
    staged = stage(df, part_bytes=5 << 20, object_bytes=12 << 20)
    assert [rows for _, rows in staged.parts] == [20000, 10000]  # an Arrow batch has 10,000 rows of 12.4 MB
    uploads = [r["operation"] for r in aws.requests]
    assert uploads.count("UploadPart") >= 6 and uploads.count("CompleteMultipartUpload") == 2
    labels = np.concatenate([decode_matrix(data)[1] for data in objects(aws, staged)])
    np.testing.assert_array_equal(labels, np.arange(30000))


def test_compression_and_encryption(aws, stage, small):
    staged = stage(small, kms_key="alias/mine", compression="gzip")
    assert sum(len(decode_matrix(gzip.decompress(data))[0]) for data in objects(aws, staged)) == 40
    s3 = aws.session.client("s3")
    for key in (*staged.keys, staged.manifest_key):
        head = s3.head_object(Bucket=staged.destination.bucket, Key=key)
        assert head["ServerSideEncryption"] == "aws:kms" and "alias/mine" in head["SSEKMSKeyId"]


def test_text_and_tables(aws, stage, small):
    staged = stage(small, LibSVMRequestRowSerializer(), data_format="libsvm")
    lines = b"".join(objects(aws, staged)).decode().splitlines()
    assert len(lines) == 40 and lines[0].count(":") >= 2
    table = small.select("id", "label")
    staged = stage(table, TabularRows("csv", (("sep", ";"),)), data_format="csv")
    cells = sorted(line.split(";") for line in b"".join(objects(aws, staged)).decode().splitlines())
    assert len(cells) == 40 and ["7", "1.0"] in cells
    staged = stage(table, TabularRows("jsonlines"), data_format="jsonlines")
    assert {"id": 7, "label": 1.0} in [json.loads(x) for x in b"".join(objects(aws, staged)).splitlines()]


def test_parquet(aws, stage, small):
    from sagemaker_pyspark import parquet

    staged = stage(small, data_format="parquet", plan=parquet.plan)
    tables = [pq.read_table(pa.BufferReader(data)) for data in objects(aws, staged)]
    assert tables[0].column_names == ["label", "f0", "f1", "f2"]
    assert sorted(v for t in tables for v in t.column("f0").to_pylist()) == [float(i) for i in range(40)]


def test_ten_thousand_partitions_of_few_rows(spark, aws, stage):
    """Most tasks have nothing; they write nothing."""
    df = spark.range(50).selectExpr("cast(id as double) label", "array(cast(id as double)) features").repartition(400)
    staged = stage(df)
    assert len(staged.keys) <= 50 and staged.rows == 50


@pytest.mark.skipif(os.environ.get("SPARK_MODE") == "connect", reason="starts a session that retries tasks")
def test_a_killed_task_neither_loses_nor_repeats_a_row(aws):
    """The worker of one partition dies after it has uploaded an object; Spark runs the task again."""
    program = '''
import json, os, sys
from pyspark.sql import SparkSession
import pyspark.sql.functions as F
from sagemaker_pyspark import S3AutoCreatePath, resolving, staging
from sagemaker_pyspark.codecs.record import ProtobufRequestRowSerializer
from sagemaker_pyspark.session import Session
spark = SparkSession.builder.master("local[2,4]").config("spark.ui.enabled", "false").getOrCreate()
session = Session(region="us-east-1", endpoint_url=sys.argv[1], local=True)

class Dying(ProtobufRequestRowSerializer):
    """Dies once, in the middle of partition 1, after what came before was uploaded."""
    def encode(self, batch):
        from pyspark import TaskContext
        context = TaskContext.get()
        if context.partitionId() == 1 and context.attemptNumber() == 0 and batch.column(0)[0].as_py()[0] >= 30000:
            os._exit(1)
        return super().encode(batch)

df = spark.range(0, 40000, 1, 2).select(F.array(F.col("id").cast("double")).alias("features"))
staged = staging.stage(df, Dying(), session, resolving.destination(S3AutoCreatePath(), session, None), codec="numpy", object_bytes=100000)
print("staged", json.dumps([staged.destination.bucket, staged.destination.prefix, staged.keys, staged.rows]))
'''
    done = subprocess.run([sys.executable, "-c", program, aws.endpoint_url], capture_output=True, text=True, timeout=240,
                          env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})
    line = next((x for x in done.stdout.splitlines() if x.startswith("staged ")), None)
    assert line, done.stderr[-3000:]
    bucket, prefix, keys, rows = json.loads(line[7:])
    s3 = aws.session.client("s3")
    read = np.concatenate([decode_matrix(s3.get_object(Bucket=bucket, Key=k)["Body"].read())[0][:, 0] for k in keys])
    assert rows == 40000 and sorted(read) == list(range(40000))
    everything = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]]
    assert len(everything) > len(keys) + 1  # the dead attempt left objects, and no manifest names them
    for key in everything:
        s3.delete_object(Bucket=bucket, Key=key)


def test_memory_does_not_grow_with_the_rows(aws):
    """One task's upload of 160 MB peaks no higher than one of 48 MB: two parts are held, and no row more."""
    script = """
import resource, sys, threading
import pyarrow as pa, numpy as np
from sagemaker_pyspark.session import Session
from sagemaker_pyspark.upload import Upload
session = Session(region=sys.argv[1], endpoint_url=sys.argv[2], local=True)
keys = iter(range(99))
upload = Upload(session, {"Bucket": sys.argv[3]}, lambda: f"memory/{sys.argv[4]}-{next(keys)}", 16 << 20, 64 << 20)
record = np.random.default_rng(0).bytes(1000)
for _ in range(int(sys.argv[4])):
    upload.write(pa.array([record] * 1000, pa.binary()))
upload.close()
assert sum(rows for _, rows, _ in upload.objects) == int(sys.argv[4]) * 1000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    bucket, client = aws.bucket, aws.session.client("s3")

    def peak_kb(batches):
        done = subprocess.run([sys.executable, "-c", script, aws.region, aws.endpoint_url, bucket, str(batches)],
                              capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2])
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    try:
        small, large = peak_kb(48), peak_kb(160)
        assert large < small + 24 * 1024, (small, large)
    finally:
        for item in aws.session.pages("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix="memory/"):
            client.delete_object(Bucket=bucket, Key=item["Key"])


def test_rows_of_a_million_features(spark, aws, stage):
    import pyspark.sql.functions as F
    from pyspark.ml.functions import array_to_vector

    df = spark.range(0, 30, 1, 2).select(array_to_vector(F.transform(F.sequence(F.lit(1), F.lit(1_000_000)),
                                                                     lambda v: v.cast("double"))).alias("features"))
    staged = stage(df, ProtobufRequestRowSerializer(labelColumnName=None))
    assert staged.rows == 30 and staged.dimension == 1_000_000 and 30 * 4_000_000 < staged.size < 30 * 4_000_100
