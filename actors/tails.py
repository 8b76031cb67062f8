"""The tails: what a worker has read of its partitions and storage has not stored yet, undecoded, by conversation."""

from collections import deque
from collections.abc import Iterator

import trio

from actors.keys import Key
from storage.ports.entry import NOWHERE, Place
from storage.ports.log import Row

MOST_BYTES = 64 * 1024 * 1024
"""Of all partitions together; past it the oldest go, and rooms that need them wait for storage."""
_ROW_OVERHEAD = 200


class Tail:
    """One partition's."""

    __slots__ = ("begins", "by_key", "read", "rows", "stored", "whole_at")

    def __init__(self, stored: Place, whole_at: Place) -> None:
        self.stored = stored
        """The stored place, as last seen."""
        self.begins = stored
        """It holds every row after this place, up to `read`."""
        self.read = stored
        self.whole_at = whole_at
        """Before this place was read, others may know more of the partition than this tail."""
        self.rows: deque[Row] = deque()
        self.by_key: dict[Key, deque[Row]] = {}


class Tails:
    """Of every partition this worker follows."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._tails: dict[int, Tail] = {}
        self._bytes, self._most = 0, most_bytes
        self._awaited: trio.Event | None = None

    def __contains__(self, partition: int) -> bool:
        return partition in self._tails

    def begin(self, partition: int, stored: Place, whole_at: Place = NOWHERE) -> None:
        """Follow a partition from its stored place on."""
        self._tails[partition] = Tail(stored, whole_at)

    def expect(self, partition: int, whole_at: Place) -> None:
        """Rows up to this place are known to come: the tail is whole when they have."""
        self._tails[partition].whole_at = whole_at

    def whole(self, partition: int, stored: Place | None = None) -> bool:
        """Whether it has all that was in the log when this worker began to follow, beyond what is stored: up to `stored`, or as last seen.

        KeyError when the partition is not followed.
        """
        tail = self._tails[partition]
        return tail.whole_at <= max(tail.read, tail.stored if stored is None else stored)

    def end(self, partition: int) -> None:
        """Follow it no more."""
        tail = self._tails.pop(partition)
        self._bytes -= sum(_size(row) for row in tail.rows)
        self.told()

    def stored(self, partition: int) -> Place:
        """The stored place, as last seen; before everything when the partition is not followed."""
        tail = self._tails.get(partition)
        return tail.stored if tail else NOWHERE

    def begins(self, partition: int) -> Place:
        """The tail holds all rows after this place. KeyError when the partition is not followed."""
        return self._tails[partition].begins

    def add(self, row: Row, key: Key) -> None:
        """A row that was read, and its conversation."""
        tail = self._tails[row.partition]
        tail.read = row.place
        tail.rows.append(row)
        rows = tail.by_key.get(key)
        if rows is None:
            rows = tail.by_key[key] = deque()
        rows.append(row)
        self._bytes += len(row.data) + _ROW_OVERHEAD
        while self._bytes > self._most:
            self._drop(next(tail for tail in self._tails.values() if tail.rows))

    def told(self) -> None:
        """Rows were read, and handed on: whoever waits for some looks."""
        if self._awaited is not None:
            self._awaited.set()
            self._awaited = None

    async def reach(self, partition: int, place: Place) -> None:
        """Until everything up to a place has been read and handed on, or the partition is not followed any more. That it is stored is not
        enough: a room that is awake knows what it was handed."""
        while (tail := self._tails.get(partition)) is not None and tail.read < place:
            if self._awaited is None:
                self._awaited = trio.Event()
            await self._awaited.wait()

    def of(self, partition: int, key: Key) -> Iterator[Row]:
        """The conversation's rows that are not stored, in order."""
        tail = self._tails.get(partition)
        return iter(tail.by_key.get(key, ())) if tail else iter(())

    def settle(self, partition: int, stored: Place) -> None:
        """Storing has got this far: what it covers is dropped."""
        tail = self._tails.get(partition)
        if tail is None or stored <= tail.stored:
            return
        tail.stored = stored
        while tail.rows and tail.rows[0].place <= stored:
            self._drop(tail)
        tail.begins = max(tail.begins, min(stored, tail.read))

    def _drop(self, tail: Tail) -> None:
        row = tail.rows.popleft()
        tail.begins = row.place
        self._bytes -= _size(row)
        key = Key(row.tenant, row.conversation)
        rows = tail.by_key[key]
        rows.popleft()
        if not rows:
            del tail.by_key[key]


def _size(row: Row) -> int:
    return len(row.data) + _ROW_OVERHEAD
