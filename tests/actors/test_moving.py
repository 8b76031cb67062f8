"""Partitions that move while storage fails: nothing is left half done. On a virtual clock."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial

import pytest
import trio
import trio.testing

from actors.house import Errands
from actors.keys import Key, partition_of
from actors.reader import FollowedLog, Reader
from actors.storing import Storer
from actors.tails import Tails
from caas.handover import RingChangedMeanwhile
from services.catalogue import KINDS
from services.kinds import parts_of
from storage.memory import Store, open_memory
from storage.memory.log import MemoryLog
from storage.ports.entry import Place
from storage.ports.errors import StorageAway
from tests.actors.world import TENANT, Client, Ring, Worker, World, new_id, open_world
from tests.contracts.data import ONE, append, record

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


async def test_a_partition_that_went_and_came_back_while_workers_disagreed_lacks_nothing() -> None:
    """Found by a soak: it was lost, and gained again before the others had agreed. What another worker acknowledged in between was in the log,
    and never read here: the room that woke denied it, and storing passed over it."""
    store = Store()
    async with open_memory(store) as mine, open_memory(store) as others:
        tails = Tails()
        reader = Reader(mine.log, tails, Storer(mine.log, mine.documents, tails, PARTS, KINDS), lambda key, rows: None)
        await reader.assign([3])
        await append(others.log, record(1, 2, partition=3))
        reader.take(await mine.log.receive())

        async def disagree() -> None:
            raise RingChangedMeanwhile

        with pytest.raises(RingChangedMeanwhile):
            await reader.assign([], disagree)
        async with trio.open_nursery() as nursery:  # what comes of it now is nobody's
            nursery.start_soon(take_all, reader, mine.log)
            await append(others.log, record(3, 4, partition=3))
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await reader.assign([3])
        with trio.fail_after(5):
            while not tails.whole(3):
                reader.take(await mine.log.receive())
        assert len(list(tails.of(3, Key(ONE.tenant, "c")))) == 4


async def take_all(reader: Reader, log: FollowedLog) -> None:
    while True:
        reader.take(await log.receive())


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


async def test_what_must_not_be_lost_waits_for_its_turn_when_too_much_is_under_way(autojump_clock: object) -> None:
    done: list[object] = []
    async with trio.open_nursery() as nursery:
        errands = Errands(nursery, most=2)

        def send(name: str) -> tuple[Callable[[], Awaitable[None]], Callable[[object, Exception | None], None]]:
            return partial(trio.sleep, 1), lambda result, error: done.append((name, trio.current_time() - began))

        began = trio.current_time()
        assert errands.run(*send("a"))
        assert errands.run(*send("b"))
        assert not errands.run(*send("refused"))
        for name in "cde":
            errands.run_soon(*send(name))
    assert sorted(done) == [("a", 1), ("b", 1), ("c", 2), ("d", 2), ("e", 3)]


def keep_busy(worker: Worker, seconds: float) -> None:
    """As many errands as there may be: for a test, few."""
    errands = worker.assembly.errands
    errands._left = min(errands._left, 20)
    while errands.run(partial(trio.sleep, seconds), lambda result, error: None, 100.0):
        pass


async def test_listeners_and_those_who_come_back_are_served_when_there_is_room_again(world: World, autojump_clock: object) -> None:
    alice, bob = Client(world.workers["w1"]), Client(world.workers["w2"])
    for client, name in ((alice, "alice"), (bob, "bob")):
        await client.ask("hello", token=name)
    await alice.ask("conversation.create", type="group", id="g", members=["bob"])
    await alice.ask("conversation.watch", c="g")
    keep_busy(alice.worker, 20.0)
    alice.worker.assembly.fanout.refollow_where(lambda key: True)
    for n in range(3):
        await bob.ask("message.send", c="g", id=new_id(world), text=str(n))
    newcomer = Client(alice.worker)
    assert (await newcomer.ask("hello", token="carol"))["error"] == "unavailable"
    assert newcomer.closed_with == 4400
    await trio.sleep(30)
    await alice.until(lambda client: [push["s"] for push in client.got("message.new", "g")] == [2, 3, 4])


async def test_what_was_resumed_while_too_much_was_under_way_follows(world: World, autojump_clock: object) -> None:
    alice = Client(world.workers["w1"])
    await alice.ask("hello", token="alice")
    await alice.ask("conversation.create", type="group", id="g", members=["bob"])
    await alice.ask("message.send", c="g", id=new_id(world), text="missed")
    elsewhere = Client(alice.worker)
    await elsewhere.ask("hello", token="bob")  # so that their own conversation is followed already
    await trio.sleep(1)
    bob = Client(alice.worker)
    idle = bob.worker.assembly.errands._left
    hello = bob.say("hello", token="bob", resume={"g": {"seq": 1, "epoch": world.store.epoch}})
    while bob.worker.assembly.errands._left == idle:
        await trio.lowlevel.checkpoint()
    keep_busy(bob.worker, 10.0)  # it is being greeted, and nothing of what it resumes is under way
    assert (await bob.reply(hello))["r"]["conversations"] == {"g": {"later": True}}
    await trio.sleep(20)
    await bob.until(lambda client: [push["s"] for push in client.got("message.new", "g")] == [2])
    assert bob.got("conversation.watching", "g")


async def test_what_others_acknowledge_until_they_have_let_go_is_read_before_a_room_wakes() -> None:
    store = Store()
    async with open_memory(store) as before, open_memory(store) as after:
        log, tails = MemoryLog(store, after.way), Tails()
        reader = Reader(log, tails, Storer(log, after.documents, tails, PARTS, KINDS), lambda key, rows: None)

        async def let_go() -> None:
            await append(before.log, record(1, 1, partition=3))

        await reader.assign([3], let_go)
        assert not tails.whole(3)
        reader.take(await log.receive())
        assert tails.whole(3)


async def test_a_partition_is_not_followed_when_others_have_not_let_it_go() -> None:
    store = Store()
    async with open_memory(store) as backend:
        log, tails = MemoryLog(store, backend.way), Tails()
        reader = Reader(log, tails, Storer(log, backend.documents, tails, PARTS, KINDS), lambda key, rows: None)

        async def never() -> None:
            assert not tails.whole(3), "rooms would wake"
            raise RingChangedMeanwhile

        with pytest.raises(RingChangedMeanwhile):
            await reader.assign([3], never)
        assert 3 not in tails
