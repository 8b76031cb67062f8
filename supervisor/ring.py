"""Which worker owns what: pure, the same on every worker that knows the same members, and little moves when they change.

Rendezvous hashing: each member gets a score for each key, the highest owns it. When a member goes, only its own keys move; when
one comes, it takes only what it now scores highest for. With a few members and a few hundred partitions this needs no tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

__all__ = ["Ring", "moved"]

Key = int | str


@dataclass(frozen=True, slots=True)
class Ring:
    """Immutable; `change` makes the next generation, which remembers this one so that a hand-over knows whom to ask."""

    members: tuple[str, ...]
    pins: Mapping[Key, str] = field(default_factory=dict)
    """Keys with a fixed owner, a hot one for example; ignored while that owner is no member."""
    generation: int = 0
    previous: Ring | None = None
    _known: dict[int, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", tuple(sorted(set(self.members))))

    def owner(self, key: Key) -> str:
        """The member that owns this partition or key. Raises LookupError on an empty ring."""
        if not self.members:
            raise LookupError("the ring is empty")
        pinned = self.pins.get(key)
        if pinned is not None and pinned in self.members:
            return pinned
        if isinstance(key, str):
            return self._highest(key)
        owner = self._known.get(key)  # partitions are few and asked for with every message; strings are neither
        if owner is None:
            owner = self._known[key] = self._highest(key)
        return owner

    def previous_owner(self, key: Key) -> str | None:
        """Who owned it before the last change, if there was one."""
        before = self.previous
        return before.owner(key) if before is not None and before.members else None

    def change(self, members: Iterable[str], pins: Mapping[Key, str] | None = None) -> Ring:
        """The next generation. The one before the present is forgotten."""
        before = Ring(self.members, self.pins, self.generation)
        return Ring(tuple(members), self.pins if pins is None else pins, self.generation + 1, before)

    def _highest(self, key: Key) -> str:
        text = f"i{key}" if isinstance(key, int) else f"s{key}"
        return max(self.members, key=lambda member: (_score(member, text), member))


def moved(old: Ring, new: Ring, keys: Iterable[Key]) -> dict[Key, tuple[str, str]]:
    """Those of `keys` that changed hands: key to (from, to). Neither ring may be empty."""
    pairs = ((key, old.owner(key), new.owner(key)) for key in keys)
    return {key: (before, after) for key, before, after in pairs if before != after}


def _score(member: str, key: str) -> bytes:
    name = member.encode()
    return blake2b(len(name).to_bytes(4, "big") + name + key.encode(), digest_size=8).digest()
