"""Bad input: a clear error before a training job, and no object, job or endpoint left behind."""
import pytest

from sagemaker_pyspark import IAMRole, S3DataPath, SageMakerEstimator, SageMakerModel, errors
from sagemaker_pyspark.algorithms import KMeansSageMakerEstimator, LinearLearnerRegressor, XGBoostSageMakerEstimator
from sagemaker_pyspark.session import Session
from sagemaker_pyspark.transformation.deserializers import CSVResponseRowDeserializer
from sagemaker_pyspark.transformation.serializers import ProtobufRequestRowSerializer, UnlabeledCSVRequestRowSerializer

INSTANCE = ("ml.m5.xlarge", 1, "ml.m5.xlarge", 1)


def kmeans(**more):
    return KMeansSageMakerEstimator(*INSTANCE, k=2, **more)


@pytest.fixture
def nothing_left(aws):
    yield aws
    assert not any(r["operation"] == "CreateTrainingJob" for r in aws.requests)
    left = aws.remaining()
    assert not any(left.values()), left


def vectors(spark, rows, names=("features",)):
    return spark.createDataFrame(rows, list(names))


def test_a_missing_column(spark, nothing_left):
    with pytest.raises(errors.UnsupportedColumn, match="'features'.*has other"):
        kmeans().fit(spark.createDataFrame([(1.0,)], ["other"]))


def test_a_missing_label(spark, nothing_left):
    with pytest.raises(errors.UnsupportedColumn, match="'label'"):
        LinearLearnerRegressor(*INSTANCE).fit(vectors(spark, [([1.0],)]))


@pytest.mark.parametrize("value", ["text", {"a": 1}, ["a"], True])
def test_a_column_of_the_wrong_type(spark, nothing_left, value):
    with pytest.raises(errors.UnsupportedColumn, match="'features' must be VectorUDT.*got"):
        kmeans().fit(vectors(spark, [(value,)]))


def test_a_label_of_the_wrong_type(spark, nothing_left):
    with pytest.raises(errors.UnsupportedColumn, match="label.*string"):
        LinearLearnerRegressor(*INSTANCE).fit(vectors(spark, [("a", [1.0])], ("label", "features")))


@pytest.mark.parametrize("codec", ["auto", "numpy"])
def test_nulls_are_counted_and_placed(spark, nothing_left, codec):
    from pyspark.ml.linalg import Vectors

    rows = [(1.0, Vectors.dense([1.0])), (2.0, None), (None, Vectors.dense([1.0])), (3.0, None)]
    df = vectors(spark, rows, ("label", "features")).coalesce(1)
    with pytest.raises(errors.NullRows, match="2 null in 'features', first in partition 0, row 1; 1 null in 'label'.*row 2"):
        LinearLearnerRegressor(*INSTANCE).setCodec(codec).fit(df)


@pytest.mark.parametrize("codec", ["auto", "numpy"])
def test_ragged_rows(spark, nothing_left, codec):
    with pytest.raises(errors.DimensionMismatch, match="1 to 2"):
        kmeans().setCodec(codec).fit(vectors(spark, [([1.0],), ([1.0, 2.0],)]).repartition(2))


def test_another_feature_dim(spark, nothing_left):
    with pytest.raises(errors.DimensionMismatch, match="set to 3, the data has 2"):
        kmeans(feature_dim=3).fit(vectors(spark, [([1.0, 2.0],)]))


def test_an_empty_dataframe(spark, nothing_left):
    with pytest.raises(errors.EmptyInput):
        kmeans().fit(vectors(spark, [([1.0, 2.0],)]).filter("false"))


def test_a_bucket_of_another_account(spark, nothing_left):
    nothing_left.create_foreign_bucket("somebody-elses")
    with pytest.raises(errors.BucketOwnershipError, match="somebody-elses"):
        kmeans(trainingInputS3DataPath=S3DataPath("somebody-elses", "x")).fit(vectors(spark, [([1.0],)]))


def test_a_bucket_that_does_not_exist(spark, nothing_left):
    with pytest.raises(errors.Unresolved, match="must exist"):
        kmeans(trainingInputS3DataPath=S3DataPath("no-such-bucket", "x")).fit(vectors(spark, [([1.0],)]))


def test_no_role(spark, monkeypatch):
    session = Session(region="us-east-1")
    monkeypatch.setattr(Session, "account_id", "123456789012")
    with pytest.raises(errors.Unresolved, match="sagemakerrole"):
        kmeans(session=session).fit(vectors(spark, [([1.0],)]))


def test_a_region_without_an_image(spark, monkeypatch):
    with pytest.raises(errors.Unresolved, match="mars-1"):
        kmeans(session=Session(region="mars-1")).fit(vectors(spark, [([1.0],)]))


def test_more_instances_than_objects(spark, nothing_left):
    with pytest.raises(errors.InvalidInput, match="repartition"):
        KMeansSageMakerEstimator("ml.m5.xlarge", 5, k=2).fit(vectors(spark, [([1.0],)]).coalesce(1))


