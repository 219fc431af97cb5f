"""Apache Spark ML on Amazon SageMaker: train, host and predict from DataFrames.

Names are looked up when first used, so that importing the package costs next to nothing: no AWS client, no network, no
JVM, and nothing in the user's Spark session changes.
"""
from __future__ import annotations

import importlib
import sys
import types
from typing import Any

__version__ = "2.0.0.dev0"

_HOMES = {
    "estimator": ("SageMakerEstimator", "SageMakerEstimatorBase"),
    "model": ("SageMakerModel", "SageMakerResourceCleanup"),
    "settings": ("CreatedResources", "EndpointCreationPolicy", "HostingSettings", "ServerlessSettings"),
    "resources": ("IAMRole", "IAMRoleFromConfig", "IAMRoleResource", "S3AutoCreatePath", "S3DataPath", "S3Resource"),
    "naming": ("CustomNamePolicy", "CustomNamePolicyFactory", "CustomNamePolicyWithTimeStampSuffix",
               "CustomNamePolicyWithTimeStampSuffixFactory", "NamePolicy", "NamePolicyFactory", "RandomNamePolicy",
               "RandomNamePolicyFactory"),
    "SageMakerClients": ("SageMakerClients",),
    "session": ("Session",),
    "errors": ("SageMakerError",),
}
_LOCATIONS = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted([*_LOCATIONS, "classpath_jars"])


def classpath_jars() -> list[str]:
    """Kept from 1.4.5, whose jars had to be put on Spark's classpath. Nothing has to be any more.

    Returns
    -------
    list of str
        Empty, or the path of the optional codec jar; harmless on a classpath either way.
    """
    from .jvm import jar_path

    path = jar_path()
    return [path] if path else []


def __getattr__(name: str) -> Any:
    module = _LOCATIONS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


class _Package(types.ModuleType):
    """Some of 1.4.5's modules have the name of the class in them; ``sagemaker_pyspark.X`` must mean the class.

    Importing such a module binds it on the package under its own name, over the class. This keeps the class.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _LOCATIONS and isinstance(value, types.ModuleType) and hasattr(value, name):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
