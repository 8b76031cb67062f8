"""Sent, delivered, read: who is told, what is remembered, and when the log has it. Two workers, a virtual clock."""

import itertools
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import trio

from actors.keys import Key, partition_of
from services.scope import Scope
from storage.ports.entry import Entry, decode_entry
from tests.actors.world import TENANT, Client, World, new_id, open_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world("w1", "w2") as made:
        yield made


async def greeted(world: World, name: str, worker: str = "w1", **hello: Any) -> Client:
    client = Client(world.workers[worker])
    client.greeting = await client.ask("hello", token=name, **hello)  # type: ignore[attr-defined]
    return client


async def chatting(world: World, said: int = 3, room: str = "g") -> tuple[Client, Client]:
    """alice on w1, bob on w2, both watching; alice has said something."""
    alice, bob = await greeted(world, "alice"), await greeted(world, "bob", "w2")
    await alice.ask("conversation.create", type="group", id=room, members=["bob"])
    for client in (alice, bob):
        await client.ask("conversation.watch", c=room)
    for number in range(said):
        await alice.ask("message.send", c=room, id=new_id(world), text=str(number))
    return alice, bob


async def me(world: World, name: str) -> str:
    assembly = next(iter(world.workers.values())).assembly
    internal = (await assembly.users.of_external(Scope(TENANT), [name]))[name]
    return (await assembly.tenants.ready(TENANT)).personal(internal)


async def moves(world: World, name: str) -> list[Entry]:
    """What the log of a user's personal conversation has of pointers."""
    personal = await me(world, name)
    rows = [decode_entry(row.data) for rows in world.store.rows for row in rows if row.conversation == personal]
    return [entry for entry in rows if entry.kind in ("read.moved", "delivered.moved")]


def read(client: Client, t: str = "message.read") -> list[tuple[str, int]]:
    return [(push["p"]["user"], push["p"]["seq"]) for push in client.got(t, "g")]


# Who is told.


async def test_a_receipt_goes_to_all_who_watch_but_the_connection_it_came_from(world: World, autojump_clock: object) -> None:
    alice, bob = await chatting(world)
    phone = await greeted(world, "bob")
    await phone.ask("conversation.watch", c="g")
    assert await bob.ask("message.delivered", c="g", seq=3) == {}
    assert await bob.ask("message.read", c="g", seq=4) == {}
    await trio.sleep(0.5)
    assert read(alice, "message.delivered") == read(phone, "message.delivered") == [("bob", 3)]
    assert read(alice) == read(phone) == [("bob", 4)]
    assert read(bob) == read(bob, "message.delivered") == []
    assert all("s" not in push for push in alice.got("message.read"))


async def test_backwards_nothing_happens(world: World, autojump_clock: object) -> None:
    alice, bob = await chatting(world)
    for seq in (4, 4, 2, 0):
        assert await bob.ask("message.read", c="g", seq=seq) == {}
    assert await bob.ask("message.delivered", c="g", seq=4) == {}
    await trio.sleep(5)
    assert (read(alice), read(alice, "message.delivered")) == ([("bob", 4)], [])
    await bob.ask("message.read", c="g", seq=3)
    await trio.sleep(30)
    assert len(await moves(world, "bob")) == 1


async def test_a_later_life_of_the_personal_room_does_not_go_back_either(world: World, autojump_clock: object) -> None:
    alice, bob = await chatting(world)
    await bob.ask("message.read", c="g", seq=4)
    await trio.sleep(5)
    bob.drop()
    await trio.sleep(300)
    back = await greeted(world, "bob", "w2")
    await back.ask("message.read", c="g", seq=2)
    await trio.sleep(30)
    assert read(alice) == [("bob", 4)]
    assert len(await moves(world, "bob")) == 1


async def test_strangers_and_the_application_have_no_pointer(world: World, autojump_clock: object) -> None:
    await chatting(world)
    carol = await greeted(world, "carol")
    assert (await carol.ask("message.read", c="g", seq=1))["error"] == "not_found"
    assert (await carol.ask("message.delivered", c="none", seq=1))["error"] == "not_found"
    assert (await carol.ask("message.read", c="me", seq=1))["error"] == "bad_request"
    assert (await carol.ask("message.read", c="g", seq=-1))["error"] == "bad_request"


