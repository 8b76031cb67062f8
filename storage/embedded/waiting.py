"""What waits for the writer: records by tenant, taken in turn, and other work in order. Bounded. Used from two threads."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from storage.embedded.transaction import Transaction
from storage.ports.errors import StorageError
from storage.ports.log import Record

MOST_BYTES = 64 * 1024 * 1024
MOST_OF_TENANT = 8 * 1024 * 1024
MOST_WORKS = 10_000
TURN_BYTES = 64 * 1024
"""What one tenant may put into a batch before the others have had their turn."""
BATCH_BYTES = 2 * 1024 * 1024
BATCH_WORKS = 500
_ENTRY_OVERHEAD = 100


class Append(NamedTuple):
    """A record on its way. `since` is trio's time."""

    record: Record
    done: Callable[[StorageError | None], None]
    size: int
    since: float


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


def append_of(record: Record, done: Callable[[StorageError | None], None], since: float) -> Append:
    """A record with its size."""
    return Append(record, done, sum(map(len, record.entries)) + _ENTRY_OVERHEAD * len(record.entries), since)


class Waiting:
    """All of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._appends: dict[str, deque[Append]] = {}
        self._sizes: dict[str, int] = {}
        self._size = 0
        self._works: deque[Work] = deque()

    def __bool__(self) -> bool:
        return bool(self._appends or self._works)

    @property
    def bytes(self) -> int:
        """Of records."""
        return self._size

    def put_append(self, append: Append) -> bool:
        """False when too much waits already, of this tenant or of all."""
        tenant = append.record.tenant
        with self._lock:
            waiting = self._sizes.get(tenant, 0)
            if waiting and (waiting + append.size > MOST_OF_TENANT or self._size + append.size > MOST_BYTES):
                return False
            self._appends.setdefault(tenant, deque()).append(append)
            self._sizes[tenant] = waiting + append.size
            self._size += append.size
            return True

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
            appends: list[Append] = []
            left = BATCH_BYTES
            while self._appends and left > 0:
                tenant = next(iter(self._appends))
                left -= self._turn(tenant, appends)
            return Batch(appends, works)

    def expire(self, before: float) -> Batch:
        """Take out what has waited since before this time."""
        with self._lock:
            late: list[Append] = []
            for tenant in list(self._appends):
                while tenant in self._appends and self._appends[tenant][0].since < before:
                    late.append(self._pop(tenant))
            works = []
            while self._works and self._works[0].since < before:
                works.append(self._works.popleft())
            return Batch(late, works)

    def _turn(self, tenant: str, appends: list[Append]) -> int:
        taken = 0
        while tenant in self._appends and taken < TURN_BYTES:
            append = self._pop(tenant)
            appends.append(append)
            taken += append.size
        if tenant in self._appends:
            self._appends[tenant] = self._appends.pop(tenant)
        return taken

    def _pop(self, tenant: str) -> Append:
        queue = self._appends[tenant]
        append = queue.popleft()
        self._size -= append.size
        self._sizes[tenant] -= append.size
        if not queue:
            del self._appends[tenant], self._sizes[tenant]
        return append
