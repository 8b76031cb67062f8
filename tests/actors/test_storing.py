"""Storing, rule by rule: how it gathers, when it holds senders back, and that nothing keeps it from going on. On a virtual clock."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec
import pytest
import trio

from actors.keys import Key
from actors.reader import Reader
from actors.storing import APART_S, BEHIND_BYTES, QUIET, QUIET_S, TENANT_BYTES, Storer
from actors.tails import Tails
from actors.waking import read_stored
from services.catalogue import KINDS
from services.deciding import Fold
from services.heads import head_of
from services.kinds import parts_of
from storage.memory import Store, open_memory
from storage.memory.backend import MemoryBackend
from storage.memory.log import MemoryLog
from storage.ports.entry import NOWHERE, Place, decode_entry
from storage.ports.errors import StorageAway
from storage.ports.log import Change, Loaded, Row, Storing
from tests.contracts.data import ONE, accept, append, entry, head, record

PARTS = parts_of(KINDS)
PARTITION = 3
Deliver = Callable[[Key, list[Row]], None]


class Kept(Store):
    """Remembers the steps of storing, and when they came."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[float, Storing]] = []
        self.away = False

    def store(self, step: Storing) -> None:
        if self.away:
            raise StorageAway("storage is away")
        self.steps.append((trio.current_time(), step))
        super().store(step)


class Desk(NamedTuple):
    """A worker's reader, tails and storer, with nobody in its rooms but `rooms`."""

    store: Kept
    backend: MemoryBackend
    tails: Tails
    storer: Storer
    reader: Reader


class Rooms:
    """Rooms that are awake: each row gets its verdict as it comes."""

    def __init__(self) -> None:
        self.folds: dict[Key, Fold] = {}
        self.storer: Storer

    def deliver(self, key: Key, rows: Sequence[Row]) -> None:
        for row in rows:
            fold = self.folds.setdefault(key, Fold(PARTS))
            said = decode_entry(row.data)
            self.storer.decided(fold, row, said, fold.apply(said, row.place))


@asynccontextmanager
async def open_desk(*, rooms: Rooms | None = None, tail_bytes: int = 1 << 20, store: Kept | None = None) -> AsyncIterator[Desk]:
    store = store or Kept()
    async with open_memory(store) as backend, trio.open_nursery() as nursery:
        tails = Tails(tail_bytes)
        storer = Storer(backend.log, backend.documents, tails, PARTS, KINDS)
        deliver: Deliver = lambda key, rows: None  # noqa: E731
        if rows_to := rooms:
            rows_to.storer, deliver = storer, rows_to.deliver
        reader = Reader(backend.log, tails, storer, deliver)
        nursery.start_soon(reader.run)
        nursery.start_soon(reader.look)
        nursery.start_soon(storer.run)
        yield Desk(store, backend, tails, storer, reader)
        nursery.cancel_scope.cancel()


def told(number: int, conversation: str = "c") -> bytes:
    """An entry that every fold accepts."""
    return entry(number, kind="user.connected", conversation=conversation)


async def tell(desk: Desk, *numbers: int, conversation: str = "c") -> None:
    await append(desk.backend.log, record(*numbers, conversation=conversation)._replace(entries=[told(n, conversation) for n in numbers]))


async def test_verdicts_gather_for_250_ms_and_each_head_is_written_once(autojump_clock: object) -> None:
    async with open_desk(rooms=Rooms()) as desk:
        await desk.reader.assign([PARTITION])
        await trio.sleep(1)
        began = trio.current_time()
        for number in range(1, 101):
            await tell(desk, number, conversation=f"c{number % 4}")
        await trio.sleep(1)
        (when, step), = desk.store.steps
        assert when - began <= 0.25
        assert len(step.entries) == 100
        assert sorted(change.key for change in step.heads) == ["c0", "c1", "c2", "c3"]


async def test_500_verdicts_do_not_wait_for_the_250_ms(autojump_clock: object) -> None:
    async with open_desk(rooms=Rooms()) as desk:
        await desk.reader.assign([PARTITION])
        await trio.sleep(0.01)
        began = trio.current_time()
        await tell(desk, *range(1, 501))
        await trio.sleep(0.01)
        assert [(when, len(step.entries)) for when, step in desk.store.steps] == [(began, 500)]


