"""What becomes of messages: edits, deletes, pins and reactions, seen at once, when stored, and by a room that woke anew."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from protocol.ids import parse_act
from services.acts import Act
from services.scope import Scope
from storage.memory.store import Store
from storage.ports.entry import decode_entry
from tests.actors.world import TENANT, Client, World, new_id, open_world

MOMENTS = [0.0, 2.0, 200.0]
"""Right away (only the room knows), when it is stored, and when the room has slept."""


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world("w1", "w2", store=Store(8)) as made:
        yield made


async def joined(world: World, *names: str, room: str = "g") -> list[Client]:
    clients = []
    for place, name in enumerate(names):
        client = Client(world.workers[f"w{place % 2 + 1}"])
        await client.ask("hello", token=name)
        clients.append(client)
    await clients[0].ask("conversation.create", type="group", id=room, members=list(names))
    for client in clients:
        await client.ask("conversation.watch", c=room)
    return clients


async def said(world: World, client: Client, text: str = "one", room: str = "g", **more: Any) -> str:
    sent = await client.ask("message.send", c=room, id=new_id(world), text=text, **more)
    return str(sent["id"])


async def shown(client: Client, id_: str, room: str = "g") -> dict[str, Any]:
    """As it is, by both ways that tell it."""
    one = (await client.ask("message.get", c=room, id=id_))["message"]
    listed = {message["id"]: message for message in (await client.ask("message.list", c=room))["items"]}
    assert listed.get(id_) == one
    return one


@pytest.mark.parametrize("after", MOMENTS)
async def test_an_edit_changes_what_it_names_and_keeps_what_was_said_before(world: World, after: float, autojump_clock: object) -> None:
    alice, bob = await joined(world, "alice", "bob")
    id_ = await said(world, alice, "one", custom={"a": 1}, mentions=["bob"])
    edited = await alice.ask("message.edit", c="g", id=id_, text="two", op=new_id(world))
    await alice.ask("message.edit", c="g", id=id_, text="three", custom=None)
    await trio.sleep(after)
    message = await shown(bob, id_)
    assert (message["text"], message["mentions"], "custom" in message) == ("three", ["bob"], False)
    assert message["edited_at"] >= edited["edited_at"]
    assert [edit["text"] for edit in (await bob.ask("message.get", c="g", id=id_))["edits"]] == ["one", "two"]
    assert [push["p"].get("text") for push in bob.got("message.updated")] == ["two", "three"]
    assert bob.got("message.updated")[1]["p"]["custom"] is None
    assert bob.got("message.updated")[0]["p"] == {"id": id_, "by": "alice", "text": "two", "edited_at": edited["edited_at"]}


@pytest.mark.parametrize("after", MOMENTS)
async def test_a_deleted_message_leaves_its_tombstone_and_nothing_of_what_was_said(world: World, after: float, autojump_clock: object) -> None:
    alice, bob = await joined(world, "alice", "bob")
    id_ = await said(world, alice, "secret one", type="image")
    await alice.ask("message.edit", c="g", id=id_, text="secret two")
    deleted = await alice.ask("message.delete", c="g", id=id_, **{"for": "all"})
    assert bob.got("message.deleted")[0]["p"] == {"id": id_, "by": "alice"}
    await trio.sleep(after)
    message = await shown(bob, id_)
    assert set(message) == {"id", "seq", "n", "sender", "type", "sent_at", "deleted_at"}
    assert (message["sender"], message["type"]) == ("alice", "image")
    assert (await bob.ask("message.get", c="g", id=id_))["edits"] == []
    entries = (await bob.ask("conversation.sync", c="g", after=0))["entries"]
    assert [entry["t"] for entry in entries] == ["conversation.created", "message.new", "skip", "message.deleted"]
    assert entries[1]["p"] == message
    assert [entry["s"] for entry in entries] == [1, 2, 3, deleted["seq"]]
    assert (await alice.ask("message.edit", c="g", id=id_, text="three"))["error"] == "not_found"
    assert (await bob.ask("reaction.add", c="g", id=id_, emoji="👍"))["error"] == "not_found"
    assert (await alice.ask("message.delete", c="g", id=id_))["unchanged"] is True


@pytest.mark.parametrize("after", MOMENTS)
async def test_a_stored_message_is_a_tombstone_from_the_moment_it_is_deleted(world: World, after: float, autojump_clock: object) -> None:
    alice, bob = await joined(world, "alice", "bob")
    id_ = await said(world, alice, "secret one")
    await alice.ask("message.edit", c="g", id=id_, text="secret two")
    await trio.sleep(2)
    await alice.ask("message.delete", c="g", id=id_)
    await trio.sleep(after)
    entries = (await bob.ask("conversation.sync", c="g", after=0))["entries"]
    assert [entry["t"] for entry in entries] == ["conversation.created", "message.new", "skip", "message.deleted"]
    assert entries[1]["p"] == await shown(bob, id_)
    assert "secret" not in str(entries)


async def test_the_bodies_of_a_deleted_message_and_of_its_edits_are_gone_from_storage(world: World, autojump_clock: object) -> None:
    alice, _ = await joined(world, "alice", "bob")
    id_ = await said(world, alice)
    await alice.ask("message.edit", c="g", id=id_, text="two")
    await trio.sleep(2)
    await alice.ask("message.delete", c="g", id=id_)
    await trio.sleep(2)
    bodies = {entry.kind: entry.body for rows in world.store.rows for row in rows if (entry := decode_entry(row.data)).conversation == "g"}
    stored = {decode_entry(row.data).kind: decode_entry(row.data).body for row in world.store.entries("dev", "g", 0, 99, 99)}
    assert stored["message.new"] == stored["message.edited"] == b""
    assert stored["message.deleted"]
    assert bodies


async def test_an_edit_on_its_way_when_the_message_is_deleted_takes_its_seq_and_is_seen_by_nobody(world: World, autojump_clock: object) -> None:
    alice, bob = await joined(world, "alice", "bob")
    id_ = await said(world, alice)
    edits = [alice.say("message.edit", c="g", id=id_, text=str(number)) for number in range(3)]
    deleted = bob.say("message.delete", c="g", id=id_)
    assert "e" in await bob.reply(deleted)  # a member may delete only their own
    await alice.ask("message.delete", c="g", id=id_)
    for i in edits:
        await alice.reply(i)
    assert [push["t"] for push in bob.pushes if push.get("c") == "g"][-1] == "message.deleted"
    assert (await shown(bob, id_))["deleted_at"]


@pytest.mark.parametrize("after", MOMENTS)
async def test_reactions_are_counted_once_for_each_user_and_own_ones_are_known(world: World, after: float, autojump_clock: object) -> None:
    alice, bob, carol = await joined(world, "alice", "bob", "carol")
    id_ = await said(world, alice)
    for client in (bob, carol):
        await client.ask("reaction.add", c="g", id=id_, emoji="👍")
    again = await bob.ask("reaction.add", c="g", id=id_, emoji="👍")
    await bob.ask("reaction.add", c="g", id=id_, emoji="🎉")
    await carol.ask("reaction.remove", c="g", id=id_, emoji="👍")
    assert again["unchanged"] is True
    await trio.sleep(after)
    own = {"count": 1, "users": ["bob"], "own": True}
    assert (await shown(bob, id_))["reactions"] == {"👍": own, "🎉": own}
    assert "own" not in (await shown(alice, id_))["reactions"]["👍"]
    assert [push["p"] for push in alice.got("reaction.added")][1] == {"id": id_, "emoji": "👍", "user": "carol", "count": 2}
    await bob.ask("reaction.remove", c="g", id=id_, emoji="👍")
    await bob.ask("reaction.remove", c="g", id=id_, emoji="🎉")
    assert "reactions" not in await shown(alice, id_)


@pytest.mark.parametrize("after", MOMENTS)
async def test_pins_are_for_everybody(world: World, after: float, autojump_clock: object) -> None:
    alice, bob = await joined(world, "alice", "bob")
    id_ = await said(world, alice)
    await bob.ask("message.pin", c="g", id=id_)
    assert (await bob.ask("message.pin", c="g", id=id_))["unchanged"] is True
    await trio.sleep(after)
    assert (await shown(alice, id_))["pinned"] is True
    await bob.ask("message.unpin", c="g", id=id_)
    assert "pinned" not in await shown(alice, id_)
    assert [push["t"] for push in alice.pushes if push.get("c") == "g"][-2:] == ["message.pinned", "message.unpinned"]


@pytest.mark.parametrize("after", MOMENTS)
async def test_a_message_deleted_for_me_is_there_for_the_others(world: World, after: float, autojump_clock: object) -> None:
    alice, bob = await joined(world, "alice", "bob")
    first, second = await said(world, alice, "1"), await said(world, alice, "2")
    done = await bob.ask("message.delete", c="g", id=first, **{"for": "me"})
    await bob.until(lambda client: bool(client.got("message.hidden", "me")))
    assert bob.got("message.hidden", "me")[0]["p"] == {"conversation": "g", "id": first}
    assert bob.got("message.hidden", "me")[0]["s"] == done["seq"]
    await trio.sleep(after)
    assert [message["id"] for message in (await bob.ask("message.list", c="g"))["items"]] == [second]
    assert (await bob.ask("message.get", c="g", id=first))["error"] == "not_found"
    assert [message["id"] for message in (await alice.ask("message.list", c="g"))["items"]] == [first, second]


@pytest.mark.parametrize("m", ["message.edit", "message.delete", "reaction.add", "reaction.remove", "message.pin", "message.unpin"])
async def test_a_repeat_has_its_first_answer_whatever_has_happened_since(world: World, m: str, autojump_clock: object) -> None:
    alice, bob = await joined(world, "alice", "bob")
    id_ = await said(world, alice)
    if m in ("reaction.remove", "message.unpin"):
        await alice.ask("reaction.add", c="g", id=id_, emoji="x")
        await alice.ask("message.pin", c="g", id=id_)
    more = {"message.edit": {"text": "two"}, "reaction.add": {"emoji": "x"}, "reaction.remove": {"emoji": "x"}}.get(m, {})
    op = new_id(world)
    first = await alice.ask(m, c="g", id=id_, op=op, **more)
    assert "error" not in first
    await alice.ask("message.delete", c="g", id=id_)
    assert await alice.ask(m, c="g", id=id_, op=op, **more) == {**first, "duplicate": True}
    other = await said(world, alice, "other")
    assert (await alice.ask(m, c="g", id=other, op=op, **more))["error"] == "id_conflict"
    assert (await bob.ask(m, c="g", id=id_, op=op, **more))["error"] == "id_conflict"


async def test_who_may_change_what(world: World, autojump_clock: object) -> None:
    alice, bob = await joined(world, "alice", "bob")
    of_alice, of_bob = await said(world, alice), await said(world, bob)
    assert (await bob.ask("message.edit", c="g", id=of_alice, text="x"))["error"] == "forbidden"
    assert (await bob.ask("message.delete", c="g", id=of_alice))["error"] == "forbidden"
    assert "error" not in await alice.ask("message.edit", c="g", id=of_bob, text="x")
    assert "error" not in await alice.ask("message.delete", c="g", id=of_bob)
    carol = Client(world.workers["w1"])
    await carol.ask("hello", token="carol")
    for m, more in (("message.edit", {"text": "x"}), ("message.delete", {}), ("message.pin", {}), ("reaction.add", {"emoji": "x"}),
                    ("message.get", {})):
        assert (await carol.ask(m, c="g", id=of_alice, **more))["error"] == "not_found"
    assert (await alice.ask("message.edit", c="g", id=new_id(world), text="x"))["error"] == "not_found"
    assert (await alice.ask("message.edit", c="g", id=of_alice))["error"] == "bad_request"
    assert (await alice.ask("message.edit", c="g", id=of_alice, text=None))["error"] == "bad_request"
    assert (await alice.ask("message.edit", c="g", id="nope", text="x"))["field"] == "id"


async def test_replies_in_threads_are_edited_and_deleted_alike(world: World, autojump_clock: object) -> None:
    alice, bob = await joined(world, "alice", "bob")
    root = await said(world, alice)
    reply = await said(world, bob, "reply", thread=root)
    await bob.ask("message.edit", c="g", id=reply, text="better")
    [item] = (await alice.ask("message.list", c="g", thread=root))["items"]
    assert (item["text"], item["thread"], "n" in item) == ("better", root, False)
    await bob.ask("message.delete", c="g", id=reply)
    [item] = (await alice.ask("message.list", c="g", thread=root))["items"]
    assert (item["thread"], item["sender"], "text" in item) == (root, "bob", False)


@pytest.mark.parametrize("seed", range(12))
async def test_any_sequence_of_acts_reads_as_a_model_says(seed: int, autojump_clock: object) -> None:
    """Whatever was stored in between, whichever worker answers, and however often rooms slept."""
    chance = random.Random(seed)
    async with open_world("w1", "w2", seed=seed) as world:
        clients = await joined(world, "alice", "bob", "carol")
        names, model = ["alice", "bob", "carol"], dict[str, dict[str, Any]]()
        for number in range(60):
            who = chance.randrange(3)
            await _act(world, chance, clients[who], names[who], model, number)
            await trio.sleep(chance.choice([0, 0, 0, 0.1, 0.3, 100]))
        for client, name in zip(clients, names, strict=True):
            items = (await client.ask("message.list", c="g", limit=100))["items"]
            assert [_plain(item) for item in items] == [_expected(one, name) for one in model.values()]
        numbered = [push["s"] for push in clients[1].pushes if push.get("c") == "g" and "s" in push]
        assert numbered == list(range(2, numbered[-1] + 1))


async def _act(world: World, chance: random.Random, client: Client, name: str, model: dict[str, dict[str, Any]], number: int) -> None:
    act = chance.choice(["send", "edit", "edit", "delete", "react", "react", "unreact", "pin", "unpin"])
    if act == "send" or not model:
        id_ = await said(world, client, f"{number}")
        model[id_] = {"id": id_, "sender": name, "text": f"{number}", "reactions": {}, "pinned": False, "deleted": False}
        return
    one = model[chance.choice(list(model))]
    emoji = chance.choice("ab")
    own = one["sender"] == name or name == "alice"
    m, more = {"edit": ("message.edit", {"text": f"e{number}"}), "delete": ("message.delete", {}), "react": ("reaction.add", {"emoji": emoji}),
               "unreact": ("reaction.remove", {"emoji": emoji}), "pin": ("message.pin", {}), "unpin": ("message.unpin", {})}[act]
    answer = await client.ask(m, c="g", id=one["id"], **more)
    if one["deleted"]:
        assert answer.get("error", "unchanged" if "unchanged" in answer else "") in ("not_found", "unchanged", "forbidden")
    elif act in ("edit", "delete") and not own:
        assert answer["error"] == "forbidden"
    else:
        assert "error" not in answer
        users = one["reactions"].setdefault(emoji, [])
        if act == "edit":
            one["text"] = f"e{number}"
        elif act == "delete":
            one["deleted"] = True
        elif act == "react" and name not in users:
            users.append(name)
        elif act == "unreact" and name in users:
            users.remove(name)
        elif act in ("pin", "unpin"):
            one["pinned"] = act == "pin"


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in ("seq", "n", "sent_at", "edited_at", "deleted_at", "type")}


def _expected(one: dict[str, Any], reader: str) -> dict[str, Any]:
    if one["deleted"]:
        return {"id": one["id"], "sender": one["sender"]}
    reactions = {emoji: {"count": len(users), "users": users, **({"own": True} if reader in users else {})}
                 for emoji, users in one["reactions"].items() if users}
    return {"id": one["id"], "sender": one["sender"], "text": one["text"], **({"reactions": reactions} if reactions else {}),
            **({"pinned": True} if one["pinned"] else {})}


@pytest.mark.parametrize("after", MOMENTS)
async def test_an_edit_that_arrives_after_the_delete_is_a_stub_and_comes_as_skip(world: World, after: float, autojump_clock: object) -> None:
    alice, bob = await joined(world, "alice", "bob")
    id_ = await said(world, alice)
    await alice.ask("message.delete", c="g", id=id_)
    assembly = alice.worker.assembly
    user = (await assembly.users.of_external(Scope(TENANT), ["alice"]))["alice"]
    op, message = world.sim.ids.uuid7(), parse_act(id_)
    facts = {"edits": message, "of": user, "fields": ["text"]}
    late = Act("g", "message.edited", op, b"d", facts, {"id": id_, "by": "alice", "text": "late"}, user, "alice")
    verdict = await assembly.router.submit(Scope(TENANT, user, "alice"), late)  # as if it had been checked before the delete was read
    await bob.until(lambda client: any(push.get("s") == verdict.seq and push.get("c") == "g" for push in client.pushes))
    assert [push for push in bob.pushes if push.get("c") == "g"][-1] == {"t": "skip", "c": "g", "s": verdict.seq}
    await trio.sleep(after)
    assert (await bob.ask("conversation.sync", c="g", after=verdict.seq - 1))["entries"] == [{"t": "skip", "c": "g", "s": verdict.seq}]
    assert "text" not in await shown(bob, id_)
    await trio.sleep(2)
    assert [decode_entry(row.data).body for row in world.store.entries(TENANT, "g", verdict.seq - 1, verdict.seq + 1, 1)] == [b""]
