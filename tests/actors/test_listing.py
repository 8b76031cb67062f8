"""`conversation.list`: as many reads for thirty conversations as for three, the same page after page, and messages as they are now."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trio

from caas.assembly import Assembly
from tests.actors.world import Client, World, new_id, open_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world("w1", "w2") as made:
        yield made


async def greeted(world: World, name: str, worker: str = "w1") -> Client:
    client = Client(world.workers[worker])
    await client.ask("hello", token=name)
    return client


async def with_groups(world: World, count: int) -> Client:
    """alice has made so many groups with bob, and said something in each."""
    alice = await greeted(world, "alice")
    for number in range(count):
        await alice.ask("conversation.create", type="group", id=f"g{number}", members=["bob"])
        await alice.ask("message.send", c=f"g{number}", id=new_id(world), text=f"in {number}", mentions=["bob"])
        await trio.sleep(0.01)
    await trio.sleep(3)
    return alice


def counted(assembly: Assembly) -> Counter[str]:
    """What this worker reads of storage from now on."""
    reads: Counter[str] = Counter()

    def count(port: Any, name: str) -> None:
        read: Callable[..., Awaitable[Any]] = getattr(port, name)

        async def counting(*args: Any, **kwargs: Any) -> Any:
            reads[name] += 1
            return await read(*args, **kwargs)

        setattr(port, name, counting)

    for name in ("get", "get_many", "find", "keys", "peek"):
        count(assembly.backend.documents, name)
    for name in ("entries", "of_each", "find", "load"):
        count(assembly.backend.log, name)
    return reads


async def test_the_number_of_reads_does_not_grow_with_the_number_of_conversations(autojump_clock: object) -> None:
    seen = []
    for count in (3, 30, 120):
        async with open_world("w1") as world:
            await with_groups(world, count)
            bob = await greeted(world, "bob")
            await bob.ask("message.read", c="g1", seq=2)
            await bob.ask("conversation.list")  # keys of authors are in memory from now on
            reads = counted(world.workers["w1"].assembly)
            assert len((await bob.ask("conversation.list", limit=100))["items"]) == min(count, 100)
            seen.append(dict(reads))
    assert seen[0] == seen[1] == seen[2]
    assert sum(seen[0].values()) <= 13  # two of them twice, for in memory `peek` and `keys` call what they are made of


async def test_pages_follow_each_other_and_each_is_asked_for_once(world: World, autojump_clock: object) -> None:
    await with_groups(world, 25)
    bob = await greeted(world, "bob", "w2")
    names, cursor = [], {}
    while True:
        page = await bob.ask("conversation.list", limit=10, **cursor)
        names += [row["conversation"]["id"] for row in page["items"]]
        if "next" not in page:
            break
        cursor = {"cursor": page["next"]}
    assert names == [f"g{number}" for number in reversed(range(25))]


async def test_last_messages_read_as_they_are_now(world: World, autojump_clock: object) -> None:
    alice = await with_groups(world, 5)
    bob = await greeted(world, "bob", "w2")
    ids = {row["conversation"]["id"]: row["last_message"]["id"] for row in (await bob.ask("conversation.list"))["items"]}
    await alice.ask("message.edit", c="g0", id=ids["g0"], text="edited")
    await alice.ask("message.delete", c="g1", id=ids["g1"], **{"for": "all"})
    await bob.ask("message.delete", c="g2", id=ids["g2"], **{"for": "me"})
    await bob.ask("reaction.add", c="g3", id=ids["g3"], emoji="👍")
    await trio.sleep(2)
    last = {row["conversation"]["id"]: row.get("last_message") for row in (await bob.ask("conversation.list"))["items"]}
    assert (last["g0"]["text"], "edited_at" in last["g0"]) == ("edited", True)
    assert ("text" in last["g1"], last["g1"]["sender"], "deleted_at" in last["g1"]) == (False, "alice", True)
    assert last["g2"] is None
    assert last["g3"]["reactions"] == {"👍": {"count": 1, "users": ["bob"], "own": True}}
    assert last["g4"]["text"] == "in 4"
    seen_by_alice = {row["conversation"]["id"]: row.get("last_message") for row in (await alice.ask("conversation.list"))["items"]}
    assert seen_by_alice["g2"]["text"] == "in 2"
    assert seen_by_alice["g3"]["reactions"] == {"👍": {"count": 1, "users": ["bob"]}}


async def test_the_same_id_in_two_conversations_is_two_messages(world: World, autojump_clock: object) -> None:
    alice = await with_groups(world, 2)
    id_ = new_id(world)
    for room in ("g0", "g1"):
        await alice.ask("message.send", c=room, id=id_, text=f"here in {room}")
    await alice.ask("reaction.add", c="g0", id=id_, emoji="🎉")
    await alice.ask("message.edit", c="g1", id=id_, text="changed in g1")
    await trio.sleep(2)
    last = {row["conversation"]["id"]: row["last_message"] for row in (await alice.ask("conversation.list"))["items"]}
    assert (last["g0"]["text"], list(last["g0"]["reactions"])) == ("here in g0", ["🎉"])
    assert (last["g1"]["text"], "reactions" in last["g1"]) == ("changed in g1", False)
