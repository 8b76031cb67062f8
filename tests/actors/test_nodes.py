"""Several nodes on one log: every node follows all of it and folds, one stores each partition. On a virtual clock."""

from collections.abc import AsyncIterator, Sequence

import pytest
import trio

from actors.keys import Key, partition_of
from actors.storing import BEHIND_S, TAKEN_OVER_AFTER_S
from storage.memory import Store
from storage.ports.errors import StorageAway
from storage.ports.log import Row, Storing
from tests.actors.world import TENANT, Client, Worker, World, new_id, open_world


@pytest.fixture
async def world(autojump_clock: object) -> AsyncIterator[World]:
    async with open_world("n1-w1", "n2-w1", "n2-w2") as made:
        yield made


async def hello(world: World, worker: str, user: str) -> Client:
    client = Client(world.workers[worker])
    assert "error" not in await client.ask("hello", token=user)
    return client


async def made(world: World) -> tuple[Client, Client]:
    """A group with alice on one node and bob on the other, who both watch it."""
    alice, bob = await hello(world, "n1-w1", "alice"), await hello(world, "n2-w1", "bob")
    await alice.ask("conversation.create", type="group", id="g", members=["bob"])
    for client in (alice, bob):
        reply = await client.ask("conversation.watch", c="g", after=0)
        assert "error" not in reply
    return alice, bob


async def test_messages_of_two_nodes_have_one_order_for_all(world: World, autojump_clock: object) -> None:
    alice, bob = await made(world)
    for number in range(20):
        for client in (alice, bob):
            client.say("message.send", c="g", id=new_id(world), text=f"{number}")
    for client in (alice, bob):
        await client.until(lambda client: len(client.got("message.new", "g")) == 40)
    seen = [[(push["s"], push["p"]["id"]) for push in client.got("message.new", "g")] for client in (alice, bob)]
    assert seen[0] == seen[1]
    assert [seq for seq, _ in seen[0]] == list(range(2, 42))


async def test_each_partition_is_stored_by_one_node_and_dropped_by_all(world: World, autojump_clock: object) -> None:
    alice, bob = await made(world)
    for name in ("a", "b", "c", "d", "e", "f"):
        await alice.ask("conversation.create", type="group", id=name, members=["bob"])
        await bob.ask("message.send", c=name, id=new_id(world), text="hello")
    await trio.sleep(3)
    stores = {name: set(worker.assembly.storer.stores) for name, worker in world.workers.items()}
    assert set.union(*stores.values()) == set(range(8))
    assert sum(map(len, stores.values())) == 8, "one stores each"
    assert all(worker.assembly.storer.steps for worker in world.workers.values())
    assert [worker.assembly.storer.waiting() for worker in world.workers.values()] == [0, 0, 0]
    assert all(not tail.rows for worker in world.workers.values() for tail in worker.assembly.tails._tails.values())


async def test_what_follows_from_an_entry_is_done_by_one_node(world: World, autojump_clock: object) -> None:
    alice, bob = await made(world)
    await bob.until(lambda bob: len(bob.got("invite.new")) == 1)
    await alice.ask("message.send", c="g", id=new_id(world), text="@bob", mentions=["bob"])
    await bob.until(lambda bob: len(bob.got("mention.new")) == 1)
    await trio.sleep(15)
    assert [len(bob.got(push)) for push in ("conversation.joined", "invite.new", "mention.new")] == [1, 1, 1]
    personal = world.workers["n1-w1"].assembly.tenants.known(TENANT).personal(world.internal["bob"])
    rows = [row for rows in world.store.rows for row in rows if row.conversation == personal]
    assert len(rows) == 3, "nothing was appended twice"


async def test_a_node_that_dies_leaves_nothing_undone(world: World, autojump_clock: object) -> None:
    alice, bob = await made(world)
    owned = world.workers["n1-w1"].assembly.storer
    assert owned.stores
    await world.crash("n1-w1")
    for number in range(30):
        assert "error" not in await bob.ask("message.send", c="g", id=new_id(world), text=f"{number}", mentions=["alice"])
    await trio.sleep(5)
    assert {partition for worker in world.workers.values() for partition in worker.assembly.storer.stores} == set(range(8))
    assert [worker.assembly.storer.waiting() for worker in world.workers.values()] == [0, 0]
    await world.start("n3-w1")
    again = await hello(world, "n3-w1", "alice")
    found = await again.ask("conversation.watch", c="g", after=alice.got("message.new", "g")[-1]["s"] if alice.got("message.new", "g") else 1)
    assert found["to"] == 31
    await again.until(lambda again: len(again.got("message.new", "g")) == 30)


async def test_what_nobody_stores_is_stored_by_whoever_follows_it(world: World, autojump_clock: object) -> None:
    alice, _ = await made(world)
    world.store.stores = lambda log, partition: False
    await trio.sleep(2)
    partition = partition_of(Key(TENANT, "g"), 8)
    before = world.store.places[partition]
    await alice.ask("message.send", c="g", id=new_id(world), text="hello")
    await trio.sleep(TAKEN_OVER_AFTER_S - 2)
    assert world.store.places[partition] == before
    await trio.sleep(5)
    assert world.store.places[partition] > before
    assert (await alice.ask("message.list", c="g"))["items"][-1]["text"] == "hello"


class Stuck(Store):
    """Storing fails as long as it is told to."""

    stuck = False

    def store(self, step: Storing) -> None:
        if self.stuck:
            raise StorageAway("storage is away")
        super().store(step)


async def test_every_node_refuses_sends_while_storing_lags_and_none_when_it_has_caught_up(autojump_clock: object) -> None:
    store = Stuck(8)
    async with open_world("n1-w1", "n2-w1", store=store) as world:
        alice, bob = await made(world)
        await trio.sleep(2)
        store.stuck = True
        assert "error" not in await alice.ask("message.send", c="g", id=new_id(world), text="waits")
        await trio.sleep(BEHIND_S + 2)
        for client in (alice, bob):
            assert (await client.ask("message.send", c="g", id=new_id(world), text="no"))["error"] == "unavailable"
        store.stuck = False
        await trio.sleep(5)
        for client in (alice, bob):
            assert "error" not in await client.ask("message.send", c="g", id=new_id(world), text="yes")
        await bob.until(lambda bob: len(bob.got("message.new", "g")) == 3)


class Slow:
    """A node that takes its time to read the log."""

    def __init__(self, worker: Worker, seconds: float) -> None:
        log = worker.assembly.log
        receive = log.receive

        async def slowly() -> Sequence[Row]:
            rows = await receive()
            await trio.sleep(seconds)
            return rows

        log.receive = slowly  # type: ignore[method-assign]


async def test_a_node_that_reads_slowly_waits_for_what_another_has_stored(world: World, autojump_clock: object) -> None:
    fast = world.workers["n1-w1"].assembly.log
    world.store.stores = lambda log, partition: log is fast
    alice, bob = await made(world)
    said = new_id(world)
    await alice.ask("message.send", c="g", id=said, text="first")
    await trio.sleep(2)
    Slow(world.workers[world.workers["n2-w1"].assembly.router.owner(Key(TENANT, "g"))], 0.5)
    await alice.ask("message.send", c="g", id=new_id(world), text="so that it reads slowly from now on")
    await trio.sleep(2)
    await alice.ask("message.edit", c="g", id=said, text="second")
    await trio.sleep(0.2)
    page = await bob.ask("message.list", c="g")
    assert page["items"][0]["text"] == "second", "stored by the other node, and not read yet by this one"
