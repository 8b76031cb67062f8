"""Blocks, over two workers: either's closes the direct conversation of two, and nothing else."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from actors.ephemeral.blocks import AGAIN_AFTER_S, FIRST_AGAIN_AFTER_S
from protocol.errors import Refused
from services.blocks.book import COLLECTION
from storage.memory.store import Store
from storage.memory.weather import FAIR, Calm, Fate
from tests.actors.world import TENANT, Client, World, new_id, open_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world("w1", "w2", users=("alice", "bob", "carol", "dave")) as made:
        yield made


async def greeted(world: World, name: str, worker: str = "w1") -> Client:
    client = Client(world.workers[worker])
    await client.ask("hello", token=name)
    return client


async def two(world: World) -> tuple[Client, Client, str]:
    """alice and bob on different workers, and their conversation."""
    alice, bob = await greeted(world, "alice"), await greeted(world, "bob", "w2")
    made = await alice.ask("conversation.create", type="direct", members=["bob"])
    return alice, bob, made["conversation"]["id"]


async def say(world: World, client: Client, room: str) -> Any:
    answer = await client.ask("message.send", c=room, id=new_id(world), text="x")
    return answer.get("error") or "sent"


async def test_either_block_closes_the_conversation_for_both_at_once(world: World, autojump_clock: object) -> None:
    alice, bob, chat = await two(world)
    assert await say(world, alice, chat) == "sent"
    blocked = await alice.ask("user.block", user="bob")
    assert blocked["seq"] == alice.got("block.changed", "me")[0]["s"]
    assert [await say(world, client, chat) for client in (alice, bob)] == ["blocked", "blocked"]
    await bob.ask("user.block", user="alice")
    await alice.ask("user.unblock", user="bob")
    assert [await say(world, client, chat) for client in (alice, bob)] == ["blocked", "blocked"]
    await bob.ask("user.unblock", user="alice")
    assert [await say(world, client, chat) for client in (alice, bob)] == ["sent", "sent"]
    assert [push["p"] for push in alice.got("block.changed", "me")] == [{"user": "bob", "blocked": True}, {"user": "bob", "blocked": False}]


async def test_everything_else_goes_on(world: World, autojump_clock: object) -> None:
    alice, bob, chat = await two(world)
    said = new_id(world)
    await bob.ask("message.send", c=chat, id=said, text="before")
    await alice.ask("conversation.create", type="group", id="g", members=["bob"])
    await alice.ask("user.block", user="bob")
    assert [await say(world, client, "g") for client in (alice, bob)] == ["sent", "sent"]
    assert (await bob.ask("message.list", c=chat))["items"][0]["text"] == "before"
    assert "seq" in await bob.ask("message.edit", c=chat, id=said, text="better")
    assert (await bob.ask("message.send", c=chat, id=said, text="before"))["duplicate"]
    assert (await bob.ask("typing.start", c=chat))["error"] == "blocked"
    assert await alice.ask("typing.start", c="g") == {}
    assert "send" in (await bob.ask("conversation.get", c=chat))["capabilities"]


async def test_a_block_before_there_is_a_conversation(world: World, autojump_clock: object) -> None:
    alice, bob = await greeted(world, "alice"), await greeted(world, "bob", "w2")
    await alice.ask("user.block", user="bob")
    chat = (await bob.ask("conversation.create", type="direct", members=["alice"]))["conversation"]["id"]
    assert await say(world, bob, chat) == "blocked"


async def test_a_room_that_wakes_reads_who_blocks_whom(world: World, autojump_clock: object) -> None:
    alice, bob, chat = await two(world)
    await alice.ask("user.block", user="bob")
    await trio.sleep(300)
    assert all(worker.assembly.rooms.find(f"{TENANT}/{chat}") is None for worker in world.workers.values())
    assert await say(world, bob, chat) == "blocked"
    await trio.sleep(300)
    await alice.ask("user.unblock", user="bob")
    assert await say(world, bob, chat) == "sent"


async def test_a_crash_keeps_blocks(world: World, autojump_clock: object) -> None:
    alice, _, chat = await two(world)
    await alice.ask("user.block", user="bob")
    await trio.sleep(1)
    await world.crash("w2")
    assert await say(world, await greeted(world, "bob"), chat) == "blocked"


async def test_a_room_that_was_not_told_looks_again(world: World, autojump_clock: object) -> None:
    alice, bob, chat = await two(world)
    await say(world, bob, chat)
    for worker in world.workers.values():
        worker.assembly.router.signal = lost  # type: ignore[method-assign]
    await alice.ask("user.block", user="bob")
    for _ in range(int(AGAIN_AFTER_S) + 5):
        last = await say(world, bob, chat)
        await trio.sleep(1)
    assert last == "blocked"


async def test_a_room_that_woke_before_a_block_was_stored_looks_again_soon(world: World, autojump_clock: object) -> None:
    """What was told while it slept it has not heard, and what it reads on waking is not there yet: so it is on another node."""
    alice, bob, chat = await two(world)
    await trio.sleep(300)
    late = [True]
    for worker in world.workers.values():
        worker.assembly.router.signal = lost  # type: ignore[method-assign]
        worker.assembly.house.documents.get_many = not_yet(worker.assembly.house.documents.get_many, late)  # type: ignore[method-assign]
    await alice.ask("user.block", user="bob")
    assert await say(world, bob, chat) == "sent"
    late.clear()
    await trio.sleep(FIRST_AGAIN_AFTER_S + 0.5)
    await say(world, bob, chat)
    await trio.sleep(0.1)
    assert await say(world, bob, chat) == "blocked"


def not_yet(read: Any, late: list[bool]) -> Any:
    async def get_many(scope: Any, collection: str, keys: Any) -> Any:
        return {} if late and collection == COLLECTION else await read(scope, collection, keys)

    return get_many


async def lost(*_: Any) -> Any:
    raise Refused("timeout")


async def test_while_storage_does_not_answer_nothing_is_sent(autojump_clock: object) -> None:
    class Held(Calm):
        seconds = 0.0

        def of_write(self) -> Fate:
            return Fate(self.seconds, self.seconds) if self.seconds else FAIR

    async with open_world("w1", "w2", store=Store(8, weather=Held())) as world:
        _, bob, chat = await two(world)
        await trio.sleep(300)
        for worker in world.workers.values():
            worker.assembly.house.documents.get_many = unreadable  # type: ignore[method-assign]
        assert await say(world, bob, chat) == "unavailable"


async def unreadable(*_: Any) -> Any:
    from storage.ports.errors import StorageAway

    raise StorageAway("away")


async def test_blocking_twice_changes_nothing_and_a_repeat_is_a_repeat(world: World, autojump_clock: object) -> None:
    alice, bob, chat = await two(world)
    op = new_id(world)
    first = await alice.ask("user.block", user="bob", op=op)
    assert await alice.ask("user.block", user="bob") == {**first, "unchanged": True}
    assert await alice.ask("user.block", user="bob", op=op) == {**first, "duplicate": True}
    assert (await alice.ask("user.unblock", user="bob", op=op))["error"] == "id_conflict"
    gone = await alice.ask("user.unblock", user="bob")
    assert await alice.ask("user.unblock", user="bob") == {**gone, "unchanged": True}
    assert await alice.ask("user.block", user="bob", op=op) == {**first, "duplicate": True}
    assert await say(world, bob, chat) == "sent"  # a late repeat does not block again
    assert len(alice.got("block.changed", "me")) == 2


async def test_who_cannot_be_blocked(world: World, autojump_clock: object) -> None:
    alice = await greeted(world, "alice")
    for user, code in (("alice", "bad_request"), ("nobody", "not_found"), ("me", "bad_request"), ("a b", "bad_request")):
        refused = await alice.ask("user.block", user=user)
        assert (refused["error"], refused["field"]) == (code, "user"), user


async def test_whom_one_blocks(world: World, autojump_clock: object) -> None:
    alice, bob, _ = await two(world)
    for user in ("bob", "carol", "dave"):
        await alice.ask("user.block", user=user)
    await alice.ask("user.unblock", user="carol")
    await trio.sleep(1)
    page = await alice.ask("user.blocks", limit=1)
    rest = await alice.ask("user.blocks", limit=1, cursor=page["next"])
    assert [item["user"]["id"] for item in (*page["items"], *rest["items"])] == ["dave", "bob"]
    assert "next" not in rest
    assert (await bob.ask("user.blocks"))["items"] == []


async def test_another_tenant_has_blocks_of_its_own(world: World, autojump_clock: object) -> None:
    from services.scope import Scope
    from services.users.model import Profile

    alice, _, _ = await two(world)
    await alice.ask("user.block", user="bob")
    await trio.sleep(1)
    assembly = world.workers["w1"].assembly
    others = [(await assembly.users.ensure(Scope("other"), Profile(external_id=name)))[0] for name in ("alice", "bob")]
    scope = Scope("other", others[0], "alice")
    made = await assembly.dispatch.call(scope, assembly.table["conversation.create"], {"type": "direct", "members": ["bob"]})
    sent = await assembly.dispatch.call(scope, assembly.table["message.send"], {"c": made["conversation"]["id"], "id": new_id(world), "text": "x"})
    assert sent["n"] == 1
    assert (await assembly.dispatch.call(scope, assembly.table["user.blocks"], {}))["items"] == []
