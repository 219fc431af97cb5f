"""Names of jobs, models and endpoints."""
from __future__ import annotations

import datetime
import re
import uuid

from . import errors
from .codecs.base import Described

__all__ = ["CustomNamePolicy", "CustomNamePolicyFactory", "CustomNamePolicyWithTimeStampSuffix",
           "CustomNamePolicyWithTimeStampSuffixFactory", "NamePolicy", "NamePolicyFactory", "RandomNamePolicy",
           "RandomNamePolicyFactory"]

#: Source: botocore service model; endpoints, jobs and configs share this form.
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
LONGEST = 63


def check(what: str, name: str) -> str:
    """A name that SageMaker takes, else InvalidParameter."""
    if not isinstance(name, str) or len(name) > LONGEST or not _NAME.fullmatch(name):
        raise errors.InvalidParameter(
            f"{what} must be 1 to {LONGEST} letters, digits and inner hyphens, got {name!r}")
    return name


class NamePolicy(Described):
    """The names of one run.

    Attributes
    ----------
    trainingJobName, modelName, endpointConfigName, endpointName : str
    """

    trainingJobName: str
    modelName: str
    endpointConfigName: str
    endpointName: str


class RandomNamePolicy(NamePolicy):
    """Names nobody else has: prefix, kind, random part, time.

    Parameters
    ----------
    prefix : str
    """

    def __init__(self, prefix: str = ""):
        if not re.fullmatch(r"([a-zA-Z0-9][a-zA-Z0-9\-]*)?", prefix) or len(prefix) > 24:
            raise errors.InvalidParameter(
                f"prefix must be at most 24 letters, digits and hyphens, beginning with a letter or digit; got {prefix!r}")
        self._unique = f"{uuid.uuid4().hex[:12]}-{_now()}"
        self._prefix = prefix
        self.trainingJobName = self._name("trainingJob")
        self.modelName = self._name("model")
        self.endpointConfigName = self._name("endpointConfig")
        self.endpointName = self._name("endpoint")

    def _name(self, kind: str) -> str:
        room = LONGEST - len(self._unique) - 1
        return f"{f'{self._prefix}{kind}'[:room].rstrip('-')}-{self._unique}"


class CustomNamePolicy(NamePolicy):
    """Exactly these names.

    Parameters
    ----------
    trainingJobName, modelName, endpointConfigName, endpointName : str
    """

    def __init__(self, trainingJobName: str, modelName: str, endpointConfigName: str, endpointName: str):
        self.trainingJobName = check("trainingJobName", trainingJobName)
        self.modelName = check("modelName", modelName)
        self.endpointConfigName = check("endpointConfigName", endpointConfigName)
        self.endpointName = check("endpointName", endpointName)


class CustomNamePolicyWithTimeStampSuffix(NamePolicy):
    """These names, each with the time behind it.

    Parameters
    ----------
    trainingJobName, modelName, endpointConfigName, endpointName : str
    """

    def __init__(self, trainingJobName: str, modelName: str, endpointConfigName: str, endpointName: str):
        suffix = "-" + _now()
        self.trainingJobName = check("trainingJobName", trainingJobName + suffix)
        self.modelName = check("modelName", modelName + suffix)
        self.endpointConfigName = check("endpointConfigName", endpointConfigName + suffix)
        self.endpointName = check("endpointName", endpointName + suffix)


class NamePolicyFactory(Described):
    """Makes the names of each run: one factory an estimator, one policy a ``fit``."""

    def createNamePolicy(self) -> NamePolicy:
        raise NotImplementedError(f"{type(self).__name__} must define createNamePolicy()")


class RandomNamePolicyFactory(NamePolicyFactory):
    """Makes :class:`RandomNamePolicy` objects.

    Parameters
    ----------
    prefix : str
    """

    def __init__(self, prefix: str = ""):
        RandomNamePolicy(prefix)  # a bad prefix is refused here and not in fit
        self.prefix = prefix

    def createNamePolicy(self) -> NamePolicy:
        return RandomNamePolicy(self.prefix)


class CustomNamePolicyFactory(NamePolicyFactory):
    """Makes :class:`CustomNamePolicy` objects; a second ``fit`` meets the names of the first.

    Parameters
    ----------
    trainingJobName, modelName, endpointConfigName, endpointName : str
    """

    policy: type[NamePolicy] = CustomNamePolicy

    def __init__(self, trainingJobName: str, modelName: str, endpointConfigName: str, endpointName: str):
        self._names = (trainingJobName, modelName, endpointConfigName, endpointName)
        self.createNamePolicy()

    def createNamePolicy(self) -> NamePolicy:
        return self.policy(*self._names)  # type: ignore[call-arg]


class CustomNamePolicyWithTimeStampSuffixFactory(CustomNamePolicyFactory):
    """Makes :class:`CustomNamePolicyWithTimeStampSuffix` objects.

    Parameters
    ----------
    trainingJobName, modelName, endpointConfigName, endpointName : str
    """

    policy = CustomNamePolicyWithTimeStampSuffix


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%S%f")[:-3]
