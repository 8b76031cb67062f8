"""Who types and who is there, over two workers of a real set-up: Node clients and a company's backend with curl."""

import time
from collections.abc import Callable
from typing import Any

from tests.journeys.conftest import NodeClient
from tests.journeys.test_curl import Curl, curl, new_id

__all__ = ["curl"]

Node = Callable[[str], NodeClient]
NOWHERE: Any = None
"""The conversation of a push that has none."""


def connected(node: Node, *users: str) -> list[NodeClient]:
    clients = [node(user) for user in users]
    for client in clients:
        client.ask("connect")
    return clients


def changes(client: NodeClient, count: int) -> list[dict[str, Any]]:
    return [push["p"] for push in client.until(count, "presence.changed", NOWHERE)]


def test_typing(node: Node, curl: Curl) -> None:
    alice, bob = connected(node, "alice", "bob")
    chat = f"typing-{new_id()}"
    alice.ask("conversation.create", type="group", id=chat, members=["bob"])
    for client in (alice, bob):
        client.ask("watch", c=chat)
    assert alice.ask("typing.start", c=chat, kind="voice") == {}
    assert alice.ask("typing.stop", c=chat) == {}
    alice.ask("typing.start", c=chat)
    alice.ask("message.send", c=chat, id=new_id(), text="there")
    bob.until(1, "message.new", chat)
    told = [(push["t"], push["p"].get("kind")) for push in bob.pushes if push.get("c") == chat]
    assert told == [("typing.started", "voice"), ("typing.stopped", "voice"), ("typing.started", "text"), ("typing.stopped", "text"),
                    ("message.new", None)]

    began = time.monotonic()
    assert curl("POST", f"/conversations/{chat}/typing", {"kind": "file"}, user="alice").body == {}
    bob.until(3, "typing.stopped", chat)
    assert time.monotonic() - began > 5.5
    alice.ask("typing.start", c=chat)
    alice.ask("cut")
    bob.until(4, "typing.stopped", chat)
    assert curl("POST", f"/conversations/{chat}/typing", {}, user="carol").status == 404
    assert curl("POST", f"/conversations/{chat}/typing", {}).status == 403
    assert curl("DELETE", f"/conversations/{chat}/typing", user="bob").body == {}


def test_presence(node: Node, curl: Curl) -> None:
    [bob] = connected(node, "bob")
    curl("PUT", "/users/pia", {"display_name": "Pia"})
    assert bob.ask("presence.watch", users=["pia"])["items"] == [{"user": "pia", "status": "offline"}]
    [pia, phone] = connected(node, "pia", "pia")
    assert changes(bob, 1) == [{"user": "pia", "status": "online"}]
    assert pia.ask("presence.set", status="dnd", text="In a meeting") == {}
    assert changes(bob, 2)[1] == {"user": "pia", "status": "dnd", "text": "In a meeting"}
    assert phone.until(1, "setting.changed", "me")[0]["p"] == {"name": "presence", "value": {"status": "dnd", "text": "In a meeting"}}
    assert curl("GET", "/presence?users=pia,bob", user="carol").body["items"][0]["status"] == "dnd"
    assert curl("PUT", "/presence", {"status": "invisible"}, user="pia").body == {}
    assert changes(bob, 3)[2]["status"] == "offline"
    assert curl("GET", "/presence?users=pia", user="pia").body["items"] == [{"user": "pia", "status": "invisible"}]
    assert curl("GET", "/presence?users=pia,nobody", user="bob").body["field"] == "users.1"
    assert pia.ask("presence.set", status="online") == {}
    assert changes(bob, 4)[3] == {"user": "pia", "status": "online"}

    began = time.time()
    phone.ask("cut")
    pia.ask("cut")
    assert pia.ask("connect")["user"]["id"] == "pia"
    pia.ask("cut")
    gone = changes(bob, 5)[4]
    assert gone["status"] == "offline"
    assert 29 < time.time() - began < 40
    assert abs(gone["last_seen_at"] / 1_000 - began) < 5
    assert curl("GET", "/presence?users=pia").body["items"] == [gone]
    assert bob.ask("presence.unwatch", users=["pia"]) == {}
