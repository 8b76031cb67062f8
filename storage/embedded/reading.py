"""What is read of the log and the stored entries, each inside one read transaction."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from storage.embedded.database import Settings
from storage.embedded.indexing import decode
from storage.embedded.statements import marks, padded
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


@dataclass(frozen=True, slots=True)
class Load:
    """What a room wakes from; all rooms of a tenant that wake together are read in one go."""

    settings: Settings
    tenant: str
    conversation: str
    partition: int

    @property
    def kind(self) -> tuple[str, str]:
        """See storage.embedded.readers.Alike."""
        return "load", self.tenant

    def __call__(self, connection: sqlite3.Connection) -> Loaded:
        return self.read_all([self], connection)[0]

    def read_all(self, alike: Sequence["Load"], connection: sqlite3.Connection) -> list[Loaded]:
        """See storage.embedded.readers.Alike."""
        names = sorted({one.conversation for one in alike})
        places = _places(connection, sorted({one.partition for one in alike}))
        heads = {name: decode(doc) for name, doc in _heads(connection, self.tenant, padded(names, names[0]))}
        parts = _parts(connection, self.tenant, padded(names, None))
        windows = _windows(self.settings, connection, self.tenant, {name: (head["window"], head["seq"]) for name, head in heads.items()})
        return [Loaded(places.get(one.partition, NOWHERE), heads.get(one.conversation), parts.get(one.conversation, ()),
                       windows.get(one.conversation, ())) for one in alike]


def _places(connection: sqlite3.Connection, partitions: Sequence[int]) -> dict[int, Place]:
    wanted = padded(partitions, partitions[0])
    select = f"SELECT partition, generation, offset, item FROM places WHERE partition IN ({marks(wanted)})"
    return {partition: Place(*place) for partition, *place in connection.execute(select, wanted).fetchall()}


def _heads(connection: sqlite3.Connection, tenant: str, names: Sequence[str]) -> list[tuple[str, bytes]]:
    select = f"SELECT key, doc FROM documents WHERE collection = {_COLLECTION} AND key IN ({marks(names)}) AND doc IS NOT NULL"
    return connection.execute(select, (tenant, "heads", *names)).fetchall()


def _parts(connection: sqlite3.Connection, tenant: str, names: Sequence[str | None]) -> dict[str, list[dict[str, Any]]]:
    """By conversation, in order of key."""
    select = f"""WITH wanted (name) AS (VALUES {", ".join(["(?)"] * len(names))}) SELECT wanted.name, documents.doc FROM wanted
        CROSS JOIN documents ON documents.collection = {_COLLECTION} AND documents.key > wanted.name || '/' AND documents.key < wanted.name || '0'
        AND documents.doc IS NOT NULL ORDER BY documents.key"""
    # "0" is the character behind "/": this is every key that begins with the conversation and a slash.
    found: dict[str, list[dict[str, Any]]] = {}
    for name, doc in connection.execute(select, (*names, tenant, "parts")).fetchall():
        found.setdefault(name, []).append(decode(doc))
    return found


def _windows(settings: Settings, connection: sqlite3.Connection, tenant: str, of: Mapping[str, tuple[int, int]]) -> dict[str, list[StoredRow]]:
    """The stored entries from one seq to another, by conversation, in order."""
    found: dict[str, list[StoredRow]] = {}
    if of:
        wanted = padded([(name, first, last) for name, (first, last) in of.items()], (None, 0, 0))
        select = f"""WITH wanted (name, first, last) AS (VALUES {", ".join(["(?, ?, ?)"] * len(wanted))})
            SELECT wanted.name, stored.seq, stored.n, stored.place, log.data FROM wanted
            CROSS JOIN conversations ON conversations.tenant = ? AND conversations.name = wanted.name
            CROSS JOIN stored ON stored.conversation = conversations.id AND stored.seq BETWEEN wanted.first AND wanted.last
            CROSS JOIN log ON log.place = stored.place ORDER BY stored.seq"""
        for name, seq, n, offset, data in connection.execute(select, (*chain.from_iterable(wanted), tenant)).fetchall():
            found.setdefault(name, []).append(StoredRow(seq, n, settings.place(offset), data))
    return found


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


def read_by_op(settings: Settings, tenant: str, conversation: str, ops: Sequence[bytes], connection: sqlite3.Connection) -> dict[bytes, StoredRow]:
    """The stored entries of acts."""
    wanted = padded(ops, ops[0])
    # From the act to the entry: a subquery that names `stored` would be asked for each entry of the conversation.
    select = f"""SELECT acts.op, stored.seq, stored.n, stored.place, log.data FROM acts
        JOIN stored ON stored.conversation = acts.conversation AND stored.seq = acts.seq JOIN log ON log.place = stored.place
        WHERE acts.conversation = {_CONVERSATION} AND acts.op IN ({marks(wanted)})"""
    rows = connection.execute(select, (tenant, conversation, *wanted)).fetchall()
    return {op: StoredRow(seq, n, settings.place(offset), data) for op, seq, n, offset, data in rows}


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
