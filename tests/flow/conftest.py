"""Data for the flow tests: small, real, made once."""
import pytest


@pytest.fixture(scope="session")
def cancer(spark):
    """Breast cancer: 569 rows of 30 features, label 0 or 1."""
    from pyspark.ml.linalg import Vectors
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    rows = [(i, float(t), Vectors.dense(r.tolist())) for i, (r, t) in enumerate(zip(x, y))]
    return spark.createDataFrame(rows, ["id", "label", "features"]).repartition(3)


@pytest.fixture(scope="session")
def small(spark):
    """40 rows of 3 features."""
    from pyspark.ml.linalg import Vectors

    rows = [(i, float(i % 2), Vectors.dense([float(i), float(i % 5), 1.0])) for i in range(40)]
    return spark.createDataFrame(rows, ["id", "label", "features"]).repartition(2)


@pytest.fixture
def echo(aws):
    """Makes models over an endpoint that answers each row with its first value."""
    from sagemaker_pyspark import SageMakerModel
    from sagemaker_pyspark.transformation.deserializers import LinearLearnerRegressorProtobufResponseRowDeserializer
    from sagemaker_pyspark.transformation.serializers import ProtobufRequestRowSerializer

    made = []

    def make(image="local/echo:1", request=None, response=None, **params):
        model = SageMakerModel(
            "ml.m5.xlarge", 1, request or ProtobufRequestRowSerializer(),
            response or LinearLearnerRegressorProtobufResponseRowDeserializer("score"), modelImage=image,
            modelExecutionRoleARN=aws.role_arn)
        model._set(**params)
        made.append(model)
        return model

    yield make
    for model in made:
        model.unpersist()
        model.delete()
