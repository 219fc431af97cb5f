"""1.4.5's import path of the S3 resources."""
from .resources import S3AutoCreatePath, S3DataPath, S3Resource

__all__ = ["S3AutoCreatePath", "S3DataPath", "S3Resource"]
