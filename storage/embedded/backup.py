"""Backing a set-up up while it runs, and restoring it. A backup is one file: log and documents of one moment.

Restoring makes every later place one of a new generation. Where acknowledged entries may be lost it raises the epoch too, above any that
clients may have seen, so that each of them is told (`gap`) instead of going on as if nothing had been.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from storage.embedded.database import Settings, connect_to_look, read_settings
from storage.embedded.folder import FileLock, Folder
from storage.failing import Unfit

_UNKNOWN = 2_000_000_000
"""An epoch that no counting reaches: after data that cannot be read any more."""


class State(NamedTuple):
    """How far a database file is."""

    settings: Settings
    entries: int
    """Rows of the log."""
    last: int
    """The last place of the log."""


class Restored(NamedTuple):
    """What a restore has done. `before`: how far the data was that it took the place of, if that could be read."""

    state: State
    before: State | None
    lost: bool
    """Whether acknowledged entries may be lost: the epoch has risen."""
    aside: Path | None
    """Where what was there before is now."""


def back_up(path: Path, to: Path) -> State:
    """Copy the data of a folder into one file, while workers write. Raises Unfit, sqlite3.Error, OSError; then there is no file.

    It is one read transaction, so the write-ahead log grows by what is written meanwhile: above 512 MB of it sends are refused until
    the backup has ended.
    """
    folder = Folder(path)
    if not folder.database.exists():
        raise Unfit(f"there is no data in {path}")
    if to.exists():
        raise Unfit(f"{to} exists: a backup does not replace another")
    unfinished = to.with_name(f"{to.name}.part")
    unfinished.unlink(missing_ok=True)
    try:
        with closing(connect_to_look(folder)) as source, closing(sqlite3.connect(unfinished, isolation_level=None)) as target:
            source.backup(target, pages=-1)
            target.execute("PRAGMA journal_mode=delete")
        state = examine(unfinished)
        _sync(unfinished)
        unfinished.rename(to)
        _sync(to.parent)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return state


def restore(path: Path, backup: Path) -> Restored:
    """Put a backup in the place of a folder's data. What was there is kept aside. No worker may run.

    Raises Unfit when one does, or when the backup is damaged; then nothing has changed.
    """
    examine(backup)
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Folder(path)
    with _alone(folder):
        before = _state_of(folder)
        unfinished = folder.database.with_name(f"{folder.database.name}.part")
        unfinished.unlink(missing_ok=True)
        with closing(sqlite3.connect(f"{backup.absolute().as_uri()}?mode=ro", uri=True)) as source, closing(sqlite3.connect(unfinished)) as target:
            source.backup(target)
        lost = _begin_generation(unfinished, before)
        unfinished.chmod(0o600)
        _sync(unfinished)
        aside = _set_aside(folder)
        unfinished.rename(folder.database)
        _sync(path)
        folder.failed.unlink(missing_ok=True)
    return Restored(examine(folder.database), before, lost, aside)


def examine(file: Path) -> State:
    """How far a database file is. Raises Unfit when it is damaged, or no database of ours."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            said = [row[0] for row in connection.execute("PRAGMA quick_check(5)")]
            if said != ["ok"]:
                raise Unfit(f"{file} is damaged: {'; '.join(said)}")
            return _read(connection)
    except (sqlite3.Error, KeyError, IndexError) as error:
        raise Unfit(f"{file} cannot be read as a backup: {error}") from error


def _read(connection: sqlite3.Connection) -> State:
    entries, last = connection.execute("SELECT count(*), coalesce(max(place), 0) FROM log").fetchone()
    return State(read_settings(connection), entries, last)


def _state_of(folder: Folder) -> State | None:
    """None: there is nothing, or it cannot be read."""
    with suppress(sqlite3.Error, KeyError, IndexError), closing(sqlite3.connect(folder.database, timeout=2)) as connection:
        if folder.database.stat().st_size:
            return _read(connection)
    return None


@contextmanager
def _alone(folder: Folder) -> Iterator[None]:
    """Nobody writes, nobody is about to. Raises Unfit."""
    with closing(FileLock(folder.writer_lock)) as lock, lock.held_if_free() as mine:
        if not mine:
            raise Unfit("a worker is writing: stop the server first")
        yield


def _begin_generation(file: Path, before: State | None) -> bool:
    """Places from now on are later than any before; whether entries may be lost. Where nobody knows how far the data was, they may be."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        state = _read(connection)
        lost = before is None or (before.last, before.settings.generations) != (state.last, state.settings.generations)
        generation = max(state.settings.generation, before.settings.generation if before else 0) + 1
        begins = max(state.last, before.last if before else 0) + 1
        epoch = max(state.settings.epoch, before.settings.epoch if before else _UNKNOWN) + int(lost)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO generations VALUES (?, ?)", (generation, begins))
        connection.execute("UPDATE settings SET value = ? WHERE name = 'epoch'", (epoch,))
        connection.execute("INSERT OR REPLACE INTO sqlite_sequence (rowid, name, seq) "
                           "VALUES ((SELECT rowid FROM sqlite_sequence WHERE name = 'log'), 'log', ?)", (begins - 1,))
        connection.execute("COMMIT")
    return lost


def _set_aside(folder: Folder) -> Path | None:
    """What is there, under another name; its write-ahead log goes with it, or it would be taken for the new one's."""
    number = 1
    while (aside := folder.path / f"caas.sqlite.before-{number}").exists():
        number += 1
    there = folder.database.exists()
    for suffix in ("", "-wal", "-shm"):
        if (beside := folder.path / f"caas.sqlite{suffix}").exists():
            beside.rename(folder.path / f"{aside.name}{suffix}")
    return aside if there else None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
