"""What a write transaction has at hand: the connection, the numbers of names, and the way to write documents."""

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from storage.embedded.database import Settings
from storage.embedded.errors import CONTENT
from storage.embedded.indexing import INDEX, encode, index_rows
from storage.embedded.numbers import Numbers
from storage.embedded.statements import write_rows
from storage.ports.documents import INDEXES
from storage.ports.entry import Place
from storage.ports.errors import Unwritable
from storage.ports.log import Change

_PUT = "INSERT INTO documents (collection, key, generation, offset, item, doc)"
_FORWARD = """ON CONFLICT (collection, key) DO UPDATE SET generation = excluded.generation, offset = excluded.offset, item = excluded.item,
    doc = excluded.doc WHERE (generation, offset, item) < (excluded.generation, excluded.offset, excluded.item)"""
_HELD = "SELECT generation, offset, item, doc FROM documents WHERE collection = ? AND key = ?"
_UNINDEX = "DELETE FROM document_index WHERE collection = ? AND name = ? AND equal = ? AND ordered = ? AND key = ?"


class Packed(NamedTuple):
    """A change whose document is packed already, so that nobody can alter it on its way."""

    tenant: str
    collection: str
    key: str
    data: bytes | None
    place: Place


def pack(change: Change) -> Packed:
    """Raises Unwritable for what msgpack cannot hold."""
    try:
        data = None if change.doc is None else encode(change.doc)
    except CONTENT as error:
        raise Unwritable(f"a document cannot be kept: {error}") from error
    return Packed(change.tenant, change.collection, change.key, data, change.place)


class Transaction:
    """One writer's: used by one thread, for one transaction after the other."""

    def __init__(self, connection: sqlite3.Connection, settings: Settings) -> None:
        self.connection, self.settings = connection, settings
        self.conversations = Numbers("conversations", ("tenant", "name"))
        self.collections = Numbers("collections", ("tenant", "name"))
        self.kinds = Numbers("kinds", ("name",))

    def begin(self) -> None:
        """Begin to write; nobody else can."""
        self.connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make it durable."""
        self.connection.execute("COMMIT")
        for numbers in (self.conversations, self.collections, self.kinds):
            numbers.commit()

    def rollback(self) -> None:
        """Undo everything since `begin`."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        for numbers in (self.conversations, self.collections, self.kinds):
            numbers.rollback()

    def put(self, change: Packed) -> bool:
        """Write one document, or its end, if the stored place is earlier; say whether it was."""
        collection = self.collections.of(self.connection, [(change.tenant, change.collection)])[change.tenant, change.collection]
        held = self.connection.execute(_HELD, (collection, change.key)).fetchone()
        if held is not None and held[:3] >= tuple(change.place):
            return False
        self.connection.execute(f"{_PUT} VALUES (?, ?, ?, ?, ?, ?) {_FORWARD}", (collection, change.key, *change.place, change.data))
        if indexes := INDEXES.get(change.collection):
            before = set() if held is None else set(index_rows(indexes, collection, change.key, held[3]))
            after = set(index_rows(indexes, collection, change.key, change.data))
            for row in before - after:
                self.connection.execute(_UNINDEX, row)
            write_rows(self.connection, INDEX, list(after - before))
        return True

    def put_all(self, changes: Iterable[Packed]) -> None:
        """Write many, each only forward; those that no index looks into in few statements, sorted by key."""
        plain = []
        for change in changes:
            if change.collection in INDEXES:
                self.put(change)
            else:
                plain.append(change)
        numbers = self.collections.of(self.connection, {(change.tenant, change.collection) for change in plain})
        rows = [(numbers[change.tenant, change.collection], change.key, *change.place, change.data) for change in plain]
        rows.sort(key=lambda row: row[:5])
        write_rows(self.connection, _PUT, rows, _FORWARD)
