"""Every stage is a pyspark.ml citizen: copy, params, param maps, save and load, validators."""
import json

import pytest

from sagemaker_pyspark import IAMRole, S3DataPath, SageMakerEstimator, algorithms
from sagemaker_pyspark.estimator import SageMakerEstimatorBase
from sagemaker_pyspark.transformation.deserializers import CSVResponseRowDeserializer
from sagemaker_pyspark.transformation.serializers import UnlabeledCSVRequestRowSerializer

ALGORITHMS = [getattr(algorithms, name) for name in algorithms.__all__]
INSTANCE = ("ml.m5.xlarge", 1, "ml.m5.xlarge", 1)


@pytest.mark.parametrize("cls", ALGORITHMS, ids=lambda c: c.__name__)
def test_copy_explain_and_save(spark, tmp_path, cls):
    stage = cls(*INSTANCE, sagemakerRole=IAMRole("arn:aws:iam::123456789012:role/x"), trainingKmsKeyId="key",
                trainingInputS3DataPath=S3DataPath("some-bucket", "in"), region="eu-west-1")
    name = next(n for n, rule in cls._rules.items() if rule.kind == "int" and n not in cls.fixed)
    stage._set(**{name: 3}).setMaxRequestRows(7)
    copy = stage.copy({stage.getParam(name): 5})
    assert copy.getOrDefault(name) == 5 and stage.getOrDefault(name) == 3 and copy.uid == stage.uid
    assert name in stage.explainParams()
    stage.write().overwrite().save(str(tmp_path / "stage"))
    again = cls.load(str(tmp_path / "stage"))
    assert type(again) is cls and again.uid == stage.uid
    assert again._state() == stage._state()
    assert again.extractParamMap() == {again.getParam(p.name): v for p, v in stage.extractParamMap().items()}
    json.dumps(stage._state())


def test_a_stage_loads_as_its_own_class_only(spark, tmp_path):
    from sagemaker_pyspark import SageMakerError

    algorithms.KMeansSageMakerEstimator(k=2).save(str(tmp_path / "stage"))
    with pytest.raises(SageMakerError, match="KMeansSageMakerEstimator"):
        algorithms.PCASageMakerEstimator.load(str(tmp_path / "stage"))


def test_a_plain_estimator_is_saved(spark, tmp_path):
    stage = SageMakerEstimator("image:1", "image:2", *INSTANCE, UnlabeledCSVRequestRowSerializer(),
                               CSVResponseRowDeserializer("x double"), {"a": 1})
    stage.save(str(tmp_path / "stage"))
    again = SageMakerEstimatorBase.read  # the reader belongs to the class that was saved
    assert again is not None
    loaded = SageMakerEstimator.load(str(tmp_path / "stage"))
    assert (loaded.trainingImage, loaded.modelImage, loaded.hyperParameters) == ("image:1", "image:2", {"a": "1"})


def test_param_maps_and_a_validator(spark, aws):
    from pyspark.ml.evaluation import RegressionEvaluator
    from pyspark.ml.linalg import Vectors
    from pyspark.ml.tuning import ParamGridBuilder, TrainValidationSplit

    rows = [(float(i % 10) * 2 + 1, Vectors.dense([float(i % 10), 1.0])) for i in range(60)]
    df = spark.createDataFrame(rows, ["label", "features"])
    estimator = algorithms.LinearLearnerRegressor(*INSTANCE)
    models = estimator.fit(df, [{estimator.wd: 0.0001}, {estimator.wd: 5.0}])
    used = [aws.session.call("sagemaker", "describe_training_job", TrainingJobName=m.trainingJobName)["HyperParameters"]["wd"]
            for m in models]
    assert used == ["0.0001", "5.0"]
    for model in models:
        model.delete()
    grid = ParamGridBuilder().addGrid(estimator.wd, [0.0001, 5.0]).build()
    split = TrainValidationSplit(estimator=estimator, estimatorParamMaps=grid, trainRatio=0.7, seed=3,
                                 evaluator=RegressionEvaluator(predictionCol="score", labelCol="label"))
    best = split.fit(df).bestModel
    job = aws.session.call("sagemaker", "describe_training_job", TrainingJobName=best.trainingJobName)
    assert job["HyperParameters"]["wd"] == "0.0001"
    best.unpersist().delete()
