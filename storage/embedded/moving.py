"""A set-up in one SQLite file, to be moved from or to.

Entries that come from elsewhere get places of their own here, for a place in SQLite is one number for all partitions: they are the first rows of
a log of a new generation, each partition's in its order. Documents keep the places of their last changes, which are of an older generation and
so before every row: nothing is compared with them but what comes later. Only the places of followers are places of entries, and are given anew.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TypeVar

from storage.embedded.database import Settings, connect, migrate, read_settings
from storage.embedded.folder import Folder
from storage.embedded.indexing import keep_indexes
from storage.embedded.statements import write_rows
from storage.embedded.transaction import Packed, Transaction
from storage.failing import Unfit
from storage.ports.entry import NOWHERE, Place
from storage.ports.moving import FOLLOWERS, Document, Entry, SetUp

T = TypeVar("T")
_AT_ONCE = 1_000
_ENTRIES = """SELECT conversations.tenant, conversations.name, stored.seq, stored.n, log.partition, stored.place, kinds.name, ops.op, log.data
    FROM followed JOIN log ON log.place = followed.place JOIN conversations ON conversations.id = log.conversation
    JOIN stored ON stored.conversation = log.conversation AND stored.seq = followed.seq JOIN kinds ON kinds.id = stored.kind
    JOIN temp.ops ON ops.conversation = log.conversation AND ops.seq = stored.seq ORDER BY followed.partition, followed.place"""
_DOCUMENTS = """SELECT collections.tenant, collections.name, key, doc, generation, offset, item
    FROM documents JOIN collections ON collections.id = documents.collection"""


class EmbeddedSource:
    """The port Source. Made where no worker runs."""

    def __init__(self, path: Path) -> None:
        self._folder = Folder(path)
        if not self._folder.database.exists():
            raise Unfit(f"{path} holds no set-up")
        self._connection = connect(self._folder)
        self._settings = read_settings(self._connection)

    def setup(self) -> SetUp:
        """See the port."""
        settings = self._settings
        return SetUp(settings.partitions, settings.setup, settings.epoch, settings.generation)

    def unstored(self) -> int:
        """See the port."""
        behind = 0
        for partition, end in self._connection.execute("SELECT partition, place FROM ends").fetchall():
            stored = self._settings.offset(self.places().get(partition, NOWHERE))
            if end > stored:
                behind += self._connection.execute("SELECT count(*) FROM log WHERE partition = ? AND place > ?", (partition, stored)).fetchone()[0]
        return behind

    def places(self) -> Mapping[int, Place]:
        """See the port."""
        rows = self._connection.execute("SELECT partition, generation, offset, item FROM places").fetchall()
        return {partition: Place(*place) for partition, *place in rows}

    def entries(self) -> Iterator[Entry]:
        """See the port. Acts are kept by op, and are wanted by seq here."""
        self._connection.execute("PRAGMA temp_store=1")  # a file: it may be large
        self._connection.execute("CREATE TEMP TABLE ops (conversation INTEGER, seq INTEGER, op BLOB, PRIMARY KEY (conversation, seq)) WITHOUT ROWID")
        self._connection.execute("INSERT INTO temp.ops SELECT conversation, seq, op FROM acts")
        for tenant, name, seq, n, partition, offset, kind, op, data in self._connection.execute(_ENTRIES):
            yield Entry(tenant, name, seq, n, partition, self._settings.place(offset), kind, op, data)

    def documents(self) -> Iterator[Document]:
        """See the port."""
        for tenant, collection, key, data, *place in self._connection.execute(_DOCUMENTS):
            yield Document(tenant, collection, key, data, Place(*place))

    def leave(self, where: str) -> None:
        """See the port. The file is kept, under another name."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
        left = self._folder.database.with_name("moved.sqlite")
        number = 1
        while left.exists():
            number, left = number + 1, left.with_name(f"moved-{number + 1}.sqlite")
        self._folder.database.rename(left)

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()


