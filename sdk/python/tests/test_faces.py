"""Both faces against a real server: the same stories on trio and on asyncio."""

import itertools
import time
from pathlib import Path

import pytest
from caas_sdk import CaasError, Disconnected, Message, TimedOut
from caas_sdk.client import socket_url
from conftest import SECRET, Cable, Face, untrusting

_count = itertools.count(time.time_ns() // 1_000_000)


def room_name() -> str:
    return f"room-{next(_count)}"


def texts(client_shown: list[Message]) -> list[str | None]:
    return [message.text for message in client_shown]


def test_two_people_chat(face: Face) -> None:
    async def story(face: Face) -> None:
        c = room_name()
        async with face.client("alice") as alice, face.client("bob") as bob:
            await alice.conversations.create(c, members=["bob"], name="Tea")
            heard: list[Message] = []
            bob.on("message", heard.append)
            await bob.conversations.open(c)
            await alice.conversations.open(c)
            sent = await alice.messages.send(c, "Hello, Bob")
            assert (sent.text, sent.sender, sent.conversation, sent.status) == ("Hello, Bob", "alice", c, "sent")
            await bob.until(lambda: heard)
            assert (heard[0].id, heard[0].seq, heard[0].text) == (sent.id, sent.seq, "Hello, Bob")
            written = alice.messages.post(c, "and more")
            assert written.status == "sending"
            await bob.until(lambda: len(heard) == 2)
            await alice.until(lambda: [one.status for one in alice.messages.shown(c)][-1] != "sending")
            assert texts(alice.messages.shown(c)) == texts(bob.messages.shown(c)) == ["Hello, Bob", "and more"]
            assert alice.rooms[c].conversation["name"] == "Tea"

    face.run(story)


def test_async_handlers_may_answer(face: Face) -> None:
    async def story(face: Face) -> None:
        c = room_name()
        async with face.client("alice") as alice, face.client("bob") as bob:
            await alice.conversations.create(c, members=["bob"])

            @bob.on("message:new")
            async def answer(message: Message) -> None:
                if message.sender != bob.user_id:
                    await bob.messages.send(message.conversation, f"you said {message.text}", reply_to=message.id)

            await bob.conversations.open(c)
            await alice.conversations.open(c)
            await alice.messages.send(c, "ping")
            await alice.until(lambda: len(alice.messages.shown(c)) == 2)
            assert texts(alice.messages.shown(c)) == ["ping", "you said ping"]

    face.run(story)


def test_a_cut_connection_resumes(face: Face, cable: Cable) -> None:
    async def story(face: Face) -> None:
        c = room_name()
        async with face.client("alice") as alice, face.client("bob", cable.base) as bob:
            await alice.conversations.create(c, members=["bob"])
            await bob.conversations.open(c)
            states: list[str] = []
            bob.on("state", lambda change: states.append(change.state))
            await alice.messages.send(c, "before")
            await bob.until(lambda: len(bob.messages.shown(c)) == 1)
            cable.plugged = False
            cable.cut()
            await bob.until(lambda: bob.state == "reconnecting")
            for n in range(30):
                await alice.messages.send(c, f"away {n}")
            mine = bob.messages.post(c, "written while away")
            assert mine.status == "sending"
            cable.plugged = True
            await bob.until(lambda: len(bob.messages.shown(c)) == 32 and bob.messages.shown(c)[-1].status != "sending")
            assert texts(bob.messages.shown(c)) == ["before", *(f"away {n}" for n in range(30)), "written while away"]
            assert [message.seq for message in bob.messages.shown(c)] == list(range(2, 34))
            assert states[0] == "reconnecting"
            assert states[-1] == "connected"

    face.run(story)


def test_nothing_is_lost_or_doubled_while_the_cable_is_cut_again_and_again(face: Face, cable: Cable) -> None:
    async def story(face: Face) -> None:
        c = room_name()
        async with face.client("alice") as alice, face.client("bob", cable.base) as bob:
            await alice.conversations.create(c, members=["bob"])
            await bob.conversations.open(c)
            await alice.conversations.open(c)
            for n in range(60):
                bob.messages.post(c, f"{n}")
                if n % 15 == 8:
                    dialled = cable.dialled
                    cable.cut()
                    await bob.until(lambda dialled=dialled: cable.dialled > dialled and bob.state == "connected")
            await alice.until(lambda: len(alice.messages.shown(c)) >= 60)
            await bob.until(lambda: all(one.status != "sending" for one in bob.messages.shown(c)) and len(bob.messages.shown(c)) == 60)
            assert texts(alice.messages.shown(c)) == texts(bob.messages.shown(c)) == [str(n) for n in range(60)]

    face.run(story)


def test_refusals_are_errors(face: Face) -> None:
    async def story(face: Face) -> None:
        async with face.client("carol") as carol:
            with pytest.raises(CaasError) as refused:
                await carol.conversations.open("nowhere")
            assert refused.value.code == "not_found"
            assert carol.rooms["nowhere"].state == "error"
            failed: list[Message] = []
            carol.on("failed", failed.append)
            with pytest.raises(CaasError):
                await carol.messages.send("nowhere", "anybody there?")
            await carol.until(lambda: failed)
            assert carol.messages.shown("nowhere")[0].status == "failed"
            carol.messages.discard(failed[0].id)
            assert carol.messages.shown("nowhere") == []
            with pytest.raises(CaasError, match="unknown_command"):
                await carol.call("tea.make")

    face.run(story)


def test_what_a_handler_has_done_is_waited_for(face: Face) -> None:
    async def story(face: Face) -> None:
        c = room_name()
        async with face.client("alice") as alice:
            await alice.conversations.create(c, members=["bob"])
            await alice.conversations.open(c)
            noted: list[str | None] = []

            @alice.on("message")
            async def note(message: Message) -> None:
                await face.sleep(0.2)
                noted.append(message.text)

            await alice.messages.send(c, "Hello")
            await face.within(10, alice.until(lambda: noted))  # well before `heads` come, each 25 s
            assert noted == ["Hello"]

    face.run(story)


def test_a_bad_token(face: Face) -> None:
    async def story(face: Face) -> None:
        with pytest.raises(Disconnected, match="token_invalid"):
            async with face.client("alice", token="no.token.this"):
                pass

    face.run(story)


def test_nobody_there(face: Face) -> None:
    async def story(face: Face) -> None:
        with pytest.raises(Disconnected, match="retries"):
            async with face.client("alice", "http://127.0.0.1:1", retries=2, token="t"):
                pass
        with pytest.raises(TimedOut):
            async with face.client("alice", "http://127.0.0.1:1", timeout_s=0.2, token="t"):
                pass

    face.run(story)


def test_logout_and_back(face: Face) -> None:
    async def story(face: Face) -> None:
        async with face.client("alice") as alice:
            await alice.conversations.open("lobby")
            alice.disconnect()
            assert alice.state == "disconnected"
            with pytest.raises(Disconnected):
                await alice.conversations.load()
            alice.connect()
            await alice.connected()
            assert alice.rooms["lobby"].state == "in_room"
            assert {row.id for row in await alice.conversations.load()} >= {"lobby"}

    face.run(story)


def test_history_in_pages(face: Face) -> None:
    async def story(face: Face) -> None:
        c = room_name()
        async with face.client("alice") as alice, face.client("bob") as bob:
            await alice.conversations.create(c, members=["bob"])
            for n in range(120):
                alice.messages.post(c, str(n))
            await alice.messages.send(c, "120")
            await bob.conversations.open(c)
            assert len(bob.messages.shown(c)) == 50
            while await bob.messages.earlier(c):
                pass
            assert texts(bob.messages.shown(c)) == [str(n) for n in range(121)]

    face.run(story)


def test_what_a_handler_raises_ends_the_client(face: Face) -> None:
    async def story(face: Face) -> None:
        c = room_name()
        async with face.client("alice") as alice:
            await alice.conversations.create(c)

            def broken(_: Message) -> None:
                raise ZeroDivisionError

            alice.on("message", broken)
            await alice.conversations.open(c)
            await alice.messages.send(c, "boom")
            await alice.until(lambda: False)

    with pytest.raises(ExceptionGroup) as raised:
        face.run(story)
    assert raised.group_contains(ZeroDivisionError)


def test_over_tls(tmp_path: Path, face: Face) -> None:
    import trustme

    from tests.journeys.conftest import serving

    issued = trustme.CA().issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")

    async def story(face: Face) -> None:
        async with face.client("alice", secure, ssl_context=untrusting(), token=lambda: token_over_tls(secure)) as alice:
            assert (await alice.messages.send("lobby", "sealed")).seq > 1

    with serving(tmp_path / "data", "--workers", "1", CAAS_TLS_CERTIFICATE=str(tmp_path / "server.pem")) as secure:
        assert secure.startswith("https://")
        face.run(story)


def token_over_tls(base: str) -> str:
    import json
    from urllib.request import Request, urlopen

    body = json.dumps({"user": {"external_id": "alice"}}).encode()
    asked = Request(f"{base}/api/v1/sessions/create", body, {"Authorization": f"Bearer {SECRET}", "Content-Type": "application/json"})
    with urlopen(asked, timeout=10, context=untrusting()) as answer:
        return str(json.load(answer)["token"])


def test_addresses() -> None:
    assert socket_url("https://chat.example.com") == "wss://chat.example.com/ws"
    assert socket_url("http://127.0.0.1:3000/") == "ws://127.0.0.1:3000/ws"
    assert socket_url("wss://x/other") == "wss://x/other"
    with pytest.raises(ValueError, match="no address"):
        socket_url("127.0.0.1:3000")
