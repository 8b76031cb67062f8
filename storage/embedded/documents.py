"""Documents in SQLite."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import msgspec

from storage.embedded.desk import Desk
from storage.embedded.indexing import decode, equal_bytes
from storage.embedded.readers import Readers
from storage.embedded.statements import marks, padded
from storage.embedded.transaction import Packed, Transaction, pack
from storage.ports.documents import Document, Held, declared
from storage.ports.entry import Place
from storage.ports.log import Change
from storage.ports.scope import Tenanted

T = TypeVar("T")
_COLLECTION = "(SELECT id FROM collections WHERE tenant = ? AND name = ?)"
_HELD = f"SELECT key, doc, generation, offset, item FROM documents WHERE collection = {_COLLECTION} AND doc IS NOT NULL"
_AT_ONCE = 500
"""Keys of one statement."""


@dataclass(frozen=True, slots=True)
class Get:
    """Documents by their keys; all such reads of a collection are one."""

    tenant: str
    collection: str
    keys: Sequence[str]

    @property
    def kind(self) -> tuple[str, str, str]:
        """See storage.embedded.readers.Alike."""
        return "get", self.tenant, self.collection

    def __call__(self, connection: sqlite3.Connection) -> list[Held]:
        return _get(self.tenant, self.collection, self.keys, connection)

    def read_all(self, alike: Sequence["Get"], connection: sqlite3.Connection) -> list[list[Held]]:
        """See storage.embedded.readers.Alike. Whoever asked for the same has a document of their own."""
        rows = {row[0]: row for row in _rows(self.tenant, self.collection, sorted({key for one in alike for key in one.keys}), connection)}
        return [_held([rows[key] for key in one.keys if key in rows]) for one in alike]


class EmbeddedDocuments:
    """The port Documents."""

    def __init__(self, desk: Desk, readers: Readers) -> None:
        self._desk, self._readers = desk, readers

    async def get(self, scope: Tenanted, collection: str, key: str) -> Held | None:
        """See the port."""
        return (await self.get_many(scope, collection, [key])).get(key)

    async def get_many(self, scope: Tenanted, collection: str, keys: Sequence[str]) -> dict[str, Held]:
        """See the port."""
        if not keys:
            return {}
        return {held.key: held for held in await self._readers.read(Get(scope.tenant, collection, sorted(set(keys))))}

    async def peek(self, scope: Tenanted, collection: str, keys: Sequence[str], shape: type[T]) -> dict[str, T]:
        """See the port."""
        if not keys:
            return {}
        read = msgspec.msgpack.Decoder(shape).decode
        return {key: read(doc) for key, doc, *_ in await self._readers.read(partial(_rows, scope.tenant, collection, sorted(set(keys))))}

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
        return await self._readers.read(partial(_find, scope.tenant, collection, index, equal_bytes(equal), after, limit, newest))

    async def keys(self, scope: Tenanted, collection: str, index: str, equal: Sequence[str | int], *, limit: int = 100) -> Sequence[str]:
        """See the port."""
        declared(collection, index)
        return await self._readers.read(partial(_keys, scope.tenant, collection, index, equal_bytes(equal), limit))

    async def forget(self, collections: tuple[str, ...]) -> None:
        """Take away these collections of all tenants. For rebuilding, while nobody is at work."""
        await self._desk.write(partial(_forget, collections))

    async def _change(self, change: Change) -> bool:
        return await self._desk.write(partial(_put, pack(change)), grows=True)


def look_up(connection: sqlite3.Connection, tenant: str, collection: str, key: str) -> Document | None:
    """One document, for whoever has a connection of its own."""
    found = _get(tenant, collection, [key], connection)
    return found[0].doc if found else None


def _put(change: Packed, transaction: Transaction) -> bool:
    return transaction.put(change)


def _forget(collections: Sequence[str], transaction: Transaction) -> None:
    wanted = f"collection IN (SELECT id FROM collections WHERE name IN ({marks(collections)}))"
    for table in ("document_index", "documents"):
        transaction.connection.execute(f"DELETE FROM {table} WHERE {wanted}", collections)


def _get(tenant: str, collection: str, keys: Sequence[str], connection: sqlite3.Connection) -> list[Held]:
    return _held(_rows(tenant, collection, keys, connection))


def _rows(tenant: str, collection: str, keys: Sequence[str], connection: sqlite3.Connection) -> list[Any]:
    found: list[Any] = []
    for begin in range(0, len(keys), _AT_ONCE):
        some: list[str] = padded(keys[begin : begin + _AT_ONCE], keys[begin])
        found += connection.execute(f"{_HELD} AND key IN ({marks(some)})", (tenant, collection, *some)).fetchall()
    return found


def _keys(tenant: str, collection: str, index: str, equal: bytes, limit: int, connection: sqlite3.Connection) -> list[str]:
    select = f"SELECT key FROM document_index WHERE collection = {_COLLECTION} AND name = ? AND equal = ? ORDER BY ordered, key LIMIT ?"
    return [key for (key,) in connection.execute(select, (tenant, collection, index, equal, limit)).fetchall()]


def _find(tenant: str, collection: str, index: str, equal: bytes, after: str | int | None, limit: int, newest: bool,
          connection: sqlite3.Connection) -> list[Held]:
    direction, beyond = ("DESC", "<") if newest else ("ASC", ">")
    bound = f"AND ordered {beyond} ?" if after is not None else ""
    select = f"""SELECT documents.key, doc, generation, offset, item FROM document_index AS found
        JOIN documents ON documents.collection = found.collection AND documents.key = found.key
        WHERE found.collection = {_COLLECTION} AND found.name = ? AND equal = ? {bound}
        ORDER BY ordered {direction}, found.key {direction} LIMIT ?"""
    values = (tenant, collection, index, equal, *(() if after is None else (after,)), limit)
    return _held(connection.execute(select, values).fetchall())


def _held(rows: Sequence[Any]) -> list[Held]:
    return [Held(key, decode(doc), Place(generation, offset, item)) for key, doc, generation, offset, item in rows]
