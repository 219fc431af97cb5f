"""1.4.5's import path of the name policies."""
from .naming import (
    CustomNamePolicy,
    CustomNamePolicyFactory,
    CustomNamePolicyWithTimeStampSuffix,
    CustomNamePolicyWithTimeStampSuffixFactory,
    NamePolicy,
    NamePolicyFactory,
    RandomNamePolicy,
    RandomNamePolicyFactory,
)

__all__ = [
    "CustomNamePolicy",
    "CustomNamePolicyFactory",
    "CustomNamePolicyWithTimeStampSuffix",
    "CustomNamePolicyWithTimeStampSuffixFactory",
    "NamePolicy",
    "NamePolicyFactory",
    "RandomNamePolicy",
    "RandomNamePolicyFactory",
]
