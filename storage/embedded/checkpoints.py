"""Checkpoints: moving the write-ahead log into the file, beside the writers and not in their way.

PASSIVE, outside the lock, does nearly all of it. But under load somebody always reads or writes, and the log would never begin anew
(1.9 GB after 60,000 messages in a trial): above its bound, once more PASSIVE, and then with the lock held TRUNCATE, which waits for
readers 50 ms at most, else it is tried again later.
"""

import logging
import sqlite3
from contextlib import closing

import trio

from storage.embedded.database import connect
from storage.embedded.errors import is_busy, is_full, is_sync
from storage.embedded.folder import FileLock, Folder
from storage.failing import Fatal

_log = logging.getLogger("storage.embedded")

EVERY_S = 0.5
FROM_BYTES = 16 * 1024 * 1024
ABOVE_BYTES = 64 * 1024 * 1024
READERS_MS = 50


class Checkpoints:
    """A task of each worker; one of them at a time does the work."""

    def __init__(self, folder: Folder, every_s: float = EVERY_S, from_bytes: int = FROM_BYTES, above_bytes: int = ABOVE_BYTES) -> None:
        self._folder, self._every_s = folder, every_s
        self._from, self._above = from_bytes, above_bytes
        self._limiter = trio.CapacityLimiter(1)
        self.truncated = 0

    async def run(self) -> None:
        """For as long as the worker lives. Raises Fatal."""
        while True:
            await trio.sleep(self._every_s)
            if self._folder.wal_bytes() > self._from:
                await trio.to_thread.run_sync(self.once, limiter=self._limiter, abandon_on_cancel=True)

    def once(self) -> None:
        """One checkpoint, unless another worker is at it. Raises Fatal."""
        lock = FileLock(self._folder.checkpoint_lock)
        with closing(lock), lock.held_if_free() as mine:
            if not mine:
                return
            try:
                self._checkpoint()
            except sqlite3.Error as error:
                self._judge(error)

    def _checkpoint(self) -> None:
        with closing(connect(self._folder, busy_ms=READERS_MS)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if self._folder.wal_bytes() > self._above:
                self._truncate(connection)

    def _truncate(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        writer = FileLock(self._folder.writer_lock)
        with closing(writer), writer.held():
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self.truncated += not busy

    def _judge(self, error: sqlite3.Error) -> None:
        if is_sync(error):
            self._folder.failed.touch()
        if not is_full(error) and not is_busy(error):
            raise Fatal(f"the write-ahead log cannot be written out: {error}") from error
        _log.warning("the write-ahead log cannot be written out now: %s", error)
