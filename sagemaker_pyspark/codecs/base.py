"""What a codec is: a class with a content type that turns Arrow rows into bytes, or bytes into Arrow rows.

A codec of one's own is a subclass; it reaches Spark's workers as any Python object does and is saved as its class name
and constructor arguments, never as a pickle.
"""
from __future__ import annotations

import dataclasses
import importlib
import inspect
from typing import Any

import pyarrow as pa

from .. import errors

__all__ = ["Described", "RequestRowSerializer", "ResponseRowDeserializer", "column_of"]


class Described:
    """An object that is its constructor's arguments: compared, shown and saved by them."""

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        inner = cls.__dict__.get("__init__")
        if inner is None:
            return
        signature = inspect.signature(inner)

        def remember(self: Any, *args: Any, **named: Any) -> None:
            if not hasattr(self, "_arguments"):  # the outermost constructor is the one to call again
                bound = signature.bind(self, *args, **named)
                found = {k: v for k, v in list(bound.arguments.items())[1:] if v is not None}
                for name, parameter in signature.parameters.items():
                    if parameter.kind is parameter.VAR_KEYWORD:
                        found.update(found.pop(name, {}))
                    elif parameter.kind is parameter.VAR_POSITIONAL and name in found:
                        found[f"*{name}"] = found.pop(name)  # shown and compared, but it has no name to load it by
                self._arguments = found
            inner(self, *args, **named)

        remember.__wrapped__ = inner  # type: ignore[attr-defined]
        remember.__doc__ = inner.__doc__
        cls.__init__ = remember  # type: ignore[method-assign]

    def to_json(self) -> dict[str, Any]:
        """Class and arguments as JSON data.

        Raises
        ------
        InvalidInput
            An argument has no JSON form.
        """
        owner = type(self).__name__
        arguments = {}
        for name, value in self._described().items():
            if name.startswith("*"):
                raise errors.InvalidInput(f"{owner} cannot be saved: its constructor takes {name}, give it a named list")
            arguments[name] = _plain(owner, name, value)
        return {"class": f"{type(self).__module__}.{type(self).__qualname__}", "arguments": arguments}

    def _described(self) -> dict[str, Any]:
        """The constructor's arguments. A dataclass brings a constructor that is not ours, and keeps them as fields."""
        if "_arguments" in self.__dict__:
            return self._arguments
        if dataclasses.is_dataclass(self):
            return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)
                    if f.init and getattr(self, f.name) is not None}
        return {}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Any:
        """The object again; only a subclass of this class is ever constructed.

        Raises
        ------
        InvalidInput
            The class cannot be imported, is another kind of object, or takes other arguments now.
        """
        try:
            path, arguments = str(data["class"]), dict(data["arguments"])
        except (KeyError, TypeError, ValueError):
            raise errors.InvalidInput(
                f"a saved {cls.__name__} must have 'class' and 'arguments', got {str(data)[:80]}") from None
        try:
            found = _imported(path)
        except (ImportError, AttributeError, ValueError) as problem:
            raise errors.InvalidInput(
                f"a saved stage needs the class {path}, which cannot be imported here: {problem}; put its module "
                "on the Python path") from None
        if not (isinstance(found, type) and issubclass(found, cls)):
            raise errors.InvalidInput(f"a saved stage names {path}, which is not a {cls.__name__}")
        try:
            inspect.signature(found).bind(**arguments)
        except TypeError as problem:
            raise errors.InvalidInput(f"a saved {path} does not fit the class of that name here: {problem}") from None
        return found(**arguments)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and _same(self._described()) == _same(
            other._described())  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self), repr(sorted(_same(self._described()).items()))))

    def __repr__(self) -> str:
        inner = ", ".join(f"{k}={v!r}" for k, v in self._described().items())
        return f"{type(self).__name__}({inner})"


