"""The whole tour with clients that we did not write: two who chat, a stranger who is refused, another tenant who finds nothing.

Over ws and over wss, with Node; then once more over REST, with curl.
"""

import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import HTTPSHandler, Request, build_opener

import pytest
import trustme

from protocol.ids import make_uuid7, show_act
from tests.journeys.conftest import DEADLINE_S, NodeClient, in_time, need, serving

OTHER = "Somebody else"


class Place(NamedTuple):
    """A set-up with two tenants: its address, what its certificate is checked against, and the secret key of each tenant."""

    base: str
    trust: ssl.SSLContext | None
    authority: Path | None
    keys: dict[str, str]

    def post(self, path: str, body: dict[str, Any], tenant: str = "dev") -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.keys[tenant]}", "Content-Type": "application/json"}
        opener = build_opener(HTTPSHandler(context=self.trust)) if self.trust else build_opener()
        with opener.open(Request(f"{self.base}/api/v1{path}", json.dumps(body).encode(), headers), timeout=DEADLINE_S) as answer:
            return dict(json.load(answer))

    def node(self, user: str, tenant: str = "dev") -> NodeClient:
        client = NodeClient(self.base, self.post("/sessions/create", {"user": {"external_id": user}}, tenant)["token"])
        assert client.ask("connect")["protocol"] == "caas.v1"
        return client


def other_tenant(data: Path) -> str:
    """An application made beside the running server; its secret key."""
    command = [sys.executable, "-m", "caas", "app", "create", OTHER, "--json", "--data", str(data)]
    made = json.loads(subprocess.run(command, stdout=subprocess.PIPE, timeout=DEADLINE_S, check=True).stdout)
    return next(value for value in _texts(made) if value.startswith(("caas_live_sk_", "caas_test_sk_")))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(inner)


