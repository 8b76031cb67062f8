"""Documents in MongoDB."""

from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import msgspec
from pymongo import ASCENDING, DESCENDING, ReplaceOne
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from storage.cluster.gathering import Gathering
from storage.cluster.mongo import Mongo
from storage.cluster.mongo_errors import DUPLICATE, of_write
from storage.cluster.shapes import Doc, document_id, documents, equal_bytes, held, index_name, kept_document
from storage.ports.documents import Document, Held, declared
from storage.ports.entry import Place
from storage.ports.errors import OutcomeUnknown, StorageError
from storage.ports.log import Change
from storage.ports.scope import Tenanted

T = TypeVar("T")
Put = tuple[str, Doc]
"""A collection's name in MongoDB, and a document as it is kept."""

_AT_ONCE = 500
"""Keys of one read."""
_FORGET_S = 600.0
_PUTS = 256
"""Documents of one trip."""


class ClusterDocuments:
    """The port Documents. `run` must be running."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._puts: Gathering[Put, bool] = Gathering(self._put_many, most=_PUTS)
        self.run = self._puts.run

    async def get(self, scope: Tenanted, collection: str, key: str) -> Held | None:
        """See the port."""
        return (await self.get_many(scope, collection, [key])).get(key)

    async def get_many(self, scope: Tenanted, collection: str, keys: Sequence[str]) -> dict[str, Held]:
        """See the port."""
        found = await self._read(scope, collection, keys)
        return {(one := held(kept)).key: one for kept in found}

    async def peek(self, scope: Tenanted, collection: str, keys: Sequence[str], shape: type[T]) -> dict[str, T]:
        """See the port."""
        read = msgspec.msgpack.Decoder(shape).decode
        return {kept["_id"]["k"]: read(kept["d"]) for kept in await self._read(scope, collection, keys)}

    async def put(self, scope: Tenanted, collection: str, key: str, doc: Document, place: Place) -> bool:
        """See the port."""
        return await self._change(Change(scope.tenant, collection, key, doc, place))

    async def delete(self, scope: Tenanted, collection: str, key: str, place: Place) -> bool:
        """See the port."""
        return await self._change(Change(scope.tenant, collection, key, None, place))

    async def find(self, scope: Tenanted, collection: str, index: str, equal: Sequence[str | int], *, after: str | int | None = None,
                   limit: int = 100, newest: bool = False) -> Sequence[Held]:
        """See the port."""
        declared(collection, index)
        found = await self._mongo.read(partial(_find, scope.tenant, collection, index, equal, after, limit, newest, {"x": 0}))
        return [held(kept) for kept in found]

    async def keys(self, scope: Tenanted, collection: str, index: str, equal: Sequence[str | int], *, limit: int = 100) -> Sequence[str]:
        """See the port."""
        declared(collection, index)
        found = await self._mongo.read(partial(_find, scope.tenant, collection, index, equal, None, limit, False, {"_id": 1}))
        return [kept["_id"]["k"] for kept in found]

    async def forget(self, collections: tuple[str, ...]) -> None:
        """Take away these collections of all tenants. For rebuilding, while nobody is at work."""
        for collection in collections:
            await self._mongo.write(partial(_forget, collection), _FORGET_S)

    async def _read(self, scope: Tenanted, collection: str, keys: Sequence[str]) -> list[Doc]:
        return await self._mongo.read(partial(read_documents, scope.tenant, collection, sorted(set(keys)))) if keys else []

    async def _change(self, change: Change) -> bool:
        return await self._puts.ask((documents(change.collection), kept_document(change)))

    async def _put_many(self, puts: Sequence[Put]) -> Sequence[bool | StorageError]:
        return await self._mongo.write(partial(put_each, puts))


def _forget(collection: str, database: Database[Doc], session: ClientSession) -> None:
    database[documents(collection)].delete_many({}, session=session)


def read_documents(tenant: str, collection: str, keys: Sequence[str], database: Database[Doc], session: ClientSession) -> list[Doc]:
    """Those of the documents that exist."""
    found: list[Doc] = []
    for begin in range(0, len(keys), _AT_ONCE):
        ids = [document_id(tenant, key) for key in keys[begin : begin + _AT_ONCE]]
        found += database[documents(collection)].find({"_id": {"$in": ids}, "d": {"$ne": None}}, {"x": 0}, session=session)
    return found


def _find(tenant: str, collection: str, index: str, equal: Sequence[str | int], after: str | int | None, limit: int, newest: bool,
          projection: Doc, database: Database[Doc], session: ClientSession) -> list[Doc]:
    if limit <= 0:
        return []
    wanted: Doc = {"_id.t": tenant, f"x.{index}.e": equal_bytes(equal)}
    if after is not None:
        wanted[f"x.{index}.o"] = {"$lt" if newest else "$gt": after}
    direction = DESCENDING if newest else ASCENDING
    found = database[documents(collection)].find(wanted, projection, session=session)
    found.sort([(f"x.{index}.o", direction), ("_id.k", direction)]).limit(limit).hint(index_name(index, declared(collection, index)))
    return list(found)


def put_each(puts: Sequence[Put], database: Database[Doc], session: ClientSession) -> list[bool | StorageError]:
    """Write each document if what is stored is earlier (or nothing is); of each, whether it was written. Two for one key follow each other."""
    answers: list[bool | StorageError] = [False] * len(puts)
    left = list(enumerate(puts))
    while left:
        turn: dict[tuple[str, str, str], tuple[int, Put]] = {}
        for number, put in left:
            turn.setdefault((put[0], put[1]["_id"]["t"], put[1]["_id"]["k"]), (number, put))
        taken = list(turn.values())
        for name in dict.fromkeys(put[0] for _, put in taken):
            ours = [(number, put[1]) for number, put in taken if put[0] == name]
            for (number, _), answer in zip(ours, _put_bulk(database, name, [kept for _, kept in ours], session), strict=True):
                answers[number] = answer
        done = {number for number, _ in taken}
        left = [(number, put) for number, put in left if number not in done]
    return answers


def _put_bulk(database: Database[Doc], name: str, kept: Sequence[Doc], session: ClientSession) -> list[bool | StorageError]:
    answers: list[bool | StorageError] = [True] * len(kept)
    try:
        database[name].bulk_write([forward(each) for each in kept], ordered=False, session=session)
    except BulkWriteError as error:
        if error.details["writeConcernErrors"]:
            answers = [OutcomeUnknown("MongoDB's majority has not said that it wrote this") for _ in kept]
        for failed in error.details["writeErrors"]:
            number = failed["index"]
            answers[number] = (_put_again(database, name, kept[number], session) if failed["code"] == DUPLICATE
                               else of_write(BulkWriteError({"writeErrors": [failed], "writeConcernErrors": []})))
    return answers


def _put_again(database: Database[Doc], name: str, kept: Doc, session: ClientSession) -> bool:
    """There is one: it is later, or it came between our look and our write, and is earlier. Documents are never removed, so this look decides."""
    done = database[name].replace_one({"_id": kept["_id"], "at": {"$lt": kept["at"]}}, kept, session=session)
    return done.matched_count == 1


def forward(kept: Doc) -> ReplaceOne[Doc]:
    """Write it if what is stored is earlier, or nothing is. A duplicate key means that it is not."""
    return ReplaceOne({"_id": kept["_id"], "at": {"$lt": kept["at"]}}, kept, upsert=True)


def put_forward(name: str, kept: Sequence[Doc], database: Database[Doc], session: ClientSession) -> None:
    """Write many of a step of storing, each key once, only forward. Raises what went wrong with the first."""
    for answer in _put_bulk(database, name, kept, session):
        if isinstance(answer, StorageError):
            raise answer
