"""Types as the docs write them: `users: [user id], limit?: number`."""

from typing import Any

import msgspec
from msgspec import inspect

from protocol.events import Push


def fields(shape: type[msgspec.Struct]) -> list[tuple[str, str, bool]]:
    """Name, kind and whether it must be there, of each field."""
    return [(field.encode_name, kind(inspect.type_info(field.type)), field.required) for field in msgspec.structs.fields(shape)]


def line(shape: type[msgspec.Struct]) -> str:
    """All fields in one line; a `?` where one may be absent."""
    return ", ".join(f"{name}{'' if required else '?'}{'' if told == name else ': ' + told}" for name, told, required in fields(shape))


def structs(shape: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """The shapes inside a shape, each once, outer ones first."""
    found: dict[type[msgspec.Struct], None] = {}
    pending = [inspect.type_info(field.type) for field in msgspec.structs.fields(shape)]
    while pending:
        info: Any = pending.pop(0)
        if isinstance(info, inspect.StructType) and not issubclass(info.cls, Push) and info.cls not in found:
            found[info.cls] = None
            pending += [field.type for field in info.fields]
        pending += [inner for name in ("type", "item_type", "value_type") if isinstance(inner := getattr(info, name, None), inspect.Type)]
        pending += getattr(info, "types", ())
    return list(found)


def kind(info: Any) -> str:
    """What a value may be."""
    match info:
        case inspect.Metadata():
            return str((info.extra_json_schema or {}).get("title") or kind(info.type))
        case inspect.StructType():
            return str(info.cls.__name__)
        case inspect.ListType() | inspect.VarTupleType():
            return f"[{kind(info.item_type)}]"
        case inspect.DictType():
            return "map" if isinstance(info.value_type, inspect.AnyType) else f"{{{kind(info.key_type)}: {kind(info.value_type)}}}"
        case inspect.LiteralType():
            return "/".join(str(value) for value in info.values)
        case inspect.UnionType():
            return " or ".join(_union(info))
    return _PLAIN[type(info)]


def _union(info: inspect.UnionType) -> list[str]:
    return ["a durable push"] if len(info.types) > 8 else [kind(one) for one in info.types]


_PLAIN: dict[type, str] = {
    inspect.StrType: "text", inspect.IntType: "number", inspect.BoolType: "bool", inspect.FloatType: "fraction", inspect.NoneType: "null",
    inspect.AnyType: "anything",
}