async def test_a_seq_beyond_the_head_waits_two_seconds_for_it(world: World, autojump_clock: object) -> None:
    alice, bob = await chatting(world)
    began = trio.current_time()
    assert (await bob.ask("message.read", c="g", seq=99))["error"] == "unavailable"
    assert 2 <= trio.current_time() - began < 3
    waiting = bob.say("message.read", c="g", seq=5)
    await trio.sleep(1)
    await alice.ask("message.send", c="g", id=new_id(world), text="there it is")
    assert (await bob.reply(waiting))["r"] == {}


async def test_above_a_hundred_members_the_sender_alone_is_told_once_a_second(autojump_clock: object) -> None:
    crowd = tuple(f"user-{number}" for number in range(101))
    async with open_world("w1", "w2", users=("alice", *crowd)) as world:
        alice, other = await greeted(world, "alice"), await greeted(world, "user-0", "w2")
        await alice.ask("conversation.create", type="group", id="g", members=list(crowd[:100]))
        await alice.ask("member.add", c="g", users=[crowd[100]])
        for client in (alice, other):
            await client.ask("conversation.watch", c="g")
        await alice.ask("message.send", c="g", id=new_id(world), text="to all of you")
        await trio.sleep(2)
        readers = [await greeted(world, user, "w2") for user in crowd[1:9]]
        began = trio.current_time()
        for reader in readers:
            await reader.ask("message.read", c="g", seq=3)
        assert trio.current_time() - began < 0.9
        assert read(alice) == [("user-1", 3)]
        await trio.sleep(1.5)
        assert read(alice) == [(user, 3) for user in crowd[1:9]]
        assert [len(frame) for frame in alice.frames if isinstance(frame, list)] == [7]
        assert read(other) == []


# What is remembered.


async def test_whoever_comes_to_watch_is_told_how_far_everybody_is(world: World, autojump_clock: object) -> None:
    alice, bob = await chatting(world)
    await bob.ask("message.read", c="g", seq=3)
    await alice.ask("message.delivered", c="g", seq=2)
    later = await greeted(world, "alice", "w2")
    told = await later.ask("conversation.watch", c="g")
    assert (told["read"], told["delivered"]) == ({"bob": 3}, {"bob": 3, "alice": 2})
    resumed = await greeted(world, "alice", resume={"g": {"seq": 1, "epoch": 1}})
    assert resumed.greeting["conversations"]["g"]["read"] == {"bob": 3}  # type: ignore[attr-defined]


async def test_a_room_that_woke_again_reads_it_from_storage(world: World, autojump_clock: object) -> None:
    alice, bob = await chatting(world)
    await bob.ask("message.read", c="g", seq=4)
    for client in (alice, bob):
        client.drop()
    await trio.sleep(300)
    assert all(worker.assembly.rooms.find(f"{TENANT}/g") is None for worker in world.workers.values())
    told = await (await greeted(world, "alice")).ask("conversation.watch", c="g")
    assert (told["read"], told["delivered"]) == ({"bob": 4}, {"bob": 4})


async def test_a_delivery_does_not_hide_what_was_read_before_the_room_woke(world: World, autojump_clock: object) -> None:
    alice, bob = await chatting(world)
    await bob.ask("message.read", c="g", seq=3)
    for client in (alice, bob):
        client.drop()
    await trio.sleep(300)
    await (await greeted(world, "bob")).ask("message.delivered", c="g", seq=4)
    told = await (await greeted(world, "alice")).ask("conversation.watch", c="g")
    assert (told["read"], told["delivered"]) == ({"bob": 3}, {"bob": 4})


async def test_when_all_come_back_at_once_storage_is_asked_once(world: World, autojump_clock: object) -> None:
    alice, bob = await chatting(world)
    await bob.ask("message.read", c="g", seq=3)
    for client in (alice, bob):
        client.drop()
    await trio.sleep(300)
    asked = list[str]()
    for worker in world.workers.values():
        documents, get_many = worker.assembly.backend.documents, worker.assembly.backend.documents.get_many

        async def counting(scope: Any, collection: str, keys: Any, get_many: Any = get_many) -> Any:
            asked.append(collection)
            return await get_many(scope, collection, keys)

        documents.get_many = counting  # type: ignore[method-assign]
    clients = [Client(world.workers[name]) for name in ("w1", "w2") * 4]
    hellos = [client.say("hello", token="alice", resume={"g": {"seq": 4, "epoch": 1}}) for client in clients]
    told = [(await client.reply(i))["r"]["conversations"]["g"]["read"] for client, i in zip(clients, hellos, strict=True)]
    assert told == [{"bob": 3}] * 8
    assert asked.count("pointers") == 1


