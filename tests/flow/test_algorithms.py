"""Every algorithm learns, is hosted and predicts, through the whole way of the data."""
import numpy as np
import pytest

from sagemaker_pyspark import SageMakerModel, algorithms
from sagemaker_pyspark.transformation.deserializers import XGBoostCSVRowDeserializer

INSTANCE = ("ml.m5.xlarge", 1, "ml.m5.xlarge", 1)


def vectors(spark, x, y=None):
    from pyspark.ml.linalg import Vectors

    rows = [(i, float(y[i]) if y is not None else 0.0, Vectors.dense(list(map(float, r)))) for i, r in enumerate(x)]
    return spark.createDataFrame(rows, ["id", "label", "features"]).repartition(2)


def predictions(model, df, *names):
    try:
        return model.transform(df).orderBy("id").select(*names).collect()
    finally:
        model.unpersist()
        model.delete()


def test_kmeans(spark, aws):
    from sklearn.cluster import KMeans
    from sklearn.datasets import load_digits

    x, _ = load_digits(return_X_y=True)
    model = algorithms.KMeansSageMakerEstimator(*INSTANCE, k=10).fit(vectors(spark, x))
    rows = predictions(model, vectors(spark, x), "distance_to_cluster", "closest_cluster")
    inertia = sum(r.distance_to_cluster ** 2 for r in rows)
    assert inertia <= 1.05 * KMeans(10, n_init=3, random_state=1).fit(x).inertia_
    assert len({r.closest_cluster for r in rows}) == 10
    assert model.trainingMetrics["train:msd"] == pytest.approx(inertia / len(x), rel=1e-3)


def test_pca(spark, aws):
    from sklearn.datasets import load_iris
    from sklearn.decomposition import PCA

    x, _ = load_iris(return_X_y=True)
    model = algorithms.PCASageMakerEstimator(*INSTANCE, num_components=2).fit(vectors(spark, x))
    found = np.array([r.projection.toArray() for r in predictions(model, vectors(spark, x), "projection")])
    wanted = PCA(2).fit_transform(x)[:, ::-1]  # the container answers the least significant component first
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), atol=1e-3)


def test_linear_learner(spark, aws):
    from sklearn.datasets import load_diabetes, load_iris
    from sklearn.linear_model import Ridge

    x, y = load_diabetes(return_X_y=True)
    model = algorithms.LinearLearnerRegressor(*INSTANCE).fit(vectors(spark, x, y))
    score = np.array([r.score for r in predictions(model, vectors(spark, x, y), "score")])
    r2 = 1 - ((score - y) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    assert r2 > Ridge().fit(x, y).score(x, y) - 0.05
    x, y = load_iris(return_X_y=True)
    model = algorithms.LinearLearnerMultiClassClassifier(*INSTANCE, num_classes=3).fit(vectors(spark, x, y))
    rows = predictions(model, vectors(spark, x, y), "score", "predicted_label")
    assert np.mean([r.predicted_label == t for r, t in zip(rows, y)]) > 0.93
    assert rows[0].score.toArray().sum() == pytest.approx(1, abs=1e-5)


def test_linear_learner_binary(spark, aws, cancer):
    model = algorithms.LinearLearnerBinaryClassifier(*INSTANCE).fit(cancer)
    rows = predictions(model, cancer, "label", "score", "predicted_label")
    assert np.mean([r.predicted_label == r.label for r in rows]) > 0.95
    assert all(0 <= r.score <= 1 for r in rows)


def test_xgboost(spark, aws, cancer):
    train, held_out = cancer.filter("id % 4 != 0"), cancer.filter("id % 4 = 0")
    model = algorithms.XGBoostSageMakerEstimator(*INSTANCE, num_round=30, objective="binary:logistic").fit(train)
    rows = predictions(model, held_out, "label", "prediction")
    assert np.mean([(r.prediction > 0.5) == (r.label > 0.5) for r in rows]) >= 0.93
    assert "train:logloss" in model.trainingMetrics


def test_xgboost_probabilities_of_classes(spark, aws):
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    model = algorithms.XGBoostSageMakerEstimator(
        *INSTANCE, num_round=5, num_class=3, objective="multi:softprob",
        responseRowDeserializer=XGBoostCSVRowDeserializer(vector=True)).fit(vectors(spark, x, y))
    rows = predictions(model, vectors(spark, x, y), "prediction")
    assert np.mean([r.prediction.toArray().argmax() == t for r, t in zip(rows, y)]) > 0.95


@pytest.mark.parametrize("data_format", ["sagemaker", "csv", "parquet"])
def test_xgboost_reads_every_format(spark, aws, small, data_format):
    model = algorithms.XGBoostSageMakerEstimator(
        *INSTANCE, num_round=3, objective="binary:logistic", trainingSparkDataFormat=data_format).fit(small)
    assert model.trainingMetrics["train:logloss"] < 0.69
    model.delete()
    assert aws.remaining()["objects"] == []


def test_factorization_machines(spark, aws):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 4))
    y = 3 * x[:, 0] * x[:, 1] + x[:, 2]  # a linear model sees only the last term
    model = algorithms.FactorizationMachinesRegressor(*INSTANCE, num_factors=4).fit(vectors(spark, x, y))
    score = np.array([r.score for r in predictions(model, vectors(spark, x, y), "score")])
    assert 1 - ((score - y) ** 2).sum() / ((y - y.mean()) ** 2).sum() > 0.9
    label = (y > 0).astype(float)
    model = algorithms.FactorizationMachinesBinaryClassifier(*INSTANCE, num_factors=4).fit(vectors(spark, x, label))
    rows = predictions(model, vectors(spark, x, label), "predicted_label")
    assert np.mean([r.predicted_label == t for r, t in zip(rows, label)]) > 0.85


