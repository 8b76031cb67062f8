"""A replica set of three under faults, while documents and steps of storing are written: nothing acknowledged is lost, nothing goes backwards,
what is unknown may be repeated, and a primary that stands still is left behind.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from deploy.local import engines
from deploy.local.engines import Mongo
from storage.cluster.documents import ClusterDocuments
from storage.cluster.fitting import open_mongo
from storage.cluster.stored import StoredEntries
from storage.ports.documents import version
from storage.ports.entry import Place
from storage.ports.errors import OutcomeUnknown, StorageAway, StorageError
from storage.ports.log import Change, Row, Storing
from tests.contracts.data import ONE, accept, entry, head
from tests.engines.needing import needing

pytestmark = pytest.mark.real

WITHIN_S = 60.0


class Writer:
    """Stores one entry after the other, and writes one document; each again until it is acknowledged."""

    def __init__(self, kept: StoredEntries, documents: ClusterDocuments) -> None:
        self._kept, self._documents = kept, documents
        self.acknowledged = 0
        self.longest_s = 0.0
        self.unsure: list[StorageError] = []
        self._last = 0.0
        self.problem = ""

    async def run(self) -> None:
        self._last = trio.current_time()
        while True:
            await self._write(self.acknowledged + 1)
            self.acknowledged += 1
            self.longest_s = max(self.longest_s, trio.current_time() - self._last)
            self._last = trio.current_time()
            await trio.sleep(0.01)

    async def _write(self, number: int) -> None:
        place = Place(1, number)
        row = Row(place, 3, ONE.tenant, "c", entry(number))
        part = Change(ONE.tenant, "parts", "c/000000", {"upto": number}, place)
        step = Storing([accept(row, number, number)], [part] if number % 5 == 0 else [], [head(ONE, "c", number, max(1, number - 9), place)],
                       {3: place})
        while True:
            try:
                await self._kept.store(step)
                await self._documents.put(ONE, "things", "k", {"v": number}, version(number))
                return
            except StorageError as error:
                self.unsure.append(error)
                await trio.sleep(0.05)


class Watcher:
    """Reads all the time, and sees to it that nothing it is told goes backwards, or is less than was acknowledged when it asked."""

    def __init__(self, kept: StoredEntries, documents: ClusterDocuments, writer: Writer) -> None:
        self._kept, self._documents, self._writer = kept, documents, writer
        self.reads = 0

    async def run(self) -> None:
        seen = 0
        while True:
            least = self._writer.acknowledged
            try:
                loaded = await self._kept.load(ONE, "c", 3)
                held = await self._documents.get(ONE, "things", "k")
            except StorageError:
                await trio.sleep(0.05)
                continue
            seq = loaded.head["seq"] if loaded.head else 0
            assert seq >= max(least, seen), "it reads backwards"
            assert loaded.stored.offset >= least
            assert (held.doc["v"] if held else 0) >= least
            assert [row.seq for row in loaded.window] == list(range(max(1, seq - 9), seq + 1))
            assert not loaded.parts or loaded.parts[0]["upto"] >= seq // 5 * 5
            seen, self.reads = seq, self.reads + 1
            await trio.sleep(0.01)


@asynccontextmanager
async def under_load(folder: Path) -> AsyncIterator[tuple[Mongo, Writer, Watcher]]:
    with needing():
        made = engines.mongo(folder, 3)
    async with made as set_of_three, open_mongo(set_of_three.uri, "faults") as way, trio.open_nursery() as nursery:
        kept, documents = StoredEntries(way), ClusterDocuments(way)
        writer = Writer(kept, documents)
        watcher = Watcher(kept, documents, writer)
        for task in (kept.run, documents.run, writer.run, watcher.run):
            nursery.start_soon(task)
        yield set_of_three, writer, watcher
        nursery.cancel_scope.cancel()


async def going_on(writer: Writer, watcher: Watcher, by: int = 20) -> None:
    """Until so many more have been acknowledged, and read."""
    until, reads = writer.acknowledged + by, watcher.reads + by
    with trio.fail_after(WITHIN_S):
        while writer.acknowledged < until or watcher.reads < reads:
            await trio.sleep(0.02)


async def primary(of: Mongo) -> str:
    with trio.fail_after(WITHIN_S):
        while not (name := await trio.to_thread.run_sync(lambda: of.primary)):
            await trio.sleep(0.1)
    return name


async def all_there(kept: StoredEntries, writer: Writer) -> None:
    acknowledged = writer.acknowledged  # it writes on while this reads
    rows = await kept.entries(ONE, "c", 0, acknowledged + 1, acknowledged)
    assert [row.seq for row in rows] == list(range(1, acknowledged + 1))


async def test_a_killed_and_then_a_stopped_primary_lose_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with under_load(tmp_path) as (three, writer, watcher):
        await going_on(writer, watcher)
        for what in ("kill", "pause"):
            name, writer.longest_s = await primary(three), 0.0
            getattr(three, what)(name)
            await going_on(writer, watcher)
            with capsys.disabled():
                print(f"\nprimary, {what}: writes stood still for {writer.longest_s:.1f} s")
            if what == "kill":
                await three.restart(name)
            else:
                three.resume(name)
        await going_on(writer, watcher)
        await all_there(writer._kept, writer)


async def test_without_a_majority_writes_are_unsure_and_what_was_stored_can_be_read(tmp_path: Path) -> None:
    """Both secondaries stand still: the primary goes on for a moment, and then is none any more."""
    async with under_load(tmp_path) as (three, writer, watcher):
        await going_on(writer, watcher)
        first = await primary(three)
        others = [name for name in three.members if name != first]
        for name in others:
            three.pause(name)
        before = len(writer.unsure)
        with trio.fail_after(WITHIN_S):
            while len(writer.unsure) < before + 3:
                await trio.sleep(0.05)
        for name in others:
            three.resume(name)
        await going_on(writer, watcher)
        await all_there(writer._kept, writer)
        assert {type(error) for error in writer.unsure} <= {OutcomeUnknown, StorageAway}
