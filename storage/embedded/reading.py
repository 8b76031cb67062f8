"""What is read of the log and the stored entries, each inside one read transaction."""

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from storage.embedded.database import Settings
from storage.embedded.indexing import decode
from storage.embedded.statements import marks
from storage.ports.entry import NOWHERE, Place
from storage.ports.log import Loaded, Row, Stored, StoredRow


class Between(NamedTuple):
    """Which stored entries of a conversation: see `entries` of the port."""

    after: int
    before: int
    limit: int
    newest: bool = False
    kinds: Sequence[str] = ()
    seqs: Sequence[int] = ()


_CONVERSATION = "(SELECT id FROM conversations WHERE tenant = ? AND name = ?)"
_COLLECTION = "(SELECT id FROM collections WHERE tenant = ? AND name = ?)"
_AT_ONCE = 250
"""Entries of one statement."""
_ENTRY = "SELECT stored.seq, stored.n, stored.place, log.data FROM stored JOIN log ON log.place = stored.place"
_AFTER = """SELECT conversations.tenant, conversations.name, followed.seq, followed.n, followed.place, log.data
    FROM followed JOIN log ON log.place = followed.place JOIN conversations ON conversations.id = log.conversation
    WHERE followed.partition = ? AND followed.place > ? AND followed.place <= ? ORDER BY followed.place LIMIT ?"""


def read_places(connection: sqlite3.Connection) -> dict[int, Place]:
    """The stored place of every partition that has one."""
    rows = connection.execute("SELECT partition, generation, offset, item FROM places").fetchall()
    return {partition: Place(*place) for partition, *place in rows}


def read_loaded(settings: Settings, tenant: str, conversation: str, partition: int, connection: sqlite3.Connection) -> Loaded:
    """What a room wakes from."""
    place = connection.execute("SELECT generation, offset, item FROM places WHERE partition = ?", (partition,)).fetchone()
    head = connection.execute(f"SELECT doc FROM documents WHERE collection = {_COLLECTION} AND key = ?", (tenant, "heads", conversation)).fetchone()
    stored = Place(*place) if place else NOWHERE
    if head is None or head[0] is None:
        return Loaded(stored, None, _parts(connection, tenant, conversation), ())
    doc = decode(head[0])
    window = read_entries(settings, tenant, conversation, Between(doc["window"] - 1, doc["seq"] + 1, -1), connection)
    return Loaded(stored, doc, _parts(connection, tenant, conversation), window)


def _parts(connection: sqlite3.Connection, tenant: str, conversation: str) -> list[dict[str, Any]]:
    select = f"SELECT doc FROM documents WHERE collection = {_COLLECTION} AND key > ? AND key < ? AND doc IS NOT NULL ORDER BY key"
    # "0" is the character behind "/": this is every key that begins with the conversation and a slash.
    rows = connection.execute(select, (tenant, "parts", f"{conversation}/", f"{conversation}0")).fetchall()
    return [decode(doc) for (doc,) in rows]


def read_entries(settings: Settings, tenant: str, conversation: str, of: Between, connection: sqlite3.Connection) -> list[StoredRow]:
    """Stored entries between two seqs, in order."""
    wanted = f"AND kind IN (SELECT id FROM kinds WHERE name IN ({marks(of.kinds)}))" if of.kinds else ""
    these = f"AND seq IN ({marks(of.seqs)})" if of.seqs else ""
    select = f"""{_ENTRY} WHERE stored.conversation = {_CONVERSATION} AND seq > ? AND seq < ? {wanted} {these}
        ORDER BY seq {'DESC' if of.newest else 'ASC'} LIMIT ?"""
    rows = connection.execute(select, (tenant, conversation, of.after, of.before, *of.kinds, *of.seqs, of.limit)).fetchall()
    found = [StoredRow(seq, n, settings.place(offset), data) for seq, n, offset, data in rows]
    return found[::-1] if of.newest else found


def read_of_each(settings: Settings, tenant: str, wanted: Sequence[tuple[str, int]],
                 connection: sqlite3.Connection) -> dict[tuple[str, int], StoredRow]:
    """The stored entries at some seqs of several conversations."""
    found: dict[tuple[str, int], StoredRow] = {}
    for begin in range(0, len(wanted), _AT_ONCE):
        some = wanted[begin : begin + _AT_ONCE]
        select = f"""WITH wanted (name, seq) AS (VALUES {", ".join(["(?, ?)"] * len(some))})
            SELECT wanted.name, stored.seq, stored.n, stored.place, log.data FROM wanted
            JOIN conversations ON conversations.tenant = ? AND conversations.name = wanted.name
            JOIN stored ON stored.conversation = conversations.id AND stored.seq = wanted.seq JOIN log ON log.place = stored.place"""
        rows = connection.execute(select, (*(value for pair in some for value in pair), tenant)).fetchall()
        found.update(((name, seq), StoredRow(seq, n, settings.place(offset), data)) for name, seq, n, offset, data in rows)
    return found


def read_by_op(settings: Settings, tenant: str, conversation: str, op: bytes, connection: sqlite3.Connection) -> StoredRow | None:
    """The stored entry of an act."""
    select = f"""{_ENTRY} WHERE stored.conversation = {_CONVERSATION} AND stored.seq =
        (SELECT seq FROM acts WHERE conversation = stored.conversation AND op = ?)"""
    row = connection.execute(select, (tenant, conversation, op)).fetchone()
    return StoredRow(row[0], row[1], settings.place(row[2]), row[3]) if row else None


def read_after(settings: Settings, partition: int, after: Place, limit: int, connection: sqlite3.Connection) -> list[Stored]:
    """Stored entries of a partition in order of place, none beyond the stored place."""
    stored = read_places(connection).get(partition, NOWHERE)
    rows = connection.execute(_AFTER, (partition, settings.offset(after), settings.offset(stored), limit)).fetchall()
    return [Stored(tenant, name, StoredRow(seq, n, settings.place(offset), data)) for tenant, name, seq, n, offset, data in rows]


def read_ends(connection: sqlite3.Connection) -> tuple[dict[int, int], int]:
    """The offset of each partition's last row, and of the log's."""
    ends = dict(connection.execute("SELECT partition, place FROM ends").fetchall())
    return ends, max(ends.values(), default=0)


def read_log(settings: Settings, after: int, partitions: Sequence[int], most: int, connection: sqlite3.Connection) -> tuple[list[Row], int, bool]:
    """Rows of these partitions beyond an offset, `most` at most; how far was looked, and whether that is the end."""
    select = f"""SELECT log.place, partition, tenant, name, data FROM log JOIN conversations ON conversations.id = log.conversation
        WHERE place > ? AND partition IN ({marks(partitions)}) ORDER BY place LIMIT ?"""
    found = connection.execute(select, (after, *partitions, most)).fetchall()
    rows = [Row(settings.place(offset), partition, tenant, name, data) for offset, partition, tenant, name, data in found]
    if len(rows) == most:
        return rows, rows[-1].place.offset, False
    (last,) = connection.execute("SELECT coalesce(max(place), 0) FROM log").fetchone()
    return rows, max(after, last), True
