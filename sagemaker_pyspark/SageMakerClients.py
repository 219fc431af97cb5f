"""1.4.5's makers of AWS clients: boto3 clients of the current session."""
from __future__ import annotations

from typing import Any

from . import session

__all__ = ["SageMakerClients"]


class SageMakerClients:
    """boto3 clients as the current :class:`~sagemaker_pyspark.session.Session` builds them."""

    @classmethod
    def create_s3_default_client(cls) -> Any:
        return session.current().client("s3")

    @classmethod
    def create_sts_default_client(cls) -> Any:
        return session.current().client("sts")

    @classmethod
    def create_sagemaker_client(cls) -> Any:
        return session.current().client("sagemaker")
