"""transform: alignment, single sending, errors, modes."""
import datetime
import decimal

import pytest

from sagemaker_pyspark import SageMakerModel, errors
from sagemaker_pyspark.transformation.deserializers import (
    CSVResponseRowDeserializer,
    JSONLinesResponseRowDeserializer,
    JSONResponseRowDeserializer,
)
from sagemaker_pyspark.transformation.serializers import (
    JSONLinesRequestRowSerializer,
    JSONRequestRowSerializer,
    LibSVMRequestRowSerializer,
    RequestRowSerializer,
    UnlabeledCSVRequestRowSerializer,
)


def test_order_and_every_column_of_every_type_survive(spark, echo):
    from pyspark.ml.linalg import Matrices, Vectors
    from pyspark.sql import Row

    day = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901)
    rows = [Row(id=i, features=Vectors.dense([float(i), 1.0]), sparse=Vectors.sparse(3, {1: float(i)}),
                matrix=Matrices.dense(1, 2, [1.0, float(i)]), nested=Row(a=i, b=Row(c=[i, None])), mapped={"k": i},
                price=decimal.Decimal(i) / 7, at=day, on=day.date(), raw=bytes([i]), none=None if i % 2 else "x",
                gap=datetime.timedelta(seconds=i)) for i in range(50)]
    df = spark.createDataFrame(rows).repartition(3)
    out = echo(maxRequestRows=7).transform(df)
    before, after = df.collect(), out.collect()
    assert out.columns == [*df.columns, "score"]
    assert [r.asDict() for r in before] == [{k: v for k, v in r.asDict().items() if k != "score"} for r in after]
    assert [r.score for r in after] == [float(r.id) for r in before]


def test_each_row_is_sent_once_within_an_action(spark, aws, echo, small):
    model = echo(maxRequestRows=10)
    model.transform(small).count()
    model.unpersist()

    def sent(action):
        aws.forget_requests()
        action(model.transform(small))
        model.unpersist()
        return sum(r["rows"] for r in aws.requests if r["operation"] == "InvokeEndpoint")

    import pyspark.sql.functions as F

    assert sent(lambda out: out.select("score", (F.col("score") + 1).alias("more"), "id").collect()) == 40
    assert sent(lambda out: out.filter("score > 3").filter("score < 30").select("score").collect()) == 40
    assert sent(lambda out: out.orderBy(F.desc("score")).collect()) == 40
    assert sent(lambda out: out.join(out.select("id", F.col("score").alias("again")), "id").collect()) == 40
    assert sent(lambda out: out.groupBy("label").agg(F.avg("score")).collect()) == 40
    assert sent(lambda out: (out.count(), out.collect())) == 40


def test_without_send_once_a_filter_still_sends_once(spark, aws, echo, small):
    model = echo(sendOnce=False)
    model.transform(small).collect()
    aws.forget_requests()
    rows = model.transform(small).filter("score >= 20").select("id", "score").collect()
    assert sorted(r.id for r in rows) == list(range(20, 40))
    assert sum(r["rows"] for r in aws.requests if r["operation"] == "InvokeEndpoint") == 40


def test_metrics_reach_the_driver(aws, echo, small, caplog):
    model = echo(maxRequestRows=5)
    assert model.lastTransformMetrics is None
    model.transform(small).count()
    aws.faults.add("InvokeEndpoint", throttle=1.0, first=3)
    aws.faults.add("InvokeEndpoint", error="InternalFailure", status=500, nth=6)
    aws.forget_requests()
    with caplog.at_level("INFO", "sagemaker_pyspark"):
        out = model.transform(small)
        assert model.lastTransformMetrics is None  # nothing has run
        assert out.filter("score >= 0").count() == 40
        figures = model.lastTransformMetrics
    sent = [r for r in aws.requests if r["operation"] == "InvokeEndpoint"]
    assert (figures.rows, figures.requests, figures.failures) == (40, len(sent), 0)
    assert figures.throttles == 3 and figures.retries == 4 and figures.bytes_received > 0
    assert figures.bytes_sent > 40 * 12
    assert 0 < figures.p50_seconds <= figures.p99_seconds < 60
    assert [number for number, _ in figures.partitions] == [0, 1] and sum(p.rows for _, p in figures.partitions) == 40
    lines = [r.getMessage() for r in caplog.records if r.name == "sagemaker_pyspark.observing"]
    assert len(lines) == 1 and "40 rows in" in lines[0] and "3 throttles" in lines[0] and "\n" not in lines[0]
    out.collect()  # from Spark's storage: sends nothing and changes nothing
    assert model.lastTransformMetrics == figures


def test_request_sizes_obey_rows_and_bytes(aws, echo, small):
    echo(maxRequestRows=7).transform(small).collect()
    sizes = [r["rows"] for r in aws.requests if r["operation"] == "InvokeEndpoint"]
    assert max(sizes) == 7 and sum(sizes) == 40
    aws.forget_requests()
    echo(maxRequestBytes=100).transform(small).collect()  # a record has 44 bytes
    assert {r["rows"] for r in aws.requests if r["operation"] == "InvokeEndpoint"} == {2}


