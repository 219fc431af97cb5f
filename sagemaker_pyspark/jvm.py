"""The JVM codec: its jar, attached to a running Spark session through public API only."""
from __future__ import annotations

import atexit
import logging
import os
import re
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from . import errors

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["attach", "jar_path", "record_function", "refusal", "why_not"]

log = logging.getLogger(__name__)

#: ``numpy`` never attaches the jar, ``jvm`` fails where it cannot be attached; for all of a process.
CODEC_VARIABLE = "SAGEMAKER_PYSPARK_CODEC"
#: Another place of the jar than the installed package.
JAR_VARIABLE = "SAGEMAKER_PYSPARK_CODEC_JAR"
_PACKAGE = "io.sagemakerpyspark.codec"
_FUNCTIONS = {"sagemaker_recordio": "RecordIOUdf", "sagemaker_recordio_labeled": "LabeledRecordIOUdf",
              "sagemaker_text": "TextUdf", "sagemaker_text_labeled": "LabeledTextUdf"}

_lock = threading.Lock()
#: Why a session has no codec, None where it has it.
_attached: weakref.WeakKeyDictionary[Any, str | None] = weakref.WeakKeyDictionary()

#: What the codec says of a row that has no record: the error that the other path raises for it, and why.
_REFUSAL = re.compile(r"IllegalArgumentException: (CodecError|RecordTooLarge): (.*?)(?=\. SQLSTATE|\n|$)")


def jar_path() -> str | None:
    """Path of the codec jar, None where the package was built without it."""
    named = os.environ.get(JAR_VARIABLE)
    path = Path(named) if named else Path(__file__).parent / "jars" / "sagemaker-pyspark-codec.jar"
    return str(path) if path.is_file() else None


def attach(spark: SparkSession) -> bool:
    """Make the codec's functions known to a session, once. Without them, numpy encodes.

    Returns
    -------
    bool
        Whether the JVM codec can be used in this session.

    Raises
    ------
    InvalidParameter
        It cannot, and ``SAGEMAKER_PYSPARK_CODEC=jvm`` insists on it.
    """
    wanted = os.environ.get(CODEC_VARIABLE)
    if wanted == "numpy":
        return False
    reason = why_not(spark)
    if reason is not None and wanted == "jvm":
        raise errors.InvalidParameter(
            f"{CODEC_VARIABLE}=jvm needs the JVM codec, which cannot be attached to this Spark session: {reason}. Unset it to "
            "have rows encoded by numpy")
    return reason is None


def why_not(spark: SparkSession) -> str | None:
    """Why the codec cannot be attached to a session, None where it is."""
    with _lock:
        if spark not in _attached:
            _attached[spark] = _attach(spark)
        return _attached[spark]


def _attach(spark: SparkSession) -> str | None:
    path = jar_path()
    try:
        if path is not None:
            path = _without_escapes(path)
            if type(spark).__module__.startswith("pyspark.sql.connect"):
                spark.addArtifact(path)
            else:
                spark.sql(f"ADD JAR '{path}'")
        for name, cls in _FUNCTIONS.items():  # without a jar of ours the user may have put it on spark.jars
            spark.udf.registerJavaFunction(name, f"{_PACKAGE}.{cls}", "binary")
    except Exception as problem:
        if path is None:
            log.debug("no codec jar in this installation; rows are encoded by numpy")
            return "this installation has no codec jar (it is built where Maven is)"
        reason = str(problem).strip().split("\n")[0]
        log.warning("the JVM codec cannot be attached, rows are encoded by numpy instead: %s", reason)
        return reason
    return None


def _without_escapes(path: str) -> str:
    """The jar on a path that needs no escaping. What a URI must escape, Spark escapes twice and then loads no class from it."""
    if quote(path) == path:
        return path
    folder = tempfile.mkdtemp(prefix="sagemaker-pyspark-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return shutil.copyfile(path, os.path.join(folder, "sagemaker-pyspark-codec.jar"))


def record_function(spark: SparkSession, serializer: Any) -> Callable[..., Any] | None:
    """A function from columns (features, and the label if it is sent) to the record column; None without the codec."""
    from .codecs import record, text

    # Exactly these classes: a subclass may encode in another way.
    formats: dict[type, str | None] = {
        record.ProtobufRequestRowSerializer: None, text.CSVRequestRowSerializer: "csv",
        text.UnlabeledCSVRequestRowSerializer: "csv", text.LibSVMRequestRowSerializer: "libsvm",
        text.JSONLinesRequestRowSerializer: "jsonlines", text.JSONRequestRowSerializer: "jsonlines"}
    if type(serializer) not in formats or not attach(spark):
        return None
    kind = formats[type(serializer)]

    def call(*arguments: Any) -> Any:
        import pyspark.sql.functions as F

        name = ("sagemaker_recordio" if kind is None else "sagemaker_text") + ("_labeled" if len(arguments) == 2 else "")
        return F.call_function(name, *arguments, *([F.lit(kind)] if kind else []))

    return call


def refusal(problem: BaseException) -> errors.CodecError | None:
    """The error of this library for a Spark error, where the codec refused a row; None for any other."""
    found = _REFUSAL.search(str(problem))
    return None if found is None else getattr(errors, found[1])(found[2])
