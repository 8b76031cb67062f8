"""A company's backend, played by curl: the whole tour over REST."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest

from protocol.ids import make_uuid7, show_act
from tests.journeys.conftest import NODES, need


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any


Curl = Callable[..., Answer]


def new_id() -> str:
    return show_act(make_uuid7(time.time_ns() // 1_000_000, os.urandom(10)))


@pytest.fixture
def curl(server: str) -> Curl:
    program = need("curl")

    def run(method: str, path: str, body: Any = None, *, user: str = "", bearer: str = "caas_sk_dev", **headers: str) -> Answer:
        given = {"Authorization": f"Bearer {bearer}", **{name.replace("_", "-"): text for name, text in headers.items()}}
        if user:
            given["CAAS-User"] = user
        command = [program, "-sS", "-i", "-X", method, f"{server}{path if path.startswith('/health') else '/api/v1' + path}"]
        for name, text in given.items():
            command += ["-H", f"{name}: {text}"]
        if body is not None:
            command += ["-H", "Content-Type: application/json", "--data-binary", body if isinstance(body, str) else json.dumps(body)]
        answer = made(command)
        if method != "GET" and answer.status < 300:
            see_everywhere(NODES.get(server, ()), path, answer.body)
        return answer

    return run


def made(command: list[str]) -> Answer:
    head, _, text = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.replace("\r", "").partition("\n\n")
    first, *lines = head.split("\n")
    found = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Answer(int(first.split()[1]), found, json.loads(text) if text else None)


def see_everywhere(nodes: Sequence[str], path: str, said: dict[str, Any]) -> None:
    """The next step may read on another node, whose lists hold this one some milliseconds later: whoever names its seq is waited for."""
    room = said.get("conversation", {}).get("id") or (path.split("/")[2] if path.startswith("/conversations/") else "")
    seq = said.get("conversation", said).get("head" if "conversation" in said else "seq")
    for node in nodes if room and seq else ():
        command = ["curl", "-sS", "-i", "-H", "Authorization: Bearer caas_sk_dev", f"http://{node}/api/v1/conversations/{room}/sync?after={seq}"]
        assert made(command).status in (200, 404)  # 404: its last step was its end


def test_sessions_are_made_refreshed_and_revoked(curl: Curl) -> None:
    made = curl("POST", "/sessions/create", {"user": {"external_id": "dora", "display_name": "Dora"}})
    assert (made.status, made.body["user"]) == (201, {"id": "dora", "display_name": "Dora"})
    fresh = curl("POST", "/sessions/refresh", {"refresh_token": made.body["refresh_token"]})
    assert fresh.status == 201
    assert curl("GET", "/conversations", bearer=fresh.body["token"]).status == 200
    assert curl("DELETE", "/users/dora/sessions").status == 200
    time.sleep(1.1)  # within a second, on every worker
    for _ in range(4):
        refused = curl("GET", "/conversations", bearer=fresh.body["token"])
        assert (refused.status, refused.body["code"]) == (401, "token_invalid")
    assert curl("POST", "/sessions/refresh", {"refresh_token": fresh.body["refresh_token"]}).body["code"] == "token_invalid"


def test_a_conversation_from_its_beginning(curl: Curl) -> None:
    room = f"room-{new_id()}"
    made = curl("POST", "/conversations", {"type": "group", "id": room, "name": "Room", "members": ["bob"]}, user="alice")
    assert (made.status, made.body["conversation"]["member_count"], made.body["conversation"]["created_by"]) == (201, 2, "alice")
    assert curl("POST", "/conversations", {"type": "group", "id": room}, user="bob").status == 200
    assert curl("POST", "/conversations", {"type": "group", "id": room}, user="carol").body["code"] == "id_conflict"
    assert curl("GET", f"/conversations/{room}", user="bob").body["role"] == "member"
    assert curl("POST", f"/conversations/{room}/members", {"users": ["carol"]}, user="alice").status == 201
    again = curl("POST", f"/conversations/{room}/members", {"users": ["carol"]}, user="alice")
    assert (again.status, again.body["unchanged"]) == (200, True)
    members = curl("GET", f"/conversations/{room}/members?limit=10", user="bob").body["items"]
    assert [item["user"]["id"] for item in members] == ["alice", "bob", "carol"]
    assert curl("DELETE", f"/conversations/{room}/members/carol", user="alice").status == 200
    assert curl("GET", f"/conversations/{room}", user="carol").body["code"] == "not_found"
    kinds = [entry["t"] for entry in curl("GET", f"/conversations/{room}/sync?after=0", user="alice").body["entries"]]
    assert kinds == ["conversation.created", "member.added", "member.removed"]


def test_messages_and_their_repeats(curl: Curl) -> None:
    room, id_ = f"room-{new_id()}", new_id()
    curl("POST", "/conversations", {"type": "group", "id": room}, user="alice")
    path = f"/conversations/{room}/messages"
    first = curl("POST", path, {"id": id_, "text": "once"}, user="alice")
    assert (first.status, first.body["seq"]) == (201, 2)
    again = curl("POST", path, {"id": id_, "text": "once"}, user="alice")
    assert (again.status, again.body) == (200, {**first.body, "duplicate": True})
    other = curl("POST", path, {"id": id_, "text": "other"}, user="alice")
    assert (other.status, other.body["code"], other.headers["content-type"]) == (409, "id_conflict", "application/problem+json")
    keyed = new_id()
    assert [curl("POST", path, {"text": "keyed"}, user="alice", Idempotency_Key=keyed).status for _ in range(2)] == [201, 200]
    assert curl("POST", path, {"text": "no sender"}).body["code"] == "forbidden"
    for n in range(5):
        curl("POST", path, {"text": str(n)}, user="alice")
    page = curl("GET", f"{path}?limit=3", user="alice").body
    assert [item["text"] for item in page["items"]] == ["2", "3", "4"]
    assert [item["text"] for item in curl("GET", f"{path}?limit=3&before={page['prev']}", user="alice").body["items"]] == ["keyed", "0", "1"]


def test_an_idempotency_key_makes_repeats_harmless(curl: Curl) -> None:
    room, key = f"room-{new_id()}", new_id()
    first = curl("POST", "/conversations", {"type": "group", "id": room}, user="alice", Idempotency_Key=key)
    again = curl("POST", "/conversations", {"type": "group", "id": room}, user="alice", Idempotency_Key=f'"{key}"')
    assert (first.status, again.status, again.body.get("duplicate")) == (201, 200, True)
    added = new_id()
    path = f"/conversations/{room}/members"
    assert [curl("POST", path, {"users": ["bob"]}, user="alice", Idempotency_Key=added).status for _ in range(2)] == [201, 200]
    assert curl("POST", path, {"users": ["carol"]}, user="alice", Idempotency_Key=added).body["code"] == "id_conflict"
    bad = curl("POST", path, {"users": ["carol"]}, user="alice", Idempotency_Key="order-7")
    assert (bad.status, bad.body["code"], bad.body["field"]) == (400, "bad_request", "op")
    said = f"/conversations/{room}/messages"
    one, other = (curl("POST", said, {"text": "no UUIDv7"}, user="alice", Idempotency_Key="order-7") for _ in range(2))
    assert (one.status, other.status) == (201, 201)
    assert one.body["id"] != other.body["id"]  # the server makes the id: such a key keeps no promise for messages
    named = new_id()
    assert curl("POST", said, {"id": named, "text": "the body's id wins"}, user="alice", Idempotency_Key=new_id()).body["id"] == named


def test_a_conversation_changes_and_ends(curl: Curl) -> None:
    room = f"room-{new_id()}"
    path = f"/conversations/{room}"
    curl("POST", "/conversations", {"type": "group", "id": room, "members": ["bob", "carol"], "description": "d"}, user="alice")
    changed = curl("PATCH", path, {"name": "New", "description": None}, user="alice")
    assert (changed.status, changed.body["conversation"]["name"], "description" in changed.body["conversation"]) == (200, "New", False)
    assert curl("PATCH", path, {"name": "Mine"}, user="bob").body["code"] == "forbidden"
    key = new_id()
    first, again = (curl("PATCH", f"{path}/members/bob", {"role": "admin"}, user="alice", Idempotency_Key=key) for _ in range(2))
    assert (first.status, again.body) == (200, {**first.body, "duplicate": True})
    assert curl("PATCH", f"{path}/members/bob", {"role": "king"}, user="alice").body["field"] == "role"
    assert curl("POST", f"{path}/freeze", {"frozen": True}, user="alice").status == 200
    assert curl("POST", f"{path}/messages", {"text": "x"}, user="bob").body["code"] == "frozen"
    assert curl("POST", f"{path}/freeze", {"frozen": False}).status == 200
    assert curl("POST", f"{path}/leave", user="carol").status == 200
    assert curl("POST", f"{path}/join", user="carol").body["code"] == "not_found"
    assert curl("POST", f"{path}/leave", user="alice").body["code"] == "forbidden"
    assert curl("DELETE", path, user="bob").body["code"] == "forbidden"
    kinds = [entry["t"] for entry in curl("GET", f"{path}/sync?after=1", user="bob").body["entries"]]
    assert kinds == ["conversation.updated", "member.updated", "conversation.frozen", "conversation.frozen", "member.removed"]
    assert curl("DELETE", path, user="alice").status == 200
    assert [curl("GET", path, user=user).body["code"] for user in ("alice", "bob")] == ["not_found"] * 2
    assert curl("POST", "/conversations", {"type": "group", "id": room}, user="alice").body["code"] == "id_conflict"


def test_blocks(curl: Curl) -> None:
    chat = curl("POST", "/conversations", {"type": "direct", "members": ["carol"]}, user="bob").body["conversation"]["id"]
    assert curl("POST", "/users/carol/block", user="bob").status == 201
    assert curl("POST", "/users/carol/block", user="bob").body["unchanged"]
    for user in ("bob", "carol"):
        refused = said(curl, chat, user, 403)
        assert (refused.status, refused.body["code"]) == (403, "blocked")
    assert curl("DELETE", "/users/carol/block", user="bob").status == 200
    assert said(curl, chat, "carol", 201).status == 201
    assert curl("GET", "/users/me/blocks", user="carol").body == {"items": []}
    assert curl("POST", "/users/carol/block").body["code"] == "bad_request"


def said(curl: Curl, chat: str, user: str, wanted: int) -> Answer:
    """Say something; again for a moment while it goes otherwise: another node hears of a block on the bus."""
    for _ in range(20):
        if (answer := curl("POST", f"/conversations/{chat}/messages", {"text": "x"}, user=user)).status == wanted:
            break
        time.sleep(0.1)
    return answer


@pytest.mark.parametrize(("method", "path", "body", "more", "status", "code"), [
    ("GET", "/nowhere", None, {}, 404, "not_found"),
    ("PUT", "/sessions/create", {}, {}, 405, "bad_request"),
    ("POST", "/conversations", "{", {"user": "alice"}, 400, "bad_frame"),
    ("POST", "/conversations", {"type": "circle"}, {"user": "alice"}, 400, "bad_request"),
    ("POST", "/conversations", {"type": "group", "members": ["ghost"]}, {"user": "alice"}, 404, "not_found"),
    ("POST", "/conversations", {"type": "channel"}, {"user": "alice"}, 403, "feature_disabled"),
    ("GET", "/conversations", None, {"user": "ghost"}, 404, "not_found"),
    ("GET", "/conversations", None, {"bearer": "caas_sk_wrong"}, 401, "token_invalid"),
    ("GET", "/conversations/lobby/messages?limit=x", None, {"user": "alice"}, 400, "bad_request"),
    ("POST", "/conversations/lobby/messages", {"text": "x" * 70_000}, {"user": "alice"}, 413, "too_large"),
])
def test_refusals_are_problems(curl: Curl, method: str, path: str, body: Any, more: dict[str, str], status: int, code: str) -> None:
    answer = curl(method, path, body, **more)
    assert (answer.status, answer.body["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "code", "message", "retryable", "request_id"} <= answer.body.keys()


def test_it_is_alive(curl: Curl) -> None:
    assert curl("GET", "/health").status == 200
