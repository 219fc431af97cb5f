"""The embedded local SageMaker: an HTTP server on loopback that speaks AWS's wire formats and really trains and serves.

>>> from sagemaker_pyspark import local
>>> with local.SageMaker() as aws:                                            # doctest: +SKIP
...     boto3.client("sagemaker", endpoint_url=aws.endpoint_url, ...)

Needs the extra ``sagemaker_pyspark[local]``.
"""
from .handle import Echo, SageMaker

__all__ = ["Echo", "SageMaker"]
