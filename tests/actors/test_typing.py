"""Typing, over two workers: who hears of it, when it is over, and who may not."""

from collections.abc import AsyncIterator

import pytest
import trio

from actors.keys import Key
from tests.actors.world import TENANT, Client, World, new_id, open_world

ROOMS = ["one", "two", "three", "four"]  # some of either worker


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world("w1", "w2") as made:
        yield made


async def greeted(world: World, name: str, worker: str) -> Client:
    client = Client(world.workers[worker])
    await client.ask("hello", token=name)
    return client


async def two_in(world: World, room: str) -> tuple[Client, Client]:
    """Alice on one worker, Bob on the other, both watching."""
    alice, bob = await greeted(world, "alice", "w1"), await greeted(world, "bob", "w2")
    await alice.ask("conversation.create", type="group", id=room, members=["bob", "carol"])
    for client in (alice, bob):
        await client.ask("conversation.watch", c=room)
    return alice, bob


def heard(client: Client) -> list[str]:
    """What a client heard of typing, as `who+` and `who-`."""
    signs = {"typing.started": "+", "typing.stopped": "-"}
    return [push["p"]["user"] + signs[push["t"]] for push in client.pushes if push["t"] in signs]


@pytest.mark.parametrize("room", ROOMS)
async def test_others_hear_it_and_after_six_seconds_its_end(world: World, room: str, autojump_clock: object) -> None:
    alice, bob = await two_in(world, room)
    assert await alice.ask("typing.start", c=room) == {}
    await trio.sleep(5.9)
    assert bob.got("typing.started") == [{"t": "typing.started", "c": room, "p": {"user": "alice", "kind": "text"}}]
    assert heard(bob) == ["alice+"]
    await trio.sleep(0.2)
    assert bob.got("typing.stopped") == [{"t": "typing.stopped", "c": room, "p": {"user": "alice", "kind": "text"}}]
    await trio.sleep(60)
    assert heard(bob) == ["alice+", "alice-"]
    assert heard(alice) == []


async def test_each_start_is_told_and_puts_the_end_off(world: World, autojump_clock: object) -> None:
    alice, bob = await two_in(world, "one")
    for _ in range(4):
        await alice.ask("typing.start", c="one")
        await trio.sleep(3)
    assert heard(bob) == ["alice+"] * 4
    await trio.sleep(3.1)
    assert heard(bob) == ["alice+"] * 4 + ["alice-"]


async def test_more_than_one_start_a_second_is_answered_and_not_told(world: World, autojump_clock: object) -> None:
    alice, bob = await two_in(world, "one")
    for _ in range(5):
        assert await alice.ask("typing.start", c="one") == {}
        await trio.sleep(0.19)
    assert heard(bob) == ["alice+"]
    await trio.sleep(0.1)
    await alice.ask("typing.start", c="one")
    await trio.sleep(0.1)
    assert heard(bob) == ["alice+", "alice+"]


async def test_stop_is_told_once(world: World, autojump_clock: object) -> None:
    alice, bob = await two_in(world, "one")
    await alice.ask("typing.start", c="one", kind="voice")
    assert await alice.ask("typing.stop", c="one", kind="voice") == {}
    assert await alice.ask("typing.stop", c="one") == {}
    await trio.sleep(10)
    assert heard(bob) == ["alice+", "alice-"]
    assert bob.got("typing.stopped")[0]["p"] == {"user": "alice", "kind": "voice"}


async def test_stopping_one_kind_leaves_another(world: World, autojump_clock: object) -> None:
    alice, bob = await two_in(world, "one")
    await alice.ask("typing.start", c="one", kind="voice")
    await alice.ask("typing.stop", c="one", kind="text")
    await trio.sleep(1)
    assert heard(bob) == ["alice+"]


async def test_sending_ends_it_before_the_message_is_told(world: World, autojump_clock: object) -> None:
    alice, bob = await two_in(world, "one")
    await alice.ask("typing.start", c="one")
    await alice.ask("message.send", c="one", id=new_id(world), text="there")
    await trio.sleep(10)
    assert [push["t"] for push in bob.pushes if push.get("c") == "one"] == ["typing.started", "typing.stopped", "message.new"]
    assert heard(alice) == []


async def test_a_thread_is_a_place_of_its_own(world: World, autojump_clock: object) -> None:
    alice, bob = await two_in(world, "one")
    root = new_id(world)
    await alice.ask("message.send", c="one", id=root, text="root")
    await alice.ask("typing.start", c="one", thread=root)
    await alice.ask("message.send", c="one", id=new_id(world), text="not in the thread")
    await trio.sleep(1)
    assert heard(bob) == ["alice+"]
    await alice.ask("message.send", c="one", id=new_id(world), text="in the thread", thread=root)
    await trio.sleep(1)
    assert bob.got("typing.stopped") == [{"t": "typing.stopped", "c": "one", "p": {"user": "alice", "kind": "text", "thread": root}}]


async def test_several_type_at_once(world: World, autojump_clock: object) -> None:
    alice, bob = await two_in(world, "one")
    carol = await greeted(world, "carol", "w2")
    await carol.ask("conversation.watch", c="one")
    await alice.ask("typing.start", c="one")
    await trio.sleep(2)
    await bob.ask("typing.start", c="one")
    await trio.sleep(3.9)
    assert (heard(carol), heard(alice), heard(bob)) == (["alice+", "bob+"], ["bob+"], ["alice+"])
    await trio.sleep(0.2)
    assert heard(carol) == ["alice+", "bob+", "alice-"]
    await trio.sleep(2)
    assert heard(carol) == ["alice+", "bob+", "alice-", "bob-"]


