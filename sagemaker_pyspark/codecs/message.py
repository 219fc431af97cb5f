"""The ``Record`` message for the protobuf library, described at run time: no generated code to fit a version."""
from __future__ import annotations

from functools import lru_cache
from typing import Any

__all__ = ["message_class", "schema_file"]


@lru_cache(maxsize=1)
def schema_file() -> Any:
    """``proto/record.proto`` as a file descriptor."""
    from google.protobuf import descriptor_pb2

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="record.proto", package="aialgs.data", syntax="proto2")

    def message(name: str) -> Any:
        made = file.message_type.add()
        made.name = name
        return made

    def add(target: Any, name: str, number: int, kind: int, label: int = kinds.LABEL_OPTIONAL, packed: bool = False,
            of: str | None = None) -> Any:
        made = target.field.add()
        made.name, made.number, made.type, made.label = name, number, kind, label
        if packed:
            made.options.packed = True
        if of:
            made.type_name = f".aialgs.data.{of}"
        return made

    for name, kind in (("Float32Tensor", kinds.TYPE_FLOAT), ("Float64Tensor", kinds.TYPE_DOUBLE),
                       ("Int32Tensor", kinds.TYPE_INT32)):
        tensor = message(name)
        add(tensor, "values", 1, kind, kinds.LABEL_REPEATED, True)
        add(tensor, "keys", 2, kinds.TYPE_UINT64, kinds.LABEL_REPEATED, True)
        add(tensor, "shape", 3, kinds.TYPE_UINT64, kinds.LABEL_REPEATED, True)
    raw = message("Bytes")
    add(raw, "value", 1, kinds.TYPE_BYTES, kinds.LABEL_REPEATED)
    add(raw, "content_type", 2, kinds.TYPE_STRING)
    value = message("Value")
    value.oneof_decl.add().name = "value"
    for name, number, of in (("float32_tensor", 2, "Float32Tensor"), ("float64_tensor", 3, "Float64Tensor"),
                             ("int32_tensor", 7, "Int32Tensor"), ("bytes", 9, "Bytes")):
        add(value, name, number, kinds.TYPE_MESSAGE, of=of).oneof_index = 0
    record = message("Record")
    for name, number, entry in (("features", 1, "FeaturesEntry"), ("label", 2, "LabelEntry")):
        nested = record.nested_type.add()
        nested.name = entry
        nested.options.map_entry = True
        add(nested, "key", 1, kinds.TYPE_STRING)
        add(nested, "value", 2, kinds.TYPE_MESSAGE, of="Value")
        add(record, name, number, kinds.TYPE_MESSAGE, kinds.LABEL_REPEATED, of=f"Record.{entry}")
    for name, number in (("uid", 3), ("metadata", 4), ("configuration", 5)):
        add(record, name, number, kinds.TYPE_STRING)
    return file


@lru_cache(maxsize=1)
def message_class() -> Any:
    """The class of a parsed ``Record``."""
    from google.protobuf import descriptor_pool, message_factory

    pool = descriptor_pool.DescriptorPool()  # of our own: another package may bring the same message
    pool.Add(schema_file())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("aialgs.data.Record"))