def _imported(path: str) -> Any:
    """The object of this dotted name, which may be nested in a class."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as problem:
        # Only where the missing module is the one asked for: not where one of its own imports is missing.
        if "." not in module or not module.startswith(str(problem.name)):
            raise
        outer = _imported(module)
        if not isinstance(outer, type):
            raise
        return getattr(outer, name)


def _same(value: Any) -> Any:
    """A form in which what was saved and loaded equals what was given: tuples are lists in JSON, schemas are dicts."""
    if hasattr(value, "jsonValue"):
        return value.jsonValue()
    if isinstance(value, (list, tuple)):
        return [_same(item) for item in value]
    if isinstance(value, dict):
        return {k: _same(v) for k, v in value.items()}
    return value


def _plain(owner: str, name: str, value: Any) -> Any:
    if hasattr(value, "jsonValue"):  # a pyspark schema
        return value.jsonValue()
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(owner, name, item) for item in value]
    if isinstance(value, dict):
        return {str(k): _plain(owner, name, v) for k, v in value.items()}
    raise errors.InvalidInput(f"{owner} cannot be saved: its argument {name!r} is a {type(value).__name__}, which has no "
                              "JSON form")


def column_of(batch: pa.RecordBatch, name: str) -> pa.Array:
    """A column of the batch by name.

    Raises
    ------
    UnsupportedColumn
        There is none, or more than one; names those that are there.
    """
    at = batch.schema.get_all_field_indices(name)
    if len(at) != 1:
        raise errors.UnsupportedColumn(
            f"the rows must have one column {name!r}, they have {', '.join(batch.schema.names) or 'none'}", column=name)
    return batch.column(at[0])


class RequestRowSerializer(Described):
    """Rows to records: one self-delimiting piece of bytes a row, so that a request is a slice of them.

    Attributes
    ----------
    content_type : str
        Content-Type of a request.
    featuresColumnName : str or None
        The column that holds the features; None with ``columns`` unset sends every column.
    labelColumnName : str or None
        A column sent as label where it exists.
    columns : sequence of str or None
        Names of all columns that :meth:`encode` reads, for codecs that are not about features.
    """

    content_type: str = "application/octet-stream"
    featuresColumnName: str | None = "features"
    labelColumnName: str | None = None
    columns: Any = None

    def encode(self, batch: pa.RecordBatch) -> Any:
        """One record a row: a binary Arrow array, or a list of bytes (None for a row that cannot be sent).

        Parameters
        ----------
        batch : pyarrow.RecordBatch
            The columns the serializer names; vectors and matrices as their storage structs.
        """
        raise NotImplementedError(f"{type(self).__name__} must define encode(batch)")

    def body(self, records: Any) -> Any:
        """A run of records, end to end, as a request body. The default is the run itself."""
        return records

    def setSchema(self, schema: Any) -> RequestRowSerializer:
        """Kept from 1.4.5, where the schema had to be told; columns are found by name now."""
        self._schema = schema
        return self


class ResponseRowDeserializer(Described):
    """Answer bytes to rows.

    Attributes
    ----------
    accepts : str
        Accept header of a request.
    fields : tuple of (name, type)
        Output columns. Types are Spark's DDL names, and ``vector`` for a VectorUDT (lists of double in Arrow).
    """

    accepts: str = "application/octet-stream"
    fields: tuple[tuple[str, str], ...] = ()

    def decode(self, body: bytes, content_type: str | None = None, rows: int | None = None) -> pa.RecordBatch:
        """The answer as one Arrow row for each row found in it, columns as in ``fields``.

        Parameters
        ----------
        body : bytes
        content_type : str, optional
            Of the answer.
        rows : int, optional
            Rows of the request: a hint for formats that do not delimit rows. The caller compares the counts.

        Raises
        ------
        UnexpectedResponse
            The answer is not what the algorithm is documented to send.
        """
        raise NotImplementedError(f"{type(self).__name__} must define decode(body, content_type, rows)")
