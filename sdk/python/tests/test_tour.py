"""Everything that two people do, on both faces, against a real server: what each is shown is what the server has."""

from typing import Any

import pytest
from caas_sdk import CaasError
from caas_sdk.client import Client
from caas_sdk.core.message import to_wire
from conftest import Face
from test_faces import room_name

from tests.journeys.conftest import ON_CLUSTER


async def server_list(client: Client, c: str) -> list[dict[str, Any]]:
    return list((await client.call("message.list", c=c, limit=100))["items"])


def shown(client: Client, c: str) -> list[dict[str, Any]]:
    return [to_wire(message) for message in client.messages.shown(c)]


def test_messages_change(face: Face) -> None:
    async def story(face: Face) -> None:
        c = room_name()
        async with face.client("alice") as alice, face.client("bob") as bob:
            await alice.conversations.create(c, members=["bob"])
            for one in (alice, bob):
                await one.conversations.open(c)
            first = await alice.messages.send(c, "frist", custom={"mood": "tea"})
            second = await bob.messages.send(c, "second", reply_to=first.id, mentions=["alice"])
            third = await bob.messages.send(c, "third")
            await bob.messages.send(c, "in a thread", thread=first.id)
            await alice.messages.edit(c, first.id, "first")
            await bob.messages.react(c, first.id, "👍")
            await alice.messages.react(c, first.id, "👍")
            await alice.messages.react(c, second.id, "🎉")
            await alice.messages.unreact(c, second.id, "🎉")
            await bob.messages.pin(c, second.id)
            await bob.messages.delete(c, third.id)
            last = await alice.messages.send(c, "last")
            for one in (alice, bob):
                await one.until(lambda one=one: [m.id for m in one.messages.shown(c)][-1] == last.id and one.rooms[c].stream.seq == last.seq)
                assert shown(one, c) == await server_list(one, c)
                assert [reply.text for reply in one.messages.shown(c, thread=first.id)] == ["in a thread"]
            assert [message.text for message in alice.messages.shown(c)] == ["first", "second", None, "last"]
            assert alice.messages.shown(c)[0].reactions["👍"].users == ("bob", "alice")
            now, edits = await bob.messages.get(c, first.id)
            assert (now.text, edits[0]["text"]) == ("first", "frist")
            await alice.messages.delete(c, second.id, whom="me")
            await alice.until(lambda: len(alice.messages.shown(c)) == 3)
            assert len(bob.messages.shown(c)) == 4
            assert shown(alice, c) == await server_list(alice, c)

    face.run(story)


def test_ticks(face: Face) -> None:
    async def story(face: Face) -> None:
        c = room_name()
        async with face.client("alice") as alice, face.client("bob") as bob:
            await alice.conversations.create(c, members=["bob"])
            await alice.conversations.open(c)
            sent = await alice.messages.send(c, "one")
            await bob.conversations.open(c)
            await alice.until(lambda: alice.messages.shown(c)[0].status == "delivered")
            bob.conversations.mark_read(c)
            await alice.until(lambda: alice.messages.shown(c)[0].status == "read")
            assert alice.rooms[c].readers(sent) == ["bob"]

    face.run(story)


def test_unread(face: Face) -> None:
    async def story(face: Face) -> None:
        c = room_name()
        async with face.client("alice") as alice, face.client("bob") as bob, face.client("bob") as phone:
            await alice.conversations.create(c, members=["bob"])
            for one in (bob, phone):
                await one.conversations.load()
            for n in range(3):
                last = await alice.messages.send(c, str(n), mentions=["bob"] if n == 2 else [])

            def row(client: Client) -> Any:
                return next((row for row in client.conversations.rows() if row.id == c), None)

            for one in (bob, phone):
                await one.until(lambda one=one: row(one) is not None and row(one).unread == 3 and row(one).unread_mentions == 1)
                await one.until(lambda one=one: one.conversations.rows()[0].id == c)
            await bob.conversations.open(c)
            bob.conversations.mark_read(c, last.seq)
            for one in (bob, phone):
                await one.until(lambda one=one: row(one).unread == 0 and row(one).unread_mentions == 0)

    face.run(story)


def test_typing_and_presence(face: Face) -> None:
    async def story(face: Face) -> None:
        c = room_name()
        async with face.client("alice") as alice:
            await alice.conversations.create(c, members=["carol"])
            await alice.conversations.open(c)
            await alice.presence.watch("carol")
            async with face.client("carol") as carol:
                await alice.until(lambda: alice.presence.of("carol") == "online")
                await carol.conversations.open(c)
                carol.typing.key(c)
                await alice.until(lambda: [typer.user for typer in alice.typing.who(c)] == ["carol"])
                await carol.messages.send(c, "done")
                await alice.until(lambda: alice.typing.who(c) == [])
                await carol.presence.set("dnd", "in a meeting")
                await alice.until(lambda: alice.presence.of("carol") == "dnd")
                await carol.presence.set("online")
                await alice.until(lambda: alice.presence.of("carol") == "online")

    face.run(story)


def test_groups_change(face: Face) -> None:
    async def story(face: Face) -> None:
        c = room_name()
        async with face.client("alice") as alice, face.client("bob") as bob:
            await alice.conversations.create(c, members=["bob"], name="Tea")
            for one in (alice, bob):
                await one.conversations.open(c)
            await alice.conversations.update(c, name="Coffee", description="black")
            await alice.conversations.add(c, "carol")
            await alice.conversations.set_role(c, "bob", "admin")
            await bob.until(lambda: "add_members" in bob.rooms[c].capabilities)
            assert (bob.rooms[c].conversation["name"], bob.rooms[c].conversation["member_count"]) == ("Coffee", 3)
            assert bob.rooms[c].role == "admin"
            await alice.conversations.freeze(c)
            await bob.until(lambda: bob.rooms[c].conversation.get("frozen"))
            with pytest.raises(CaasError, match="frozen"):
                await bob.messages.send(c, "brr")
            await alice.conversations.freeze(c, frozen=False)
            bob.messages.retry(bob.messages.shown(c)[-1].id)
            await alice.until(lambda: [message.text for message in alice.messages.shown(c)] == ["brr"])
            await alice.conversations.remove(c, "bob")
            await bob.until(lambda: bob.rooms[c].state == "left")
            assert [item["user"]["id"] for item in (await alice.conversations.members(c))["items"]] == ["alice", "carol"]

    face.run(story)


def test_blocked(face: Face) -> None:
    async def story(face: Face) -> None:
        async with face.client("bob") as bob, face.client("carol") as carol:
            c = await bob.conversations.direct("carol")
            await carol.users.block("bob")
            try:
                await carol.until(lambda: carol.core.state.inbox.blocked == {"bob"})
                assert await hears(bob, c, blocked=True)
            finally:
                await carol.users.unblock("bob")
            assert await hears(bob, c, blocked=False)

    face.run(story)


async def hears(client: Client, c: str, *, blocked: bool) -> bool:
    """Whether sending is refused, or is not: at once on one node. Another node hears of a block over the bus, a moment later."""
    for _ in range(200 if ON_CLUSTER else 1):
        refused = ""
        try:
            await client.messages.send(c, "are you there?")
        except CaasError as error:
            refused = error.code
        if refused == ("blocked" if blocked else ""):
            return True
    return False
