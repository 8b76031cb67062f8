"""What storing has written, in MongoDB: the half of the ports Log and Following that is not the log itself."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from bson.binary import Binary
from pymongo import ASCENDING, DESCENDING
from pymongo.client_session import ClientSession
from pymongo.database import Database

from storage.cluster.gathering import Gathering
from storage.cluster.loading import Asked, load_many
from storage.cluster.mongo import STORE_S, Mongo
from storage.cluster.shapes import ENTRIES, FOLLOWED, PLACES, Doc, at, entry_id, place_of, stored_row
from storage.cluster.steps import prepare_step, write_step
from storage.cluster.transactions import Transactions
from storage.ports.entry import Place
from storage.ports.log import Loaded, Stored, StoredRow, Storing
from storage.ports.scope import Tenanted

_LOADS = 16
"""Rooms that wake by one trip."""
_AT_ONCE = 500
"""Entries of one read by name."""


class StoredEntries:
    """`run` must be running."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo, self._transactions = mongo, Transactions()
        self._loads: Gathering[Asked, Loaded] = Gathering(self._load_many, most=_LOADS)
        self.run = self._loads.run

    async def stored_places(self) -> dict[int, Place]:
        """See the port."""
        return await self._mongo.read(read_places)

    async def store(self, step: Storing) -> None:
        """See the port."""
        await self._mongo.write(partial(write_step, prepare_step(step), self._transactions), STORE_S)

    async def load(self, scope: Tenanted, conversation: str, partition: int) -> Loaded:
        """See the port."""
        return await self._loads.ask(Asked(scope.tenant, conversation, partition))

    async def entries(self, scope: Tenanted, conversation: str, after: int, before: int, limit: int, *,
                      newest: bool = False, kinds: Sequence[str] = (), seqs: Sequence[int] = ()) -> Sequence[StoredRow]:
        """See the port."""
        wanted: Doc = {"_id": {"$gt": entry_id(scope.tenant, conversation, after), "$lt": entry_id(scope.tenant, conversation, before)}}
        if seqs:
            wanted = {"_id": {"$in": [entry_id(scope.tenant, conversation, seq) for seq in sorted(set(seqs)) if after < seq < before]}}
        if kinds:
            wanted["k"] = {"$in": list(kinds)}
        rows = await self._mongo.read(partial(_rows, wanted, limit, newest)) if limit > 0 else []
        return rows[::-1] if newest else rows

    async def of_each(self, scope: Tenanted, wanted: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], StoredRow]:
        """See the port."""
        ids = [entry_id(scope.tenant, name, seq) for name, seq in wanted]
        return await self._mongo.read(partial(_of_each, ids)) if ids else {}

    async def find(self, scope: Tenanted, conversation: str, ops: Collection[bytes]) -> Mapping[bytes, StoredRow]:
        """See the port."""
        wanted = {"_id.t": scope.tenant, "_id.c": conversation, "op": {"$in": [Binary(op) for op in ops]}}
        return await self._mongo.read(partial(_by_op, wanted)) if ops else {}

    async def stored_after(self, partition: int, after: Place, limit: int) -> Sequence[Stored]:
        """See the port."""
        return await self._mongo.read(partial(_after, partition, after, limit))

    async def _load_many(self, asked: Sequence[Asked]) -> Sequence[Loaded]:
        return await self._mongo.read(partial(load_many, asked))


def read_places(database: Database[Doc], session: ClientSession) -> dict[int, Place]:
    """The stored place of every partition that has one."""
    return {kept["_id"]: place_of(kept) for kept in database[PLACES].find(session=session)}


def _by_op(wanted: Mapping[str, Any], database: Database[Doc], session: ClientSession) -> dict[bytes, StoredRow]:
    return {bytes(kept["op"]): stored_row(kept) for kept in database[ENTRIES].find(wanted, session=session)}


def _rows(wanted: Mapping[str, Any], limit: int, newest: bool, database: Database[Doc], session: ClientSession) -> list[StoredRow]:
    found = database[ENTRIES].find(wanted, session=session).sort("_id", DESCENDING if newest else ASCENDING).limit(limit)
    return [stored_row(kept) for kept in found]


def _of_each(ids: Sequence[Doc], database: Database[Doc], session: ClientSession) -> dict[tuple[str, int], StoredRow]:
    found: dict[tuple[str, int], StoredRow] = {}
    for begin in range(0, len(ids), _AT_ONCE):
        for kept in database[ENTRIES].find({"_id": {"$in": list(ids[begin : begin + _AT_ONCE])}}, session=session):
            found[kept["_id"]["c"], kept["_id"]["s"]] = stored_row(kept)
    return found


def _after(partition: int, after: Place, limit: int, database: Database[Doc], session: ClientSession) -> list[Stored]:
    """The place first: what it covers was written before it."""
    place = database[PLACES].find_one({"_id": partition}, session=session)
    if place is None or limit <= 0:
        return []
    wanted = {"p": partition, "at": {"$gt": at(after), "$lte": place["at"]}}
    found = database[ENTRIES].find(wanted, session=session).sort(FOLLOWED).limit(limit).hint(FOLLOWED)
    return [Stored(kept["_id"]["t"], kept["_id"]["c"], stored_row(kept)) for kept in found]
