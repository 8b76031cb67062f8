"""Followers read only where there is something for them, and yet miss nothing."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import trio

from actors.followers import KEEP_S, Follower
from services.scope import SYSTEM
from storage.ports.entry import Entry, Place, decode_entry
from storage.ports.log import Following, Stored
from tests.actors.world import Client, World, new_id, open_world


class Counting:
    """A log that counts how often it is read."""

    def __init__(self, log: Following) -> None:
        self.reads, self._log = 0, log

    async def stored_after(self, partition: int, after: Place, limit: int) -> Sequence[Stored]:
        self.reads += 1
        return await self._log.stored_after(partition, after, limit)


class Shouts:
    """Wants messages with an exclamation in front of the body: those of type `shout`."""

    name = "shouts"

    def __init__(self) -> None:
        self.heard: list[int] = []

    def wants(self, entry: Entry) -> bool:
        return entry.facts.get("type") == "shout"

    async def __call__(self, entries: list[Stored]) -> None:
        self.heard += [stored.row.seq for stored in entries if self.wants(decode_entry(stored.row.data))]


class Heard:
    """A follower on the one worker of a world, and what it hears."""

    def __init__(self, world: World) -> None:
        assembly = world.workers["w1"].assembly
        self.shouts, self.log, self.documents = Shouts(), Counting(assembly.log), assembly.backend.documents
        self.follower = Follower(self.shouts, self.log, self.documents, assembly.router.owned)
        assembly.storer.told.append(self.follower)
        world.nursery.start_soon(self.follower.run)
        self.follower.reassigned()

    async def places(self) -> dict[str, Any]:
        return await self.documents.get_many(SYSTEM, "followers", [f"shouts/{partition}" for partition in range(8)])


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world("w1") as made:
        yield made


async def say(world: World, client: Client, *types: str) -> list[int]:
    """Messages of these types, a second apart, so that each is stored by itself."""
    seqs = []
    for kind in types:
        seqs.append((await client.ask("message.send", c="g", id=new_id(world), text="x", type=kind))["seq"])
        await trio.sleep(1)
    return seqs


async def chatting(world: World) -> Client:
    alice = Client(world.workers["w1"])
    await alice.ask("hello", token="alice")
    await alice.ask("conversation.create", type="group", id="g")
    await trio.sleep(1)
    return alice


async def test_nothing_is_read_where_nothing_is_wanted(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    following = Heard(world)
    await say(world, alice, "text")
    before = following.log.reads
    await say(world, alice, *["text"] * 10)
    assert following.log.reads == before
    shouted = await say(world, alice, "shout", "text", "shout")
    assert following.shouts.heard == shouted[::2]


async def test_the_place_moves_over_what_nobody_wants_and_is_written_down(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    following = Heard(world)
    await say(world, alice, "text", "text")
    await trio.sleep(KEEP_S + 1)
    places = await following.places()
    last = max(place for place in (await world.workers["w1"].assembly.log.stored_places()).values())
    assert last in [held.place for held in places.values()]


async def test_one_that_begins_anew_hears_what_it_missed(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    first = await say(world, alice, "shout", "text", "shout")
    following = Heard(world)
    await trio.sleep(1)
    assert following.shouts.heard == first[::2]


async def test_what_is_stored_while_it_reads_is_heard(world: World, autojump_clock: object) -> None:
    alice = await chatting(world)
    following = Heard(world)
    sent = [alice.say("message.send", c="g", id=new_id(world), text="x", type="shout" if number % 3 else "text") for number in range(60)]
    seqs = [(await alice.reply(i))["r"]["seq"] for i in sent]
    await trio.sleep(2)
    assert following.shouts.heard == [seq for number, seq in enumerate(seqs) if number % 3]
