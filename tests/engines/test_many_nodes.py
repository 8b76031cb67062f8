"""Two real nodes on the real engines, each spoken to by its own port: what crosses does so once, a node that is killed costs nothing, and
both have made the same of the log."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from deploy.local.cluster import Cluster, Shape, made
from deploy.local.member import Member
from tests.engines.needing import needing
from tests.wire.client import Wire, rest, uuid7

Push = dict[str, Any]
SENDS = 100


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[Member]]:
    """Their processes, ready."""
    with needing():
        running = Cluster(tmp_path, made(Shape(nodes=2, brokers=1, members=1), {}), settings={"dev": "1", "limits": "0"})
    try:
        trio.run(running.start)
        yield list(running.nodes.members.values())
    finally:
        running.drop()


def greeted(node: Member, user: str, **more: Any) -> Wire:
    token = rest(node.port, "POST", "/sessions/create", {"user": {"external_id": user}}).body["token"]
    wire = Wire(node.port)
    wire.hello(token, **more)
    return wire


def left(wire: Wire, *kinds: str) -> list[Push]:
    """Pushes of these kinds that have come to the group and were not taken, or come within a second."""
    until = time.monotonic() + 1
    while wire._some(until):
        pass
    return [push for push in wire.pushes if push["t"] in kinds and push.get("c") == "g"]


def seen(wire: Wire, count: int, within: float = 30.0) -> list[tuple[int, str]]:
    """So many messages, as they come."""
    found: list[tuple[int, str]] = []
    while len(found) < count:
        push = wire.push("message.new", within=within)
        found.append((push["s"], push["p"]["id"]))
    return found


@pytest.mark.real
def test_two_nodes_are_one_chat(nodes: list[Member]) -> None:
    one, other = nodes
    with greeted(one, "alice") as alice, greeted(other, "bob") as bob, greeted(other, "carol") as carol:
        what_one_has_acknowledged_the_other_does_not_deny(one, other, bob)
        chat(one, other, alice, bob, carol)
    agreed, differed = (counted(one, f"caas_folds_{what}_total") for what in ("agreed", "differed"))
    assert (agreed > 0, differed) == (True, 0)


def what_one_has_acknowledged_the_other_does_not_deny(one: Member, other: Member, bob: Wire) -> None:
    """Each step goes to the node that was not told of the one before it, as it may behind a balancer; and the second one by a socket too."""
    for number in range(30):
        made = rest(one.port, "POST", "/conversations", {"id": f"r{number}", "type": "group", "members": ["bob"]}, CAAS_User="alice")
        assert made.status == 201
        assert bob.ask("message.send", c=f"r{number}", id=uuid7(), text="by a socket")["seq"] == 2
        sent = rest(one.port, "POST", f"/conversations/r{number}/messages", {"id": uuid7(), "text": "by REST"}, CAAS_User="alice")
        assert (sent.status, sent.body["seq"]) == (201, 3)
        found = rest(other.port, "GET", f"/conversations/r{number}/messages/{sent.body['id']}", CAAS_User="bob")
        assert (found.status, found.body["message"]["text"]) == (200, "by REST")
        assert rest(one.port, "POST", f"/conversations/r{number}/members", {"users": ["carol"]}, CAAS_User="alice").status in (200, 201)
        assert rest(other.port, "GET", f"/conversations/r{number}", CAAS_User="carol").status == 200
        assert rest(one.port, "DELETE", f"/conversations/r{number}/members/carol", CAAS_User="alice").status == 200
        again = rest(other.port, "POST", f"/conversations/r{number}/members", {"users": ["carol"]}, CAAS_User="alice")
        assert "unchanged" not in again.body
    began = time.monotonic()
    for number in range(30):
        assert rest(other.port, "GET", f"/conversations/nothing-{number}", CAAS_User="alice").status == 404
    print(f"a denial took {(time.monotonic() - began) / 30 * 1000:.1f} ms")


def chat(one: Member, other: Member, alice: Wire, bob: Wire, carol: Wire) -> None:
    alice.ask("conversation.create", id="g", type="group", members=["bob", "carol"])
    for wire in (alice, bob):
        wire.ask("conversation.watch", c="g")
    what_is_ephemeral_crosses_once(alice, bob, carol)
    assert one_order_for_both(alice, bob) == 2 * SENDS
    an_ended_session_ends_everywhere(one, carol)
    a_node_that_is_killed_costs_nothing(one, other, alice)


def what_is_ephemeral_crosses_once(alice: Wire, bob: Wire, carol: Wire) -> None:
    alice.ask("typing.start", c="g")
    bob.push("typing.started", "g", user="alice")
    alice.ask("typing.stop", c="g")
    bob.push("typing.stopped", "g", user="alice")
    sent = alice.ask("message.send", c="g", id=uuid7(), text="hello")
    assert bob.push("message.new", "g")["s"] == sent["seq"]
    carol.push("notice.message", "g", seq=sent["seq"])
    bob.ask("message.read", c="g", seq=sent["seq"])
    alice.push("message.read", "g", user="bob", seq=sent["seq"])
    assert bob.ask("presence.watch", users=["alice"])["items"] == [{"user": "alice", "status": "online"}]
    alice.ask("presence.set", status="dnd")
    bob.push("presence.changed", user="alice", status="dnd")
    alice.push("message.new", "g")
    assert [left(bob, "typing.started", "typing.stopped"), left(alice, "message.read"), left(carol, "notice.message")] == [[], [], []]


def one_order_for_both(alice: Wire, bob: Wire) -> int:
    """Both send as fast as they are answered; how many messages both have seen."""
    for _ in range(SENDS // 10):
        said = [(wire, wire.say("message.send", c="g", id=uuid7(), text="x")) for _ in range(10) for wire in (alice, bob)]
        for wire, number in said:
            wire.answer(number)
    orders = [seen(wire, 2 * SENDS) for wire in (alice, bob)]
    assert orders[0] == orders[1]
    first = orders[0][0][0]
    assert [seq for seq, _ in orders[0]] == list(range(first, first + 2 * SENDS))
    return len({message for _, message in orders[0]})


def an_ended_session_ends_everywhere(one: Member, carol: Wire) -> None:
    assert rest(one.port, "DELETE", "/users/carol/sessions").status == 200
    assert carol.until_closed(within=5).code == 4503


def a_node_that_is_killed_costs_nothing(one: Member, other: Member, alice: Wire) -> None:
    """Bob's node dies; he comes back to the other one with the last seq he has."""
    head = alice.ask("conversation.watch", c="g")["head"]
    other.kill()
    sent = [alice.ask("message.send", c="g", id=(said := uuid7()), text="while he is away") | {"id": said} for _ in range(20)]
    epoch = alice.ask("conversation.watch", c="g")["epoch"]
    with greeted(one, "bob", resume={"g": {"seq": head, "epoch": epoch}}) as again:
        assert seen(again, 20) == [(each["seq"], each["id"]) for each in sent]
    until = time.monotonic() + 40
    while counted(one, "caas_storing_rows") and time.monotonic() < until:  # what the other one would have stored
        time.sleep(0.5)
    page = rest(one.port, "GET", "/conversations/g/messages", CAAS_User="bob").body
    assert page["items"][-1]["id"] == sent[-1]["id"]
    assert counted(one, "caas_storing_rows") == 0


def counted(node: Member, name: str) -> float:
    """What a node's `/metrics` says."""
    text = rest(node.port, "GET", "/metrics", token=None).body
    lines = [line for line in (text.decode() if isinstance(text, bytes) else text).splitlines() if line.startswith(name)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)