@pytest.mark.parametrize("request_format, response", [
    (UnlabeledCSVRequestRowSerializer(), CSVResponseRowDeserializer("score double")),
    (LibSVMRequestRowSerializer(), CSVResponseRowDeserializer("score double")),
    (JSONLinesRequestRowSerializer(), JSONLinesResponseRowDeserializer("score double")),
    (JSONRequestRowSerializer(), JSONResponseRowDeserializer("score double"))], ids=lambda v: type(v).__name__)
def test_text_formats(echo, small, request_format, response):
    rows = echo(request=request_format, response=response, maxRequestRows=9).transform(small).collect()
    expected = (lambda r: r.label) if isinstance(request_format, LibSVMRequestRowSerializer) else (lambda r: float(r.id))
    assert [r.score for r in rows] == [expected(r) for r in rows]


def test_a_codec_of_ones_own_reaches_the_workers(echo, small):
    class Sums(RequestRowSerializer):
        content_type, columns = "text/csv", ("id", "label")

        def encode(self, batch):
            return [f"{r['id'] + r['label']}\n".encode() for r in batch.to_pylist()]

    rows = echo(request=Sums(), response=CSVResponseRowDeserializer("total double")).transform(small).collect()
    assert [r.total for r in rows] == [r.id + r.label for r in rows]


def failing(action):
    """The text of what an action raises; Spark wraps what its workers raise."""
    with pytest.raises(Exception) as caught:
        action()
    return str(caught.value)


@pytest.mark.parametrize("fault", [{"drop_rows": 1}, {"add_rows": 1}])
def test_an_answer_of_another_length_is_an_error(aws, echo, small, fault):
    model = echo(maxRequestRows=10)
    model.transform(small.limit(1)).count()
    aws.faults.add("InvokeEndpoint", **fault)
    assert "RowCountMismatch" in failing(model.transform(small).collect)


def test_throttling_and_server_errors_lose_no_row(aws, echo, small):
    model = echo(maxRequestRows=2)
    aws.faults.add("InvokeEndpoint", throttle=0.3)
    aws.faults.add("InvokeEndpoint", error="InternalFailure", status=500, probability=0.05)
    aws.faults.add("InvokeEndpoint", disconnect=True, nth=5)
    rows = model.transform(small).collect()
    assert [r.score for r in rows] == [float(r.id) for r in rows] and len(rows) == 40


def test_what_cannot_succeed_is_not_retried(aws, echo, small):
    model = echo(maxRequestRows=100)
    model.transform(small.limit(1)).count()
    aws.forget_requests()
    aws.faults.add("InvokeEndpoint", model_error=400)
    assert "ModelError" in failing(model.transform(small.coalesce(1)).collect)
    assert sum(r["operation"] == "InvokeEndpoint" for r in aws.requests) <= 4  # one a task attempt of Spark's


def test_a_hanging_endpoint_is_given_up(aws, echo, small):
    model = echo(timeoutSeconds=0.5, maxAttempts=2, maxRequestRows=1)
    model.transform(small.limit(1)).count()
    aws.faults.add("InvokeEndpoint", hang=True)
    assert "no answer" in failing(model.transform(small.limit(2)).collect)


def test_a_hang_that_passes_is_outlived(aws, echo, small):
    model = echo(timeoutSeconds=1.0, maxRequestRows=10)
    model.transform(small.limit(1)).count()
    aws.faults.add("InvokeEndpoint", hang=True, first=2)
    assert [r.score for r in model.transform(small).collect()] == [float(r.id) for r in small.collect()]


def test_credentials_that_expire_in_the_middle_are_renewed(aws, echo, small):
    model = echo(maxRequestRows=2)
    model.transform(small.limit(1)).count()
    aws.faults.add("InvokeEndpoint", error="ExpiredTokenException", status=403, nth=7)
    assert len(model.transform(small).collect()) == 40
    aws.faults.clear()
    model.unpersist()
    aws.faults.add("InvokeEndpoint", error="ExpiredTokenException", status=403, after=3)
    assert "ExpiredCredentials" in failing(model.transform(small).collect)


def test_too_large_a_request_is_halved(aws, echo, small):
    aws.faults.add("InvokeEndpoint", over_rows=3)
    rows = echo(maxRequestRows=20).transform(small).collect()
    assert [r.score for r in rows] == [float(r.id) for r in rows]


def test_a_bad_row_does_not_lose_the_good_ones(spark, aws, echo):
    from pyspark.ml.linalg import Vectors

    class Picky(UnlabeledCSVRequestRowSerializer):
        def _line(self, row, label):
            return "poison" if row[0][0] == 13 else super()._line(row, label)

    rows = [(i, Vectors.dense([float(i), 1.0]) if i != 20 else None) for i in range(40)]
    df = spark.createDataFrame(rows, ["id", "features"]).repartition(2)
    model = echo(request=Picky(), response=CSVResponseRowDeserializer("score double"), onError="column", maxAttempts=2)
    aws.faults.clear()
    out = model.transform(df).collect()
    assert len(out) == 40
    bad = {r.id: r.sagemaker_error for r in out if r.sagemaker_error is not None}
    assert set(bad) == {13, 20}
    assert all(r.score == float(r.id) for r in out if r.id not in bad)
    assert bad[20].code == "NotSent" and "null" in bad[20].message
    assert bad[13].attempts >= 1 and bad[13].http_status is not None


