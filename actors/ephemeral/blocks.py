"""What the room of two people knows of who blocks whom: as stored, and as it was told since.

Blocks are entries of personal conversations, so this room's log does not have them. They are checked before an append, and may race
with it by a moment. Whoever blocks has the room told at once; as that may be lost, the room looks into storage again now and then. It looks
soon after it has woken: whatever was told while it slept may not have been stored when it looked first.
"""

from typing import Any

import trio

from actors.ephemeral.part import Host, Quiet
from actors.messages import Signal
from services.blocks.book import COLLECTION, block_key, closes
from services.scope import Scope

AGAIN_AFTER_S, FIRST_AGAIN_AFTER_S = 30.0, 1.0


class Blocks(Quiet):
    """By who blocks: the latest of what is known, by its seq in their personal conversation."""

    __slots__ = ("_again_at", "_host", "_known", "known")

    def __init__(self, host: Host) -> None:
        self._host = host
        self._known: dict[str, dict[str, Any]] = {}
        self._again_at = 0.0
        self.known = False
        """Whether storage has been asked."""

    @property
    def closed(self) -> bool:
        """Whether one of the two blocks the other. Looks again, for the next time, when what is known is old."""
        if self.known and trio.current_time() > self._again_at:
            self._again_at = trio.current_time() + AGAIN_AFTER_S
            self._host.house.errands.run(self.read, lambda _, error: None)
        return any(closes(doc) for doc in self._known.values())

    async def read(self) -> None:
        """Ask storage. Raises StorageError."""
        tenant, conversation = self._host.key
        keys = {block_key(conversation, user): user for user in self._host.fold.members} if self._host.awake else {}
        found = await self._host.house.documents.get_many(Scope(tenant), COLLECTION, list(keys))
        for key, held in found.items():
            self._take(keys[key], held.doc)
        self._again_at = trio.current_time() + (AGAIN_AFTER_S if self.known else FIRST_AGAIN_AFTER_S)
        self.known = True

    def signal(self, signal: Signal) -> object:
        """Somebody blocks, or no longer; told by the service that had it decided."""
        self.heard(signal)
        self._host.cross(signal)
        return {}

    def heard(self, signal: Signal) -> None:
        """The same, wherever it was said."""
        seq, blocked = signal.p["seq"], signal.p["blocked"]
        self._take(signal.scope.user, {"seq": seq, "blocked": True} if blocked else {"seq": seq})

    def _take(self, user: str, doc: dict[str, Any]) -> None:
        if doc["seq"] >= self._known.get(user, {}).get("seq", 0):
            self._known[user] = doc
