"""One durable fact in the log, and the bytes it is kept as.

Bytes: checksum (4, CRC-32 of all that follows) | format (1) | length of what stands in front (4) | that, as a msgpack array |
the body. Everything a fold or a router needs stands in front of the body, so that an entry can be skipped, kept sealed and
erased without opening its body.
"""

from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from storage.ports.errors import Damaged

_FORMAT = 1
_LONGEST_HEAD = 1 << 24


class Place(NamedTuple):
    """Where an entry stands in its partition's log; compared in this order. The generation rises when a log is made anew."""

    generation: int
    offset: int
    item: int = 0


NOWHERE = Place(0, 0, 0)
"""Before every entry."""
BEYOND = Place(2**53, 0, 0)
"""Behind every entry."""


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A fact as it was appended. `body` is opaque here: sealed under `key`, or empty when it has been removed."""

    rules: int
    """Number of the rules its writer checked it by."""
    kind: str
    tenant: str
    conversation: str
    actor: str
    """Internal id of the user who did it; empty when the application itself acted."""
    op: bytes
    """The UUIDv7 of the act, 16 bytes."""
    checked: int
    """The seq that the writer's fold had reached when it checked the command."""
    at: int
    """Milliseconds since 1970 at which the record was made, by the writer's clock."""
    append: tuple[str, int, int]
    """Which append this was: node, boot, counter. No two appends share it."""
    digest: bytes
    """Keyed hash of kind, actor and the fields as sent: what "the same act again" means."""
    key: str
    """Id of the key that the body is sealed under; empty for none."""
    facts: dict[str, Any]
    """What the fold decides by; never erased, so nothing that people wrote belongs here."""
    body: bytes = b""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, str, str, str, str, bytes, int, int, tuple[str, int, int], bytes, str, dict[str, Any]]).decode


def encode_entry(entry: Entry) -> bytes:
    """The bytes to append."""
    front = _encode(msgspec.structs.astuple(entry)[:-1])
    rest = b"%c%s%s%s" % (_FORMAT, len(front).to_bytes(4, "big"), front, entry.body)
    return crc32(rest).to_bytes(4, "big") + rest


def decode_entry(data: bytes) -> Entry:
    """The entry of these bytes. Raises Damaged when the checksum does not fit: then it is no entry."""
    if len(data) < 9 or crc32(data[4:]) != int.from_bytes(data[:4], "big"):
        raise Damaged("the checksum does not fit")
    if data[4] != _FORMAT:
        raise Damaged(f"format {data[4]} is not known to this program")
    end = 9 + int.from_bytes(data[5:9], "big")
    try:
        return Entry(*_decode(data[9:end]), data[end:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged(f"what stands in front of the body cannot be read: {error}") from error


def intact(data: bytes) -> bool:
    """Whether the checksum fits."""
    return len(data) >= 11 and crc32(data[4:]) == int.from_bytes(data[:4], "big")


def rules_of(data: bytes) -> int:
    """The rules number of an intact entry, without decoding it: the first thing behind the array's mark, below 128."""
    return data[10]


def without_body(data: bytes) -> bytes:
    """The stub of an entry: all that stands in front of the body. Raises Damaged."""
    return encode_entry(msgspec.structs.replace(decode_entry(data), body=b"", key=""))
