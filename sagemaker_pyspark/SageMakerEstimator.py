"""1.4.5's import path of the estimator."""
from .estimator import SageMakerEstimator, SageMakerEstimatorBase
from .settings import EndpointCreationPolicy

__all__ = ["EndpointCreationPolicy", "SageMakerEstimator", "SageMakerEstimatorBase"]