def test_a_null_row_is_refused_with_its_place(spark, echo):
    from pyspark.ml.linalg import Vectors

    df = spark.createDataFrame([(1, Vectors.dense([1.0])), (2, None)], ["id", "features"]).coalesce(1)
    assert "row 1" in failing(echo().transform(df).collect)


def test_an_output_column_must_not_exist(echo, small):
    with pytest.raises(errors.UnsupportedColumn, match="score"):
        echo().transform(small.withColumnRenamed("label", "Score"))


def test_max_concurrency_bounds_the_whole_job(spark, aws, echo):
    from pyspark.ml.linalg import Vectors

    df = spark.createDataFrame([(i, Vectors.dense([float(i)])) for i in range(120)], ["id", "features"]).repartition(2)
    model = echo("local/slow:1", maxRequestRows=5, maxConcurrency=3, requestsInFlight=8, adaptiveConcurrency=False)
    rows = model.transform(df).collect()
    assert [r.score for r in rows] == [float(r.id) for r in rows]
    spans = [(r["at"], r["at"] + r["seconds"]) for r in aws.requests if r["operation"] == "InvokeEndpoint"]
    assert max(sum(a <= at < b for a, b in spans) for at, _ in spans) <= 3


def test_an_ephemeral_endpoint_ends_with_its_block(aws, echo, small):
    model = echo()
    with pytest.raises(ZeroDivisionError):
        with model.deployed() as m:
            assert m.transform(small).count() == 40
            raise ZeroDivisionError
    assert model.endpointName is None
    left = aws.remaining()
    assert left["Endpoint"] == left["Model"] == left["EndpointConfig"] == []


def test_an_existing_endpoint_is_used_and_left_alone(aws, echo, small):
    with echo().deployed() as owner:
        borrower = SageMakerModel.fromEndpoint(owner.endpointName, owner.requestRowSerializer, owner.responseRowDeserializer)
        assert borrower.transform(small).count() == 40
        borrower.unpersist()
        borrower.delete()
        assert aws.session.call("sagemaker", "describe_endpoint", EndpointName=owner.endpointName)
        owner.unpersist()


@pytest.mark.parametrize("mode", ["serverless", "async", "batch", "local"])
def test_modes_give_the_same_columns(spark, aws, cancer, mode):
    from sagemaker_pyspark.algorithms import LinearLearnerRegressor

    model = LinearLearnerRegressor("ml.m5.xlarge", 1, "ml.m5.xlarge", 1).fit(cancer)
    expected = model.transform(cancer).collect()
    model.unpersist()
    model.delete()
    other = model.copy().setMode(mode)
    out = other.transform(cancer)
    rows = out.collect()
    assert out.columns == ["id", "label", "features", "score"]
    assert [r.id for r in rows] == [r.id for r in expected]
    assert [r.score for r in rows] == pytest.approx([r.score for r in expected], rel=1e-4, abs=1e-4)
    other.unpersist()
    other.delete()
    left = aws.remaining()
    assert left["objects"] == [] and left["Endpoint"] == [] and left["Model"] == []


def test_xgboost_scored_in_the_workers_sees_zeros_as_its_endpoint_does(spark, aws):
    from pyspark.ml.linalg import Vectors

    from sagemaker_pyspark.algorithms import XGBoostSageMakerEstimator

    rows = [(float((i * 7) % 3 == 0), Vectors.dense([float(i % 2), float((i * 7) % 3), float(i % 5) - 2, 0.0])) for i in range(90)]
    df = spark.createDataFrame(rows, ["label", "features"]).coalesce(1)
    model = XGBoostSageMakerEstimator("ml.m5.xlarge", 1, "ml.m5.xlarge", 1, num_round=8, objective="binary:logistic").fit(df)
    hosted = [r.prediction for r in model.transform(df).collect()]
    model.unpersist().delete()
    here = [r.prediction for r in model.setMode("local").transform(df).collect()]
    model.unpersist()
    assert here == pytest.approx(hosted, abs=1e-6) and len(set(hosted)) > 1


def test_streaming(spark, echo, small, tmp_path, connect):
    small.select("id", "label").coalesce(1).write.parquet(str(tmp_path / "in"))
    import pyspark.sql.functions as F

    stream = spark.readStream.schema("id long, label double").parquet(str(tmp_path / "in"))
    out = echo().transform(stream.withColumn("features", F.array(F.col("id").cast("double"))))
    query = (out.writeStream.format("parquet").option("checkpointLocation", str(tmp_path / "state"))
             .trigger(availableNow=True).start(str(tmp_path / "out")))
    assert query.awaitTermination(120)
    rows = spark.read.parquet(str(tmp_path / "out")).collect()
    assert len(rows) == 40 and all(r.score == float(r.id) for r in rows)
