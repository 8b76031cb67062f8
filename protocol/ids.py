"""Ids, in the three shapes the wire knows: names that people choose, UUIDv7 acts, and what the server derives."""

import re
from hashlib import blake2b

_CHOSEN = re.compile(r"[A-Za-z0-9_@.:+\-]{1,128}\Z")
_ACT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
_NOT_A_USER = frozenset({"me", ".", ".."})

FURTHEST_AHEAD_MS = 60_000
"""An act's id further than this ahead of the server's clock is refused (`id_in_future`)."""


def is_user_id(text: str) -> bool:
    """Whether a company may call a user so: 1-128 of `A-Za-z0-9_@.:+-`, and not `me`, `.` or `..`."""
    return text not in _NOT_A_USER and _CHOSEN.match(text) is not None


def is_chosen_id(text: str) -> bool:
    """Whether people may choose this id for a conversation: the alphabet of users' ids, so never beginning with `~`."""
    return text not in _NOT_A_USER and _CHOSEN.match(text) is not None


def is_conversation_id(text: str) -> bool:
    """Whether this may name a conversation: chosen by people, or derived by the server (beginning `~`)."""
    return is_chosen_id(text[1:]) if text[:1] == "~" else is_chosen_id(text)


def make_uuid7(now_ms: int, chance: bytes) -> bytes:
    """A UUIDv7 (16 bytes) of a time in ms and 10 bytes of chance, as RFC 9562, section 5.7, lays it out."""
    made = bytearray(now_ms.to_bytes(6, "big") + chance[:10])
    made[6] = 0x70 | made[6] & 0x0F
    made[8] = 0x80 | made[8] & 0x3F
    return bytes(made)


def act_time(op: bytes) -> int:
    """The time, in ms since 1970, that a UUIDv7 was made at, by the clock of whoever made it."""
    return int.from_bytes(op[:6], "big")


def parse_act(text: str) -> bytes | None:
    """The 16 bytes of a lower-case UUIDv7, or None when it is anything else."""
    return bytes.fromhex(text.replace("-", "")) if _ACT.match(text) else None


def show_act(op: bytes) -> str:
    """The text of a UUID's 16 bytes."""
    digits = op.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def joined(*parts: str) -> bytes:
    """Several parts as one key: each behind its length (4 bytes), so that no two lists of parts give the same bytes."""
    return b"".join(len(raw).to_bytes(4, "big") + raw for raw in (part.encode() for part in parts))


def derived_id(key: bytes, kind: str, *ids: str) -> str:
    """An id that the server derives: `~` and a keyed hash of the kind and the internal ids (26 characters in all)."""
    digest = blake2b(joined(kind, *ids), key=key, digest_size=15).digest()
    return "~" + _base32(digest)


def derived_act(key: bytes, at_ms: int, *parts: str) -> bytes:
    """The UUIDv7 of an act that follows from another one: the same source and its time always give the same id."""
    return make_uuid7(at_ms, blake2b(joined(*parts), key=key, digest_size=10).digest())


def _base32(raw: bytes) -> str:
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    number = int.from_bytes(raw, "big")
    return "".join(alphabet[number >> shift & 31] for shift in range(len(raw) * 8 - 5, -1, -5))
