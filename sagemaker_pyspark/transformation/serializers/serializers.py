"""1.4.5's import path of the request serializers."""
from ...codecs.base import RequestRowSerializer
from ...codecs.record import ProtobufRequestRowSerializer
from ...codecs.text import (
    CSVRequestRowSerializer,
    JSONLinesRequestRowSerializer,
    JSONRequestRowSerializer,
    LibSVMRequestRowSerializer,
    UnlabeledCSVRequestRowSerializer,
)

__all__ = [
    "CSVRequestRowSerializer",
    "JSONLinesRequestRowSerializer",
    "JSONRequestRowSerializer",
    "LibSVMRequestRowSerializer",
    "ProtobufRequestRowSerializer",
    "RequestRowSerializer",
    "UnlabeledCSVRequestRowSerializer",
]