async def test_members_are_listed_with_what_they_have_read(world: World, autojump_clock: object) -> None:
    alice, bob = await chatting(world)
    await bob.ask("message.read", c="g", seq=4)
    listed = {item["user"]["id"]: item.get("read_seq") for item in (await alice.ask("member.list", c="g"))["items"]}
    assert listed == {"alice": None, "bob": 4}


async def test_what_passes_between_looking_and_joining_is_not_lost(world: World, autojump_clock: object) -> None:
    _alice, bob = await chatting(world)
    dave = await greeted(world, "alice", "w2")
    connection = world.workers["w2"].connections._live[f"w2-{dave.id}"]
    watching = connection._watching
    assert watching is not None
    found = await watching.prepare("g", Key(TENANT, "g"), None, None)
    await bob.ask("message.read", c="g", seq=4)
    await trio.sleep(1)
    assert watching.begin(found)["read"] == {"bob": 4}


async def test_whoever_is_still_catching_up_is_told_too(world: World, autojump_clock: object) -> None:
    await chatting(world)
    late = await greeted(world, "bob", "w2")
    watching = world.workers["w2"].connections._live[f"w2-{late.id}"]._watching
    assert watching is not None
    found = await watching.prepare("g", Key(TENANT, "g"), 1, None)
    world.workers["w2"].assembly.ready.clear()  # what it missed has to be read
    assert watching.begin(found)["from"] == 2
    receipt = {"t": "message.read", "c": "g", "p": {"user": "alice", "seq": 4, "at": 1}}
    world.workers["w2"].assembly.fanout.emit(Key(TENANT, "g"), msgspec.msgpack.encode(receipt), "")
    assert late.pushes[-1] == receipt
    await late.until(lambda client: len(client.got("message.new", "g")) == 3)


# When the log has it.


async def test_two_seconds_after_the_last_move_one_entry_has_them_all(world: World, autojump_clock: object) -> None:
    _, bob = await chatting(world)
    phone = await greeted(world, "bob")
    await bob.ask("message.delivered", c="g", seq=4)
    for seq in (2, 3):
        await bob.ask("message.read", c="g", seq=seq)
    began = trio.current_time()
    await trio.sleep(1.9)
    assert await moves(world, "bob") == []
    await trio.sleep(0.2)
    [entry] = await moves(world, "bob")
    assert (entry.kind, entry.facts) == ("read.moved", {"read": {"g": [3, 2]}, "delivered": {"g": 4}})
    assert entry.at - world.sim.clock.now_ms() + (trio.current_time() - began) * 1000 == pytest.approx(2000, abs=2)
    for client in (bob, phone):
        await client.until(lambda client: bool(client.got("read.moved", "me")))
        assert [push["p"] for push in client.got("read.moved", "me")] == [{"conversations": {"g": 3}}]


async def test_one_entry_in_ten_seconds_while_the_user_keeps_reading(world: World, autojump_clock: object) -> None:
    alice, bob = await chatting(world, said=1)
    began = trio.current_time()
    for _ in range(35):
        await alice.ask("message.send", c="g", id=new_id(world), text="more")
        head = alice.got("message.new", "g")[-1]["s"]
        await bob.ask("message.read", c="g", seq=head)
        await trio.sleep(1)
    ages = [entry.at / 1000 - (world.sim.clock.now_ms() / 1000 - trio.current_time()) - began for entry in await moves(world, "bob")]
    assert len(ages) == 3
    assert ages[0] == pytest.approx(10, abs=0.05)
    assert all(10 <= later - earlier <= 11.1 for earlier, later in itertools.pairwise(ages))


async def test_when_the_last_connection_goes_nothing_waits(world: World, autojump_clock: object) -> None:
    _, bob = await chatting(world)
    phone = await greeted(world, "bob")
    await bob.ask("message.read", c="g", seq=4)
    bob.drop()
    await trio.sleep(0.5)
    assert await moves(world, "bob") == []
    phone.drop()
    await trio.sleep(0.5)
    assert len(await moves(world, "bob")) == 1


