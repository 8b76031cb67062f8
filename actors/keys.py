"""What names a room: its tenant and its conversation, and the partition these are hashed into."""

from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from protocol.ids import joined


class Key(NamedTuple):
    """A conversation of a tenant."""

    tenant: str
    conversation: str


@lru_cache(maxsize=100_000)  # asked for several times with every command
def partition_of(key: Key, partitions: int) -> int:
    """The partition of a conversation. Fixed for ever: stored entries rest on it."""
    return int.from_bytes(blake2b(joined(*key), digest_size=8).digest(), "big") % partitions
