"""Stages saved as pyspark.ml saves them: one JSON file of Params and settings. No pickle, no credential."""
from __future__ import annotations

import dataclasses
from typing import Any

from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReadable, MLReader, MLWritable, MLWriter

from . import errors

__all__ = ["FORMAT_VERSION", "JsonStage", "from_plain", "to_plain"]

#: Raised when the saved form changes; a newer form than ours is refused rather than misread.
FORMAT_VERSION = 1


class JsonStage(MLWritable, MLReadable):
    """A stage whose whole state is its Params and the dictionary that ``_state`` returns."""

    def _state(self) -> dict[str, Any]:
        raise NotImplementedError

    @classmethod
    def _restored(cls, state: dict[str, Any]) -> Any:
        raise NotImplementedError

    def write(self) -> MLWriter:
        """A writer: ``stage.write().overwrite().save(path)``."""
        return _Writer(self)

    @classmethod
    def read(cls) -> MLReader:
        """A reader: ``Stage.read().load(path)``."""
        return _Reader(cls)


class _Writer(MLWriter):
    def __init__(self, stage: JsonStage):
        super().__init__()
        self.stage = stage

    def _extra(self) -> dict[str, Any]:
        return {"formatVersion": FORMAT_VERSION, "state": self.stage._state()}

    def save(self, path: str) -> None:
        """Save the stage; after ``overwrite()`` over what is there."""
        if self.shouldOverwrite and type(self.sparkSession).__module__.startswith("pyspark.sql.connect"):
            # pyspark overwrites by deleting the folder through the JVM, which Connect has not. All of a stage of ours is
            # its metadata, and that is a text file Spark can overwrite.
            stage: Any = self.stage
            text = DefaultParamsWriter._get_metadata_to_save(stage, self.sparkSession, self._extra())
            table = self.sparkSession.createDataFrame([(text,)], "value string").coalesce(1)
            table.write.mode("overwrite").text(f"{path.rstrip('/')}/metadata")
        else:
            super().save(path)

    def saveImpl(self, path: str) -> None:
        stage: Any = self.stage
        DefaultParamsWriter.saveMetadata(stage, path, _context(self), extraMetadata=self._extra())


class _Reader(MLReader):
    def __init__(self, cls: type[JsonStage]):
        super().__init__()
        self.cls = cls

    def load(self, path: str) -> Any:
        metadata = DefaultParamsReader.loadMetadata(path, _context(self))
        version = metadata.get("formatVersion", 0)
        if version > FORMAT_VERSION:
            raise errors.InvalidInput(
                f"{path} was saved in format {version}; this version of sagemaker_pyspark reads up to {FORMAT_VERSION}. "
                "Upgrade sagemaker_pyspark")
        saved, wanted = metadata["class"].rsplit(".", 1)[-1], self.cls.__name__
        if saved != wanted:
            raise errors.InvalidInput(f"{path} holds a {saved}, not a {wanted}; load it with {saved}.load")
        stage = self.cls._restored(metadata["state"])
        stage._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(stage, metadata)
        return stage


def _context(util: Any) -> Any:
    """Spark 4 reads and writes metadata through the session, 3.5 through the context."""
    import pyspark

    return util.sc if pyspark.__version__.startswith("3.") else util.sparkSession


def to_plain(value: Any) -> Any:
    """Settings and resources as JSON data."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise errors.InvalidInput(f"{type(value).__name__} cannot be saved: it has no JSON form (give it to_json)")


def from_plain(cls: Any, data: dict[str, Any]) -> Any:
    """A frozen settings object from its JSON data; unknown fields of a newer version are refused by name."""
    known = {f.name: f for f in dataclasses.fields(cls)}
    unknown = set(data) - set(known)
    if unknown:
        raise errors.InvalidInput(f"saved {cls.__name__} has unknown fields {', '.join(sorted(unknown))}; "
                                  "upgrade sagemaker_pyspark")
    return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in data.items()})
