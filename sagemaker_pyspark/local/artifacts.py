"""Model data of a container definition: what may be asked for, and how it comes into the model folder."""
from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .jobs import objects_of
from .processes import unpack
from .validation import ServiceError, unsupported

__all__ = ["check", "load"]


def check(s3: Any, definition: dict[str, Any]) -> None:
    """Refuse model data that does not exist or could not be deployed.

    Raises
    ------
    ServiceError
        ``ValidationException``.
    """
    url, given = definition.get("ModelDataUrl"), definition.get("ModelDataSource")
    if definition.get("AdditionalModelDataSources"):
        raise unsupported("AdditionalModelDataSources", definition["AdditionalModelDataSources"], "left out")
    if definition.get("Mode", "SingleModel") != "SingleModel":
        raise unsupported("Mode", definition["Mode"], "SingleModel")
    if url and given is not None:
        raise ServiceError("ValidationException", "Only one of ModelDataUrl and ModelDataSource must be given, got both: "
                           f"leave out ModelDataUrl {url!r} or ModelDataSource.")
    source: dict[str, Any] = (given or {}).get("S3DataSource") or {}
    if given is not None:
        if not source:
            raise ServiceError("ValidationException", "ModelDataSource must hold S3DataSource, it is empty: name the model "
                               "data there, or leave ModelDataSource out.")
        _check_source(source)
        url = source["S3Uri"]
    if url and not _exists(s3, url, source.get("S3DataType") == "S3Prefix"):
        raise ServiceError("ValidationException", f"Could not find model data at {url}.")


def _check_source(source: dict[str, Any]) -> None:
    for member in ("ManifestS3Uri", "HubAccessConfig"):
        if source.get(member):
            raise unsupported(f"{member} of ModelDataSource", source[member], "left out")
    if source["S3DataType"] != "S3Prefix":
        return
    # Source: botocore service model, S3ModelDataSource: a prefix ends with a slash; an archive is one object.
    if source["CompressionType"] != "None":
        raise ServiceError("ValidationException", "CompressionType must be None for S3DataType S3Prefix, got "
                           f"{source['CompressionType']!r}: name the archive itself with S3Object, or the unpacked files.")
    if not source["S3Uri"].endswith("/"):
        raise ServiceError("ValidationException", "S3Uri must end with a slash for S3DataType S3Prefix, got "
                           f"{source['S3Uri']!r}: append one.")


def _exists(s3: Any, uri: str, prefix: bool) -> bool:
    place = urlsplit(uri)
    try:
        if prefix:
            return bool(objects_of(s3, {"S3Uri": uri})[2])
        s3.head_object(Bucket=place.netloc, Key=place.path.lstrip("/"))
    except Exception:
        return False
    return True


def load(s3: Any, definition: dict[str, Any], folder: Path) -> None:
    """Put the model data of a definition that was checked into a container's model folder."""
    url, source = definition.get("ModelDataUrl"), (definition.get("ModelDataSource") or {}).get("S3DataSource")
    if source:
        url = source["S3Uri"]
    if not url:
        return
    place = urlsplit(url)
    if source and source["S3DataType"] == "S3Prefix":
        bucket, prefix, keys = objects_of(s3, source)
        for key in keys:
            _fetch(s3, bucket, key, folder, key[len(prefix):])
    elif source and source["CompressionType"] == "None":
        _fetch(s3, place.netloc, place.path.lstrip("/"), folder, place.path.rsplit("/", 1)[-1])
    else:
        packed = folder.parent / "model.tar.gz"
        s3.download_file(place.netloc, place.path.lstrip("/"), str(packed))
        unpack(packed, folder)
        packed.unlink()


def _fetch(s3: Any, bucket: str, key: str, folder: Path, name: str) -> None:
    bad = next((part for part in name.split("/") if part in ("", ".", "..") or len(part.encode()) > 255), None)
    if bad is not None:
        raise ValueError(f"s3://{bucket}/{key} must give file and folder names of 1 to 255 bytes other than . and .., got "
                         f"{bad!r}: rename the object")
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    s3.download_file(bucket, key, str(path))
