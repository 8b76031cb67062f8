"""The one SQLite file: connections whose settings are read back, migrations, and what a set-up is.

WAL with `synchronous=FULL`: a commit that returned is on the disk. Checkpoints are ours (`checkpoints.py`), never a writer's.
"""

import os
import sqlite3
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from storage.embedded.folder import Folder
from storage.embedded.indexing import keep_indexes
from storage.failing import Fatal, Unfit
from storage.ports.entry import Place

_PRAGMAS: dict[str, str | int] = {
    "journal_mode": "wal", "synchronous": 2, "wal_autocheckpoint": 0, "fullfsync": 1, "temp_store": 2, "secure_delete": 1, "cache_size": -16_000,
}
"""By name, as they read back. synchronous 2 is FULL, temp_store 2 is memory; erased bytes are overwritten; 16 MB of cache."""


_END = 2**62


class Settings(NamedTuple):
    """What a set-up was made as, and where its generations begin."""

    partitions: int
    setup: str
    epoch: int
    generations: tuple[tuple[int, int], ...]
    """(first offset, generation), rising."""

    @property
    def generation(self) -> int:
        """The present one."""
        return self.generations[-1][1]

    def place(self, offset: int) -> Place:
        """The place of a row."""
        return Place(self.generations[bisect_right(self.generations, offset, key=_first) - 1][1], offset)

    def offset(self, place: Place) -> int:
        """The largest offset that is not after a place: rows beyond it are later than the place."""
        end = _END
        for begins, generation in reversed(self.generations):
            if generation <= place.generation:
                return min(max(place.offset, begins - 1), end) if generation == place.generation else end
            end = begins - 1
        return end


def _first(row: tuple[int, int]) -> int:
    return row[0]


def connect(folder: Folder, *, busy_ms: int = 5_000, read_only: bool = False) -> sqlite3.Connection:
    """A connection that any one thread at a time may use. Raises Unfit when a setting does not hold."""
    connection = sqlite3.connect(folder.database, isolation_level=None, check_same_thread=False, cached_statements=256)
    connection.execute(f"PRAGMA busy_timeout={busy_ms}")
    for name, value in _PRAGMAS.items():
        connection.execute(f"PRAGMA {name}={value}")
        if (got := connection.execute(f"PRAGMA {name}").fetchone()[0]) != value:
            connection.close()
            raise Unfit(f"SQLite keeps {name} at {got!r} and not {value!r}: is {folder.path} on a local file system?")
    if read_only:
        connection.execute("PRAGMA query_only=1")
    return connection


def connect_to_look(folder: Folder) -> sqlite3.Connection:
    """A connection that cannot change anything, whatever the file is like. Raises sqlite3.Error."""
    connection = sqlite3.connect(f"{folder.database.absolute().as_uri()}?mode=ro", uri=True)
    connection.execute("PRAGMA busy_timeout=2000")
    return connection


def prepare(folder: Folder, partitions: int, setup: str) -> Settings:
    """Make the file fit to be worked with; the caller holds the writer's lock. Raises Unfit."""
    with closing(connect(folder)) as connection:
        migrate(connection)
        settings = _settle(connection, partitions, setup)
        _begin_anew(folder, connection)
        keep_indexes(connection)
    _sync_folder(folder)
    return settings


def _begin_anew(folder: Folder, connection: sqlite3.Connection) -> None:
    """Before anything is read: what a crashed or failed process left in the write-ahead log goes into the file, with its own fsync.
    Where other workers live and read, nothing crashed and it may be left; after a failed fsync it may not."""
    failed = folder.failed.exists()
    connection.execute(f"PRAGMA busy_timeout={5_000 if failed else 50}")
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if failed and busy:
        raise Fatal("after a failed fsync the write-ahead log must be written out, and another process holds it")
    folder.failed.unlink(missing_ok=True)


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the migrations that this file has not seen, each in a transaction of its own. Raises Unfit for a newer file."""
    steps = list(migrations())
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > steps[-1][0]:
        raise Unfit(f"the data is of version {version}, and this program knows up to {steps[-1][0]}: start a newer program")
    for number, text in steps:
        if number > version:
            connection.executescript(f"BEGIN IMMEDIATE;\n{text}\nPRAGMA user_version={number};\nCOMMIT;")


def migrations() -> Iterator[tuple[int, str]]:
    """(number, SQL), in order."""
    folder: Traversable = files("storage.embedded") / "migrations"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            yield int(file.name[:4]), file.read_text()


def raise_generation(folder: Folder, *, lost: bool) -> Settings:
    """After a restore, or when the log was made anew: later places are of a new generation; with `lost` (acknowledged entries are
    gone) the epoch rises too. No worker may be running."""
    with closing(connect(folder)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO generations SELECT max(generation) + 1, 1 + coalesce((SELECT max(place) FROM log), 0) FROM generations")
        connection.execute("UPDATE settings SET value = value + ? WHERE name = 'epoch'", (int(lost),))
        connection.execute("COMMIT")
        return read_settings(connection)


def partitions_of(path: Path) -> int | None:
    """How many partitions the data in a folder was made with; None where there is none yet, or it cannot be read."""
    if not Folder(path).database.exists():
        return None
    try:
        with closing(connect_to_look(Folder(path))) as connection:
            found = connection.execute("SELECT value FROM settings WHERE name = 'partitions'").fetchone()
    except sqlite3.Error:
        return None
    return int(found[0]) if found else None


def read_settings(connection: sqlite3.Connection) -> Settings:
    """What the set-up is."""
    values = dict(connection.execute("SELECT name, value FROM settings").fetchall())
    generations = connection.execute("SELECT begins, generation FROM generations ORDER BY generation").fetchall()
    return Settings(values["partitions"], values["setup"], values["epoch"], tuple(generations))


def _settle(connection: sqlite3.Connection, partitions: int, setup: str) -> Settings:
    new = [("partitions", partitions), ("setup", setup), ("epoch", 1)]
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("SELECT 1 FROM settings").fetchone() is None:
        connection.executemany("INSERT INTO settings VALUES (?, ?)", new)
        connection.execute("INSERT INTO generations VALUES (1, 1)")
    connection.execute("COMMIT")
    settings = read_settings(connection)
    if settings.partitions != partitions:
        raise Unfit(f"this data was made with {settings.partitions} partitions and can have no other number: "
                    f"configure {settings.partitions} instead of {partitions}")
    return settings


def _sync_folder(folder: Folder) -> None:
    for path in (folder.path, folder.path.parent):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
