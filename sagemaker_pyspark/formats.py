"""How a DataFrame is written for training: data format and options to an encoder and a content type."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import columns, errors
from .codecs.record import ProtobufRequestRowSerializer
from .codecs.text import CSVRequestRowSerializer, LibSVMRequestRowSerializer
from .columns import TabularRows
from .settings import TrainingSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from .codecs.base import RequestRowSerializer

__all__ = ["CONTENT_TYPES", "project", "training_rows"]

#: Content type of each format, with a label and without (Source: developer guide, common data formats for training).
CONTENT_TYPES = {
    "sagemaker": ("application/x-recordio-protobuf",) * 2, "csv": ("text/csv", "text/csv;label_size=0"),
    "libsvm": ("text/libsvm",) * 2, "jsonlines": ("application/jsonlines",) * 2,
    "parquet": ("application/x-parquet",) * 2}


def project(df: DataFrame, settings: TrainingSettings) -> DataFrame:
    """Only the columns that training reads (``trainingProjectedColumns``)."""
    if settings.projected_columns is None:
        return df
    missing = [name for name in settings.projected_columns if name not in df.columns]
    if missing:
        raise errors.UnsupportedColumn(
            f"trainingProjectedColumns must name columns of the DataFrame: {missing[0]!r} is not among "
            f"{', '.join(df.columns)}", column=missing[0])
    return df.select(*[columns.named(df, name) for name in settings.projected_columns])


def training_rows(df: DataFrame, settings: TrainingSettings, request: RequestRowSerializer, supervised: bool | None
                  ) -> tuple[Any, str]:
    """The encoder of training rows, and their content type.

    Parameters
    ----------
    request : RequestRowSerializer
        The inference serializer; it says which column holds the features.
    supervised : bool or None
        True: a label column must be there. None: it is sent if it is there (a user's own algorithm).

    Raises
    ------
    UnsupportedColumn
        The label column of a supervised algorithm is missing.
    """
    options = dict(settings.data_format_options)
    features = options.pop("featuresColumnName", None) or getattr(request, "featuresColumnName", None) or "features"
    label = options.pop("labelColumnName", None) or getattr(request, "labelColumnName", None) or "label"
    if supervised and label not in df.columns:
        raise errors.UnsupportedColumn(
            f"label column {label!r} must exist to train this algorithm; the DataFrame has {', '.join(df.columns)}. "
            "Rename it or pass trainingSparkDataFormatOptions={'labelColumnName': ...}", column=label)
    has_label = label in df.columns and supervised is not False
    kind = settings.data_format
    content = settings.content_type or CONTENT_TYPES[kind][0 if has_label else 1]
    if kind == "csv" and features in df.columns:
        return CSVRequestRowSerializer(featuresColumnName=features, labelColumnName=label if has_label else None), content
    if kind in ("csv", "jsonlines"):
        return TabularRows(kind, tuple(sorted(options.items()))), content
    if kind == "libsvm":
        return LibSVMRequestRowSerializer(labelColumnName=label, featuresColumnName=features), content
    rows = ProtobufRequestRowSerializer(featuresColumnName=features)
    rows.labelColumnName = label if has_label else None
    return rows, content
