"""What has no seq, over nodes: each node tells those who are there, once, in order; and nothing needs it. On a virtual clock."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from actors.across import TOPIC, Across
from caas.endings import Endings
from protocol.codec import pack
from services.scope import Scope
from services.sessions import Ending
from storage.memory import Store, open_memory
from tests.actors.world import TENANT, Client, World, new_id, open_world


@pytest.fixture
async def world(autojump_clock: object) -> AsyncIterator[World]:
    async with open_world("n1-w1", "n1-w2", "n2-w1", "n2-w2") as made:
        yield made


async def hello(world: World, worker: str, user: str) -> Client:
    client = Client(world.workers[worker])
    assert "error" not in await client.ask("hello", token=user)
    return client


async def together(world: World, *where: tuple[str, str]) -> list[Client]:
    """Clients (worker, user), who all watch one group."""
    clients = [await hello(world, worker, user) for worker, user in where]
    await clients[0].ask("conversation.create", type="group", id="g", members=["bob", "carol"])
    for client in clients:
        assert "error" not in await client.ask("conversation.watch", c="g", after=0)
    return clients


EVERYWHERE = (("n1-w1", "alice"), ("n1-w2", "bob"), ("n2-w1", "bob"), ("n2-w2", "carol"))


async def test_who_types_is_told_on_all_nodes_once(world: World, autojump_clock: object) -> None:
    alice, *others = await together(world, *EVERYWHERE)
    await alice.ask("typing.start", c="g")
    await trio.sleep(3)
    await alice.ask("typing.start", c="g")
    await trio.sleep(0.1)
    await alice.ask("typing.stop", c="g")
    await trio.sleep(10)
    for client in others:
        assert [push["t"] for push in client.pushes if push["t"].startswith("typing")] == ["typing.started", "typing.started", "typing.stopped"]
    assert not alice.got("typing.started")


async def test_what_is_sent_is_typed_no_more_on_any_node(world: World, autojump_clock: object) -> None:
    alice, *others = await together(world, *EVERYWHERE)
    await alice.ask("typing.start", c="g")
    await alice.ask("message.send", c="g", id=new_id(world), text="there")
    await trio.sleep(10)
    for client in others:
        assert [push["t"] for push in client.pushes if push["t"].startswith("typing")] == ["typing.started", "typing.stopped"]


async def test_who_typed_on_a_node_that_died_is_silent_six_seconds_later(world: World, autojump_clock: object) -> None:
    alice, _, bob, carol = await together(world, *EVERYWHERE)
    await alice.ask("typing.start", c="g")
    await trio.sleep(0.1)
    for worker in ("n1-w1", "n1-w2"):
        world.workers.pop(worker).scope.cancel()
    await trio.sleep(5.8)
    assert not bob.got("typing.stopped")
    await trio.sleep(0.3)
    for client in (bob, carol):
        assert [push["t"] for push in client.pushes if push["t"].startswith("typing")] == ["typing.started", "typing.stopped"]


async def test_who_may_not_send_is_not_heard_of_elsewhere(world: World, autojump_clock: object) -> None:
    alice, *others = await together(world, *EVERYWHERE)
    await alice.ask("conversation.freeze", c="g", frozen=True)
    assert (await others[0].ask("typing.start", c="g"))["error"] == "frozen"
    await trio.sleep(1)
    assert not others[2].got("typing.started")


async def test_receipts_reach_all_nodes_once_and_whoever_watches_later_sees_them(world: World, autojump_clock: object) -> None:
    alice, bob, bobs_other, carol = await together(world, *EVERYWHERE)
    sent = await alice.ask("message.send", c="g", id=new_id(world), text="there")
    await carol.ask("message.read", c="g", seq=sent["seq"])
    await trio.sleep(0.5)
    for client in (alice, bob, bobs_other):
        assert [push["p"]["seq"] for push in client.got("message.read")] == [sent["seq"]]
    assert not carol.got("message.read"), "not to the connection that said so"
    again = await hello(world, "n1-w2", "carol")
    assert (await again.ask("conversation.watch", c="g"))["read"]["carol"] == sent["seq"]


async def test_who_comes_to_another_node_hears_of_what_was_read_a_moment_ago(world: World, autojump_clock: object) -> None:
    """It is in no storage yet: the room that wakes there asks the others."""
    alice, bob, carol = await together(world, ("n1-w1", "alice"), ("n1-w2", "bob"), ("n1-w1", "carol"))
    first = await alice.ask("message.send", c="g", id=new_id(world), text="one")
    await carol.ask("message.read", c="g", seq=first["seq"])
    await trio.sleep(20)
    sent = await alice.ask("message.send", c="g", id=new_id(world), text="two")
    await carol.ask("message.read", c="g", seq=sent["seq"])
    await bob.ask("message.delivered", c="g", seq=sent["seq"])
    late = await hello(world, "n2-w1", "alice")
    watched = await late.ask("conversation.watch", c="g")
    await trio.sleep(1)
    assert max([watched["read"].get("carol", 0), *(push["p"]["seq"] for push in late.got("message.read"))]) == sent["seq"]
    assert max([watched["delivered"].get("bob", 0), *(push["p"]["seq"] for push in late.got("message.delivered"))]) == sent["seq"]
    assert len(late.got("message.read")) <= 1
    assert len(alice.got("message.read")) == 2, "who was told is not told again"


async def test_what_was_read_on_one_node_is_read_in_the_list_of_another(world: World, autojump_clock: object) -> None:
    alice, bob, bobs_other, _ = await together(world, *EVERYWHERE)
    sent = await alice.ask("message.send", c="g", id=new_id(world), text="there")
    await trio.sleep(1)
    await bob.ask("message.read", c="g", seq=sent["seq"])
    await trio.sleep(0.2)
    for client in (bob, bobs_other):
        [row] = (await client.ask("conversation.list"))["items"]
        assert (row["read_seq"], row["unread"]) == (sent["seq"], 0)
    await trio.sleep(20)
    assert len(bobs_other.got("read.moved")) == 1, "one entry, from the one room that held it"


async def test_notices_reach_who_does_not_watch_on_any_node(world: World, autojump_clock: object) -> None:
    alice, _, bob, _ = await together(world, *EVERYWHERE)
    idle = [await hello(world, worker, "carol") for worker in ("n1-w1", "n1-w2", "n2-w1", "n2-w2")]
    sent = await alice.ask("message.send", c="g", id=new_id(world), text="there")
    await trio.sleep(1)
    for client in idle:
        assert [push["p"]["seq"] for push in client.got("notice.message")] == [sent["seq"]]
    assert not bob.got("notice.message"), "who watches has the message itself"


async def test_a_block_counts_on_the_other_node_at_once(world: World, autojump_clock: object) -> None:
    alice, bob = await hello(world, "n1-w1", "alice"), await hello(world, "n2-w1", "bob")
    direct = (await alice.ask("conversation.create", type="direct", members=["bob"]))["conversation"]["id"]
    for client in (alice, bob):
        await client.ask("conversation.watch", c=direct, after=0)
    assert "error" not in await bob.ask("message.send", c=direct, id=new_id(world), text="hello")
    await alice.ask("user.block", user="bob")
    await trio.sleep(0.1)
    assert (await bob.ask("message.send", c=direct, id=new_id(world), text="hello?"))["error"] == "blocked"
    await alice.ask("user.unblock", user="bob")
    await trio.sleep(0.1)
    assert "error" not in await bob.ask("message.send", c=direct, id=new_id(world), text="hello!")


async def test_an_erased_key_is_forgotten_on_every_worker(world: World, autojump_clock: object) -> None:
    alice, *_ = await together(world, *EVERYWHERE)
    await alice.ask("message.send", c="g", id=new_id(world), text="there")
    await trio.sleep(0.5)
    author = world.internal["alice"]
    for worker in world.workers.values():
        await worker.assembly.vault.ensure(TENANT, [author])
    await world.workers["n1-w1"].assembly.vault.erase(TENANT, author)
    await trio.sleep(0.1)
    assert [worker.assembly.vault._cached.get((TENANT, author)) for worker in world.workers.values()] == [b"", None, None, None]


async def test_nothing_wakes_a_room_that_nobody_is_in(world: World, autojump_clock: object) -> None:
    mine = {worker.assembly.log for worker in world.workers.values() if worker.node == "n1"}
    world.store.stores = lambda log, partition: log in mine
    await trio.sleep(2)
    alice, *_ = await together(world, ("n1-w1", "alice"))
    await alice.ask("message.send", c="g", id=new_id(world), text="there")
    await alice.ask("typing.start", c="g")
    await trio.sleep(1)
    assert all(not name.endswith("/g") for worker in ("n2-w1", "n2-w2") for name in list(world.workers[worker].assembly.rooms.keys()))


async def test_a_bus_that_loses_everything_harms_nothing_that_lasts(world: World, autojump_clock: object) -> None:
    alice, _, bob, carol = await together(world, *EVERYWHERE)
    world.store.heard = dict.fromkeys(world.store.heard, lambda topic, message: None)
    await alice.ask("typing.start", c="g")
    sent = await alice.ask("message.send", c="g", id=new_id(world), text="there")
    await carol.ask("message.read", c="g", seq=sent["seq"])
    await trio.sleep(15)
    assert [push["s"] for push in bob.got("message.new")] == [sent["seq"]]
    [row] = (await (await hello(world, "n1-w2", "carol")).ask("conversation.list"))["items"]
    assert row["read_seq"] == sent["seq"]


class Told:
    """Sessions and connections, as endings see them."""

    def __init__(self) -> None:
        self.gate, self.ends, self.cut = self, list[Ending](), list[str]()

    def ended(self, ending: Ending) -> None:
        self.ends.append(ending)

    def revoke(self, ended: Any, reason: str) -> None:
        self.cut += [reason] if ended(Scope("t", "u", "u", "s1")) else []


class NoLinks:
    """A worker alone on its node."""

    def tell(self, worker: str, message: object) -> bool:
        raise AssertionError("there is no other worker")


async def test_a_session_that_ends_on_one_node_ends_on_all_and_once(autojump_clock: object) -> None:
    store = Store()
    async with open_memory(store) as one, open_memory(store) as other:
        told = []
        ends = []
        for node, backend in (("n1", one), ("n2", other)):
            endings = Endings(f"{node}-w1", NoLinks(), lambda: (), Across(node, backend.bus))  # type: ignore[arg-type]
            endings.sessions = endings.connections = Told()  # type: ignore[assignment]
            told.append(endings.sessions)
            ends.append(endings)
        ending = Ending("t", "revoked", ["s1"])
        ends[0].announce(ending)
        await trio.sleep(0.1)
        assert [(one.ends, one.cut) for one in told] == [([ending], ["revoked"])] * 2  # type: ignore[attr-defined]


async def test_what_is_not_understood_is_ignored_and_ends_nothing(autojump_clock: object) -> None:
    store = Store()
    async with open_memory(store) as one, open_memory(store) as other:
        heard: list[Any] = []
        ears = Across("n2", other.bus)
        ears.on("news", lambda first: heard.append(first))
        mouth = Across("n1", one.bus)
        mouth.tell("of a newer program", 1, 2)
        mouth.tell("news", 1, 2)
        for message in (b"", b"\xc1", pack({"a": 1}), pack([])):
            one.bus.publish(TOPIC, message)
        mouth.tell("news", 1)
        Across("n2", other.bus).tell("news", 2)
        Across("", other.bus).tell("news", 3)
        await trio.sleep(0.1)
        assert heard == [1]
