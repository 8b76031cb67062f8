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
    return fields


def digest(key: bytes, kind: str, actor: str, fields: dict[str, Any]) -> bytes:
    """16 bytes, under the application's key that never changes."""
    return blake2b(_encode((kind, actor, fields)), key=key, digest_size=16).digest()
