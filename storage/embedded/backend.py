"""A worker's view of the data folder: everything that runs for it, opened and closed together."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import trio

from storage.embedded.bus import EmbeddedBus
from storage.embedded.checkpoints import ABOVE_BYTES, EVERY_S, FROM_BYTES, Checkpoints
from storage.embedded.counters import EmbeddedCounters
from storage.embedded.database import Settings, prepare
from storage.embedded.desk import AWAY_AFTER_S, Desk
from storage.embedded.documents import EmbeddedDocuments
from storage.embedded.folder import FileLock, Folder
from storage.embedded.log import EmbeddedLog
from storage.embedded.readers import MOST_S, Readers
from storage.embedded.writer import WAL_MOST, Writer
from storage.failing import Fatal
from storage.feed import MOST_BYTES as FEED_MOST
from storage.feed import Feed
from storage.giving_way import GivingWay

LOOK_S = 0.25
CLOSE_S = 5.0
START_S = 30.0
STUCK_S = 120.0
"""A transaction that takes longer ends the worker: nobody waits for its verdict any more."""
SEEN_BY_ALL_S = 2.0
"""How long the mark of a failed fsync stays at least, so that every worker sees it."""


class Bounds(NamedTuple):
    """Of the write-ahead log and of rows not received (bytes), of reads and of what waits (seconds); smaller ones are for tests."""

    checkpoint_from: int = FROM_BYTES
    checkpoint_above: int = ABOVE_BYTES
    wal_most: int = WAL_MOST
    checkpoint_every_s: float = EVERY_S
    feed_most: int = FEED_MOST
    read_most_s: float = MOST_S
    away_after_s: float = AWAY_AFTER_S


class EmbeddedBackend:
    """The ports, and what the set-up is."""

    def __init__(self, folder: Folder, settings: Settings, bounds: Bounds, on_fatal: Callable[[Fatal], None]) -> None:
        self.settings, self._on_fatal = settings, on_fatal
        self._folder, self._feed, self._desk = folder, Feed(bounds.feed_most), Desk(bounds.away_after_s)
        self._readers = Readers(folder, most_s=bounds.read_most_s)
        self._writer = Writer(folder, settings, self._desk.hand, self._feed.room, bounds.wal_most)
        self._checkpoints = Checkpoints(folder, bounds.checkpoint_every_s, bounds.checkpoint_from, bounds.checkpoint_above)
        self._giving_way = GivingWay(lambda: self._writer.busy or self._readers.busy, self._writer.look)
        self._desk.open(self._writer, self._giving_way)
        self._readers.open(self._giving_way)
        self.log = EmbeddedLog(settings, self._desk, self._readers, self._feed)
        self.documents = EmbeddedDocuments(self._desk, self._readers)
        self.counters = EmbeddedCounters(self._desk, self._readers)
        self.bus = EmbeddedBus()

    def start(self, nursery: trio.Nursery) -> None:
        """Begin to work."""
        for work in (partial(self._desk.run, self.log.take), self.bus.run, self._giving_way.run, self._checkpoints.run, self._watch):
            nursery.start_soon(self._do, work)
        self._writer.start()

    async def close(self) -> None:
        """End the writer, with a deadline, and let the file go."""
        self._writer.close()
        with trio.move_on_after(CLOSE_S, shield=True):
            await self._writer.ended.wait()
        self._readers.close()

    async def _do(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Fatal as fatal:
            self._on_fatal(fatal)
            raise

    async def _watch(self) -> None:
        """The deadlines of others, and what other workers found out about the disk. Raises Fatal."""
        since, commits = trio.current_time(), -1
        while True:
            await trio.sleep(LOOK_S)
            self._readers.look()
            self._desk.look()
            if self._folder.failed.exists():
                raise Fatal("an fsync failed in some worker: all of them end, and begin again with what is on the disk")
            if not self._writer.writing or self._writer.commits != commits:
                since, commits = trio.current_time(), self._writer.commits
            elif trio.current_time() - since > STUCK_S:
                raise Fatal("the disk has not answered for two minutes")


@asynccontextmanager
async def open_embedded(path: Path, *, partitions: int = 64, setup: str = "", bounds: Bounds | None = None,
                        on_fatal: Callable[[Fatal], None] = lambda _: None) -> AsyncIterator[EmbeddedBackend]:
    """Open a data folder, making it if there is none; any number of workers may. `setup` is the id that a new set-up gets.

    Raises Unfit when the folder does not fit (another number of partitions, a newer program's data), TooSlowError when another
    process holds the lock. While it is open, Fatal ends it from inside: the worker must exit. `on_fatal` hears of that first, before
    anything is tidied up."""
    folder = Folder(path)
    settings = await _prepare(folder, partitions, setup)
    backend = EmbeddedBackend(folder, settings, bounds or Bounds(), on_fatal)
    async with trio.open_nursery() as nursery:
        backend.start(nursery)
        try:
            yield backend
        finally:
            await backend.close()
        nursery.cancel_scope.cancel()


async def _prepare(folder: Folder, partitions: int, setup: str) -> Settings:
    folder.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.failed.exists():
        await trio.sleep(SEEN_BY_ALL_S)
    lock = FileLock(folder.writer_lock)
    with closing(lock), trio.fail_after(START_S):
        while True:
            with lock.held_if_free() as mine:
                if mine:
                    return await trio.to_thread.run_sync(prepare, folder, partitions, setup)
            await trio.sleep(0.01)
