"""Conversations that change, members that come and go, and who is told of what, over two workers."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from actors.keys import Key
from protocol.errors import Refused
from services.rights import CAPABILITIES
from services.scope import Scope
from tests.actors.world import TENANT, Client, World, new_id, open_world

FROZEN = {"send", "react", "edit_own", "edit_any"}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world("w1", "w2") as made:
        yield made


async def greeted(world: World, name: str, worker: str = "w1") -> Client:
    client = Client(world.workers[worker])
    await client.ask("hello", token=name)
    return client


async def three(world: World, room: str = "g") -> tuple[Client, Client, Client]:
    """alice (owner), bob and carol, each watching; bob on the other worker."""
    alice, bob, carol = [await greeted(world, name, worker) for name, worker in (("alice", "w1"), ("bob", "w2"), ("carol", "w1"))]
    await alice.ask("conversation.create", type="group", id=room, members=["bob", "carol"], name="Old", description="d")
    for client in (alice, bob, carol):
        await client.ask("conversation.watch", c=room)
    return alice, bob, carol


def told(client: Client, t: str, room: str = "g") -> list[Any]:
    return [push["p"] for push in client.got(t, room)]


@pytest.mark.parametrize("room", ["g", "other"])
async def test_an_update_is_told_by_what_changed(world: World, room: str, autojump_clock: object) -> None:
    alice, bob, _ = await three(world, room)
    updated = await alice.ask("conversation.update", c=room, name="New", description=None, custom={"x": 1})
    assert (updated["conversation"]["name"], updated["conversation"]["custom"]) == ("New", {"x": 1})
    assert "description" not in updated["conversation"]
    await bob.until(lambda client: bool(client.got("conversation.updated", room)))
    assert told(bob, "conversation.updated", room) == [{"name": "New", "description": None, "custom": {"x": 1}, "by": "alice"}]
    assert (await bob.ask("conversation.update", c=room, name="Mine"))["error"] == "forbidden"
    again = await alice.ask("conversation.update", c=room, name="New")
    assert (again["unchanged"], again["conversation"]) == (True, updated["conversation"])
    await trio.sleep(1)
    assert len(bob.got("conversation.updated")) == 1


async def test_a_repeated_update_is_answered_even_to_whoever_has_gone(world: World, autojump_clock: object) -> None:
    alice, bob, _ = await three(world)
    await alice.ask("member.update", c="g", user="bob", role="owner")
    op = new_id(world)
    first = await bob.ask("conversation.update", c="g", name="Bob's", op=op)
    await alice.ask("member.remove", c="g", user="bob")
    await alice.ask("conversation.update", c="g", name="Not Bob's", custom={"secret": True})
    again = await bob.ask("conversation.update", c="g", name="Bob's", op=op)
    assert again["duplicate"] and again["conversation"]["head"] == first["conversation"]["head"]
    assert again["conversation"]["name"] == "Bob's" and "custom" not in again["conversation"]
    assert (await bob.ask("conversation.update", c="g", name="other", op=op))["error"] == "id_conflict"


async def test_frozen_is_told_and_everybody_learns_what_they_may_do(world: World, autojump_clock: object) -> None:
    alice, bob, carol = await three(world)
    frozen = await alice.ask("conversation.freeze", c="g", frozen=True)
    for client in (alice, bob, carol):
        await client.until(lambda client: bool(client.got("capabilities.changed", "g")))
        assert [push["t"] for push in client.pushes if push.get("c") == "g"] == ["conversation.frozen", "capabilities.changed"]
        assert not set(told(client, "capabilities.changed")[0]["capabilities"]) & FROZEN
        assert (await client.ask("message.send", c="g", id=new_id(world), text="x"))["error"] == "frozen"
    assert told(bob, "conversation.frozen") == [{"frozen": True, "by": "alice"}]
    assert [told(client, "capabilities.changed")[0]["role"] for client in (alice, bob)] == ["owner", "member"]
    assert await alice.ask("conversation.freeze", c="g", frozen=True) == {"seq": frozen["seq"], "unchanged": True}
    seen = await bob.ask("conversation.get", c="g")
    assert seen["conversation"]["frozen"] and seen["capabilities"] == ["pin", "delete_own"]
    await alice.ask("conversation.freeze", c="g", frozen=False)
    await bob.until(lambda client: len(client.got("capabilities.changed", "g")) == 2)
    assert FROZEN - set(told(bob, "capabilities.changed")[1]["capabilities"]) == {"edit_any"}
    assert "seq" in await bob.ask("message.send", c="g", id=new_id(world), text="x")


async def test_a_new_role_is_told_to_all_and_its_rights_to_the_one(world: World, autojump_clock: object) -> None:
    alice, bob, carol = await three(world)
    assert (await bob.ask("member.add", c="g", users=["carol"]))["error"] == "forbidden"
    made = await alice.ask("member.update", c="g", user="bob", role="admin")
    for client in (bob, carol):
        await client.until(lambda client: bool(client.got("member.updated", "g")))
        assert told(client, "member.updated") == [{"user": "bob", "role": "admin", "by": "alice"}]
    await bob.until(lambda client: bool(client.got("capabilities.changed", "g")))
    assert told(bob, "capabilities.changed") == [
        {"role": "admin", "capabilities": ["send", "react", "pin", "edit_own", "delete_own", "add_members", "remove_members"]}]
    await trio.sleep(1)
    assert carol.got("capabilities.changed") == alice.got("capabilities.changed") == []
    assert await alice.ask("member.update", c="g", user="bob", role="admin") == {"seq": made["seq"], "unchanged": True}
    await trio.sleep(1)
    roles = {item["user"]["id"]: item["role"] for item in (await bob.ask("member.list", c="g"))["items"]}
    assert roles == {"alice": "owner", "bob": "admin", "carol": "member"}
    assert [item["role"] for item in (await bob.ask("conversation.list"))["items"]] == ["admin"]


async def test_roles_that_cannot_be(world: World, autojump_clock: object) -> None:
    alice, bob, _ = await three(world)
    refused = await alice.ask("member.update", c="g", user="bob", role="king")
    assert (refused["error"], refused["field"]) == ("bad_request", "role")
    assert all(role in refused["message"] for role in ("owner", "admin", "member"))
    assert (await alice.ask("member.update", c="g", user="nobody", role="admin"))["error"] == "not_found"
    assert (await bob.ask("member.update", c="g", user="bob", role="owner"))["error"] == "forbidden"
    refused = await alice.ask("member.update", c="g", user="alice", role="member")
    assert (refused["error"], "last owner" in refused["message"]) == ("forbidden", True)


async def test_leaving_is_a_removal_by_oneself(world: World, autojump_clock: object) -> None:
    alice, bob, carol = await three(world)
    op = new_id(world)
    left = await bob.ask("conversation.leave", c="g", op=op)
    await carol.until(lambda client: bool(client.got("member.removed", "g")))
    assert told(carol, "member.removed") == [{"user": "bob", "by": "bob"}]
    await bob.until(lambda client: bool(client.got("conversation.left", "me")))
    assert [push["p"] for push in bob.got("conversation.left", "me")] == [{"conversation": "g", "by": "bob"}]
    await alice.ask("message.send", c="g", id=new_id(world), text="among us")
    await trio.sleep(1)
    assert [push["t"] for push in bob.pushes if push.get("c") == "g"] == ["member.removed"]
    assert await bob.ask("conversation.leave", c="g", op=op) == {**left, "duplicate": True}
    assert (await bob.ask("conversation.leave", c="g"))["error"] == "not_found"
    assert (await bob.ask("conversation.list"))["items"] == []
    assert (await carol.ask("member.remove", c="g", user="carol"))["seq"] == left["seq"] + 2


async def test_the_owner_leaves_only_after_another_one_is_made(world: World, autojump_clock: object) -> None:
    alice, bob, _ = await three(world)
    assert (await alice.ask("conversation.leave", c="g"))["error"] == "forbidden"
    await alice.ask("member.update", c="g", user="bob", role="owner")
    assert "seq" in await alice.ask("conversation.leave", c="g")
    assert set((await bob.ask("conversation.get", c="g"))["capabilities"]) == set(CAPABILITIES)


async def test_nobody_joins_a_group(world: World, autojump_clock: object) -> None:
    alice = await greeted(world, "alice")
    dave = await greeted(world, "carol")
    made = await alice.ask("conversation.create", type="group", id="g")
    assert (await dave.ask("conversation.join", c="g"))["error"] == "not_found"
    assert await alice.ask("conversation.join", c="g") == {"seq": made["conversation"]["head"], "unchanged": True}
    assert (await alice.ask("conversation.create", type="channel", id="ch"))["error"] == "feature_disabled"


@pytest.mark.parametrize("room", ["g", "other"])
async def test_after_the_delete_there_is_nothing(world: World, room: str, autojump_clock: object) -> None:
    alice, bob, carol = await three(world, room)
    await carol.ask("conversation.unwatch", c=room)
    op = new_id(world)
    assert (await bob.ask("conversation.delete", c=room))["error"] == "forbidden"
    deleted = await alice.ask("conversation.delete", c=room, op=op)
    for client in (alice, bob, carol):
        await client.until(lambda client: bool(client.got("conversation.left", "me")))
        assert [push["p"] for push in client.got("conversation.left", "me")] == [{"conversation": room, "by": "alice"}]
    for client in (alice, bob):
        assert [push["t"] for push in client.pushes if push.get("c") == room] == ["conversation.deleted"]
    assert carol.got("conversation.deleted") == []
    for m, p in (("conversation.get", {}), ("conversation.watch", {}), ("message.list", {}), ("member.list", {}), ("conversation.leave", {}),
                 ("message.send", {"id": new_id(world), "text": "x"}), ("conversation.sync", {"after": 0}), ("conversation.delete", {})):
        assert (await alice.ask(m, c=room, **p))["error"] == "not_found"
    assert await alice.ask("conversation.delete", c=room, op=op) == {**deleted, "duplicate": True}
    assert (await alice.ask("conversation.create", type="group", id=room))["error"] == "id_conflict"
    assert (await alice.ask("conversation.list"))["items"] == []
    assert all(Key(TENANT, room) not in worker.assembly.fanout._audiences for worker in world.workers.values())


async def test_a_deleted_conversation_is_not_made_again_by_a_repeat(world: World, autojump_clock: object) -> None:
    alice = await greeted(world, "alice")
    op = new_id(world)
    first = await alice.ask("conversation.create", type="group", id="g", op=op, name="G")
    await alice.ask("conversation.delete", c="g")
    assert await alice.ask("conversation.create", type="group", id="g", op=op, name="G") == {**first, "duplicate": True}
    assert (await alice.ask("conversation.get", c="g"))["error"] == "not_found"


async def test_two_people_stay_two_people(world: World, autojump_clock: object) -> None:
    alice = await greeted(world, "alice")
    chat = (await alice.ask("conversation.create", type="direct", members=["bob"]))["conversation"]["id"]
    for m, p in (("conversation.leave", {}), ("conversation.delete", {}), ("member.add", {"users": ["carol"]}), ("member.remove", {"user": "bob"}),
                 ("member.remove", {"user": "alice"}), ("member.update", {"user": "bob", "role": "member"})):
        assert (await alice.ask(m, c=chat, **p))["error"] == "forbidden", m
    assert (await alice.ask("conversation.update", c=chat, name="Us"))["error"] == "bad_request"
    assert (await alice.ask("conversation.update", c=chat, custom={"colour": "red"}))["conversation"]["custom"] == {"colour": "red"}


async def test_what_a_lost_link_kept_back_still_ends_reading_and_changes_rights(world: World, autojump_clock: object) -> None:
    """The worker of the listeners reads from storage what it was not told: whose reading ends, and what others may do, comes with it."""
    alice, bob, carol = await three(world)
    quiet = await greeted(world, "carol", "w2")
    await quiet.ask("conversation.watch", c="g")
    others = [worker.assembly.fanout for worker in world.workers.values()]
    taken = [fanout.take for fanout in others]
    for fanout in others:
        fanout.take = lambda *push: None  # type: ignore[method-assign]
    await alice.ask("member.update", c="g", user="bob", role="admin")
    await alice.ask("member.remove", c="g", user="carol")
    await alice.ask("message.send", c="g", id=new_id(world), text="among us")
    for fanout, take in zip(others, taken, strict=True):
        fanout.take = take  # type: ignore[method-assign]
        fanout.refollow(Key(TENANT, "g"))
    await bob.until(lambda client: bool(client.got("capabilities.changed", "g")))
    await bob.until(lambda client: bool(client.got("message.new", "g")))
    await trio.sleep(1)
    for client in (carol, quiet):
        assert [push["t"] for push in client.pushes if push.get("c") == "g"] == ["member.updated", "member.removed"]


async def test_a_removal_from_before_one_came_back_ends_nothing(world: World, autojump_clock: object) -> None:
    """A worker that lags passes on the removal of somebody who has been let in again since, and watches."""
    alice, _, _ = await three(world)
    quiet = await greeted(world, "carol", "w2")
    await quiet.ask("conversation.watch", c="g")
    fanout = world.workers["w2"].assembly.fanout
    take = fanout.take
    fanout.take = lambda *push: None  # type: ignore[method-assign]
    await alice.ask("member.remove", c="g", user="bob")
    await alice.ask("member.add", c="g", users=["bob"])
    back = await greeted(world, "bob", "w2")
    await back.ask("conversation.watch", c="g")
    fanout.take = take  # type: ignore[method-assign]
    fanout.refollow(Key(TENANT, "g"))
    await alice.ask("message.send", c="g", id=new_id(world), text="welcome back")
    await back.until(lambda client: bool(client.got("message.new", "g")))
    seqs = [push["s"] for push in back.pushes if push.get("c") == "g" and "s" in push]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


async def test_what_a_lost_link_kept_back_of_a_delete(world: World, autojump_clock: object) -> None:
    alice, bob, carol = await three(world)
    for worker in world.workers.values():
        worker.assembly.fanout.take = lambda *push: None  # type: ignore[method-assign]
    await alice.ask("conversation.delete", c="g")
    for worker in world.workers.values():
        worker.assembly.fanout.refollow(Key(TENANT, "g"))
    for client in (alice, bob, carol):
        await client.until(lambda client: bool(client.got("conversation.deleted", "g")))
    assert all(Key(TENANT, "g") not in worker.assembly.fanout._audiences for worker in world.workers.values())


async def test_whoever_begins_to_watch_while_rights_change_is_told(world: World, autojump_clock: object) -> None:
    """The reply says what one may do as of an earlier seq than the one from which pushes go on."""
    alice, bob, _ = await three(world)
    late = await greeted(world, "bob", "w2")
    watching = next(one for one in world.workers["w2"].connections._live.values() if one.name == f"w2-{late.id}")._watching
    found = await watching.prepare("g", Key(TENANT, "g"), None, None)
    await alice.ask("conversation.freeze", c="g", frozen=True)
    await bob.until(lambda client: bool(client.got("conversation.frozen", "g")))
    assert watching.begin(found)["head"] == 2
    await late.until(lambda client: bool(client.got("capabilities.changed", "g")))
    assert not set(told(late, "capabilities.changed")[0]["capabilities"]) & FROZEN


async def test_rights_are_asked_for_once_for_all_and_again_when_the_room_moves(world: World, autojump_clock: object) -> None:
    alice, bob, _ = await three(world)
    more = [await greeted(world, "bob", "w2") for _ in range(5)]
    for client in more:
        await client.ask("conversation.watch", c="g")
    router = world.workers["w2"].assembly.router
    asked, view = list[Any](), router.view

    async def counted(scope: Scope, conversation: str, ask: Any) -> Any:
        asked.append(ask)
        if len(asked) == 1:
            raise Refused("unavailable")
        return await view(scope, conversation, ask)

    world.workers["w2"].assembly.fanout._granting._rooms.view = counted  # type: ignore[method-assign]
    await alice.ask("conversation.freeze", c="g", frozen=True)
    for client in (bob, *more):
        await client.until(lambda client: len(client.got("capabilities.changed", "g")) == 1)
    assert [ask.what for ask in asked] == ["rights", "rights"]
    assert [len(ask.users) for ask in asked] == [1, 1]


async def test_the_application_changes_everything_but_says_nothing(world: World, autojump_clock: object) -> None:
    alice, bob, _ = await three(world)
    dispatch = world.workers["w1"].assembly.dispatch

    async def call(m: str, **p: Any) -> Any:
        return await dispatch.call(Scope(TENANT), dispatch.table[m], p)

    await call("conversation.update", c="g", name="By nobody")
    await call("conversation.freeze", c="g", frozen=True)
    await call("member.update", c="g", user="bob", role="owner")
    await bob.until(lambda client: bool(client.got("member.updated", "g")))
    assert told(bob, "conversation.updated") == [{"name": "By nobody"}]
    assert told(bob, "conversation.frozen") == [{"frozen": True}]
    assert told(bob, "member.updated") == [{"user": "bob", "role": "owner"}]
    for m in ("conversation.join", "conversation.leave"):
        with pytest.raises(Refused, match="bad_request"):
            await call(m, c="g")
    assert not set((await call("conversation.get", c="g"))["capabilities"]) & FROZEN
    await call("conversation.delete", c="g")
    await alice.until(lambda client: bool(client.got("conversation.left", "me")))
    assert told(alice, "conversation.deleted") == [{}]