async def test_while_it_is_quiet_a_verdict_waits_for_20_ms_alone_or_100_ms_behind_another_and_anything_busier_gathers(autojump_clock: object) -> None:
    async with open_desk(rooms=Rooms()) as desk:
        await desk.reader.assign([PARTITION])
        await trio.sleep(1)
        began = trio.current_time()
        await tell(desk, 1)
        await trio.sleep(0.05)
        await tell(desk, 2)  # not before APART_S after the one before
        await trio.sleep(0.2)
        await tell(desk, *range(3, 3 + QUIET + 1))  # stored soon, and the next are not
        await trio.sleep(0.15)
        later = trio.current_time()
        await tell(desk, *range(100, 110))
        await trio.sleep(1)
        assert [len(step.entries) for _, step in desk.store.steps] == [1, 1, QUIET + 1, 10]
        first, second, _, last = (when for when, _ in desk.store.steps)
        assert first - began == pytest.approx(QUIET_S)
        assert second - first == pytest.approx(APART_S)
        assert last - later > QUIET_S


async def test_storing_that_lags_30_s_or_64_mb_holds_senders_back_until_it_has_caught_up(autojump_clock: object) -> None:
    async with open_desk(rooms=Rooms()) as desk:
        await desk.reader.assign([PARTITION])
        desk.store.away = True
        await tell(desk, 1)
        await trio.sleep(29)
        assert not desk.storer.behind(PARTITION, trio.current_time())
        await trio.sleep(2)
        assert desk.storer.behind(PARTITION, trio.current_time())
        desk.store.away = False
        await trio.sleep(2)
        assert not desk.storer.behind(PARTITION, trio.current_time())
        desk.store.away = True
        large = entry(2, kind="user.connected", body=bytes(BEHIND_BYTES))
        await append(desk.backend.log, record(2)._replace(entries=[large]))
        await trio.sleep(0.01)
        assert desk.storer.behind(PARTITION, trio.current_time())


