"""What "the same act again" means: a keyed hash of who does what, by the fields as they were sent."""

from hashlib import blake2b
from typing import Any

import msgspec

_NOT_SAID = ("op", "after")
_encode = msgspec.msgpack.Encoder().encode


def said(params: msgspec.Struct) -> dict[str, Any]:
    """The fields that the client sent, as plain values in the command table's order, without `op` and `after`."""
    fields: dict[str, Any] = msgspec.to_builtins(params)  # leaves out what is UNSET
    for name in _NOT_SAID:
        fields.pop(name, None)
    for name, value in fields.items():
        if type(value) in (dict, list):
            fields[name] = _in_order(value)
    return fields


def _in_order(value: Any) -> Any:
    """The keys of maps in one order: a client that encodes its own data anew may say them in another, and it is the same act."""
    if type(value) is dict:
        return {key: _in_order(value[key]) for key in sorted(value, key=str)}
    return [_in_order(item) for item in value] if type(value) is list else value


def digest(key: bytes, kind: str, actor: str, fields: dict[str, Any]) -> bytes:
    """16 bytes, under the application's key that never changes."""
    return blake2b(_encode((kind, actor, fields)), key=key, digest_size=16).digest()
