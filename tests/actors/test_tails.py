"""A worker that takes a partition on does not wake its rooms before it has read what was acknowledged before it came."""

from actors.keys import Key
from actors.reader import Reader
from actors.storing import Storer
from actors.tails import Tails
from actors.waking import Read, reaches
from services.catalogue import KINDS
from services.deciding import Fold
from services.kinds import parts_of
from storage.memory import Store, open_memory
from storage.ports.entry import BEYOND, NOWHERE, Place
from storage.ports.log import Loaded, Row
from tests.contracts.data import append, record

PARTS = parts_of(KINDS)


def nothing() -> Read:
    return Read(Fold(PARTS), Loaded(NOWHERE, None, (), ()))


def row(offset: int) -> Row:
    return Row(Place(1, offset), 3, "t", "c", b"")


def test_a_tail_is_whole_when_all_that_was_to_come_has_come() -> None:
    tails = Tails()
    tails.begin(3, NOWHERE, whole_at=BEYOND)
    tails.add(row(1))
    assert not reaches(tails, 3, nothing())
    tails.expect(3, Place(1, 2))
    assert not reaches(tails, 3, nothing())
    tails.add(row(2))
    assert reaches(tails, 3, nothing())


def test_what_others_have_stored_meanwhile_need_not_come() -> None:
    tails = Tails()
    tails.begin(3, NOWHERE, whole_at=Place(1, 2))
    tails.settle(3, Place(1, 2))
    assert tails.whole(3)


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
