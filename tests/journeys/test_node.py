"""Two people chat with Node clients on `ws` and `@msgpack/msgpack`; the network is cut, and they go on."""

import os
import ssl
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme

from protocol.ids import make_uuid7, show_act
from tests.journeys.conftest import DEADLINE_S, ON_CLUSTER, NodeClient, need, serving, token

Node = Callable[[str], NodeClient]
Answer = dict[str, Any]


def soon(ask: Callable[[], Answer], is_so: Callable[[Answer], bool]) -> Answer:
    """At once on one node. Another node hears of a block over the bus, a moment later."""
    answer, until = ask(), time.monotonic() + (DEADLINE_S if ON_CLUSTER else 0)
    while not is_so(answer) and time.monotonic() < until:
        answer = ask()
    return answer


def send(person: NodeClient, chat: str) -> Answer:
    return person.ask("message.send", c=chat, id=new_id(), text="x")


def new_id() -> str:
    return show_act(make_uuid7(time.time_ns() // 1_000_000, os.urandom(10)))


def test_alice_and_bob_chat_and_come_back(node: Node) -> None:
    alice, bob = node("alice"), node("bob")
    assert alice.ask("connect")["protocol"] == "caas.v1"
    assert bob.ask("connect")["user"]["id"] == "bob"
    chat = alice.ask("conversation.create", type="direct", members=["bob"])["conversation"]["id"]
    head = bob.ask("watch", c=chat)["head"]
    alice.ask("watch", c=chat)
    id_ = new_id()
    sent = alice.ask("message.send", c=chat, id=id_, text="Hello, Bob — schön, dich zu sehen 👋")
    assert sent["seq"] == head + 1
    assert bob.until(1, "message.new", chat)[0]["p"]["text"].endswith("👋")
    assert alice.ask("message.send", c=chat, id=id_, text="Hello, Bob — schön, dich zu sehen 👋") == {**sent, "duplicate": True}
    bob.ask("cut")
    for n in range(20):
        assert alice.ask("message.send", c=chat, id=new_id(), text=f"while you were away {n}")["seq"] == head + 2 + n
    told = bob.ask("connect")["conversations"][chat]
    assert (told["from"], told["to"]) == (head + 2, head + 21)
    assert [push["s"] for push in bob.until(21, "message.new", chat)] == list(range(head + 1, head + 22))
    assert [item["seq"] for item in bob.ask("message.list", c=chat, limit=3)["items"]] == [head + 19, head + 20, head + 21]


def test_a_stranger_is_refused(node: Node) -> None:
    alice, carol = node("alice"), node("carol")
    alice.ask("connect"), carol.ask("connect")
    chat = alice.ask("conversation.create", type="direct", members=["bob"])["conversation"]["id"]
    for m, p in (("conversation.get", {}), ("conversation.watch", {}), ("message.list", {}), ("member.list", {}),
                 ("message.send", {"id": new_id(), "text": "let me in"}), ("conversation.sync", {"after": 0})):
        assert carol.ask(m, c=chat, **p)["error"] == "not_found"


def test_a_group_of_three_over_two_workers(node: Node) -> None:
    people = [node(name) for name in ("alice", "bob", "carol")]
    for person in people:
        person.ask("connect")
    room = f"room-{new_id()}"
    people[0].ask("conversation.create", type="group", id=room, members=["bob", "carol"])
    for person in people:
        person.ask("watch", c=room)
    for n in range(30):
        assert people[n % 3].ask("message.send", c=room, id=new_id(), text=str(n))["seq"] == n + 2
    for person in people:
        assert [push["p"]["text"] for push in person.until(30, "message.new", room)] == [str(n) for n in range(30)]
    people[0].ask("member.remove", c=room, user="carol")
    people[2].until(1, "member.removed", room)
    assert people[2].ask("message.list", c=room)["error"] == "not_found"


def test_rights_move_and_a_group_ends(node: Node) -> None:
    alice, bob, carol = people = [node(name) for name in ("alice", "bob", "carol")]
    room = f"room-{new_id()}"
    for person in people:
        person.ask("connect")
    alice.ask("conversation.create", type="group", id=room, members=["bob", "carol"])
    for person in people:
        person.ask("watch", c=room)
    alice.ask("conversation.update", c=room, name="Ours")
    alice.ask("conversation.freeze", c=room, frozen=True)
    for person in people:
        assert person.until(1, "conversation.updated", room)[0]["p"] == {"name": "Ours", "by": "alice"}
        assert "send" not in person.until(1, "capabilities.changed", room)[0]["p"]["capabilities"]
        assert person.ask("message.send", c=room, id=new_id(), text="x")["error"] == "frozen"
    alice.ask("conversation.freeze", c=room, frozen=False)
    assert alice.ask("conversation.leave", c=room)["error"] == "forbidden"
    alice.ask("member.update", c=room, user="bob", role="owner")
    assert bob.until(3, "capabilities.changed", room)[2]["p"]["role"] == "owner"
    alice.ask("conversation.leave", c=room)
    assert carol.until(1, "member.removed", room)[0]["p"] == {"user": "alice", "by": "alice"}
    bob.ask("conversation.delete", c=room)
    for person in (bob, carol):
        person.until(1, "conversation.deleted", room)
        person.hear("conversation.left", "me", {"conversation": room, "by": "bob"})
        assert person.ask("conversation.get", c=room)["error"] == "not_found"


def test_a_block_closes_a_direct_conversation(node: Node) -> None:
    alice, carol = node("alice"), node("carol")
    alice.ask("connect"), carol.ask("connect")
    chat = alice.ask("conversation.create", type="direct", members=["carol"])["conversation"]["id"]
    alice.ask("user.block", user="carol")
    assert alice.until(1, "block.changed", "me")[0]["p"] == {"user": "carol", "blocked": True}
    for person in (alice, carol):
        assert soon(partial(send, person, chat), lambda answer: "error" in answer)["error"] == "blocked"
    alice.ask("user.unblock", user="carol")
    assert "seq" in soon(partial(send, carol, chat), lambda answer: "seq" in answer)


def test_the_same_over_tls(tmp_path: Path) -> None:
    need("node")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    pem = str(tmp_path / "server.pem")
    with serving(tmp_path / "data", "--workers", "1", CAAS_TLS_CERTIFICATE=pem) as base:
        assert base.startswith("https://")
        context = ssl.create_default_context()
        authority.configure_trust(context)
        client = NodeClient(base, _token_over_tls(base, context))
        try:
            assert client.ask("connect")["protocol"] == "caas.v1"
            assert client.ask("message.send", c="lobby", id=new_id(), text="sealed on its way")["seq"] > 1
        finally:
            client.close()


def _token_over_tls(base: str, context: ssl.SSLContext) -> str:
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    urllib.request.install_opener(opener)
    try:
        return token(base, "alice")
    finally:
        urllib.request.install_opener(urllib.request.build_opener())


@pytest.mark.parametrize("user", ["alice", "bob"])
def test_the_set_up_has_some_history(node: Node, user: str) -> None:
    client = node(user)
    client.ask("connect")
    listed = client.ask("conversation.list")["items"]
    assert {"direct", "group"} <= {item["conversation"]["type"] for item in listed}
    assert len(client.ask("message.list", c="lobby")["items"]) >= 3
