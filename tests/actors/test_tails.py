"""A worker that takes a partition on does not wake its rooms before it has read what was acknowledged before it came."""

import msgspec
import trio
import trio.testing

from actors.keys import Key
from actors.reader import Reader
from actors.storing import Storer
from actors.tails import Tails
from actors.waking import Read, reaches
from services.catalogue import KINDS
from services.deciding import RULES, Fold
from services.kinds import parts_of
from storage.memory import Store, open_memory
from storage.memory.backend import MemoryBackend
from storage.ports.entry import BEYOND, NOWHERE, Place, decode_entry, encode_entry
from storage.ports.log import Loaded, Row
from tests.contracts.data import append, entry, record

PARTS = parts_of(KINDS)


def nothing() -> Read:
    return Read(Fold(PARTS), Loaded(NOWHERE, None, (), ()))


def a_reader(node: MemoryBackend, told: list[Row] | None = None) -> Reader:
    """A reader whose rooms write down what they are told."""
    tails, heard = Tails(), [] if told is None else told
    return Reader(node.log, tails, Storer(node.log, node.documents, tails, PARTS, KINDS), lambda key, rows: heard.extend(rows))


def row(offset: int) -> Row:
    return Row(Place(1, offset), 3, "t", "c", b"")


def add(tails: Tails, row: Row) -> None:
    tails.add(row, Key(row.tenant, row.conversation))


def test_a_tail_is_whole_when_all_that_was_to_come_has_come() -> None:
    tails = Tails()
    tails.begin(3, NOWHERE, whole_at=BEYOND)
    add(tails, row(1))
    assert not reaches(tails, 3, nothing())
    tails.expect(3, Place(1, 2))
    assert not reaches(tails, 3, nothing())
    add(tails, row(2))
    assert reaches(tails, 3, nothing())


def test_what_others_have_stored_meanwhile_need_not_come() -> None:
    tails = Tails()
    tails.begin(3, NOWHERE, whole_at=Place(1, 2))
    tails.settle(3, Place(1, 2))
    assert tails.whole(3)


def test_what_was_stored_after_a_room_has_read_does_not_make_it_whole() -> None:
    """It is in neither: neither in what was read, nor in the tail that has not got so far."""
    tails = Tails()
    tails.begin(3, Place(1, 1), whole_at=Place(1, 2))
    read = Read(Fold(PARTS), Loaded(Place(1, 1), None, (), ()))
    tails.settle(3, Place(1, 2))
    assert not reaches(tails, 3, read)
    assert reaches(tails, 3, Read(Fold(PARTS), Loaded(Place(1, 2), None, (), ())))
    add(tails, row(2))
    assert reaches(tails, 3, read)


async def test_a_partition_taken_on_is_whole_when_the_reader_has_read_what_was_there() -> None:
    store = Store()
    async with open_memory(store) as before, open_memory(store) as after:
        await append(before.log, record(1, 2, partition=3))
        tails = Tails()
        reader = Reader(after.log, tails, Storer(after.log, after.documents, tails, PARTS, KINDS), lambda key, rows: None)
        await reader.assign([3, 4])
        assert (tails.whole(3), tails.whole(4)) == (False, True)
        reader.take(await after.log.receive())
        assert tails.whole(3)
        assert [len(list(tails.of(3, Key("tenant-one", "c"))))] == [2]


async def test_the_worker_has_caught_up_when_the_reader_has_read_the_end_it_saw_at_start() -> None:
    store = Store()
    async with open_memory(store) as before, open_memory(store) as after:
        await append(before.log, record(1, 2, partition=3))
        reader = a_reader(after)
        assert not reader.caught_up
        await reader.assign([3, 4])
        assert not reader.caught_up
        rows = await after.log.receive()
        reader.take(rows[:1])
        assert not reader.caught_up
        reader.take(rows[1:])
        assert reader.caught_up
        await append(before.log, record(3, partition=5))
        await reader.assign([3, 4, 5])
        assert reader.caught_up  # it serves already: what is taken on later makes nobody wait but those who ask for it


async def test_whoever_takes_on_nothing_or_loses_it_again_need_not_wait_for_it() -> None:
    store = Store()
    async with open_memory(store) as before, open_memory(store) as idle, open_memory(store) as after:
        await append(before.log, record(1, 2, partition=3))
        nothing, losing = a_reader(idle), a_reader(after)
        await nothing.assign([])
        assert nothing.caught_up
        await losing.assign([3])
        assert not losing.caught_up
        await losing.assign([4])
        assert losing.caught_up


async def test_a_record_of_larger_rules_stops_everything_and_is_never_skipped() -> None:
    store = Store()
    async with open_memory(store) as newer, open_memory(store) as node:
        told: list[Row] = []
        reader = a_reader(node, told)
        await reader.assign([3, 4])
        large = msgspec.structs.replace(decode_entry(entry(2)), rules=RULES + 1)
        await append(newer.log, record(1, partition=4), record(2)._replace(entries=[encode_entry(large)]), record(3))
        reader.take(await node.log.receive())
        assert reader.outdated.is_set()
        assert [row.partition for row in told] == [4]
        await append(newer.log, record(4), record(5, partition=4))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.run)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await reader.assign([3, 4, 5])
        assert len(told) == 1


def test_past_its_bound_the_oldest_rows_go_and_the_tail_says_where_it_begins() -> None:
    tails = Tails(most_bytes=1_000)  # a row counts 200 and its bytes
    tails.begin(3, NOWHERE)
    tails.begin(4, NOWHERE)
    for offset in range(1, 5):
        add(tails, row(offset))
    add(tails, msgspec.structs.replace(row(5), partition=4))
    assert reaches(tails, 3, nothing())
    add(tails, row(6))
    assert (tails.begins(3), tails.begins(4)) == (Place(1, 1), NOWHERE)
    assert [row.place.offset for row in tails.of(3, Key("t", "c"))] == [2, 3, 4, 6]
    assert not reaches(tails, 3, nothing())  # such a room has to wait until storage is there
    tails.settle(3, Place(1, 3))
    assert reaches(tails, 3, Read(Fold(PARTS), Loaded(Place(1, 3), None, (), ())))