def test_gzip_that_the_algorithm_cannot_read(spark, nothing_left):
    with pytest.raises(errors.InvalidParameter, match="Pipe"):
        kmeans(trainingCompressionCodec="gzip").fit(vectors(spark, [([1.0],)]))


def test_s3_that_refuses_is_reported_and_cleaned(spark, nothing_left):
    nothing_left.faults.add("PutObject", error="AccessDenied", status=403, after=2)
    with pytest.raises(errors.StagingError, match="AccessDenied"):
        kmeans().fit(vectors(spark, [([float(i)],) for i in range(20)]).repartition(4))
    nothing_left.faults.clear()


def test_expired_credentials(spark, nothing_left):
    nothing_left.faults.add("HeadBucket", error="ExpiredToken", status=400)
    with pytest.raises((errors.ExpiredCredentials, errors.AwsError)):
        kmeans().fit(vectors(spark, [([1.0],)]))
    nothing_left.faults.clear()


def test_a_failing_spark_job_leaves_nothing(spark, nothing_left):
    import pyspark.sql.functions as F

    df = spark.range(100).repartition(4).select(
        F.when(F.col("id") == 57, F.raise_error(F.lit("broken upstream"))).otherwise(F.array(F.col("id").cast("double")))
        .cast("array<double>").alias("features"))
    with pytest.raises(Exception, match="broken upstream"):
        kmeans().fit(df)


def test_a_failing_trainer_says_why(spark, aws):
    with pytest.raises(errors.TrainingError) as caught:
        kmeans().fit(vectors(spark, [([1.0],)]))  # one row, two clusters
    error = caught.value
    assert error.status == "Failed" and "k must not exceed the number of rows" in error.failure_reason
    assert error.job_name in str(error) and any("hyperparameters" in line for line in error.log_tail)
    assert aws.remaining()["objects"] == []


def test_a_users_own_image(spark, tmp_path):
    """A container of the user's: trains on CSV and serves from what it wrote."""
    import sys

    from sagemaker_pyspark import local

    program = tmp_path / "program.py"
    program.write_text('''
import http.server, json, os, pathlib, sys
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
if sys.argv[1] == "train":
    hyper = json.loads((base / "input/config/hyperparameters.json").read_text())
    rows = [l.split(",") for p in (base / "input/data/train").rglob("*") for l in p.read_text().splitlines()]
    mean = sum(float(r[0]) for r in rows) / len(rows)
    print("mean=%s" % mean)
    (base / "model/mean").write_text(str(mean * float(hyper["times"])))
else:
    mean = (base / "model/mean").read_text()
    class H(http.server.BaseHTTPRequestHandler):
        def answer(self, body):
            self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
        def do_GET(self): self.answer(b"")
        def do_POST(self):
            rows = self.rfile.read(int(self.headers["Content-Length"])).decode().splitlines()
            self.answer(("\\n".join(mean for _ in rows)).encode())
        def log_message(self, *a): pass
    http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), H).serve_forever()
''')
    df = vectors(spark, [(float(i), [float(i), 1.0]) for i in range(10)], ("label", "features"))
    with local.SageMaker(images={"my/mean:1": [sys.executable, str(program)]}) as aws:
        estimator = SageMakerEstimator(
            "my/mean:1", "my/mean:1", *INSTANCE, UnlabeledCSVRequestRowSerializer(), CSVResponseRowDeserializer("mean double"),
            {"times": 2}, trainingSparkDataFormat="csv", sagemakerRole=IAMRole(aws.role_arn),
            trainingRequestOverrides={"AlgorithmSpecification": {"MetricDefinitions": [{"Name": "mean", "Regex": "mean=(.*)"}]}})
        model = estimator.fit(df)
        assert model.trainingMetrics == {"mean": 4.5}
        assert {r["mean"] for r in model.transform(df).collect()} == {9.0}
        again = SageMakerModel.fromTrainingJob(
            estimator.latestTrainingJob.name, "my/mean:1", aws.role_arn, "ml.m5.xlarge", 1,
            UnlabeledCSVRequestRowSerializer(), CSVResponseRowDeserializer("mean double"))
        assert again.transform(df).count() == 10
        for one in (model, again):
            one.unpersist().delete()
        assert not any(aws.remaining().values())


def test_an_unused_xgboost_version_is_named(spark, nothing_left):
    with pytest.raises(errors.Unresolved, match="3.2-0"):
        XGBoostSageMakerEstimator(num_round=1, version="0.1").fit(vectors(spark, [(1.0, [1.0])], ("label", "features")))


def test_names_with_dots_and_backticks(spark, aws, echo):
    from pyspark.ml.linalg import Vectors

    df = spark.createDataFrame([(float(i), Vectors.dense([float(i)]), (1,)) for i in range(5)],
                               ["sepal.length", "the.features", "sepal"])
    model = echo(request=ProtobufRequestRowSerializer(featuresColumnName="the.features"))
    assert [r.score for r in model.transform(df).collect()] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [r.score for r in model.copy().setCodec("numpy").transform(df).collect()] == [0.0, 1.0, 2.0, 3.0, 4.0]