async def test_my_other_device_hears_it(world: World, autojump_clock: object) -> None:
    alice, _ = await two_in(world, "one")
    phone = await greeted(world, "alice", "w2")
    await phone.ask("conversation.watch", c="one")
    await alice.ask("typing.start", c="one")
    await trio.sleep(7)
    assert (heard(alice), heard(phone)) == ([], ["alice+", "alice-"])


async def test_the_end_of_the_connection_ends_it(world: World, autojump_clock: object) -> None:
    alice, bob = await two_in(world, "one")
    await alice.ask("typing.start", c="one")
    alice.drop()
    await trio.sleep(0.5)
    assert heard(bob) == ["alice+", "alice-"]


async def test_a_worker_that_is_killed_takes_its_typists_along(world: World, autojump_clock: object) -> None:
    for room in ROOMS:
        alice, bob = await two_in(world, room)
        await alice.ask("typing.start", c=room)
        if bob.worker.assembly.router.owner(Key(TENANT, room)) == "w2":
            break
    await trio.sleep(0.1)
    await world.crash("w1")
    await trio.sleep(0.5)
    assert heard(bob)[-2:] == ["alice+", "alice-"]


async def test_a_room_that_moves_says_that_nobody_types(world: World, autojump_clock: object) -> None:
    alice, bob = await two_in(world, "one")
    await alice.ask("typing.start", c="one")
    owner = alice.worker.assembly.router.owner
    before = owner(Key(TENANT, "one"))
    await world.start("w0")
    await trio.sleep(0.5)
    assert owner(Key(TENANT, "one")) != before
    assert heard(bob) == ["alice+", "alice-"]
    await alice.ask("typing.start", c="one")
    await trio.sleep(7)
    assert heard(bob) == ["alice+", "alice-"] * 2


async def test_who_may_not_send_may_not_type(world: World, autojump_clock: object) -> None:
    alice, bob = await two_in(world, "one")
    carol = await greeted(world, "carol", "w2")
    await alice.ask("conversation.create", type="group", id="two", members=["bob"])
    assert (await carol.ask("typing.start", c="two"))["error"] == "not_found"
    assert (await alice.ask("typing.start", c="nowhere"))["error"] == "not_found"
    assert (await alice.ask("typing.start", c="me"))["error"] == "bad_request"
    for field, value in (("kind", "song"), ("thread", "no-id"), ("c", "no/such")):
        answer = await alice.ask("typing.start", **{"c": "one", field: value})
        assert (answer["error"], answer["field"]) == ("bad_request", field)
    assert heard(bob) == []


async def test_who_is_shown_out_types_no_more(world: World, autojump_clock: object) -> None:
    alice, bob = await two_in(world, "one")
    await bob.ask("typing.start", c="one")
    await alice.ask("member.remove", c="one", user="bob")
    await trio.sleep(1)
    assert heard(alice) == ["bob+", "bob-"]


@pytest.mark.parametrize(("members", "told"), [(100, ["alice+"]), (101, [])])
async def test_in_a_large_conversation_nobody_is_told(members: int, told: list[str], autojump_clock: object) -> None:
    people = tuple(f"u{n}" for n in range(members - 2))
    async with open_world("w1", "w2", users=("alice", "bob", *people)) as world:
        alice, bob = await greeted(world, "alice", "w1"), await greeted(world, "bob", "w2")
        await alice.ask("conversation.create", type="group", id="g", members=["bob", *people[:90]])
        await alice.ask("member.add", c="g", users=list(people[90:]))
        await bob.ask("conversation.watch", c="g")
        assert await alice.ask("typing.start", c="g") == {}
        await trio.sleep(1)
        assert heard(bob) == told


async def test_over_rest_it_ends_by_itself_or_by_its_user(world: World, autojump_clock: object) -> None:
    _, bob = await two_in(world, "one")
    assembly = world.workers["w1"].assembly
    alice = (await world.workers["w1"].authenticate("alice")).scope
    for end in ("typing.stop", ""):
        assert await assembly.dispatch.call(alice, assembly.table["typing.start"], {"c": "one", "kind": "file"}) == {}
        if end:
            assert await assembly.dispatch.call(alice, assembly.table[end], {"c": "one"}) == {}
        await trio.sleep(6.1)
    assert heard(bob) == ["alice+", "alice-"] * 2


async def test_where_it_is_frozen_nobody_types(world: World, autojump_clock: object) -> None:
    alice, bob = await two_in(world, "one")
    await bob.ask("typing.start", c="one")
    await alice.ask("conversation.freeze", c="one", frozen=True)
    await trio.sleep(0.1)
    assert heard(alice) == ["bob+", "bob-"]
    for client in (alice, bob):
        assert (await client.ask("typing.start", c="one"))["error"] == "frozen"
    await alice.ask("conversation.freeze", c="one", frozen=False)
    assert await bob.ask("typing.start", c="one") == {}
    await trio.sleep(0.1)
    assert heard(alice) == ["bob+", "bob-", "bob+"]
