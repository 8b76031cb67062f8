"""What waits for the writer: records by tenant, taken in turn, and other work in order. Bounded. Used from two threads."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from storage.embedded.transaction import Transaction
from storage.ports.errors import StorageError
from storage.turns import Append, Turns

MOST_WORKS = 10_000
BATCH_BYTES = 2 * 1024 * 1024
BATCH_WORKS = 500


class Work(NamedTuple):
    """Anything else that is written in a transaction: `run` gives the result, `done` hears of it. `grows`: refused, as appends are,
    while the write-ahead log is too large."""

    run: Callable[[Transaction], Any]
    done: Callable[[Any, StorageError | None], None]
    grows: bool
    since: float


class Batch(NamedTuple):
    """What goes into one transaction."""

    appends: list[Append]
    works: list[Work]


class Waiting:
    """All of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns = Turns()
        self._works: deque[Work] = deque()

    def __bool__(self) -> bool:
        return bool(self._turns or self._works)

    @property
    def bytes(self) -> int:
        """Of records."""
        return self._turns.bytes

    def put_append(self, append: Append) -> bool:
        """False when too much waits already, of this tenant or of all."""
        return self._turns.put(append)

    def put_work(self, work: Work) -> bool:
        """False when too much waits already."""
        with self._lock:
            if len(self._works) >= MOST_WORKS:
                return False
            self._works.append(work)
            return True

    def take(self) -> Batch:
        """The next batch: a turn of each tenant, again and again, until it is large enough."""
        with self._lock:
            works = [self._works.popleft() for _ in range(min(len(self._works), BATCH_WORKS))]
        return Batch(self._turns.take(BATCH_BYTES), works)

    def expire(self, before: float) -> Batch:
        """Take out what has waited since before this time."""
        with self._lock:
            works = []
            while self._works and self._works[0].since < before:
                works.append(self._works.popleft())
        return Batch(self._turns.expire(before), works)