@pytest.fixture(scope="module", params=["ws", "wss"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One of each kind."""
    need("node")
    folder = tmp_path_factory.mktemp(request.param)
    trust, authority, environment = None, None, dict[str, str]()
    if request.param == "wss":
        made = trustme.CA()
        made.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
        made.cert_pem.write_to_path(authority := folder / "authority.pem")
        trust = ssl.create_default_context()
        made.configure_trust(trust)
        environment = {"CAAS_TLS_CERTIFICATE": str(folder / "server.pem")}
    with serving(folder / "data", "--limits", "off", **environment) as base:
        assert base.startswith("https://" if trust else "http://")
        yield Place(base, trust, authority, {"dev": "caas_sk_dev", OTHER: other_tenant(folder / "data")})


@pytest.fixture
def clients() -> Iterator[list[NodeClient]]:
    made: list[NodeClient] = []
    yield made
    for client in made:
        client.close()


def new_id() -> str:
    return show_act(make_uuid7(time.time_ns() // 1_000_000, os.urandom(10)))


def test_the_whole_tour(place: Place, clients: list[NodeClient]) -> None:
    clients += [place.node("alice"), place.node("bob")]
    alice, bob = clients
    room = f"tour-{new_id()}"
    alice.ask("conversation.create", type="group", id=room, members=["bob"])
    for client in clients:
        client.ask("watch", c=room)

    sent = alice.ask("message.send", c=room, id=(first := new_id()), text="Hello", mentions=["bob"])
    assert bob.until(1, "message.new", room)[0]["p"] | {"id": first} == bob.until(1, "message.new", room)[0]["p"]
    assert bob.until(1, "mention.new", "me")[0]["p"] == {"conversation": room, "message": first}

    bob.ask("message.delivered", c=room, seq=sent["seq"])
    assert alice.until(1, "message.delivered", room)[0]["p"]["user"] == "bob"
    bob.ask("message.read", c=room, seq=sent["seq"])
    assert alice.until(1, "message.read", room)[0]["p"]["seq"] == sent["seq"]

    bob.ask("typing.start", c=room)
    assert alice.until(1, "typing.started", room)[0]["p"] == {"user": "bob", "kind": "text"}
    answer = bob.ask("message.send", c=room, id=(second := new_id()), text="Hello, Alise", reply_to=first)
    assert alice.until(1, "typing.stopped", room)[0]["p"]["user"] == "bob"
    bob.ask("message.edit", c=room, id=second, text="Hello, Alice")
    assert alice.until(1, "message.updated", room)[0]["p"]["text"] == "Hello, Alice"
    alice.ask("reaction.add", c=room, id=second, emoji="🎉")
    assert bob.until(1, "reaction.added", room)[0]["p"]["emoji"] == "🎉"
    alice.ask("message.pin", c=room, id=second)
    bob.until(1, "message.pinned", room)

    [shown] = [item for item in alice.ask("message.list", c=room)["items"] if item["id"] == second]
    assert (shown["text"], shown["pinned"], shown["reply_to"], shown["reactions"]) == (
        "Hello, Alice", True, first, {"🎉": {"count": 1, "users": ["alice"], "own": True}})
    assert alice.ask("message.get", c=room, id=second)["edits"] == [{"text": "Hello, Alise", "at": answer["sent_at"]}]

    assert alice.ask("presence.watch", users=["bob"])["items"][0]["status"] == "online"
    bob.ask("presence.set", status="dnd", text="writing")
    assert alice.until(1, "presence.changed", None)[0]["p"] | {"user": "bob", "status": "dnd", "text": "writing"} == \
        alice.until(1, "presence.changed", None)[0]["p"]

    bob.ask("cut")
    missed = [alice.ask("message.send", c=room, id=new_id(), text=str(number))["seq"] for number in range(5)]
    alice.ask("message.delete", c=room, id=first, **{"for": "all"})
    told = bob.ask("connect")["conversations"][room]
    assert (told["from"], told["to"]) == (missed[0], missed[-1] + 1)
    assert [push["s"] for push in bob.until(7, "message.new", room)][2:] == missed
    bob.until(1, "message.deleted", room)
    assert "deleted_at" in bob.ask("message.list", c=room)["items"][0]

    bob.ask("conversation.leave", c=room)
    assert alice.until(1, "member.removed", room)[0]["p"] == {"user": "bob", "by": "bob"}
    assert bob.ask("message.list", c=room)["error"] == "not_found"

    direct = alice.ask("conversation.create", type="direct", members=["bob"])["conversation"]["id"]
    bob.ask("user.block", user="alice")
    assert alice.ask("message.send", c=direct, id=new_id(), text="?")["error"] == "blocked"
    bob.ask("user.unblock", user="alice")
    assert "seq" in alice.ask("message.send", c=direct, id=new_id(), text="!")


def inside(room: str, message: str) -> list[tuple[str, dict[str, Any]]]:
    """A command of each kind that speaks of a conversation."""
    about = {"c": room, "id": message}
    return [
        ("conversation.get", {"c": room}), ("conversation.watch", {"c": room}), ("conversation.sync", {"c": room, "after": 0}),
        ("conversation.update", {"c": room, "name": "mine"}), ("conversation.freeze", {"c": room, "frozen": True}),
        ("conversation.join", {"c": room}), ("conversation.leave", {"c": room}), ("conversation.delete", {"c": room}),
        ("member.list", {"c": room}), ("member.add", {"c": room, "users": ["carol"]}), ("member.remove", {"c": room, "user": "alice"}),
        ("member.update", {"c": room, "user": "alice", "role": "member"}), ("message.list", {"c": room}), ("message.get", about),
        ("message.send", {"c": room, "id": new_id(), "text": "in"}), ("message.edit", {**about, "text": "mine"}), ("message.delete", about),
        ("message.delete", {**about, "for": "me"}), ("message.pin", about), ("message.unpin", about), ("reaction.add", {**about, "emoji": "x"}),
        ("reaction.remove", {**about, "emoji": "x"}), ("message.read", {"c": room, "seq": 2}), ("message.delivered", {"c": room, "seq": 2}),
        ("typing.start", {"c": room}),
    ]


def test_a_stranger_and_another_tenant_find_nothing(place: Place, clients: list[NodeClient]) -> None:
    place.post("/sessions/create", {"user": {"external_id": "alice"}}, OTHER)  # the same ids exist over there
    place.post("/sessions/create", {"user": {"external_id": "carol"}}, OTHER)
    clients += [place.node("alice"), place.node("carol"), place.node("alice", OTHER)]
    alice, stranger, foreign = clients
    room, message = f"closed-{new_id()}", new_id()
    alice.ask("conversation.create", type="group", id=room, members=["bob"])
    alice.ask("message.send", c=room, id=message, text="between us")
    direct = alice.ask("conversation.create", type="direct", members=["bob"])["conversation"]["id"]
    for client in (stranger, foreign):
        for c in (room, direct):
            for m, p in inside(c, message):
                assert client.ask(m, **p).get("error") == "not_found", (m, p)
    assert alice.ask("message.list", c=room)["items"][0]["text"] == "between us"
    assert foreign.ask("user.get", users=["bob"]) == {"items": []}
    assert foreign.ask("presence.watch", users=["bob"])["error"] == "not_found"
    assert foreign.ask("conversation.list")["items"] == []
    assert foreign.ask("conversation.create", type="group", id=room)["conversation"]["id"] == room  # their own, of the same name
    assert alice.ask("conversation.get", c=room)["conversation"]["member_count"] == 2


def test_the_tour_with_curl(place: Place) -> None:
    curl = need("curl")
    room = f"curl-{new_id()}"

    def ask(user: str, method: str, path: str, tenant: str = "dev", /, **body: Any) -> tuple[int, dict[str, Any]]:
        command = [curl, "--silent", "--show-error", "-X", method, f"{place.base}/api/v1{path}", "-w", "\n%{http_code}",
                   "-H", f"Authorization: Bearer {place.keys[tenant]}", "-H", "Content-Type: application/json"]
        command += ["-H", f"CAAS-User: {user}"] if user else []
        command += ["-d", json.dumps(body)] if body else []
        command += ["--cacert", str(place.authority)] if place.authority else []
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=DEADLINE_S, check=True).stdout
        text, _, status = said.rpartition("\n")
        return int(status), json.loads(text)

    def expect(wanted: int, /, *asked: Any, **body: Any) -> dict[str, Any]:
        got, answer = ask(*asked, **body)
        assert got == wanted, (asked, answer)
        return answer

    base, message = f"/conversations/{room}", new_id()
    expect(201, "alice", "POST", "/conversations", type="group", id=room, members=["bob"])
    sent = expect(201, "alice", "POST", f"{base}/messages", id=message, text="one")
    assert expect(200, "alice", "POST", f"{base}/messages", id=message, text="one") == {**sent, "duplicate": True}
    expect(409, "alice", "POST", f"{base}/messages", id=message, text="another")
    expect(200, "alice", "PATCH", f"{base}/messages/{message}", text="two")
    expect(201, "bob", "PUT", f"{base}/messages/{message}/reactions/%F0%9F%91%8D")
    expect(200, "bob", "PUT", f"{base}/messages/{message}/pin")
    shown = expect(200, "bob", "GET", f"{base}/messages/{message}")
    assert (shown["message"]["text"], shown["message"]["reactions"]["👍"]["own"], shown["edits"][0]["text"]) == ("two", True, "one")
    expect(200, "bob", "POST", f"{base}/delivered", seq=sent["seq"])
    expect(200, "bob", "POST", f"{base}/read", seq=sent["seq"])
    in_time(lambda: [(row["read_seq"], row["unread"]) for row in expect(200, "bob", "GET", "/conversations")["items"]
                     if row["conversation"]["id"] == room], [(sent["seq"], 0)])
    expect(200, "bob", "POST", f"{base}/typing")
    expect(200, "bob", "PUT", "/presence", status="away")
    assert expect(200, "alice", "GET", "/presence?users=bob")["items"][0]["user"] == "bob"
    expect(201, "bob", "POST", "/users/carol/block")
    expect(200, "bob", "DELETE", "/users/carol/block")
    expect(200, "alice", "PATCH", base, name="Curled")
    expect(200, "alice", "POST", f"{base}/freeze", frozen=True)
    expect(403, "bob", "POST", f"{base}/messages", id=new_id(), text="cold")
    expect(200, "alice", "POST", f"{base}/freeze", frozen=False)
    expect(200, "bob", "DELETE", f"{base}/messages/{message}?for=me")
    expect(404, "bob", "GET", f"{base}/messages/{message}")
    expect(200, "alice", "DELETE", f"{base}/messages/{message}")
    expect(200, "bob", "POST", f"{base}/leave")
    expect(404, "bob", "GET", base)
    assert [entry["s"] for entry in expect(200, "alice", "GET", f"{base}/sync?after=0")["entries"]] == list(range(1, 11))
    expect(404, "", "GET", base, OTHER)
    expect(404, "carol", "GET", f"{base}/messages")
    expect(200, "alice", "DELETE", base)
    expect(404, "alice", "GET", base)
