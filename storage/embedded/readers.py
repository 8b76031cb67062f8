"""Reading: a few connections in trio's threads, and no read longer than it may be.

Reads gather: what is asked for while a thread is on its way, or busy, is read together by the next one, inside one transaction that begins
after all of it was asked. So a storm of connections is not a thread for each, and who has seen a write commit reads what it wrote.
A long read keeps the write-ahead log from beginning anew, so each transaction is short, and a read is ended from outside when it is late.
"""

import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol, TypeVar, cast

import trio
from outcome import Error, Outcome, Value

from storage.embedded.database import connect
from storage.embedded.errors import of_read
from storage.embedded.folder import Folder
from storage.giving_way import GivingWay
from storage.ports.errors import StorageError

T = TypeVar("T")

COUNT = 2
MOST_S = 5.0
AT_ONCE = 200
"""Reads of one transaction."""
SLICE_S = 0.02
"""A transaction that has lasted so long begins no further read: they are left to another."""


class Alike(Protocol):
    """A read that is made in one go with all of its kind: a statement costs more than what it looks up."""

    @property
    def kind(self) -> Hashable: ...

    def read_all(self, alike: Sequence[Any], connection: sqlite3.Connection) -> Sequence[Any]:
        """What each of these reads gives, itself among them, in order."""
        ...


class Asked:
    """One read, and who waits for it."""

    __slots__ = ("_task", "outcome", "work")

    def __init__(self, work: Callable[[sqlite3.Connection], Any], task: trio.lowlevel.Task) -> None:
        self.work, self.outcome = work, cast(Outcome[Any] | None, None)
        self._task: trio.lowlevel.Task | None = task

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits any more."""
        return self._task is None

    def settle(self) -> None:
        """Hand over what was read."""
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task, self.outcome or Value(None))

    def abandon(self, _: object) -> trio.lowlevel.Abort:
        """Whoever waited was cancelled."""
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


class Readers:
    """`look` must be called now and then: it ends what is late."""

    def __init__(self, folder: Folder, count: int = COUNT, most_s: float = MOST_S) -> None:
        self._folder, self._most_s, self._count = folder, most_s, count
        self._asked: deque[Asked] = deque()  # one for each task that waits: that is its bound
        self._gathering = False
        self._at_work = 0  # threads on their way or busy
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
        return self._at_work > 0

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` makes of a consistent view of the file. Raises StorageAway, Damaged."""
        await trio.lowlevel.checkpoint_if_cancelled()
        asked = Asked(work, trio.lowlevel.current_task())
        self._asked.append(asked)
        if not self._gathering:  # all that is asked for in one turn of the event loop goes together
            self._gathering = True
            trio.lowlevel.current_trio_token().run_sync_soon(self._gathered)
        return cast(T, await trio.lowlevel.wait_task_rescheduled(asked.abandon))

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

    def _gathered(self) -> None:
        self._gathering = False
        self._send_thread()

    def _send_thread(self) -> None:
        if self._at_work >= self._count or not self._asked:
            return
        self._at_work += 1
        if self._giving_way is not None:
            self._giving_way.begin()
        token, now, batch = trio.lowlevel.current_trio_token(), trio.lowlevel.current_clock().current_time, list[Asked]()

        def came(ended: Outcome[None]) -> None:
            try:
                token.run_sync_soon(self._came, batch, ended)
            except trio.RunFinishedError:
                return  # nobody is left to be told

        trio.lowlevel.start_thread_soon(lambda: self._in_thread(batch, now), came, "reads")

    def _came(self, batch: list[Asked], ended: Outcome[None]) -> None:
        """In trio's thread: everybody is told, and what was asked meanwhile is begun."""
        self._at_work -= 1
        for asked in batch:
            if asked.outcome is None and isinstance(ended, Error):
                asked.outcome = ended
            asked.settle()
        self._send_thread()

    def _in_thread(self, batch: list[Asked], now: Callable[[], float]) -> None:
        """Take what waits by now, into `batch`, and read it."""
        connection = None
        with contextlib.suppress(IndexError):  # nothing waits any more
            while len(batch) < AT_ONCE:
                batch.append(self._asked.popleft())
        if not batch:
            return
        try:
            connection = self._connection()
            self._read_all(connection, batch, now)
        except sqlite3.Error as error:
            raise of_read(error) from error
        finally:
            if connection is not None:
                self._put_back(connection)

    def _connection(self) -> sqlite3.Connection:
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        return connect(self._folder, read_only=True)

    def _read_all(self, connection: sqlite3.Connection, batch: list[Asked], now: Callable[[], float]) -> None:
        connection.execute("BEGIN")
        until = now() + SLICE_S
        try:
            for nth, alike in enumerate(_by_kind(batch)):
                if nth and now() > until:
                    self._asked.extendleft(reversed(alike))
                    for asked in alike:
                        batch.remove(asked)
                elif len(alike) == 1 or not self._read_alike(connection, alike):
                    for asked in alike:
                        asked.outcome = self._read_one(connection, asked)
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")

    def _read_alike(self, connection: sqlite3.Connection, alike: list[Asked]) -> bool:
        """All in one go; False when that failed, and each is to be read by itself, so that one does not fail the others."""
        self._busy[alike[0]] = connection
        try:
            found = alike[0].work.read_all([asked.work for asked in alike], connection)  # type: ignore[attr-defined]
        except Exception:  # noqa: BLE001 - it comes again with the read whose it is
            return False
        finally:
            del self._busy[alike[0]]
        for asked, value in zip(alike, found, strict=True):
            asked.outcome = Value(value)
        return True

    def _read_one(self, connection: sqlite3.Connection, asked: Asked) -> Outcome[Any]:
        self._busy[asked] = connection
        try:
            return Value(asked.work(connection))
        except sqlite3.Error as error:
            return _failed(of_read(error), error)
        except Exception as error:  # noqa: BLE001 - whoever asked is told, the others' reads go on
            return Error(error)
        finally:
            del self._busy[asked]

    def _put_back(self, connection: sqlite3.Connection) -> None:
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)


def _failed(told: StorageError, error: sqlite3.Error) -> Outcome[Any]:
    told.__cause__ = error
    return Error(told)


def _by_kind(batch: Sequence[Asked]) -> list[list[Asked]]:
    """Those that somebody still waits for; what is read in one go is together."""
    groups: dict[Hashable, list[Asked]] = {}
    for asked in batch:
        if not asked.abandoned:
            groups.setdefault(getattr(asked.work, "kind", asked), []).append(asked)
    return list(groups.values())
