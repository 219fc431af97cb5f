"""The JVM codec: its jar, attached to a running Spark session through public API only."""
from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["attach", "jar_path", "record_function"]

log = logging.getLogger(__name__)

#: ``numpy`` never attaches the jar, for all of a process.
CODEC_VARIABLE = "SAGEMAKER_PYSPARK_CODEC"
#: Another place of the jar than the installed package.
JAR_VARIABLE = "SAGEMAKER_PYSPARK_CODEC_JAR"
_PACKAGE = "io.sagemakerpyspark.codec"
_FUNCTIONS = {"sagemaker_recordio": "RecordIOUdf", "sagemaker_recordio_labeled": "LabeledRecordIOUdf"}

_lock = threading.Lock()
_attached: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()


def jar_path() -> str | None:
    """Path of the codec jar, None where the package was built without it."""
    named = os.environ.get(JAR_VARIABLE)
    path = Path(named) if named else Path(__file__).parent / "jars" / "sagemaker-pyspark-codec.jar"
    return str(path) if path.is_file() else None


def attach(spark: SparkSession) -> bool:
    """Make the codec's functions known to a session, once. Never raises: without them, numpy encodes.

    Returns
    -------
    bool
        Whether the JVM codec can be used in this session.
    """
    if os.environ.get(CODEC_VARIABLE) == "numpy":
        return False
    with _lock:
        if spark not in _attached:
            _attached[spark] = _attach(spark)
        return _attached[spark]


def _attach(spark: SparkSession) -> bool:
    path = jar_path()
    try:
        if path is not None:
            if type(spark).__module__.startswith("pyspark.sql.connect"):
                spark.addArtifact(path)
            else:
                spark.sql(f"ADD JAR '{path}'")
        for name, cls in _FUNCTIONS.items():  # without a jar of ours the user may have put it on spark.jars
            spark.udf.registerJavaFunction(name, f"{_PACKAGE}.{cls}", "binary")
    except Exception as problem:
        if path is not None:
            log.warning("the JVM codec cannot be attached, rows are encoded by numpy instead: %s",
                        str(problem).strip().split("\n")[0])
        else:
            log.debug("no codec jar in this installation; rows are encoded by numpy")
        return False
    return True


def record_function(spark: SparkSession, serializer: Any) -> Callable[..., Any] | None:
    """A function from columns (features, and the label if it is sent) to the record column; None without the codec."""
    from .codecs.record import ProtobufRequestRowSerializer

    if type(serializer) is not ProtobufRequestRowSerializer or not attach(spark):
        return None

    def call(*arguments: Any) -> Any:
        import pyspark.sql.functions as F

        name = "sagemaker_recordio_labeled" if len(arguments) == 2 else "sagemaker_recordio"
        return F.call_function(name, *arguments)

    return call
