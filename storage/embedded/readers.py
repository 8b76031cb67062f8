"""Reading: a few connections in trio's threads, behind their own limit, and no read longer than it may be.

A long read keeps the write-ahead log from beginning anew, so each is one short transaction that is ended from outside when it is late.
"""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

import trio

from storage.embedded.database import connect
from storage.embedded.errors import of_read
from storage.embedded.folder import Folder
from storage.giving_way import GivingWay

T = TypeVar("T")

COUNT = 2
MOST_S = 5.0


class Readers:
    """`look` must be called now and then: it ends what is late."""

    def __init__(self, folder: Folder, count: int = COUNT, most_s: float = MOST_S) -> None:
        self._folder, self._most_s = folder, most_s
        self._limiter = trio.CapacityLimiter(count)
        self._idle: list[sqlite3.Connection] = []
        self._busy: dict[object, sqlite3.Connection] = {}  # by read
        self._since: dict[object, float] = {}  # when each of these was first looked at
        self._closed = False
        self._giving_way: GivingWay | None = None

    def open(self, giving_way: GivingWay) -> None:
        """Have the event loop give way to reads."""
        self._giving_way = giving_way

    @property
    def busy(self) -> bool:
        """Whether a read is under way."""
        return self._limiter.borrowed_tokens > 0

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` makes of a consistent view of the file. Raises StorageAway, Damaged."""
        if self._giving_way is not None:
            self._giving_way.begin()
        return await trio.to_thread.run_sync(self._in_thread, work, limiter=self._limiter, abandon_on_cancel=True)

    def look(self) -> None:
        """End every read that has lasted too long; waiting for its turn does not count."""
        now, busy = trio.current_time(), dict(self._busy)
        self._since = {read: self._since.get(read, now) for read in busy}
        for read, connection in busy.items():
            if self._since[read] < now - self._most_s:
                connection.interrupt()

    def close(self) -> None:
        """No more reads; those under way end by themselves."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _in_thread(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._idle.pop() if self._idle else connect(self._folder, read_only=True)
        except sqlite3.Error as error:
            raise of_read(error) from error
        read = object()
        self._busy[read] = connection
        try:
            return _in_transaction(connection, work)
        except sqlite3.Error as error:
            raise of_read(error) from error
        finally:
            del self._busy[read]
            self._put_back(connection)

    def _put_back(self, connection: sqlite3.Connection) -> None:
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)


def _in_transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")
