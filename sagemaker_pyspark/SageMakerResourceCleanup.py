"""1.4.5's import path of the clean-up."""
from .cleanup import SageMakerResourceCleanup
from .settings import CreatedResources

__all__ = ["CreatedResources", "SageMakerResourceCleanup"]
