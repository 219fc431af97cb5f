"""What else transform gives: results on S3, a SQL function, a progress bar."""
import datetime
import decimal
import io

import pytest

from sagemaker_pyspark import errors, progress


def keys(aws, bucket, prefix=""):
    return sorted(item["Key"] for item in aws.session.pages("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=prefix))


@pytest.fixture
def bucket(aws):
    client = aws.session.client("s3")
    client.create_bucket(Bucket="results-test")
    yield "results-test"
    for key in keys(aws, "results-test"):
        client.delete_object(Bucket="results-test", Key=key)
    client.delete_bucket(Bucket="results-test")


def sent(aws):
    return sum(r["rows"] for r in aws.requests if r["operation"] == "InvokeEndpoint")


def test_materialized_results_are_sent_once_and_keep_rows_order_and_types(spark, aws, echo, bucket):
    from pyspark.ml.linalg import Matrices, Vectors
    from pyspark.sql import Row

    day = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901)
    rows = [Row(id=i, features=Vectors.dense([float(i), 1.0]), sparse=Vectors.sparse(3, {1: float(i)}) if i % 3 else None,
                matrix=Matrices.dense(1, 2, [1.0, float(i)]), nested=Row(a=i, b=Row(c=[i, None])), mapped={"k": i},
                price=decimal.Decimal(i) / 7, at=day, on=day.date(), raw=bytes([i]), none=None if i % 2 else "x",
                gap=datetime.timedelta(seconds=i)) for i in range(50)]
    df = spark.createDataFrame(rows).repartition(3).cache()
    before = df.collect()
    model = echo(maxRequestRows=10, materialize=f"s3://{bucket}/predictions")
    model.transform(df.limit(0)).count()
    aws.forget_requests()
    out = model.transform(df)
    assert sent(aws) == 50  # it is done when transform returns
    after = out.collect()
    assert out.columns == [*df.columns, "score"] and out.schema["features"] == df.schema["features"]
    assert [r.asDict() for r in before] == [{k: v for k, v in r.asDict().items() if k != "score"} for r in after]
    assert [r.score for r in after] == [float(r.id) for r in before]
    assert out.filter("score > 10").count() == 39 and out.join(out.select("id"), "id").count() == 50
    assert sent(aws) == 50
    assert model.lastTransformMetrics.rows == 50
    model.unpersist()
    found = keys(aws, bucket)
    assert len([k for k in found if k.endswith(".parquet")]) == 3 and all(k.startswith("predictions/") for k in found)
    assert [r.score for r in out.collect()] == [r.score for r in after]  # a named place is the user's and stays
    df.unpersist()


def test_materialized_in_the_automatic_bucket_goes_with_the_model(aws, echo, small):
    model = echo(materialize="auto")
    out = model.transform(small)
    assert sorted(r.score for r in out.collect()) == [float(i) for i in range(40)]
    assert any(key.endswith(".parquet") for key in keys(aws, aws.bucket))
    model.unpersist()
    assert not any(key.endswith((".parquet", "_manifest")) for key in keys(aws, aws.bucket))


def test_what_cannot_be_materialized_is_said_before_a_row_is_sent(spark, aws, echo, small, bucket):
    model = echo(materialize=f"s3://{bucket}/p")
    aws.forget_requests()
    with pytest.raises(errors.UnsupportedColumn, match="gap.*cast it to string"):
        model.transform(small.selectExpr("*", "interval '1-2' year to month gap"))
    with pytest.raises(errors.InvalidParameter, match="materialize must be 'auto' or an s3://"):
        echo().setMaterialize("here")
    with pytest.raises(errors.InvalidParameter, match="stream"):
        model.transform(spark.readStream.format("rate").load().selectExpr("array(double(value)) features"))
    assert sent(aws) == 0 and keys(aws, bucket) == []


def test_a_failed_materialization_leaves_nothing(aws, echo, small, bucket):
    model = echo(materialize=f"s3://{bucket}/p", maxRequestRows=5)
    aws.faults.add("InvokeEndpoint", model_error=400, after=3)
    with pytest.raises(Exception, match="ModelError"):
        model.transform(small)
    assert keys(aws, bucket) == []


def test_a_sql_function(spark, aws, echo, small):
    model = echo(maxRequestRows=10)
    function = model.registerFunction("score_it", spark)
    small.createOrReplaceTempView("small_rows")
    rows = spark.sql("SELECT id, score_it(features).score AS score FROM small_rows WHERE id >= 10").collect()
    assert len(rows) == 30 and all(r.score == float(r.id) for r in rows)
    arrays = spark.sql("SELECT score_it(array(double(id), 2D)).score AS score, id FROM small_rows").collect()
    assert all(r.score == float(r.id) for r in arrays)
    assert small.select(function("features").alias("p"), "id").filter("p.score = id").count() == 40
    again = spark.sql("SELECT count(*) n FROM small_rows WHERE score_it(features).score < 7").first().n
    assert again == 7


def test_a_sql_function_keeps_its_bounds_and_errors(spark, aws, echo, small):
    from pyspark.ml.linalg import Vectors

    echo(maxConcurrency=2, onError="column").registerFunction("score_softly", spark)
    df = spark.createDataFrame([(1, Vectors.dense([5.0])), (2, None)], ["id", "features"]).coalesce(1)
    df.createOrReplaceTempView("with_null")
    rows = {r.id: r.p for r in spark.sql("SELECT id, score_softly(features) AS p FROM with_null").collect()}
    assert rows[1].score == 5.0 and rows[1].sagemaker_error is None
    assert rows[2].score is None and rows[2].sagemaker_error.code == "NotSent"
    with pytest.raises(errors.InvalidParameter, match="mode must be one of"):
        echo(mode="batch").registerFunction("nope", spark)


def test_a_progress_bar(spark, small):
    def slow(frames):
        import time

        for frame in frames:
            time.sleep(2)  # Connect reports every 2 seconds, to shorter jobs never
            yield frame[["id"]]

    out = io.StringIO()
    with progress.shown(spark, "transform", out, quiet_seconds=0.0):
        small.repartition(4).mapInPandas(slow, "id long").count()
    text = out.getvalue()
    assert "tasks" in text and "transform [" in text and text.endswith("\r")
    quiet = io.StringIO()
    with progress.shown(spark, "transform", quiet):
        small.count()
    assert quiet.getvalue() == ""


def test_nan_null_and_large_numbers_are_kept_apart(spark, echo):
    import math

    from sagemaker_pyspark.transformation.deserializers import ResponseRowDeserializer

    class Odd(ResponseRowDeserializer):
        accepts, fields = "text/csv", (("big", "bigint"), ("real", "double"), ("listed", "vector"))

        def decode(self, body, content_type=None, rows=None):
            import pyarrow as pa

            odd = [at % 2 == 1 for at in range(rows)]
            return pa.RecordBatch.from_arrays([
                pa.array([None if o else 2**53 + 1 for o in odd], pa.int64()),
                pa.array([None if o else float("nan") for o in odd], pa.float64()),
                pa.array([[float("nan"), 1.0]] * rows, pa.list_(pa.float64()))], ["big", "real", "listed"])

    df = spark.createDataFrame([([float("nan"), 1.0],), ([2.0, float("nan")],)], ["features"]).coalesce(1)
    for codec in ("auto", "numpy"):
        first, second = echo(response=Odd(), codec=codec).transform(df).collect()
        assert (first.big, second.big) == (2**53 + 1, None)
        assert math.isnan(first.real) and second.real is None
        assert all(math.isnan(row.listed[0]) and row.listed[1] == 1.0 for row in (first, second))