async def test_what_was_only_delivered_is_a_skip_for_other_devices(world: World, autojump_clock: object) -> None:
    _, bob = await chatting(world)
    await bob.ask("message.delivered", c="g", seq=4)
    await trio.sleep(3)
    [entry] = await moves(world, "bob")
    assert entry.kind == "delivered.moved"
    assert [push["t"] for push in bob.pushes if push.get("c") == "me"][-1] == "skip"


async def test_a_log_that_refuses_gets_it_later(world: World, autojump_clock: object) -> None:
    _, bob = await chatting(world)
    await bob.ask("message.read", c="g", seq=3)
    world.store.full = True
    await trio.sleep(7)
    assert await moves(world, "bob") == []
    assert await bob.ask("message.read", c="g", seq=4) == {}
    world.store.full = False
    await trio.sleep(3)
    assert [entry.facts["read"] for entry in await moves(world, "bob")] == [{"g": [4, 3]}]


async def test_a_personal_room_that_moves_hands_over_what_it_held(world: World, autojump_clock: object) -> None:
    _, bob = await chatting(world)
    await bob.ask("message.read", c="g", seq=4)
    partition = partition_of(Key(TENANT, await me(world, "bob")), 8)
    owner = next(name for name, worker in world.workers.items() if partition in worker.assembly.router.owned())
    for worker in world.workers.values():  # it leaves the ring, as one that is being drained does
        await worker.assembly.take_ring(_Ring(tuple(name for name in world.workers if name != owner)))
    await trio.sleep(1)
    [entry] = await moves(world, "bob")
    assert entry.facts["read"] == {"g": [4, 3]}
    assert entry.append[0] != owner


async def test_a_worker_killed_in_between_loses_no_more_than_what_was_held(world: World, autojump_clock: object) -> None:
    _alice, bob = await chatting(world)
    await bob.ask("message.read", c="g", seq=2)
    await trio.sleep(3)
    await bob.ask("message.read", c="g", seq=4)
    partition = partition_of(Key(TENANT, await me(world, "bob")), 8)
    await world.crash(next(name for name, worker in world.workers.items() if partition in worker.assembly.router.owned()))
    [survivor] = world.workers
    back = await greeted(world, "bob", survivor)
    listed = (await back.ask("conversation.list"))["items"][0]
    assert (listed["read_seq"], listed["read_n"], listed["unread"]) == (2, 1, 2)
    await back.ask("message.read", c="g", seq=4)
    assert (await back.ask("conversation.list"))["items"][0]["unread"] == 0
    await trio.sleep(5)
    assert [entry.facts["read"] for entry in await moves(world, "bob")] == [{"g": [2, 1]}, {"g": [4, 3]}]


class _Ring:
    def __init__(self, members: tuple[str, ...]) -> None:
        self.members = members

    def owner(self, partition: int) -> str:
        return self.members[partition % len(self.members)]


# What is unread.


async def test_the_list_shows_at_once_what_the_log_does_not_have_yet(world: World, autojump_clock: object) -> None:
    alice, bob = await chatting(world)
    await trio.sleep(1)
    row = (await bob.ask("conversation.list"))["items"][0]
    assert (row["read_seq"], row["read_n"], row["last_n"], row["own_n"], row["unread"]) == (0, 0, 3, 0, 3)
    await bob.ask("message.read", c="g", seq=3)
    for client in (bob, await greeted(world, "bob")):
        row = (await client.ask("conversation.list"))["items"][0]
        assert (row["read_seq"], row["read_n"], row["unread"]) == (3, 2, 1)
    assert (await alice.ask("conversation.list"))["items"][0]["unread"] == 0


