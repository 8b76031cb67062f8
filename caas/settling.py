"""Storing what a log still holds, without serving anybody: what must be over before a set-up is moved or copied."""

import trio

from actors.reader import FollowedLog, Reader
from actors.storing import Storer
from actors.tails import Tails
from services.catalogue import KINDS
from services.kinds import parts_of
from storage.failing import Unfit
from storage.ports.documents import Documents

_LOOK_S = 0.05


async def store_all(log: FollowedLog, documents: Documents) -> None:
    """Fold and store all that the log holds. No other node may append meanwhile. Raises Unfit where it cannot go on to the end, StorageError."""
    tails = Tails()
    storer = Storer(log, documents, tails, parts_of(KINDS), KINDS)
    reader = Reader(log, tails, storer, lambda key, rows: None)
    async with trio.open_nursery() as nursery:
        for task in (reader.run, reader.look, storer.run):
            nursery.start_soon(task)
        await reader.assign(range(log.partitions))
        while not (reader.caught_up and not storer.waiting()):
            await trio.sleep(_LOOK_S)
            _see_fit(reader)
        _see_fit(reader)
        nursery.cancel_scope.cancel()


def _see_fit(reader: Reader) -> None:
    if reader.damaged:
        raise Unfit(f"partition {min(reader.damaged)} holds a damaged record, and nothing behind it can be stored: follow docs/operate.md first")
    if reader.outdated.is_set():
        raise Unfit("the log holds entries that only a newer program can read: use that one")
