"""Mentions and invitations: told in one's own conversation, once, and counted until read."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from tests.actors.world import Client, World, new_id, open_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world("w1", "w2") as made:
        yield made


async def greeted(world: World, name: str, worker: str = "w1") -> Client:
    client = Client(world.workers[worker])
    await client.ask("hello", token=name)
    return client


async def group(world: World) -> tuple[Client, Client, Client]:
    alice, bob, carol = await greeted(world, "alice"), await greeted(world, "bob", "w2"), await greeted(world, "carol")
    await alice.ask("conversation.create", type="group", id="g", members=["bob"])
    return alice, bob, carol


def mentions(client: Client) -> list[dict[str, Any]]:
    return [push["p"] for push in client.got("mention.new", "me")]


async def row(client: Client) -> dict[str, Any]:
    await trio.sleep(2)
    return (await client.ask("conversation.list"))["items"][0]


async def test_members_who_are_mentioned_are_told_but_not_oneself_and_no_strangers(world: World, autojump_clock: object) -> None:
    alice, bob, carol = await group(world)
    id_ = new_id(world)
    await alice.ask("message.send", c="g", id=id_, text="you two, and me", mentions=["alice", "bob", "carol"])
    await trio.sleep(2)
    assert mentions(bob) == [{"conversation": "g", "message": id_}]
    assert (mentions(alice), mentions(carol)) == ([], [])


async def test_a_mention_is_counted_until_it_is_read(world: World, autojump_clock: object) -> None:
    alice, bob, _ = await group(world)
    for text in ("one", "two"):
        await alice.ask("message.send", c="g", id=new_id(world), text=text, mentions=["bob"])
    assert (await row(bob))["unread_mentions"] == 2
    await bob.ask("message.read", c="g", seq=2)
    assert (await bob.ask("conversation.list"))["items"][0]["unread_mentions"] == 1
    await bob.ask("message.send", c="g", id=new_id(world), text="here I am")
    assert [(await row(bob))[name] for name in ("unread_mentions", "unread")] == [0, 0]
    assert (await row(alice))["unread_mentions"] == 0


async def test_a_message_for_all_appends_nothing_and_counts(world: World, autojump_clock: object) -> None:
    alice, bob, _ = await group(world)
    await alice.ask("message.send", c="g", id=new_id(world), text="everybody!", mention_all=True, mentions=["bob"])
    await alice.ask("message.send", c="g", id=new_id(world), text="again", mention_all=True)
    await alice.ask("message.send", c="g", id=new_id(world), text="not", mention_all=False)
    assert (await row(bob))["unread_mentions"] == 2
    assert len(mentions(bob)) == 1
    assert (await row(alice))["unread_mentions"] == 0
    await alice.ask("member.add", c="g", users=["carol"])
    assert (await row(await greeted(world, "carol")))["unread_mentions"] == 0
    await bob.ask("message.read", c="g", seq=4)
    assert (await row(bob))["unread_mentions"] == 0


async def test_a_reply_in_a_thread_mentions_too_and_its_sender_has_none(world: World, autojump_clock: object) -> None:
    alice, bob, _ = await group(world)
    root = new_id(world)
    await alice.ask("message.send", c="g", id=root, text="root")
    await bob.ask("message.read", c="g", seq=2)
    await bob.ask("message.send", c="g", id=new_id(world), text="all, see here", thread=root, mention_all=True, mentions=["alice"])
    assert [(await row(alice))[name] for name in ("unread_mentions", "unread")] == [1, 0]
    assert [(await row(bob))[name] for name in ("unread_mentions", "unread")] == [0, 0]


async def test_an_edit_tells_only_those_it_mentions_anew(world: World, autojump_clock: object) -> None:
    alice, bob, carol = await group(world)
    await alice.ask("member.add", c="g", users=["carol"])
    id_ = new_id(world)
    await alice.ask("message.send", c="g", id=id_, text="bob", mentions=["bob"])
    await trio.sleep(2)
    await alice.ask("message.edit", c="g", id=id_, text="bob and carol", mentions=["bob", "carol"])
    await trio.sleep(2)
    assert mentions(bob) == mentions(carol) == [{"conversation": "g", "message": id_}]
    assert (await row(carol))["unread_mentions"] == 1


async def test_after_the_message_is_deleted_its_mention_carries_nothing_of_it(world: World, autojump_clock: object) -> None:
    alice, bob, _ = await group(world)
    id_ = new_id(world)
    await alice.ask("message.send", c="g", id=id_, text="a secret for bob", mentions=["bob"])
    await trio.sleep(2)
    await alice.ask("message.delete", c="g", id=id_, **{"for": "all"})
    await trio.sleep(2)
    entries = (await bob.ask("conversation.sync", c="me", after=0))["entries"]
    assert [entry["p"] for entry in entries if entry["t"] == "mention.new"] == [{"conversation": "g", "message": id_}]
    assert "secret" not in str(entries)


async def test_whoever_is_let_in_by_somebody_else_is_told_so(world: World, autojump_clock: object) -> None:
    alice, bob, carol = await group(world)
    await alice.ask("member.add", c="g", users=["carol"])
    await trio.sleep(2)
    for client in (bob, carol):
        assert [(push["t"], push["p"]) for push in client.pushes if push["c"] == "me"] == [
            ("conversation.joined", {"conversation": "g", "by": "alice"}), ("invite.new", {"conversation": "g", "by": "alice"})]
    assert [push["t"] for push in alice.pushes if push["c"] == "me"] == ["conversation.joined"]


async def test_a_follower_that_stops_in_between_tells_once(world: World, autojump_clock: object) -> None:
    alice, bob, _ = await group(world)
    for number in range(10):
        await alice.ask("message.send", c="g", id=new_id(world), text=str(number), mentions=["bob"])
        if number == 4:
            await world.crash("w2")
            bob = await greeted(world, "bob")
            await bob.ask("conversation.watch", c="g")
    for worker in world.workers.values():  # from the beginning, as after losing its place
        for follower in worker.assembly.followers:
            follower._places = dict.fromkeys(range(8), (0, 0, 0))  # type: ignore[arg-type]
            follower.look(range(8))
    await trio.sleep(5)
    entries = (await bob.ask("conversation.sync", c="me", after=0))["entries"]
    told = [entry["p"]["message"] for entry in entries if entry["t"] == "mention.new"]
    assert (len(told), len(set(told))) == (10, 10)