async def test_what_is_stored_while_the_list_is_made_is_in_it(world: World, autojump_clock: object) -> None:
    _, bob = await chatting(world)
    await trio.sleep(2)
    name = f"{TENANT}/{await me(world, 'bob')}"
    storers = [worker.assembly.storer for worker in world.workers.values()]
    rounds = [storer._round for storer in storers]
    for storer in storers:
        storer._round = trio.lowlevel.checkpoint  # type: ignore[method-assign]
    await bob.ask("message.read", c="g", seq=4)
    await trio.sleep(3)
    documents = bob.worker.assembly.backend.documents
    get_many = documents.get_many

    async def storing_after(scope: Any, collection: str, keys: Any) -> Any:
        found = await get_many(scope, collection, keys)
        if collection == "pointers":
            for storer, go_on in zip(storers, rounds, strict=True):
                storer._round = go_on  # type: ignore[method-assign]
            await trio.sleep(3)
            for worker in world.workers.values():
                await worker.assembly.rooms.stop(name)
        return found

    documents.get_many = storing_after  # type: ignore[method-assign]
    for worker in world.workers.values():
        await worker.assembly.rooms.stop(name)  # what it held in memory is gone; the log has it, and storage does not
    assert (await bob.ask("conversation.list"))["items"][0]["read_seq"] == 4


async def test_what_stands_between_messages_counts_as_the_message_before_it(world: World, autojump_clock: object) -> None:
    alice, bob = await chatting(world, said=2)
    await alice.ask("member.add", c="g", users=["carol"])
    await alice.ask("message.send", c="g", id=new_id(world), text="third")
    await bob.ask("message.read", c="g", seq=4)
    await trio.sleep(1)
    row = (await bob.ask("conversation.list"))["items"][0]
    assert (row["read_seq"], row["read_n"], row["unread"]) == (4, 2, 1)


async def test_a_pointer_far_back_finds_its_number_in_storage(world: World, autojump_clock: object) -> None:
    alice, bob = await chatting(world, said=0)
    for number in range(60):
        await alice.ask("message.send", c="g", id=new_id(world), text=str(number))
        await trio.sleep(10)
    await bob.ask("message.read", c="g", seq=11)
    row = (await bob.ask("conversation.list"))["items"][0]
    assert (row["read_seq"], row["read_n"], row["unread"]) == (11, 10, 50)


# Notices.


async def test_members_who_do_not_watch_are_told_of_a_message_but_not_its_sender(world: World, autojump_clock: object) -> None:
    alice, bob = await chatting(world, said=0)
    idle, own, carol = await greeted(world, "bob"), await greeted(world, "alice", "w2"), await greeted(world, "carol", "w2")
    await alice.ask("message.send", c="g", id=new_id(world), text="hello")
    await trio.sleep(0.5)
    assert [push["p"] for push in idle.got("notice.message", "g")] == [{"seq": 2, "n": 1, "sender": "alice"}]
    assert [client.got("notice.message") for client in (alice, bob, own, carol)] == [[], [], [], []]


async def test_at_most_one_a_second_and_the_newest_is_always_told_at_its_end(world: World, autojump_clock: object) -> None:
    alice, _ = await chatting(world, said=0)
    idle = await greeted(world, "bob")
    began = trio.current_time()
    for _ in range(35):
        await alice.ask("message.send", c="g", id=new_id(world), text="x")
        await trio.sleep(0.1)
    told = [push["p"]["n"] for push in idle.got("notice.message", "g")]
    assert len(told) == 1 + int(trio.current_time() - began)
    assert told[0] == 1
    await trio.sleep(1)
    assert idle.got("notice.message", "g")[-1]["p"]["n"] == 35
    await trio.sleep(10)
    assert len(idle.got("notice.message", "g")) == len(told) + 1


async def test_thread_replies_have_no_notice_and_silent_messages_say_so(world: World, autojump_clock: object) -> None:
    alice, _ = await chatting(world, said=0)
    idle = await greeted(world, "bob")
    root = new_id(world)
    await alice.ask("message.send", c="g", id=root, text="quietly", silent=True)
    await trio.sleep(2)
    await alice.ask("message.send", c="g", id=new_id(world), text="aside", thread=root)
    await trio.sleep(2)
    assert [push["p"] for push in idle.got("notice.message", "g")] == [{"seq": 2, "n": 1, "sender": "alice", "silent": True}]


async def test_whoever_unwatches_is_told_again_and_whoever_left_is_not(world: World, autojump_clock: object) -> None:
    alice, bob = await chatting(world, said=0)
    await bob.ask("conversation.unwatch", c="g")
    await alice.ask("message.send", c="g", id=new_id(world), text="one")
    await trio.sleep(2)
    await alice.ask("member.remove", c="g", user="bob")
    await alice.ask("message.send", c="g", id=new_id(world), text="two")
    await trio.sleep(2)
    assert [push["p"]["n"] for push in bob.got("notice.message", "g")] == [1]
