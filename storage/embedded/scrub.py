"""Looking at every byte that lasts: whether each entry is what was written, and each conversation whole. It only reads."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from storage.embedded.database import connect_to_look
from storage.embedded.folder import Folder
from storage.failing import Unfit
from storage.ports.entry import decode_entry
from storage.ports.errors import Damaged

Last = tuple[Any, ...] | None
Part = Callable[[sqlite3.Connection, Last, list["Spot"]], list[tuple[Any, ...]]]
"""Looks at a page of rows behind the one given, and gives their keys."""
PAGE = 5_000
"""Rows read in one transaction, so that no write-ahead log grows because of us."""


class Spot(NamedTuple):
    """Something that is not as it was written."""

    where: str
    what: str


class Scrubbed(NamedTuple):
    """What was looked at, and what is damaged."""

    entries: int
    stored: int
    documents: int
    spots: list[Spot]


def scrub(path: Path) -> Scrubbed:
    """Look at everything in a data folder; workers may be running. Raises Unfit where there is none, or none that can be opened."""
    folder = Folder(path)
    if not folder.database.exists():
        raise Unfit(f"there is no data in {path}")
    spots: list[Spot] = []
    try:
        with closing(connect_to_look(folder)) as connection:
            entries, stored, documents = (sum(_look(connection, part, spots)) for part in (_entries, _stored, _documents))
            spots += _structure(connection)
    except sqlite3.DatabaseError as error:
        spots.append(Spot("the file", f"{error}: what lies behind this could not be looked at"))
        entries = stored = documents = 0
    return Scrubbed(entries, stored, documents, spots)


def _look(connection: sqlite3.Connection, part: "Part", spots: list[Spot]) -> Iterator[int]:
    """Page after page; how many rows each had."""
    after: Last = None
    while rows := part(connection, after, spots):
        yield len(rows)
        after = rows[-1]


def _entries(connection: sqlite3.Connection, after: Last, spots: list[Spot]) -> list[tuple[Any, ...]]:
    """Every row of the log: its checksum, and that it lies with the conversation that it names."""
    rows = connection.execute("SELECT place, partition, data, tenant, name FROM log LEFT JOIN conversations ON conversations.id = conversation "
                              "WHERE place > ? ORDER BY place LIMIT ?", (after[0] if after else 0, PAGE)).fetchall()
    for place, partition, data, tenant, name in rows:
        where = f"log, place {place}, partition {partition}, {tenant}/{name}"
        try:
            entry = decode_entry(data)
            if (entry.tenant, entry.conversation) != (tenant, name):
                spots.append(Spot(where, f"it is an entry of {entry.tenant}/{entry.conversation}"))
        except (Damaged, TypeError) as error:
            spots.append(Spot(where, str(error)))
    return [(row[0],) for row in rows]


def _stored(connection: sqlite3.Connection, after: Last, spots: list[Spot]) -> list[tuple[Any, ...]]:
    """Every accepted entry: its row is there, and no seq is missing before it."""
    conversation, seq = after or (0, 0)
    rows = connection.execute(
        "SELECT stored.conversation, seq, stored.place, log.place, log.conversation FROM stored LEFT JOIN log ON log.place = stored.place "
        "WHERE (stored.conversation, seq) > (?, ?) ORDER BY stored.conversation, seq LIMIT ?", (conversation, seq, PAGE)).fetchall()
    before: tuple[Any, Any] = (conversation, seq)
    for of, number, place, found, where in rows:
        expected = number - 1 if before[0] == of else None
        if expected is not None and before[1] != expected:
            spots.append(Spot(f"conversation {of}", f"seq {number} follows {before[1]}"))
        if found is None or where != of:
            spots.append(Spot(f"conversation {of}, seq {number}", f"its row at place {place} is not there"))
        before = of, number
    return [row[:2] for row in rows]


def _documents(connection: sqlite3.Connection, after: Last, spots: list[Spot]) -> list[tuple[Any, ...]]:
    """Every document can be decoded."""
    rows = connection.execute("SELECT collection, key, doc FROM documents WHERE (collection, key) > (?, ?) ORDER BY collection, key LIMIT ?",
                              (*(after or (0, "")), PAGE)).fetchall()
    for collection, key, doc in rows:
        try:
            if doc is not None:
                msgspec.msgpack.decode(doc)
        except (msgspec.DecodeError, TypeError, UnicodeDecodeError) as error:
            spots.append(Spot(f"document {key!r} of collection {collection}", str(error)))
    return [row[:2] for row in rows]


def _structure(connection: sqlite3.Connection) -> list[Spot]:
    """What SQLite says of its own pages and indexes."""
    said = [row[0] for row in connection.execute("PRAGMA integrity_check(20)")]
    return [] if said == ["ok"] else [Spot("the file", line) for line in said]
