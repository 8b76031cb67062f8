"""What SQLite's errors mean here."""

import sqlite3

from storage.failing import Fatal
from storage.ports.errors import Damaged, StorageAway, StorageError, StorageFull

_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
"""A full disk; the second when the shared index of the write-ahead log cannot grow."""
_SYNC = frozenset({sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC})


CONTENT = (TypeError, ValueError, OverflowError)
"""What Python and msgpack say of a value that cannot be written: half a surrogate pair, an integer of 2**64."""


def is_full(error: sqlite3.Error) -> bool:
    """Whether there is no room, and nothing else is the matter."""
    return _code(error) in _FULL


def is_sync(error: sqlite3.Error) -> bool:
    """Whether an fsync failed: nobody knows what of the last writes will be read after a crash."""
    return _code(error) in _SYNC


def is_busy(error: sqlite3.Error) -> bool:
    """Whether somebody else was in the way for a moment."""
    return _code(error) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def of_read(error: sqlite3.Error) -> StorageError:
    """What a reader is told."""
    code = _code(error) & 0xFF
    if code == sqlite3.SQLITE_INTERRUPT:
        return StorageAway("the read took too long and was ended")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Damaged(f"the database file is damaged: {error}")
    return StorageAway(f"the database cannot be read: {error}")


def of_write(error: sqlite3.Error) -> StorageFull:
    """What a writer is told when the transaction was rolled back for want of room. Raises Fatal for anything else."""
    if is_full(error):
        return StorageFull("the disk is full")
    raise Fatal(f"the database cannot be written: {error} ({getattr(error, 'sqlite_errorname', '?')})") from error


def _code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0))
