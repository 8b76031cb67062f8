"""Records that wait to be appended, taken from tenants in turn. Bounded. Used from two threads. The same for every backend.

While several tenants wait, each gives TURN_BYTES and then goes to the end of the line: a loud one makes itself wait, and nobody else.
"""

import threading
from collections import deque
from collections.abc import Callable

import msgspec

from storage.ports.errors import StorageError
from storage.ports.log import Record

MOST_BYTES = 64 * 1024 * 1024
MOST_OF_TENANT = 8 * 1024 * 1024
TURN_BYTES = 64 * 1024
"""What one tenant may put into a batch before the others have had their turn."""
_ENTRY_OVERHEAD = 100


class Append(msgspec.Struct, frozen=True, gc=False):
    """A record on its way. `since` is trio's time."""

    record: Record
    done: Callable[[StorageError | None], None]
    size: int
    since: float


def append_of(record: Record, done: Callable[[StorageError | None], None], since: float) -> Append:
    """A record with its size."""
    return Append(record, done, sum(map(len, record.entries)) + _ENTRY_OVERHEAD * len(record.entries), since)


class Turns:
    """All of them, by tenant."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._appends: dict[str, deque[Append]] = {}
        self._sizes: dict[str, int] = {}
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._appends)

    @property
    def bytes(self) -> int:
        """Of records."""
        return self._size

    def put(self, append: Append) -> bool:
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

    def take(self, most: int) -> list[Append]:
        """The next batch: a turn of each tenant, again and again, until it has `most` bytes or nothing is left."""
        with self._lock:
            appends: list[Append] = []
            while self._appends and most > 0:
                most -= self._turn(next(iter(self._appends)), appends)
            return appends

    def expire(self, before: float) -> list[Append]:
        """Take out what has waited since before this time."""
        with self._lock:
            late: list[Append] = []
            for tenant in list(self._appends):
                while tenant in self._appends and self._appends[tenant][0].since < before:
                    late.append(self._pop(tenant))
            return late

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
