"""1.4.5's import path of the response deserializers."""
from ...codecs.base import ResponseRowDeserializer
from ...codecs.responses import (
    CSVResponseRowDeserializer,
    FactorizationMachinesBinaryClassifierDeserializer,
    FactorizationMachinesRegressorDeserializer,
    JSONLinesResponseRowDeserializer,
    JSONResponseRowDeserializer,
    KMeansProtobufResponseRowDeserializer,
    LDAProtobufResponseRowDeserializer,
    LibSVMResponseRowDeserializer,
    LinearLearnerBinaryClassifierProtobufResponseRowDeserializer,
    LinearLearnerMultiClassClassifierProtobufResponseRowDeserializer,
    LinearLearnerRegressorProtobufResponseRowDeserializer,
    PCAProtobufResponseRowDeserializer,
    ProtobufResponseRowDeserializer,
    XGBoostCSVRowDeserializer,
)

__all__ = [
    "CSVResponseRowDeserializer",
    "FactorizationMachinesBinaryClassifierDeserializer",
    "FactorizationMachinesRegressorDeserializer",
    "JSONLinesResponseRowDeserializer",
    "JSONResponseRowDeserializer",
    "KMeansProtobufResponseRowDeserializer",
    "LDAProtobufResponseRowDeserializer",
    "LibSVMResponseRowDeserializer",
    "LinearLearnerBinaryClassifierProtobufResponseRowDeserializer",
    "LinearLearnerMultiClassClassifierProtobufResponseRowDeserializer",
    "LinearLearnerRegressorProtobufResponseRowDeserializer",
    "PCAProtobufResponseRowDeserializer",
    "ProtobufResponseRowDeserializer",
    "ResponseRowDeserializer",
    "XGBoostCSVRowDeserializer",
]
