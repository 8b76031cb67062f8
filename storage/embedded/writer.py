"""The one writer of a worker: a thread that gathers what waits into transactions, and reads what other workers appended.

Each round: take the lock that all workers share, begin, read the rows that others appended to the followed partitions, insert its
own, let storing's steps ride along, commit, let the lock go, and hand everything back to trio at once: rows in the log's order,
then verdicts. Its own rows are handed on as they are, never read again. When nothing waits it looks every 100 ms whether others wrote.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import trio

from storage.embedded.bell import Bell
from storage.embedded.database import Settings, connect
from storage.embedded.errors import CONTENT, is_busy, is_sync, of_write
from storage.embedded.folder import FileLock, Folder
from storage.embedded.statements import write_rows
from storage.embedded.transaction import Transaction
from storage.embedded.waiting import Batch, Waiting
from storage.failing import Fatal
from storage.ports.errors import OutcomeUnknown, StorageError, StorageFull, Unwritable
from storage.ports.log import Row
from storage.turns import Append

LOOK_S = 0.1
CHUNK = 2_000
"""Rows of others read at once outside the lock."""
WAL_MOST = 512 * 1024 * 1024

_LOG = "INSERT INTO log (place, partition, conversation, data)"
_ENDS, _ENDS_FORWARD = "INSERT INTO ends (partition, place)", "ON CONFLICT (partition) DO UPDATE SET place = excluded.place"
_LAST = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'log'"


class Handed(NamedTuple):
    """What a round gives back to trio. `followed`, when not None, is in force from these rows on."""

    rows: Sequence[Row] = ()
    verdicts: Sequence[Callable[[], None]] = ()
    followed: frozenset[int] | None = None
    fatal: BaseException | None = None


class Switch(NamedTuple):
    """Follow exactly these; of those in `reached`, the rows up to that offset are known already."""

    followed: frozenset[int]
    reached: Mapping[int, int]
    done: Callable[[], None]


class Writer:
    """Made and closed in trio; `run` is the thread. `hand` is called in trio's thread, never concurrently."""

    def __init__(self, folder: Folder, settings: Settings, hand: Callable[[Handed], None], room: threading.Event, wal_most: int = WAL_MOST) -> None:
        self._folder, self._settings, self._hand_over, self._room = folder, settings, hand, room
        self._wal_most = wal_most
        self._token = trio.lowlevel.current_trio_token()
        self.waiting = Waiting()
        self._switches: deque[Switch] = deque()
        self._news = Bell()
        self._closing = False
        self._followed: frozenset[int] = frozenset()
        self._seen = 0
        self._version = -1
        self.ended = trio.Event()
        self.commits = 0
        self.writing = False
        """Whether a transaction is under way."""

    @property
    def busy(self) -> bool:
        """Whether the thread has, or will at once have, something to do."""
        return bool(self.writing or self.waiting or self._switches)

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="storage-writer", daemon=True).start()

    def look(self) -> None:
        """Something may wait."""
        if self.waiting:
            self._news.ring()

    def switch(self, switch: Switch) -> None:
        """Follow other partitions from the next round on."""
        self._switches.append(switch)
        self._news.ring()

    def close(self) -> None:
        """End after the transaction that is under way; `ended` says when. What waits is not written."""
        self._closing = True
        self._news.ring()
        self._room.set()

    def _run(self) -> None:
        try:
            self._live()
        except BaseException as error:  # noqa: BLE001 - the thread's life ends here: the worker is told, and ends too
            self._hand(Handed(fatal=error))
        finally:
            self._in_trio(self.ended.set)

    def _live(self) -> None:
        self._lock = FileLock(self._folder.writer_lock)
        with closing(self._lock), closing(connect(self._folder)) as connection:
            self._transaction = Transaction(connection, self._settings)
            self._seen = connection.execute(_LAST).fetchone()[0]
            self._work()

    def _work(self) -> None:
        while not self._closing:
            self._news.wait(LOOK_S)
            self._room.wait()
            while self._switches:
                self._follow(self._switches.popleft())
            if self._others_wrote():
                self._catch_up()
            while self.waiting and not self._closing:
                self._round()

    def _round(self) -> None:
        with self._lock.held():
            if self._closing:
                return
            self.writing = True
            handed = self._write(self._admitted(self.waiting.take()))
            self.writing = False
        self._hand(handed)

    def _admitted(self, batch: Batch) -> Batch:
        """Refuse what would let the write-ahead log grow beyond its bound. Storing goes on: it ends what was begun."""
        if self._folder.wal_bytes() <= self._wal_most:
            return batch
        full = StorageFull("the write-ahead log is full: a reader or a backup holds it, or the disk is too slow")
        grows = [work for work in batch.works if work.grows]
        self._hand(Handed(verdicts=_refusals(Batch(batch.appends, grows), full)))
        return Batch([], [work for work in batch.works if not work.grows])

    def _write(self, batch: Batch) -> Handed:
        """Everything of a batch in one transaction. Raises Fatal."""
        if not batch.appends and not batch.works:
            return Handed()
        transaction = self._transaction
        try:
            self._begin()
            last = transaction.connection.execute(_LAST).fetchone()[0]
            foreign = self._foreign(self._seen) if last > self._seen else []
            own = self._insert(batch.appends, last)
            results: list[Any] = []
            for work in batch.works:
                results.append(work.run(transaction))  # noqa: PERF401 - how many there are says which one failed
            transaction.commit()
        except sqlite3.Error as error:
            return Handed(verdicts=_refusals(batch, self._undo(error, batch)))
        except CONTENT as error:  # of one work: the others have their way without it
            transaction.rollback()
            culprit, others = batch.works[len(results)], [work for at, work in enumerate(batch.works) if at != len(results)]
            self._hand(Handed(verdicts=[partial(culprit.done, None, Unwritable(f"this cannot be written: {error}"))]))
            return self._write(Batch(batch.appends, others))
        self._seen, self.commits = last + sum(len(append.record.entries) for append in batch.appends), self.commits + 1
        verdicts: list[Callable[[], None]] = [partial(append.done, None) for append in batch.appends]
        verdicts += [partial(work.done, result, None) for work, result in zip(batch.works, results, strict=True)]
        return Handed([*foreign, *own], verdicts)

    def _begin(self) -> None:
        while True:
            try:
                return self._transaction.begin()
            except sqlite3.OperationalError as error:
                if not is_busy(error) or self._closing:
                    raise

    def _undo(self, error: sqlite3.Error, batch: Batch) -> StorageError:
        """Roll back, and say what those who asked are told. Raises Fatal unless there was merely no room."""
        if is_sync(error):
            self._folder.failed.touch()
        try:
            self._transaction.rollback()
            return of_write(error)
        except (sqlite3.Error, Fatal):
            self._hand(Handed(verdicts=_refusals(batch, OutcomeUnknown(f"the commit failed: {error}"))))
            raise

    def _insert(self, appends: Sequence[Append], last: int) -> list[Row]:
        """Write the records' entries behind `last`; give those of followed partitions as rows."""
        names = {(append.record.tenant, append.record.conversation) for append in appends}
        numbers = self._transaction.conversations.of(self._transaction.connection, names)
        rows: list[tuple[int, int, int, bytes]] = []
        own: list[Row] = []
        for append in appends:
            partition, tenant, conversation, entries = append.record
            number, followed = numbers[tenant, conversation], partition in self._followed
            for data in entries:
                last += 1
                rows.append((last, partition, number, data))
                if followed:
                    own.append(Row(self._settings.place(last), partition, tenant, conversation, data))
        write_rows(self._transaction.connection, _LOG, rows)
        write_rows(self._transaction.connection, _ENDS, list({row[1]: row[0] for row in rows}.items()), _ENDS_FORWARD)
        return own

    def _others_wrote(self) -> bool:
        """Whether the file changed under another connection since we looked last."""
        try:
            (version,) = self._transaction.connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
            return False
        changed, self._version = version != self._version, version
        return bool(changed)

    def _catch_up(self) -> None:
        """Read what others appended, without the lock, and hand it on."""
        connection = self._transaction.connection
        while not self._closing:
            connection.execute("BEGIN")
            try:
                rows, last = self._foreign(self._seen, CHUNK), connection.execute(_LAST).fetchone()[0]
            finally:
                connection.execute("COMMIT")
            self._seen = rows[-1].place.offset if len(rows) == CHUNK else max(self._seen, last)
            if rows:
                self._hand(Handed(rows))
            if len(rows) < CHUNK:
                return
            self._room.wait()

    def _follow(self, switch: Switch) -> None:
        """Change what is followed; the rows that others appended meanwhile to what is new come first."""
        self._catch_up()
        rows: list[Row] = []
        for partition, reached in switch.reached.items():
            rows += self._foreign(reached, partitions=[partition], upto=self._seen)
        self._followed = switch.followed
        self._hand(Handed(sorted(rows, key=lambda row: row.place), [switch.done], switch.followed))

    def _foreign(self, after: int, most: int = -1, partitions: Collection[int] | None = None, upto: int = 2**62) -> list[Row]:
        wanted = self._followed if partitions is None else partitions
        if not wanted:
            return []
        return read_rows(self._transaction, after, wanted, most, upto)

    def _hand(self, handed: Handed) -> None:
        self._in_trio(partial(self._hand_over, handed))

    def _in_trio(self, call: Callable[[], Any]) -> None:
        try:
            self._token.run_sync_soon(call)
        except trio.RunFinishedError:
            self._closing = True


def read_rows(transaction: Transaction, after: int, partitions: Collection[int], most: int, upto: int) -> list[Row]:
    """Rows of these partitions with after < offset <= upto, in order."""
    # The list of partitions is written out: they are integers, and a statement is prepared once for each list.
    select = f"""SELECT place, partition, conversation, data FROM log WHERE place > ? AND place <= ?
        AND partition IN ({', '.join(str(int(partition)) for partition in sorted(partitions))}) ORDER BY place LIMIT ?"""
    found = transaction.connection.execute(select, (after, upto, most)).fetchall()
    rows = []
    for offset, partition, conversation, data in found:
        tenant, name = transaction.conversations.name(transaction.connection, conversation)
        rows.append(Row(transaction.settings.place(offset), partition, tenant, name, data))
    return rows


def _refusals(batch: Batch, error: StorageError) -> list[Callable[[], None]]:
    return [*(partial(append.done, error) for append in batch.appends), *(partial(work.done, None, error) for work in batch.works)]
