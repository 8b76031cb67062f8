"""Followers: what acts on entries once they are stored, in its own time. Each keeps its place; its effects are keyed, so a repeat is harmless."""

import logging
from collections.abc import Callable, Iterable
from typing import Protocol

import trio

from protocol.errors import Refused
from services.scope import SYSTEM
from storage.ports.documents import Documents
from storage.ports.entry import NOWHERE, Entry, Place
from storage.ports.errors import StorageError
from storage.ports.log import Following, Stored

_log = logging.getLogger("actors.followers")

PAGE = 200
AGAIN_S = 1.0
KEEP_S = 10.0
"""How often places that moved over entries nobody wanted are written down."""


class Follows(Protocol):
    """What one service does when something is stored."""

    name: str

    def wants(self, entry: Entry) -> bool:
        """Whether there may be anything to do for an entry. Pure; asked for every entry, so it is cheap."""
        ...

    async def __call__(self, entries: list[Stored]) -> None:
        """Act on entries, in order of place. Done when it returns; on Refused or StorageError the same come again."""
        ...


class Follower:
    """Runs one service's following over the partitions that this worker stores.

    It reads stored entries only where storing has met one that its service wants; over the others its place moves by itself.
    """

    def __init__(self, follows: Follows, log: Following, documents: Documents, stores: Callable[[], Iterable[int]]) -> None:
        self.name = follows.name
        self._follows, self._log, self._documents, self._stores = follows, log, documents, stores
        self.wants = follows.wants
        self._places: dict[int, Place] = {}  # all up to here is done
        self._told: dict[int, Place] = {}  # as far as storing has told us of
        self._wanted: set[int] = set()
        self._moved: set[int] = set()  # places that are not written down
        self._news = trio.Event()

    def stored(self, partition: int, place: Place, *, wanted: bool) -> None:
        """Storing has come to this place; `wanted`: with an entry that the service wants."""
        before, self._told[partition] = self._told.get(partition), place
        done = self._places.get(partition)
        if wanted or partition in self._wanted or done is None or before is None or done < before:
            self.look([partition])
        else:
            self._places[partition] = place
            self._moved.add(partition)

    def look(self, partitions: Iterable[int]) -> None:
        """Read on there."""
        self._wanted.update(partitions)
        self._news.set()

    def reassigned(self) -> None:
        """The partitions that this worker stores are others now: look at all of them, from where storage says we are."""
        for books in (self._places, self._told, self._moved):
            books.clear()
        self.look(self._stores())

    async def run(self) -> None:
        """Follow for as long as the worker lives."""
        while True:
            with trio.move_on_after(KEEP_S if self._moved else float("inf")):
                await self._news.wait()
            self._news = trio.Event()
            await self._write_down()
            for partition in sorted(self._wanted & set(self._stores())):
                await self._catch_up(partition)

    async def _write_down(self) -> None:
        """Places that moved by themselves. Losing them costs some reading after the next start, no more."""
        moved, self._moved = self._moved, set()
        try:
            for partition in sorted(moved & set(self._stores())):
                await self._documents.put(SYSTEM, "followers", f"{self.name}/{partition}", {}, self._places[partition])
        except (StorageError, KeyError) as error:  # KeyError: the partitions were given to others meanwhile
            _log.info("%s has not written down its places: %r", self.name, error)

    async def _catch_up(self, partition: int) -> None:
        try:
            told = self._told.get(partition)
            while await self._page(partition):
                told = self._told.get(partition)
            self._wanted.discard(partition)
            if told is not None and told != self._told.get(partition):
                self._wanted.add(partition)  # more was stored while the last page was read
                self._news.set()
            elif told is not None:
                self._places[partition] = max(self._places.get(partition, NOWHERE), told)
                self._moved.add(partition)
        except (Refused, StorageError, trio.TooSlowError) as error:
            level = logging.INFO if isinstance(error, Refused) else logging.WARNING  # a room that is just moving is nothing to worry about
            _log.log(level, "%s waits at partition %d and tries again: %r", self._follows.name, partition, error)
            await trio.sleep(AGAIN_S)
            self.look([partition])

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
