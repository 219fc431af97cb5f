"""1.4.5's names, import paths, constructor keywords and accessors."""
import importlib
import inspect

import pytest

PATHS = {
    "sagemaker_pyspark": "SageMakerEstimator SageMakerEstimatorBase SageMakerModel EndpointCreationPolicy IAMRole IAMRoleFromConfig "
                         "S3DataPath S3AutoCreatePath S3Resource SageMakerClients SageMakerResourceCleanup CreatedResources "
                         "RandomNamePolicy RandomNamePolicyFactory CustomNamePolicy CustomNamePolicyFactory "
                         "CustomNamePolicyWithTimeStampSuffix CustomNamePolicyWithTimeStampSuffixFactory NamePolicy "
                         "NamePolicyFactory IAMRoleResource classpath_jars",
    "sagemaker_pyspark.IAMRoleResource": "IAMRole IAMRoleFromConfig IAMRoleResource",
    "sagemaker_pyspark.NamePolicy": "NamePolicy RandomNamePolicy CustomNamePolicyFactory",
    "sagemaker_pyspark.S3Resources": "S3DataPath S3AutoCreatePath S3Resource",
    "sagemaker_pyspark.SageMakerClients": "SageMakerClients",
    "sagemaker_pyspark.SageMakerEstimator": "SageMakerEstimator SageMakerEstimatorBase EndpointCreationPolicy",
    "sagemaker_pyspark.SageMakerModel": "SageMakerModel",
    "sagemaker_pyspark.SageMakerResourceCleanup": "SageMakerResourceCleanup CreatedResources",
    "sagemaker_pyspark.algorithms": "KMeansSageMakerEstimator PCASageMakerEstimator LDASageMakerEstimator "
                                    "XGBoostSageMakerEstimator LinearLearnerBinaryClassifier LinearLearnerRegressor "
                                    "LinearLearnerMultiClassClassifier FactorizationMachinesBinaryClassifier "
                                    "FactorizationMachinesRegressor",
    "sagemaker_pyspark.algorithms.KMeansSageMakerEstimator": "KMeansSageMakerEstimator",
    "sagemaker_pyspark.algorithms.LinearLearnerSageMakerEstimator": "LinearLearnerParams LinearLearnerRegressor",
    "sagemaker_pyspark.algorithms.FactorizationMachinesSageMakerEstimator": "FactorizationMachinesParams",
    "sagemaker_pyspark.transformation.serializers": "RequestRowSerializer ProtobufRequestRowSerializer "
                                                    "UnlabeledCSVRequestRowSerializer LibSVMRequestRowSerializer",
    "sagemaker_pyspark.transformation.serializers.serializers": "ProtobufRequestRowSerializer",
    "sagemaker_pyspark.transformation.deserializers": "ResponseRowDeserializer ProtobufResponseRowDeserializer "
        "KMeansProtobufResponseRowDeserializer PCAProtobufResponseRowDeserializer LDAProtobufResponseRowDeserializer "
        "LinearLearnerBinaryClassifierProtobufResponseRowDeserializer "
        "LinearLearnerMultiClassClassifierProtobufResponseRowDeserializer "
        "LinearLearnerRegressorProtobufResponseRowDeserializer LibSVMResponseRowDeserializer XGBoostCSVRowDeserializer "
        "FactorizationMachinesBinaryClassifierDeserializer FactorizationMachinesRegressorDeserializer",
    "sagemaker_pyspark.transformation.deserializers.deserializers": "XGBoostCSVRowDeserializer"}


@pytest.mark.parametrize("module, name", [(m, n) for m, names in PATHS.items() for n in names.split()])
def test_importable_from_the_old_path(module, name):
    assert callable(getattr(importlib.import_module(module), name))


def test_a_module_never_hides_the_class_of_its_name():
    import sagemaker_pyspark
    import sagemaker_pyspark.NamePolicy
    import sagemaker_pyspark.SageMakerEstimator
    import sagemaker_pyspark.SageMakerModel

    assert isinstance(sagemaker_pyspark.SageMakerModel, type) and isinstance(sagemaker_pyspark.NamePolicy, type)
    from sagemaker_pyspark import SageMakerEstimator

    assert isinstance(SageMakerEstimator, type)


ESTIMATOR = """trainingImage modelImage trainingInstanceType trainingInstanceCount endpointInstanceType
endpointInitialInstanceCount requestRowSerializer responseRowDeserializer hyperParameters trainingInputS3DataPath
trainingOutputS3DataPath trainingInstanceVolumeSizeInGB trainingProjectedColumns trainingChannelName trainingContentType
trainingS3DataDistribution trainingSparkDataFormat trainingSparkDataFormatOptions trainingInputMode trainingCompressionCodec
trainingMaxRuntimeInSeconds trainingKmsKeyId modelEnvironmentVariables endpointCreationPolicy sagemakerClient sagemakerRole
s3Client stsClient modelPrependInputRowsToTransformationRows deleteStagingDataAfterTraining namePolicyFactory uid""".split()
ALGORITHM = """trainingInstanceType trainingInstanceCount endpointInstanceType endpointInitialInstanceCount sagemakerRole
requestRowSerializer responseRowDeserializer trainingInputS3DataPath trainingOutputS3DataPath trainingInstanceVolumeSizeInGB
trainingProjectedColumns trainingChannelName trainingContentType trainingS3DataDistribution trainingSparkDataFormat
trainingSparkDataFormatOptions trainingInputMode trainingCompressionCodec trainingMaxRuntimeInSeconds trainingKmsKeyId
modelEnvironmentVariables endpointCreationPolicy sagemakerClient region s3Client stsClient
modelPrependInputRowsToTransformationRows deleteStagingDataAfterTraining namePolicyFactory uid javaObject""".split()
MODEL = """endpointInstanceType endpointInitialInstanceCount requestRowSerializer responseRowDeserializer existingEndpointName
modelImage modelPath modelEnvironmentVariables modelExecutionRoleARN endpointCreationPolicy sagemakerClient prependResultRows
namePolicy uid javaObject""".split()


