"""Pointers: how far one user has got in one conversation, and what is unread by them. Pure.

Pointers only rise, so whoever knows two takes the larger, and repeats and lost steps do no harm. The document of one is called
`<personal conversation>/<conversation>`: it follows the log of the user whose pointer it is, and no other.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

MOST_MENTIONS = 100
"""Unread mentions of one conversation that are counted."""


class Pointer(NamedTuple):
    """Read up to the entry `read`, whose last message at or before it has the number `n`; delivered up to `delivered`.

    What is read has been delivered: `delivered` is never below `read`.
    """

    read: int = 0
    n: int = 0
    delivered: int = 0

    def forward(self, other: "Pointer") -> "Pointer":
        """Whichever is further, in each."""
        read, n = max((self.read, self.n), (other.read, other.n))
        return Pointer(read, n, max(self.delivered, other.delivered, read))


NOWHERE = Pointer()


def shown(reached: Mapping[str, Pointer]) -> dict[str, dict[str, int]]:
    """How far members have got, by their external ids, as *watched* tells it."""
    return {"read": {user: pointer.read for user, pointer in reached.items() if pointer.read},
            "delivered": {user: pointer.delivered for user, pointer in reached.items()}}


def document_key(personal: str, conversation: str) -> str:
    """What the document of a pointer is called."""
    return f"{personal}/{conversation}"


def pointer_of(doc: Mapping[str, Any] | None) -> Pointer:
    """The pointer as it is stored."""
    if doc is None:
        return NOWHERE
    read, n = doc["read"]
    return Pointer(read, n, doc["delivered"])


def document_of(pointer: Pointer, mentions: Iterable[int]) -> dict[str, Any]:
    """The document of a pointer, and of the seqs at which its user was mentioned and has not read."""
    return {"read": (pointer.read, pointer.n), "delivered": pointer.delivered,
            "mentions": [seq for seq in mentions if seq > pointer.read][-MOST_MENTIONS:]}


def unread(last_n: int, read_n: int, own_n: int) -> int:
    """How many messages are unread: one subtraction, the same wherever it is made. What one says oneself counts as reading."""
    return max(0, last_n - max(read_n, own_n))


def unread_mentions(of_user: Iterable[int], of_all: Iterable[int], read_to: int) -> int:
    """How many messages beyond `read_to` mention the user, or everybody; one that does both counts once."""
    return len({seq for seq in (*of_user, *of_all) if seq > read_to})