def test_lda(spark, aws):
    rng = np.random.default_rng(0)
    x = np.vstack([np.hstack([rng.poisson(8, (30, 5)), rng.poisson(0.2, (30, 5))]),
                   np.hstack([rng.poisson(0.2, (30, 5)), rng.poisson(8, (30, 5))])])
    model = algorithms.LDASageMakerEstimator(*INSTANCE, num_topics=2).fit(vectors(spark, x))
    mixture = np.array([r.topic_mixture.toArray() for r in predictions(model, vectors(spark, x), "topic_mixture")])
    topic = mixture.argmax(1)
    assert len(set(topic[:30])) == 1 and len(set(topic[30:])) == 1 and topic[0] != topic[-1]


def test_a_pipeline_of_spark_and_sagemaker_stages_is_saved_and_loaded(spark, aws, tmp_path):
    from pyspark.ml import Pipeline, PipelineModel
    from pyspark.ml.feature import StandardScaler, VectorAssembler

    from sagemaker_pyspark.transformation.serializers import ProtobufRequestRowSerializer

    rows = [(i, float(i % 7), float(i % 3), float(i)) for i in range(60)]
    df = spark.createDataFrame(rows, ["id", "a", "b", "c"])
    pipeline = Pipeline(stages=[
        VectorAssembler(inputCols=["a", "b", "c"], outputCol="raw"), StandardScaler(inputCol="raw", outputCol="features"),
        algorithms.PCASageMakerEstimator(*INSTANCE, num_components=2),
        algorithms.KMeansSageMakerEstimator(
            *INSTANCE, k=3, requestRowSerializer=ProtobufRequestRowSerializer(featuresColumnName="projection"))])
    pipeline.write().overwrite().save(str(tmp_path / "pipeline"))
    fitted = Pipeline.load(str(tmp_path / "pipeline")).fit(df)
    first = [r.closest_cluster for r in fitted.transform(df).orderBy("id").collect()]
    fitted.write().overwrite().save(str(tmp_path / "model"))
    loaded = PipelineModel.load(str(tmp_path / "model"))
    assert [r.closest_cluster for r in loaded.transform(df).orderBy("id").collect()] == first
    for stage in [*fitted.stages, *loaded.stages]:
        if isinstance(stage, SageMakerModel):
            stage.unpersist()
            stage.delete()
    saved = "".join(p.read_text() for p in tmp_path.rglob("metadata/part-*"))
    assert '"formatVersion":1' in saved.replace(" ", "")
    for secret in ("SecretAccessKey", "aws_secret", "aws_access_key", "sessionToken"):
        assert secret not in saved