def positional(function):
    return [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD][1:]


def test_constructor_keywords_in_their_order():
    import sagemaker_pyspark as sp
    from sagemaker_pyspark import algorithms

    assert positional(sp.SageMakerEstimator.__init__) == ESTIMATOR
    assert positional(sp.SageMakerModel.__init__) == MODEL
    for name in algorithms.__all__:
        assert positional(getattr(algorithms, name).__init__) == ALGORITHM


ACCESSORS = {
    "KMeansSageMakerEstimator": "K MaxIter Tol LocalInitMethod HalflifeTime Epochs InitMethod CenterFactor TrialNum MiniBatchSize "
                                "FeatureDim EvalMetrics",
    "PCASageMakerEstimator": "NumComponents AlgorithmMode SubtractMean ExtraComponents MiniBatchSize FeatureDim",
    "LDASageMakerEstimator": "NumTopics Alpha0 MaxRestarts MaxIterations Tol MiniBatchSize FeatureDim",
    "XGBoostSageMakerEstimator": "Booster Silent NThread Eta Gamma MaxDepth MinChildWeight MaxDeltaStep Subsample ColSampleByTree "
        "ColSampleByLevel Lambda Alpha TreeMethod SketchEps ScalePosWeight Updater RefreshLeaf ProcessType GrowPolicy MaxLeaves "
        "MaxBin SampleType NormalizeType RateDrop OneDrop SkipDrop LambdaBias TweedieVariancePower Objective NumClasses BaseScore "
        "EvalMetric Seed NumRound",
    "LinearLearnerBinaryClassifier": "BinaryClassifierModelSelectionCriteria TargetRecall TargetPrecision "
        "PositiveExampleWeightMult FeatureDim MiniBatchSize Epochs UseBias NumModels NumCalibrationSamples InitMethod InitScale "
        "InitSigma InitBias Optimizer Loss Wd L1 Momentum LearningRate Beta1 Beta2 BiasLrMult BiasWdMult UseLrScheduler "
        "LrSchedulerStep LrSchedulerFactor LrSchedulerMinimumLr NormalizeData NormalizeLabel UnbiasData UnbiasLabel "
        "NumPointForScaler EarlyStoppingPatience EarlyStoppingTolerance Margin Quantile LossInsensitivity HuberDelta FBeta",
    "LinearLearnerMultiClassClassifier": "NumClasses AccuracyTopK BalanceMultiClassWeights",
    "FactorizationMachinesRegressor": "FeatureDim NumFactors MiniBatchSize Epochs ClipGradient Eps RescaleGrad BiasLr LinearLr "
        "FactorsLr BiasWd LinearWd FactorsWd BiasInitMethod BiasInitScale BiasInitSigma BiasInitValue LinearInitMethod "
        "LinearInitScale LinearInitSigma LinearInitValue FactorsInitMethod FactorsInitScale FactorsInitSigma FactorsInitValue"}


@pytest.mark.parametrize("cls, suffix", [(c, s) for c, names in ACCESSORS.items() for s in names.split()])
def test_accessors(cls, suffix):
    from sagemaker_pyspark import algorithms

    made = getattr(algorithms, cls)()
    assert getattr(made, "get" + suffix)() is None
    assert callable(getattr(made, "set" + suffix))


def test_properties_and_safe_defaults():
    import sagemaker_pyspark as sp
    from sagemaker_pyspark.algorithms import KMeansSageMakerEstimator

    made = KMeansSageMakerEstimator("ml.c4.xlarge", 1, "ml.c4.xlarge", 1)
    assert made.trainingInstanceVolumeSizeInGB == 30
    assert made.endpointCreationPolicy == sp.EndpointCreationPolicy.EPHEMERAL
    assert made.trainingS3DataDistribution == "ShardedByS3Key" and made.trainingSparkDataFormat == "sagemaker"
    assert made.trainingMaxRuntimeInSeconds == 24 * 60 * 60 and made.trainingInputMode == "File"
    assert made.sagemakerRole == sp.IAMRoleFromConfig() and made.trainingInputS3DataPath == sp.S3AutoCreatePath()
    assert made.deleteStagingDataAfterTraining and made.modelPrependInputRowsToTransformationRows
    assert made.latestTrainingJob is None and made.trainingChannelName == "train"