class EmbeddedTarget:
    """The port Target. The file has another name until it is whole."""

    def __init__(self, path: Path) -> None:
        self._path, self._half = path, path / "moving"
        self._folder = Folder(self._half)

    def begin(self, setup: SetUp) -> None:
        """See the port. What an interrupted move has left is begun anew."""
        if Folder(self._path).database.exists():
            raise Unfit(f"{self._path} holds a set-up already: name another folder with --data")
        self._half.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in self._half.iterdir():
            left.unlink()
        self._connection = connect(self._folder)
        migrate(self._connection)
        self._write_settings(setup)
        self._settings = Settings(setup.partitions, setup.setup, setup.epoch, ((1, setup.generation + 1),))
        self._transaction = Transaction(self._connection, self._settings)
        self._connection.execute("CREATE TEMP TABLE moved (partition INTEGER, generation INTEGER, offset INTEGER, item INTEGER, place INTEGER, "
                                 "PRIMARY KEY (partition, generation, offset, item)) WITHOUT ROWID")
        self._last = 0

    def put_entries(self, entries: Iterable[Entry]) -> None:
        """See the port."""
        for some in _by(_AT_ONCE, entries):
            self._transaction.begin()
            self._write_entries(some)
            self._transaction.commit()

    def put_documents(self, documents: Iterable[Document]) -> None:
        """See the port."""
        for some in _by(_AT_ONCE, documents):
            self._transaction.begin()
            self._transaction.put_all([self._packed(document) for document in some])
            self._transaction.commit()

    def finish(self, places: Mapping[int, Place]) -> None:
        """See the port."""
        stored = Place(self._settings.generation, self._last)
        self._transaction.begin()
        write_rows(self._connection, "INSERT INTO places (partition, generation, offset, item)", [(partition, *stored) for partition in places])
        self._connection.execute("INSERT INTO ends (partition, place) SELECT partition, max(place) FROM log GROUP BY partition")
        self._transaction.commit()
        keep_indexes(self._connection)
        self._connection.execute("DROP TABLE moved")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
        self._folder.database.rename(Folder(self._path).database)
        for left in self._half.iterdir():
            left.unlink()
        self._half.rmdir()
        _sync(self._path)

    def _write_settings(self, setup: SetUp) -> None:
        rows = [("partitions", setup.partitions), ("setup", setup.setup), ("epoch", setup.epoch)]
        self._connection.executemany("INSERT INTO settings VALUES (?, ?)", rows)
        self._connection.execute("INSERT INTO generations (begins, generation) VALUES (1, ?)", (setup.generation + 1,))

    def _write_entries(self, entries: list[Entry]) -> None:
        connection, transaction = self._connection, self._transaction
        numbers = transaction.conversations.of(connection, {(entry.tenant, entry.conversation) for entry in entries})
        kinds = transaction.kinds.of(connection, {(entry.kind,) for entry in entries})
        placed = [(self._last + number, numbers[entry.tenant, entry.conversation], entry) for number, entry in enumerate(entries, 1)]
        self._last += len(entries)
        write_rows(connection, "INSERT INTO log (place, partition, conversation, data)",
                   [(place, entry.partition, conversation, entry.data) for place, conversation, entry in placed])
        write_rows(connection, "INSERT INTO stored (conversation, seq, place, n, kind)",
                   [(conversation, entry.seq, place, entry.n, kinds[entry.kind,]) for place, conversation, entry in placed])
        write_rows(connection, "INSERT INTO acts (conversation, op, seq)", [(conversation, entry.op, entry.seq) for _, conversation, entry in placed])
        write_rows(connection, "INSERT INTO followed (partition, place, seq, n)",
                   [(entry.partition, place, entry.seq, entry.n) for place, _, entry in placed])
        write_rows(connection, "INSERT INTO moved (partition, generation, offset, item, place)",
                   [(entry.partition, *entry.place, place) for place, _, entry in placed])

    def _packed(self, document: Document) -> Packed:
        place = self._place_of_follower(document) if document.collection == FOLLOWERS else document.place
        return Packed(document.tenant, document.collection, document.key, document.data, place)

    def _place_of_follower(self, document: Document) -> Place:
        """The last entry that it has passed, at its new place. It may have passed more than entries: refused ones have not come along."""
        partition = int(document.key.rpartition("/")[2])
        found = self._connection.execute("SELECT max(place) FROM moved WHERE partition = ? AND (generation, offset, item) <= (?, ?, ?)",
                                         (partition, *document.place)).fetchone()[0]
        return Place(self._settings.generation, found) if found else document.place


def _by(count: int, things: Iterable[T]) -> Iterator[list[T]]:
    left = iter(things)
    while some := list(islice(left, count)):
        yield some


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
