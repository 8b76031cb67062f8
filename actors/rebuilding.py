"""Rebuilding: documents, heads and parts, made anew from the stored entries. These are the record that lasts; the rest follows from them.

What storing once did is done again: the stored entries of a partition are folded in order of place, and storing writes what comes of it.
Nobody else may be at work on the set-up: what follows from the log is taken away first.
"""

from collections import OrderedDict
from typing import Protocol

import trio

from actors.keys import Key
from actors.reader import FollowedLog
from actors.storing import Storer
from actors.tails import Tails
from actors.waking import read_stored
from services.deciding import Fold, Parts
from services.kinds import Kinds
from storage.ports.documents import Documents
from storage.ports.entry import NOWHERE, decode_entry
from storage.ports.errors import Damaged
from storage.ports.log import Row, Stored

FOLLOWS_FROM_THE_LOG = ("heads", "parts", "memberships", "authors", "overlays", "hidden", "pointers", "mentions_of_all", "blocks", "reactions")
"""The collections that storing writes, and nobody else."""
PAGE = 500
FOLDS = 2_000
"""Conversations in memory at once; what was folded of others is read back."""
PAGE_WITHIN_S = 60.0


class Forgets(Protocol):
    """What a backend's documents can do besides the port, while nobody is at work."""

    async def forget(self, collections: tuple[str, ...]) -> None:
        """Take away these collections of all tenants, places and all."""
        ...


class Broken(Exception):
    """The stored entries do not give what was once decided: says which one, and in what."""


class Rebuilding:
    """One pass over the partitions."""

    def __init__(self, log: FollowedLog, documents: Documents, parts: Parts, kinds: Kinds) -> None:
        self._log, self._parts = log, parts
        self._storer = Storer(log, documents, Tails(), parts, kinds)
        self._folds: OrderedDict[Key, Fold] = OrderedDict()
        self.entries = self.conversations = 0

    async def partition(self, partition: int) -> None:
        """Rebuild what follows from one partition. Raises Broken, StorageError, TooSlowError."""
        self._storer.begin(partition)
        self._storer.divide([partition])
        after = NOWHERE
        while page := await self._log.stored_after(partition, after, PAGE):
            for stored in page:
                await self._again(partition, stored)
            with trio.fail_after(PAGE_WITHIN_S):
                while self._storer.waiting():
                    await self._storer.finish()
            after = page[-1].row.place
            self._forget_most()
        self._storer.end(partition)

    async def _again(self, partition: int, stored: Stored) -> None:
        key, row = Key(stored.tenant, stored.conversation), stored.row
        fold = await self._fold(key, partition)
        try:
            entry = decode_entry(row.data)
        except Damaged as error:
            raise Broken(f"{key} at seq {row.seq}: the stored entry is damaged ({error}): restore it from a backup first") from error
        outcome = fold.apply(entry, row.place)
        if (outcome.what, outcome.seq, outcome.n) != ("ok", row.seq, row.n):
            raise Broken(f"{key} at seq {row.seq}: it is {outcome.what} {outcome.code} as seq {outcome.seq}, n {outcome.n} now, and was n {row.n}: "
                         "entries are missing before it, or this program is older than who wrote it")
        again = Row(row.place, partition, *key, row.data)
        self._storer.expect(again, trio.current_time())
        self._storer.decided(fold, again, entry, outcome)
        self.entries += 1
        self.conversations += row.seq == 1

    async def _fold(self, key: Key, partition: int) -> Fold:
        fold = self._folds.get(key)
        if fold is None:
            fold = self._folds[key] = (await read_stored(self._log, self._parts, key, partition)).fold
        self._folds.move_to_end(key)
        return fold

    def _forget_most(self) -> None:
        """All of it is stored."""
        while len(self._folds) > FOLDS:
            self._folds.popitem(last=False)
