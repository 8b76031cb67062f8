"""Waking: how a fold comes to be, from what is stored and the tail. The heart of it is one step that does not give way."""

from collections.abc import Callable
from typing import NamedTuple

import trio

from actors.keys import Key
from actors.tails import Tails
from protocol.errors import Refused
from services.deciding import Fold, Outcome, Parts
from services.heads import Torn, restore
from services.scope import Scope
from storage.ports.entry import Entry, decode_entry
from storage.ports.log import Loaded, Log, Row

AGAIN_S = 0.05
OnEntry = Callable[[Fold, Row, Entry, Outcome], None]


class Read(NamedTuple):
    """What was read from storage: a fold as stored, and what it was made of."""

    fold: Fold
    loaded: Loaded


async def read_stored(log: Log, parts: Parts, key: Key, partition: int) -> Read:
    """Read the stored place, then the head, then parts and window (one consistent read); again while head and parts differ."""
    while True:
        loaded = await log.load(Scope(key.tenant), key.conversation, partition)
        try:
            return Read(restore(parts, loaded), loaded)
        except Torn:
            await trio.sleep(AGAIN_S)


def reaches(tails: Tails, partition: int, read: Read) -> bool:
    """Whether the tail goes back to what was read, and on to what was in the log when the partition came to this worker.

    If not, storage must come further first, or the reader: a room that woke earlier would deny what its predecessor has acknowledged.
    What was stored since then does not count: it is neither in what was read nor in the tail (found by docs/model).
    """
    return tails.begins(partition) <= read.loaded.stored and tails.whole(partition, read.loaded.stored)


def catch_up(tails: Tails, partition: int, key: Key, fold: Fold, applied: OnEntry) -> list[tuple[Entry, Outcome]]:
    """Apply the conversation's own rows of the tail that are later than the fold; what of them it accepted. One step: nothing comes between."""
    accepted = []
    for row in tails.of(partition, key):
        if row.place > fold.place:
            entry = decode_entry(row.data)
            outcome = fold.apply(entry, row.place)
            applied(fold, row, entry, outcome)
            if outcome.what == "ok":
                accepted.append((entry, outcome))
    return accepted


def moved() -> Refused:
    """The conversation is looked after elsewhere now."""
    return Refused("unavailable", "The conversation has just moved to another worker: send it again.", retry_after_ms=200)
