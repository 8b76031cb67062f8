"""What is bounded: the write-ahead log, reads, what waits, and how a batch is shared among tenants."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from storage.embedded import Bounds, EmbeddedBackend, open_embedded
from storage.embedded.database import connect
from storage.embedded.folder import FileLock, Folder
from storage.embedded.readers import Readers
from storage.embedded.waiting import Waiting
from storage.ports.documents import version
from storage.ports.errors import StorageAway, StorageError, StorageFull
from storage.ports.log import Record
from storage.turns import MOST_OF_TENANT, TURN_BYTES, append_of
from tests.contracts.data import ONE, WITHIN_S, append, entry, follow, read, record, step

KIB = 1024
SMALL = Bounds(checkpoint_from=128 * KIB, checkpoint_above=512 * KIB, wal_most=2_048 * KIB, checkpoint_every_s=0.01)


def large(tenant: str = ONE.tenant, size: int = 16 * KIB) -> Record:
    return Record(3, tenant, "c", [entry(1, body=bytes(size))])


@contextmanager
def long_reader(folder: Path) -> Iterator[None]:
    """Somebody reads and does not end: a backup, say."""
    with closing(connect(Folder(folder), read_only=True)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM log").fetchone()
        yield


async def append_until_full(backend: EmbeddedBackend) -> StorageError:
    with trio.fail_after(30):
        while True:
            for error in await append(backend.log, *[large()] * 10):
                if error is not None:
                    return error


async def test_the_write_ahead_log_begins_anew_under_load(tmp_path: Path) -> None:
    sizes: list[int] = []
    async with open_embedded(tmp_path, bounds=SMALL) as backend:
        for _ in range(200):
            with trio.fail_after(30):
                while await append(backend.log, *[large()] * 5) != [None] * 5:  # a machine that is busy with others may have to refuse some
                    await trio.sleep(0.01)
            sizes.append(Folder(tmp_path).wal_bytes())
    assert sum(after < before for before, after in pairwise(sizes)) >= 3, "it was cut back again and again"
    assert max(sizes) < SMALL.wal_most


async def test_under_a_long_reader_the_write_ahead_log_is_bounded_and_sends_are_refused(tmp_path: Path) -> None:
    async with open_embedded(tmp_path, bounds=SMALL) as backend:
        await follow(backend.log, 3)
        await append(backend.log, record(1, 2))
        rows = await read(backend.log, 2)
        with long_reader(tmp_path):
            error = await append_until_full(backend)
            assert isinstance(error, StorageFull)
            with pytest.raises(StorageFull):
                await backend.documents.put(ONE, "things", "k", {}, version(1))
            assert Folder(tmp_path).wal_bytes() < SMALL.wal_most + 1_024 * KIB
            await backend.log.store(step(rows))
            assert len(await backend.log.entries(ONE, "c", 0, 9, 9)) == 2
        with trio.fail_after(10):
            while await append(backend.log, large()) != [None]:
                await trio.sleep(0.01)


async def test_a_read_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    async with open_embedded(tmp_path):
        readers = Readers(Folder(tmp_path), most_s=0.1)
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

        async def look() -> None:
            while True:
                await trio.sleep(0.02)
                readers.look()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            with trio.fail_after(10), pytest.raises(StorageAway, match="too long"):
                await readers.read(lambda connection: connection.execute(endless).fetchone())
            assert await readers.read(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)
            nursery.cancel_scope.cancel()
        readers.close()


async def test_waiting_for_ones_turn_is_not_reading(tmp_path: Path, mock_clock: MockClock) -> None:
    async with open_embedded(tmp_path):
        readers, begun, go = Readers(Folder(tmp_path), count=1, most_s=5), [trio.Event(), trio.Event()], [threading.Event(), threading.Event()]

        token = trio.lowlevel.current_trio_token()

        def hold(number: int) -> int:
            token.run_sync_soon(begun[number].set)
            go[number].wait(WITHIN_S)
            return number

        async def read(number: int) -> None:
            def work(connection: sqlite3.Connection) -> int:
                connection.create_function("hold", 1, hold)
                return int(connection.execute("SELECT hold(?)", (number,)).fetchone()[0])

            assert await readers.read(work) == number

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, 0)
            await begun[0].wait()
            nursery.start_soon(read, 1)
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(60)
            go[0].set()
            await begun[1].wait()
            readers.look()
            go[1].set()
        readers.close()


async def test_a_held_lock_is_answered_within_the_deadline_and_nothing_is_written_later(tmp_path: Path) -> None:
    async with open_embedded(tmp_path, bounds=Bounds(away_after_s=0.3)) as backend:
        await follow(backend.log, 3)
        with closing(FileLock(Folder(tmp_path).writer_lock)) as lock, lock.held():
            (error,) = await append(backend.log, record(1))
            assert isinstance(error, StorageAway)
            with pytest.raises(StorageAway):
                await backend.documents.put(ONE, "things", "k", {}, version(1))
        assert await append(backend.log, record(2)) == [None]
        assert [row.data for row in await read(backend.log, 1)] == [entry(2)]


async def test_another_programs_write_is_waited_for(tmp_path: Path) -> None:
    async with open_embedded(tmp_path) as backend:
        with closing(sqlite3.connect(tmp_path / "caas.sqlite", isolation_level=None)) as foreign:
            foreign.execute("BEGIN IMMEDIATE")
            async with trio.open_nursery() as nursery:
                answers: list[object] = []
                backend.log.append(record(1), answers.append)
                nursery.start_soon(trio.sleep, 0.2)
            assert answers == []
            foreign.execute("ROLLBACK")
        assert await append(backend.log, record(2)) == [None]
        assert answers == [None]


def test_tenants_take_turns_of_64_kb() -> None:
    waiting = Waiting()
    for _ in range(40):
        assert waiting.put_append(append_of(large("loud"), _ignore, 0.0))
    assert waiting.put_append(append_of(large("quiet"), _ignore, 0.0))
    order = [append.record.tenant for append in waiting.take().appends]
    assert order.index("quiet") <= TURN_BYTES // (16 * KIB) + 1
    assert len(order) == 41


def test_a_loud_tenant_is_refused_before_the_others() -> None:
    waiting = Waiting()
    taken = 0
    while waiting.put_append(append_of(large("loud", 500 * KIB), _ignore, 0.0)):
        taken += 500 * KIB
    assert MOST_OF_TENANT - 1_024 * KIB < taken <= MOST_OF_TENANT
    assert waiting.put_append(append_of(large("quiet"), _ignore, 0.0))


async def test_more_than_waits_is_refused_and_said(tmp_path: Path) -> None:
    async with open_embedded(tmp_path) as backend:
        with closing(FileLock(Folder(tmp_path).writer_lock)) as lock:
            answers: list[object] = []
            with lock.held():
                for _ in range(40):
                    backend.log.append(large(size=500 * KIB), answers.append)
                with trio.fail_after(5):
                    while len(answers) < 20:
                        await trio.sleep(0.001)
                assert all(isinstance(answer, StorageAway) for answer in answers)
            with trio.fail_after(10):
                while len(answers) < 40:
                    await trio.sleep(0.001)
        assert answers.count(None) == MOST_OF_TENANT // (501 * KIB)


async def test_memory_is_bounded_when_nobody_receives(tmp_path: Path) -> None:
    async with open_embedded(tmp_path, bounds=Bounds(feed_most=256 * KIB)) as backend:
        await follow(backend.log, 3)
        answers: list[object] = []
        for _ in range(100):
            backend.log.append(large(), answers.append)
            await trio.sleep(0.002)
        assert 0 < len(answers) < 100
        await read(backend.log, 100)
        with trio.fail_after(10):
            while len(answers) < 100:
                await trio.sleep(0.001)
        assert answers == [None] * 100


def _ignore(error: StorageError | None) -> None:
    """Nobody asks."""
