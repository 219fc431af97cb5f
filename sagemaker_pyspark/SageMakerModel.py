"""1.4.5's import path of the model."""
from .model import SageMakerModel

__all__ = ["SageMakerModel"]
