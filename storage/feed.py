"""Rows on their way from the writer to whoever receives them. Past its bound the writer waits, so memory stays bounded."""

import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence

import trio

from storage.ports.log import Row

MOST_BYTES = 64 * 1024 * 1024
MOST_AT_ONCE = 64
"""Rows: rooms have their turns as they are told of them, and others may run between two of these."""
_ROW_OVERHEAD = 300


class Feed:
    """Used in trio's thread; only `room` is looked at by the writer."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.room = threading.Event()
        """Set while there is room."""
        self.room.set()
        self._rows: deque[Row] = deque()
        self._bytes, self._most = 0, most_bytes
        self._news = trio.Event()
        self._taken = trio.Event()

    def put(self, rows: Sequence[Row]) -> None:
        """Behind all others."""
        if rows:
            self._rows.extend(rows)
            self._resize(sum(map(_size, rows)))
            self._news.set()

    async def take(self) -> list[Row]:
        """The next rows, at least one; of a record all or none. A cancelled call takes none."""
        while not self._rows:
            self._news = trio.Event()
            await self._news.wait()
        await trio.lowlevel.checkpoint_if_cancelled()
        rows = [self._rows.popleft() for _ in range(min(len(self._rows), MOST_AT_ONCE))]
        while self._rows and _one_record(rows[-1], self._rows[0]):
            rows.append(self._rows.popleft())
        self._resize(-sum(map(_size, rows)))
        return rows

    def drop(self, partitions: Collection[int]) -> None:
        """Forget what waits of these."""
        self._keep(lambda row: row.partition not in partitions)

    async def wait_room(self) -> None:
        """Until it is below its bound."""
        while not self.room.is_set():
            await self._taken.wait()

    def _keep(self, wanted: Callable[[Row], bool]) -> None:
        self._rows = deque(row for row in self._rows if wanted(row))
        self._resize(sum(map(_size, self._rows)) - self._bytes)

    def _resize(self, change: int) -> None:
        self._bytes += change
        if self._bytes > self._most:
            self.room.clear()
        elif not self.room.is_set():
            self.room.set()
            self._taken.set()
            self._taken = trio.Event()


def _size(row: Row) -> int:
    return len(row.data) + _ROW_OVERHEAD


def _one_record(row: Row, next_: Row) -> bool:
    """Whether both came at one offset."""
    return row.partition == next_.partition and row.place[:2] == next_.place[:2]
