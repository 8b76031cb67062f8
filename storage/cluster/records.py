"""Records as they lie in Kafka: one for each record of a room, so that its entries stand together.

Key: tenant and conversation, each behind its length (4 bytes): a reader skips by it, without a look at the value.
Value, in Confluent's wire format: a zero byte, the id of the schema in the registry (4 bytes; 0 where there is none), then each entry
behind its length (4 bytes). Entries stay undecoded. What does not fit this shape comes as one empty entry, which fails every checksum.
"""

from collections.abc import Sequence

from protocol.ids import joined
from storage.ports.entry import Place
from storage.ports.log import Record, Row

_FRONT = 5


def key_of(record: Record) -> bytes:
    """The key of a record."""
    return joined(record.tenant, record.conversation)


def value_of(record: Record, schema: int = 0) -> bytes:
    """The value of a record."""
    parts = [b"\0", schema.to_bytes(4, "big")]
    for data in record.entries:
        parts += (len(data).to_bytes(4, "big"), data)
    return b"".join(parts)


def rows_of(partition: int, generation: int, offset: int, key: bytes | None, value: bytes | None) -> list[Row]:
    """The entries of a record, each at its place. What is no record of ours comes as one row that is damaged."""
    names, entries = _names(key or b""), _entries(value or b"")
    if names is None or entries is None:
        return [Row(Place(generation, offset, 0), partition, "", "", b"")]
    tenant, conversation = names
    return [Row(Place(generation, offset, item), partition, tenant, conversation, data) for item, data in enumerate(entries)]


def _names(key: bytes) -> tuple[str, str] | None:
    first = 4 + int.from_bytes(key[:4], "big")
    second = first + 4 + int.from_bytes(key[first : first + 4], "big")
    if len(key) < 8 or second != len(key):
        return None
    try:
        return key[4:first].decode(), key[first + 4 :].decode()
    except UnicodeDecodeError:
        return None


def _entries(value: bytes) -> Sequence[bytes] | None:
    """None when the bytes are no record."""
    at, end, entries = _FRONT, len(value), []
    if end <= _FRONT or value[0]:
        return None
    while at < end:
        size = int.from_bytes(value[at : at + 4], "big")
        entries.append(value[at + 4 : at + 4 + size])
        at += 4 + size
    return entries if at == end else None
