"""What an entry says, opened, as far as its key is in memory."""

from typing import Any

import msgspec

from actors.house import House
from services.history import sealed_for
from storage.ports.entry import Entry
from storage.ports.errors import Damaged

_decode_body = msgspec.msgpack.Decoder(dict[str, Any]).decode

MISSING: dict[str, Any] = {}
"""Stands for a body whose key has to be fetched first."""


def open_body(house: House, entry: Entry) -> dict[str, Any] | None:
    """The body; None when it was removed or its key erased; MISSING when its key is not in memory."""
    if not entry.key:
        return _decode_body(entry.body) if entry.body else None
    try:
        plain = house.vault.open(entry.tenant, entry.key, sealed_for(entry.tenant, entry.conversation, entry.op), entry.body)
    except Damaged:
        return None
    return MISSING if plain is None else _decode_body(plain)
