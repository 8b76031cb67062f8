"""What keys look like. Pure.

    caas_{live|test}_{sk|pk}_{id, 8}_{256 random bits in base62, 43}_{CRC-32 of all before it in base62, 6}

The fixed shape and the checksum let scanners of leaked secrets recognise a key, and let us refuse a mistyped one unasked.
"""

import re
from typing import Final, Literal, NamedTuple
from zlib import crc32

from protocol.world import Rng
from services.chance import base32, base62

DEV_PUBLISHABLE: Final = "caas_pk_dev"
DEV_SECRET: Final = "caas_sk_dev"  # noqa: S105 - no secret: taken in the development set-up alone, and from this machine
PREFIX: Final = "caas_"
"""Every key of ours begins so; no user token does."""

_SHAPE = re.compile(r"(caas_(?:live|test)_(sk|pk)_([0-9a-z]{8})_[0-9A-Za-z]{43})_([0-9A-Za-z]{6})\Z")


class Key(NamedTuple):
    """A key just made: its id, and the text that is shown once."""

    id: str
    text: str


def make_key(environment: Literal["live", "test"], kind: Literal["sk", "pk"], rng: Rng) -> Key:
    """A new key."""
    name = base32(rng.bytes(8))
    front = f"{PREFIX}{environment}_{kind}_{name}_{base62(rng.bytes(32), 43)}"
    return Key(name, f"{front}_{_checksum(front)}")


def secret_key_id(text: str) -> str | None:
    """The id in the text of a secret key; None when it cannot be one."""
    found = _SHAPE.match(text)
    if found is None or found[2] != "sk" or found[4] != _checksum(found[1]):
        return None
    return found[3]


def is_publishable(text: str) -> bool:
    """Whether it is a publishable key, which opens nothing."""
    found = _SHAPE.match(text)
    return text == DEV_PUBLISHABLE or (found is not None and found[2] == "pk")


def _checksum(front: str) -> str:
    return base62(crc32(front.encode()).to_bytes(4, "big"), 6)
