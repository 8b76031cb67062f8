"""Followers: what acts on entries once they are stored, in its own time. Each keeps its place; its effects are keyed, so a repeat is harmless."""

import logging
from collections.abc import Callable, Iterable
from typing import Protocol

import trio

from protocol.errors import Refused
from services.scope import SYSTEM
from storage.ports.documents import Documents
from storage.ports.entry import NOWHERE, Place
from storage.ports.errors import StorageError
from storage.ports.log import Following, Stored

_log = logging.getLogger("actors.followers")

PAGE = 200
AGAIN_S = 1.0


class Follows(Protocol):
    """What one service does when something is stored."""

    name: str

    async def __call__(self, entries: list[Stored]) -> None:
        """Act on entries, in order of place. Done when it returns; on Refused or StorageError the same come again."""
        ...


class Follower:
    """Runs one service's following over the partitions of this worker."""

    def __init__(self, follows: Follows, log: Following, documents: Documents, owned: Callable[[], Iterable[int]]) -> None:
        self.name = follows.name
        self._follows, self._log, self._documents, self._owned = follows, log, documents, owned
        self._places: dict[int, Place] = {}
        self._wanted: set[int] = set()
        self._news = trio.Event()

    def stored(self, partitions: Iterable[int]) -> None:
        """Something was stored there."""
        self._wanted.update(partitions)
        self._news.set()

    def reassigned(self) -> None:
        """The worker's partitions are others now: look at all of them, from where storage says we are."""
        self._places.clear()
        self.stored(self._owned())

    async def run(self) -> None:
        """Follow for as long as the worker lives."""
        while True:
            await self._news.wait()
            self._news = trio.Event()
            wanted, self._wanted = sorted(self._wanted & set(self._owned())), set()
            for partition in wanted:
                await self._catch_up(partition)

    async def _catch_up(self, partition: int) -> None:
        try:
            while await self._page(partition):
                pass
        except (Refused, StorageError, trio.TooSlowError) as error:
            level = logging.INFO if isinstance(error, Refused) else logging.WARNING  # a room that is just moving is nothing to worry about
            _log.log(level, "%s waits at partition %d and tries again: %r", self._follows.name, partition, error)
            await trio.sleep(AGAIN_S)
            self.stored([partition])

    async def _page(self, partition: int) -> bool:
        key = f"{self._follows.name}/{partition}"
        place = self._places.get(partition)
        if place is None:
            held = await self._documents.get(SYSTEM, "followers", key)
            place = self._places[partition] = held.place if held else NOWHERE
        entries = await self._log.stored_after(partition, place, PAGE)
        if not entries:
            return False
        await self._follows(list(entries))
        self._places[partition] = entries[-1].row.place
        await self._documents.put(SYSTEM, "followers", key, {}, entries[-1].row.place)
        return len(entries) == PAGE