async def test_a_tenant_of_whom_8_mb_wait_to_be_stored_crowds_the_others_until_they_are(autojump_clock: object) -> None:
    async with open_desk(rooms=Rooms()) as desk:
        await desk.reader.assign([PARTITION])
        desk.store.away = True
        for number in range(1, 4):
            assert not desk.storer.crowded(PARTITION, ONE.tenant)
            large = entry(number, kind="user.connected", body=bytes(TENANT_BYTES // 3 + 1))
            await append(desk.backend.log, record(number)._replace(entries=[large]))
            await trio.sleep(0.01)
        assert desk.storer.crowded(PARTITION, ONE.tenant)
        assert not desk.storer.crowded(PARTITION, "other")
        desk.store.away = False
        await trio.sleep(2)
        assert not desk.storer.crowded(PARTITION, ONE.tenant)


async def test_what_no_room_decides_storing_folds_by_itself_whatever_the_tail_had_to_drop(autojump_clock: object) -> None:
    async with open_desk(tail_bytes=600) as desk:
        await desk.reader.assign([PARTITION])
        await tell(desk, *range(1, 21))
        await trio.sleep(0)
        assert desk.tails.begins(PARTITION) > NOWHERE  # it has dropped the oldest: a room has to wait for storage now
        await trio.sleep(3)
        stored = await desk.backend.log.entries(ONE, "c", 0, 99, 99)
        assert [row.seq for row in stored] == list(range(1, 21))
        assert desk.store.places[PARTITION] == Place(1, 20)
        assert desk.tails.begins(PARTITION) <= desk.tails.stored(PARTITION)


async def test_what_a_follower_on_its_way_out_has_stored_holds_nothing_up(autojump_clock: object) -> None:
    store = Kept()
    async with open_memory(store) as before, open_desk(store=store) as desk:
        await desk.reader.assign([PARTITION])  # it begins at the stored place of this moment
        await before.log.follow({PARTITION: NOWHERE})
        await tell(desk, 1, 2)
        rows = await before.log.receive()
        last = head(ONE, "c", 2, 1, rows[-1].place)
        fold = Fold(PARTS)
        for row in rows:
            fold.apply(decode_entry(row.data), row.place)
        accepted, newest = [accept(row, at, at) for at, row in enumerate(rows, 1)], msgspec.structs.replace(last, doc=head_of(fold))
        await before.log.store(Storing(accepted, (), [newest], {PARTITION: rows[-1].place}))
        await tell(desk, 3)
        await trio.sleep(5)
        assert [row.seq for row in await desk.backend.log.entries(ONE, "c", 0, 99, 99)] == [1, 2, 3]
        assert desk.storer.waiting() == 0


async def test_a_partition_that_goes_while_storing_folds_it_is_left_alone(autojump_clock: object) -> None:
    class SlowLoad(MemoryLog):
        async def load(self, scope: object, conversation: str, partition: int) -> Loaded:
            await trio.sleep(1)
            return await super().load(scope, conversation, partition)  # type: ignore[arg-type]

    store = Kept()
    async with open_memory(store) as backend, trio.open_nursery() as nursery:
        tails = Tails()
        log = SlowLoad(store, backend.way)
        storer = Storer(log, backend.documents, tails, PARTS, KINDS)
        reader = Reader(backend.log, tails, storer, lambda key, rows: None)
        nursery.start_soon(reader.run)
        nursery.start_soon(storer.run)
        await reader.assign([PARTITION])
        await append(backend.log, record(1)._replace(entries=[told(1)]))
        await trio.sleep(1.6)  # storing is reading what it folds from
        await reader.assign([])
        await trio.sleep(5)
        assert store.steps == []
        await reader.assign([PARTITION])
        await trio.sleep(5)
        assert store.places[PARTITION] == Place(1, 1)
        nursery.cancel_scope.cancel()


async def test_stored_places_of_others_are_read_once_a_second_in_one_read(autojump_clock: object) -> None:
    store = Kept()
    async with open_memory(store) as other, open_desk(store=store) as desk:
        await desk.reader.assign([PARTITION, 4])
        await other.log.store(Storing(places={PARTITION: Place(1, 7), 4: Place(1, 9)}))
        assert desk.tails.stored(PARTITION) == NOWHERE
        await trio.sleep(1.1)
        assert (desk.tails.stored(PARTITION), desk.tails.stored(4)) == (Place(1, 7), Place(1, 9))


async def test_whoever_finds_a_part_later_than_the_head_reads_both_again(autojump_clock: object) -> None:
    class Halfway(MemoryLog):
        """Between a part and its head, three times."""

        reads = 0

        async def load(self, scope: object, conversation: str, partition: int) -> Loaded:
            self.reads += 1
            whole = Fold(PARTS)
            whole.place = Place(1, 5)
            part = {"members": [("u", "owner", 1, 0, 0)], "place": (1, 5 + (self.reads < 4), 0)}
            return Loaded(Place(1, 5), head_of(whole), [part], ())

    async with open_memory(Kept()) as backend:
        log = Halfway(Store(), backend.way)
        read = await read_stored(log, PARTS, Key("t", "c"), PARTITION)
        assert (log.reads, list(read.fold.members)) == (4, ["u"])


async def test_one_entry_whose_documents_cannot_be_kept_closes_nothing(autojump_clock: object, caplog: pytest.LogCaptureFixture) -> None:
    class Spoilt(Rooms):
        """The third row changes a document that nobody can write."""

        def deliver(self, key: Key, rows: Sequence[Row]) -> None:
            for row in rows:
                fold = self.folds.setdefault(key, Fold(PARTS))
                said = decode_entry(row.data)
                outcome = fold.apply(said, row.place)
                good, bad = (Change(row.tenant, "things", name, {"n": n}, row.place) for name, n in (("good", outcome.seq), ("bad", 2**70)))
                self.storer.decided(fold, row, said, msgspec.structs.replace(outcome, changes=[bad] if outcome.seq == 3 else [good]))

    async with open_desk(rooms=Spoilt()) as desk:
        await desk.reader.assign([PARTITION])
        await tell(desk, *range(1, 6))
        await trio.sleep(3)
        assert [row.seq for row in await desk.backend.log.entries(ONE, "c", 0, 99, 99)] == [1, 2, 3, 4, 5]
        assert desk.storer.waiting() == 0
        found = await desk.backend.documents.get_many(ONE, "things", ["good", "bad"])
        assert {key: held.doc for key, held in found.items()} == {"good": {"n": 5}}
        assert "cannot be stored" in caplog.text
