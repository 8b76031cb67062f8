"""Sent, delivered, read, over two workers: Node clients and a company's backend with curl."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from protocol.ids import make_uuid7, show_act
from tests.journeys.conftest import DEADLINE_S, NodeClient, in_time, serving
from tests.journeys.test_curl import Curl, curl

__all__ = ["curl"]

Node = Callable[[str], NodeClient]


def new_id() -> str:
    return show_act(make_uuid7(time.time_ns() // 1_000_000, os.urandom(10)))


def row(client: NodeClient, chat: str) -> dict[str, Any]:
    return next(item for item in client.ask("conversation.list")["items"] if item["conversation"]["id"] == chat)


def test_ticks_unread_mentions_and_notices(node: Node, curl: Curl) -> None:
    alice, bob, phone = node("alice"), node("bob"), node("bob")
    for client in (alice, bob, phone):
        client.ask("connect")
    chat = f"status-{new_id()}"
    alice.ask("conversation.create", type="group", id=chat, members=["bob"])
    bob.until(1, "conversation.joined", "me")
    assert bob.until(1, "invite.new", "me")[-1]["p"] == {"conversation": chat, "by": "alice"}
    for client in (alice, phone):
        client.ask("watch", c=chat)

    ids = [new_id() for _ in range(3)]
    for id_ in ids:
        alice.ask("message.send", c=chat, id=id_, text="for you", mentions=["bob"])
    told = bob.until(1, "notice.message", chat)[0]["p"]
    assert (told["n"], told["sender"]) == (1, "alice")
    assert [push["p"] for push in bob.until(3, "mention.new", "me")] == [{"conversation": chat, "message": id_} for id_ in ids]
    in_time(lambda: [row(bob, chat)[name] for name in ("unread", "unread_mentions")], [3, 3])

    assert phone.ask("message.delivered", c=chat, seq=4) == {}
    assert alice.until(1, "message.delivered", chat)[0]["p"]["seq"] == 4
    assert bob.ask("message.read", c=chat, seq=3) == {}
    for client in (alice, phone):
        receipt = client.until(1, "message.read", chat)[0]["p"]
        assert (receipt["user"], receipt["seq"]) == ("bob", 3)
    for client in (bob, phone):
        assert [row(client, chat)[name] for name in ("read_seq", "read_n", "unread", "unread_mentions")] == [3, 2, 1, 1]
        assert client.until(1, "read.moved", "me")[0]["p"] == {"conversations": {chat: 3}}

    assert curl("POST", f"/conversations/{chat}/read", {"seq": 4}, user="bob").body == {}
    assert curl("POST", f"/conversations/{chat}/delivered", {"seq": 4}, user="alice").status == 200
    assert curl("POST", f"/conversations/{chat}/read", {"seq": 4}, user="carol").status == 404
    assert curl("POST", f"/conversations/{chat}/read", {"seq": 4}).status == 403
    assert row(phone, chat)["unread"] == 0
    members = curl("GET", f"/conversations/{chat}/members", user="alice").body["items"]
    assert [(item["user"]["id"], item.get("read_seq")) for item in members] == [("alice", None), ("bob", 4)]

    later = node("alice")
    later.ask("connect")
    told = later.ask("watch", c=chat)
    assert (told["read"], told["delivered"]) == ({"bob": 4}, {"bob": 4, "alice": 4})


def test_what_was_read_just_before_a_restart_is_read(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--workers", "2") as base:
        assert post(base, "/conversations/lobby/read", {"seq": 3}, "carol") == {}
    with serving(tmp_path / "data", "--workers", "2") as base:
        rows = {row["conversation"]["id"]: row for row in get(base, "/conversations", "carol")["items"]}
        assert rows["lobby"]["read_seq"] == 3


def post(base: str, path: str, body: dict[str, Any], user: str) -> Any:
    return _asked(Request(f"{base}/api/v1{path}", json.dumps(body).encode(), _as(user)))


def get(base: str, path: str, user: str) -> Any:
    return _asked(Request(f"{base}/api/v1{path}", None, _as(user)))


def _as(user: str) -> dict[str, str]:
    return {"Authorization": "Bearer caas_sk_dev", "Content-Type": "application/json", "CAAS-User": user}


def _asked(request: Request) -> Any:
    with urlopen(request, timeout=DEADLINE_S) as answer:
        return json.load(answer)
