"""Rows of the documents' indexes, and what is done when a program declares other indexes than the one before it: they are filled anew."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from storage.embedded.statements import write_rows
from storage.ports.documents import INDEXES, Document, Index

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode

INDEX = "INSERT OR IGNORE INTO document_index (collection, name, equal, ordered, key)"
Row = tuple[int, str, bytes, str | int, str]

_AT_ONCE = 1_000


def equal_bytes(values: Sequence[str | int]) -> bytes:
    """The values of an index's equal fields as one key; msgpack puts the length before each."""
    return encode(tuple(values))


def index_rows(indexes: Mapping[str, Index], collection: int, key: str, data: bytes | None) -> Iterable[Row]:
    """The rows of one document; none of one that is deleted."""
    doc: Document = {} if data is None else decode(data)
    for name, index in indexes.items():
        equal: list[Any] = [doc.get(field) for field in index.equal]
        ordered = doc.get(index.order) if index.order else key
        if data is not None and ordered is not None and None not in equal:
            yield collection, name, equal_bytes(equal), ordered, key


def keep_indexes(connection: sqlite3.Connection, declared: Mapping[str, Mapping[str, Index]] = INDEXES) -> None:
    """Fill what the documents were not written with, drop what is declared no more; all of it or nothing. The writer's lock is held."""
    known = connection.execute("SELECT value FROM settings WHERE name = 'indexes'").fetchone()
    before = set(msgspec.json.decode(known[0], type=list[str])) if known else set()
    now = {_described(collection, name, index) for collection, named in declared.items() for name, index in named.items()}
    if before == now:
        return
    connection.execute("BEGIN IMMEDIATE")
    for number, collection in connection.execute("SELECT id, name FROM collections").fetchall():
        fresh = {name: index for name, index in declared.get(collection, {}).items() if _described(collection, name, index) not in before}
        kept = declared.get(collection, {}).keys() - fresh.keys()
        _drop(connection, number, kept)
        _fill(connection, number, fresh)
    connection.execute("INSERT OR REPLACE INTO settings VALUES ('indexes', ?)", (msgspec.json.encode(sorted(now)).decode(),))
    connection.execute("COMMIT")


def _described(collection: str, name: str, index: Index) -> str:
    return msgspec.json.encode((collection, name, index.equal, index.order)).decode()


def _drop(connection: sqlite3.Connection, number: int, kept: Iterable[str]) -> None:
    for (name,) in connection.execute("SELECT DISTINCT name FROM document_index WHERE collection = ?", (number,)).fetchall():
        if name not in set(kept):
            connection.execute("DELETE FROM document_index WHERE collection = ? AND name = ?", (number, name))


def _fill(connection: sqlite3.Connection, number: int, indexes: Mapping[str, Index]) -> None:
    cursor = connection.execute("SELECT key, doc FROM documents WHERE collection = ? AND doc IS NOT NULL", (number,)) if indexes else None
    while cursor is not None and (some := cursor.fetchmany(_AT_ONCE)):
        rows = [row for key, data in some for row in index_rows(indexes, number, key, data)]
        if rows:
            write_rows(connection, INDEX, rows)
