"""Partitions that move while storage fails: nothing is left half done. On a virtual clock."""

from collections.abc import AsyncIterator, Mapping

import pytest
import trio

from actors.house import Errands
from actors.keys import Key, partition_of
from actors.reader import Reader
from actors.storing import Storer
from actors.tails import Tails
from services.catalogue import KINDS
from services.kinds import parts_of
from storage.memory import Store, open_memory
from storage.memory.log import MemoryLog
from storage.ports.entry import Place
from storage.ports.errors import StorageAway
from tests.actors.world import TENANT, Client, Ring, Worker, World, new_id, open_world
from tests.contracts.data import append, record

PARTS = parts_of(KINDS)


class Failing(MemoryLog):
    """Fails as often as it is told to, at the call named."""

    at, times = "", 0

    def _may_fail(self, call: str) -> None:
        if call == self.at and self.times:
            self.times -= 1
            raise StorageAway("storage is away")

    async def follow(self, after: Mapping[int, Place]) -> Mapping[int, Place]:
        self._may_fail("follow")
        return await super().follow(after)

    async def stored_places(self) -> dict[int, Place]:
        self._may_fail("stored_places")
        return await super().stored_places()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world("w1", "w2") as made:
        yield made


def fail_once(worker: Worker, at: str) -> None:
    """A worker's log, under way as it is, will fail once."""
    log = worker.assembly.log
    log.__class__ = Failing  # type: ignore[assignment]
    assert isinstance(log, Failing)
    log.at, log.times = at, 1


async def test_a_partition_that_could_not_be_followed_is_begun_anew_the_next_time() -> None:
    store = Store()
    async with open_memory(store) as before, open_memory(store) as after:
        await append(before.log, record(1, 2, partition=3))
        log, tails = Failing(store, after.way), Tails()
        log.at, log.times = "follow", 1
        reader = Reader(log, tails, Storer(log, after.documents, tails, PARTS, KINDS), lambda key, rows: None)
        with pytest.raises(StorageAway):
            await reader.assign([3])
        assert 3 not in tails
        gained, lost = await reader.assign([3])
        assert (gained, lost) == ({3}, set())
        reader.take(await log.receive())
        assert tails.whole(3)


@pytest.mark.parametrize("at", ["stored_places", "follow"])
async def test_a_ring_that_storage_failed_in_is_taken_to_the_end_the_next_time(world: World, autojump_clock: object, at: str) -> None:
    alice = Client(world.workers["w1"])
    await alice.ask("hello", token="alice")
    await alice.ask("conversation.create", type="group", id="g", members=["bob"])
    await alice.ask("conversation.watch", c="g")
    await alice.ask("message.send", c="g", id=new_id(world), text="before")
    partition = partition_of(Key(TENANT, "g"), 8)
    old = world.workers[Ring(("w1", "w2")).owner(partition)]
    new = next(worker for worker in world.workers.values() if worker is not old)
    alone = Ring((new.name,))
    for worker in (old, new):
        fail_once(worker, at)
        with pytest.raises(StorageAway):
            await worker.assembly.take_ring(alone)
    for worker in (old, new):
        await worker.assembly.take_ring(alone)
    assert old.assembly.rooms.find(f"{TENANT}/g") is None  # it would miss what is said from now on
    for n in range(3):
        assert (await alice.ask("message.send", c="g", id=new_id(world), text=str(n)))["seq"] == 3 + n
    await alice.until(lambda client: len(client.got("message.new", "g")) == 4)
    for worker in (old, new):
        await worker.assembly.take_ring(Ring(("w1", "w2")))
    assert (await alice.ask("message.send", c="g", id=new_id(world), text="back again"))["seq"] == 6
    await alice.until(lambda client: len(client.got("message.new", "g")) == 5)


async def test_an_outcome_that_kills_its_taker_ends_no_other_errand(autojump_clock: object, caplog: pytest.LogCaptureFixture) -> None:
    outcomes: list[object] = []

    def fails(result: object, error: Exception | None) -> None:
        raise RuntimeError("a bug of whoever asked")

    async with trio.open_nursery() as nursery:
        errands = Errands(nursery)
        assert errands.run(lambda: trio.sleep(1), fails)
        assert errands.run(lambda: trio.sleep(2), lambda result, error: outcomes.append(error))
    assert outcomes == [None]
    assert "failed to take its outcome" in caplog.text
