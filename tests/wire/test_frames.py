"""Section 2: frames, order, pipelining, closing."""

import json
import time
from typing import Any

import msgpack
import pytest

from tests.wire.client import Refused, Wire, rest, uuid7
from tests.wire.conftest import Dev, Group


def closes(one: Wire, code: int, reason: str) -> None:
    end = one.until_closed()
    assert (end.code, end.reason) == (code, reason)
    assert not one.replies


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [("caas.v1", "caas.v1"), ("caas.v1.json", "caas.v1.json"), ("caas.v1.json, caas.v1", "caas.v1"), ("other, caas.v1.json", "caas.v1.json")],
)
def test_subprotocols(dev: Dev, offered: str, chosen: str) -> None:
    one = dev.socket(protocols=offered)
    assert one.status == 101
    assert one.headers["sec-websocket-protocol"] == chosen
    assert "sec-websocket-extensions" not in one.headers
    one.json = chosen.endswith("json")
    one.hello(dev.token("alice"))


@pytest.mark.parametrize("offered", ["", "other", "caas.v2"])
def test_no_subprotocol(dev: Dev, offered: str) -> None:
    closes(dev.socket(protocols=offered), 4504, "protocol")


def test_fragments_are_accepted(dev: Dev, twin: bool) -> None:
    one = dev.connect("alice", twin)
    thing = {"i": 77, "m": "user.get", "p": {"users": ["alice"]}}
    data = json.dumps(thing).encode() if twin else msgpack.packb(thing)
    one.frame(1 if twin else 2, data[:3], fin=False)
    one.frame(0, data[3:9], fin=False)
    one.frame(9, b"in between")
    one.frame(0, data[9:])
    assert one.answer(77)["items"][0]["id"] == "alice"
    assert one.pongs == [b"in between"]


def test_an_array_holds_commands_of_their_own(dev: Dev, twin: bool) -> None:
    one = dev.connect(dev.user(), twin)
    one.put(
        [
            {"i": 1001, "m": "no.such", "p": {}},
            {"i": 1002, "m": "user.get", "p": {"users": []}},
            {"m": "user.get", "p": {"users": []}},
            {"i": 1003, "m": "user.get", "p": {}},
        ]
    )
    assert one.answer(1002) == {"items": []}
    for i, code in ((1001, "unknown_command"), (1003, "bad_request")):
        with pytest.raises(Refused, match=code):
            one.answer(i)
    one.put([{"i": 2000 + k, "m": "user.get", "p": {"users": []}} for k in range(64)])
    for k in range(64):
        one.answer(2000 + k)


OK = {"i": 11, "m": "user.get", "p": {"users": []}}


@pytest.mark.parametrize(
    "junk", [[], [{**OK, "i": k + 1} for k in range(65)], [[OK]], [OK, 7], [OK, None], [OK, "x"], [OK, [OK]], 7, "x", None, True]
)
def test_an_array_of_something_else_closes_and_takes_no_effect(dev: Dev, group: Group, junk: Any, twin: bool) -> None:
    user = dev.user()
    one = dev.connect(user, twin)
    c = one.ask("conversation.create", type="group")["conversation"]["id"]
    if isinstance(junk, list) and junk:
        junk = [{"m": "message.send", "p": {"c": c, "id": uuid7(), "text": "x"}}, *junk]
    one.put(junk)
    closes(one, 4500, "bad_frame")
    assert dev.rest("GET", f"/conversations/{c}/messages", CAAS_User=user).body["items"] == []


@pytest.mark.parametrize(
    "bad",
    [
        {"i": 1},
        {"p": {}},
        {},
        {"i": 1, "m": 7},
        {"i": 1, "m": None},
        {"i": 0, "m": "user.get", "p": {"users": []}},
        {"i": 2**32, "m": "user.get", "p": {"users": []}},
        {"i": -1, "m": "user.get"},
        {"i": 1.0, "m": "user.get"},
        {"i": True, "m": "user.get"},
        {"i": "1", "m": "user.get"},
        {"i": None, "m": "user.get"},
    ],
)
def test_no_m_or_a_bad_i_closes(dev: Dev, bad: Any, twin: bool) -> None:
    one = dev.connect("bob", twin)
    one.put(bad)
    closes(one, 4500, "bad_frame")


def test_a_bad_element_of_an_array_closes_and_nothing_takes_effect(dev: Dev, twin: bool) -> None:
    user = dev.user()
    one = dev.connect(user, twin)
    c = one.ask("conversation.create", type="group")["conversation"]["id"]
    one.put([{"i": 5, "m": "message.send", "p": {"c": c, "id": uuid7(), "text": "x"}}, {"i": 0, "m": "user.get"}])
    closes(one, 4500, "bad_frame")
    assert dev.rest("GET", f"/conversations/{c}/messages", CAAS_User=user).body["items"] == []


def test_the_edges_of_i(dev: Dev, twin: bool) -> None:
    one = dev.connect("bob", twin)
    for i in (1000, 2**32 - 1):
        one.put({"i": i, "m": "user.get", "p": {"users": []}})
        assert one.answer(i) == {"items": []}
    one.put({"i": 1000, "m": "user.get", "p": {"users": []}})  # answered, so free again
    assert one.answer(1000) == {"items": []}


def test_an_i_still_unanswered_closes(dev: Dev) -> None:
    user = dev.user()
    one = dev.connect(user)
    c = one.ask("conversation.create", type="group")["conversation"]["id"]
    # a seq above the head is waited for 2 s, so this one stays unanswered meanwhile
    one.put({"i": 50, "m": "conversation.sync", "p": {"c": c, "after": 500}})
    one.put({"i": 50, "m": "user.get", "p": {"users": []}})
    closes(one, 4500, "bad_frame")
    two = dev.connect(user)
    two.put([{"i": 51, "m": "message.send", "p": {"c": c, "id": uuid7(), "text": "x"}}, {"i": 51, "m": "user.get", "p": {"users": []}}])
    assert two.until_closed().code == 4500


def test_without_i_no_reply_nor_error(group: Group, twin: bool) -> None:
    c, (a, b) = group(2, twin)
    a.frames.clear()
    a.put({"m": "no.such"})
    a.put({"m": "message.send", "p": {"c": c, "id": "bad"}})
    a.put({"m": "message.send", "p": {"c": c, "id": uuid7(), "text": "quiet"}})
    assert b.push("message.new", c)["p"]["text"] == "quiet"
    a.push("message.new", c)
    a.settle()
    assert a.replies == {}


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x81\xa1", b"\x80\x80", b"{", b"\x83\xa1i\x01", b"\xdf\xff\xff\xff\xff", b"{} {}", b"[1"])
def test_undecodable_bytes_close(dev: Dev, data: bytes, twin: bool) -> None:
    one = dev.connect("bob", twin)
    one.raw(
        data.replace(b"\xc1", b"x")
        .replace(b"\x81\xa1", b"y")
        .replace(b"\x83\xa1i\x01", b"z")
        .replace(b"\x80\x80", b"w")
        .replace(b"\xdf\xff\xff\xff\xff", b"v")
        if twin
        else data
    )
    closes(one, 4500, "bad_frame")


def test_the_wrong_kind_of_frame_closes(dev: Dev, twin: bool) -> None:
    one = dev.connect("bob", twin)
    data = json.dumps(OK).encode() if twin else msgpack.packb(OK)
    one.frame(2 if twin else 1, data)
    closes(one, 4500, "bad_frame")


def test_a_decodable_command_with_a_good_i_is_answered(dev: Dev, twin: bool) -> None:
    one = dev.connect("bob", twin)
    for k, (thing, code) in enumerate(
        [
            ({"m": "no.such", "p": {}}, "unknown_command"),
            ({"m": "", "p": {}}, "unknown_command"),
            ({"m": "user.get", "p": 7}, "bad_request"),
            ({"m": "user.get", "p": []}, "bad_request"),
            ({"m": "user.get", "p": {}}, "bad_request"),
            ({"m": "user.get", "p": None}, "bad_request"),
        ]
    ):
        one.put({"i": 300 + k, **thing})
        with pytest.raises(Refused) as no:
            one.answer(300 + k)
        assert no.value.code == code, thing
        assert (
            {"code", "message", "retryable", "request_id"}
            <= set(no.value.error)
            <= {"code", "message", "retryable", "retry_after_ms", "field", "limit", "request_id"}
        )
        assert no.value.error["retryable"] is False
        assert isinstance(no.value.error["request_id"], str)


# hello


def test_what_hello_answers(dev: Dev, twin: bool) -> None:
    user = dev.user()
    one = dev.socket(json_twin=twin)
    got = one.hello(dev.token(user), device={"id": "d1", "platform": "ios", "name": "Phone"}, sdk="test/1")
    assert set(got) == {"protocol", "session", "user", "server_time", "heartbeat_s", "limits", "me", "conversations"}
    assert got["protocol"] == "caas.v1"
    assert isinstance(got["session"], str)
    assert got["user"] == {"id": user}
    assert abs(got["server_time"] - time.time() * 1000) < 10_000
    assert got["heartbeat_s"] == 15
    assert got["conversations"] == {}
    assert {"head", "epoch", "read", "delivered"} <= set(got["me"]) <= {"head", "epoch", "read", "delivered", "from", "to", "gap"}
    assert type(got["me"]["head"]) is int
    assert type(got["me"]["epoch"]) is int
    assert "from" not in got["me"]


def test_another_command_first(dev: Dev, twin: bool) -> None:
    one = dev.socket(json_twin=twin)
    one.put({"i": 1, "m": "user.get", "p": {"users": []}})
    with pytest.raises(Refused, match="not_authenticated"):
        one.answer(1)
    closes(one, 4501, "no_hello")
    one = dev.socket(json_twin=twin)
    one.put({"m": "user.get", "p": {"users": []}})
    closes(one, 4501, "no_hello")


def test_commands_may_follow_hello_without_waiting(dev: Dev, twin: bool) -> None:
    user = dev.user()
    one = dev.socket(json_twin=twin)
    token = dev.token(user)
    c = dev.name("c")
    one.put({"i": 1, "m": "hello", "p": {"token": token}})
    one.put({"i": 2, "m": "conversation.create", "p": {"type": "group", "id": c}})
    one.put({"i": 3, "m": "conversation.watch", "p": {"c": c}})
    one.put([{"i": 4, "m": "message.send", "p": {"c": c, "id": uuid7(), "text": "x"}}, {"i": 5, "m": "hello", "p": {"token": token}}])
    assert one.answer(1)["user"]["id"] == user
    assert one.answer(2)["conversation"]["id"] == c
    one.answer(3)
    one.answer(4)
    with pytest.raises(Refused, match="bad_request"):
        one.answer(5)
    one.push("message.new", c)
    two = dev.socket(json_twin=twin)
    two.put([{"i": 1, "m": "hello", "p": {"token": token}}, {"i": 2, "m": "message.send", "p": {"c": c, "id": uuid7(), "text": "y"}}])
    two.answer(1)
    assert two.answer(2)["n"] == 2
    one.push("message.new", c)


def test_a_second_hello_is_refused_and_the_connection_stays(dev: Dev) -> None:
    one = dev.connect("bob")
    assert one.refused("hello", token=dev.token("bob"))["code"] == "bad_request"
    one.settle()


@pytest.mark.parametrize(
    ("token", "code", "closing"),
    [
        ("nonsense", "token_invalid", (4502, "token_invalid")),
        ("", "token_invalid", (4502, "token_invalid")),
        ("caas_sk_dev", "token_invalid", (4502, "token_invalid")),
    ],
)
def test_a_failed_hello_is_answered_then_closed(dev: Dev, token: str, code: str, closing: tuple[int, str], twin: bool) -> None:
    one = dev.socket(json_twin=twin)
    i = one.say("hello", token=token)
    with pytest.raises(Refused, match=code):
        one.answer(i)
    closes(one, *closing)


@pytest.mark.parametrize(
    "p",
    [
        {},
        {"token": 7},
        {"token": None},
        {"resume": []},
        {"resume": {"x": {"seq": -1, "epoch": 1}}},
        {"resume": {"x": {"seq": 1.0, "epoch": 1}}},
        {"resume": {"x": {}}},
        {"device": {"platform": "x"}},
        {"device": 7},
    ],
)
def test_a_hello_of_the_wrong_shape(dev: Dev, p: dict[str, Any], twin: bool) -> None:
    one = dev.socket(json_twin=twin)
    one.put({"i": 1, "m": "hello", "p": {"token": dev.token("bob"), **p} if p else {}})
    with pytest.raises(Refused, match="bad_request"):
        one.answer(1)
    closes(one, 4504, "protocol")


def test_a_resume_too_large(dev: Dev) -> None:
    one = dev.socket()
    with pytest.raises(Refused) as no:
        one.hello(dev.token("bob"), resume={f"c{k}": {"seq": 0, "epoch": 1} for k in range(201)})
    assert no.value.code == "too_large"
    assert no.value.error["limit"] == {"name": "resume", "max": 200, "got": 201}
    assert no.value.error["field"] == "resume"
    closes(one, 4504, "protocol")
    two = dev.socket()
    got = two.hello(dev.token("bob"), resume={f"nope{k}": {"seq": 0, "epoch": 1} for k in range(200)})
    assert len(got["conversations"]) == 200
    for k in range(200):
        one_of = got["conversations"][f"nope{k}"]
        assert one_of in ({"error": "not_found"}, {"later": True}), one_of


# resume


def test_resume(dev: Dev, group: Group, twin: bool) -> None:
    c, (a, b) = group(2, twin)
    ids = [uuid7() for _ in range(5)]
    for message in ids:
        a.ask("message.send", c=c, id=message, text="x")
    epoch = b.ask("conversation.watch", c=c)["epoch"]
    b.push("conversation.joined", "me")
    me = dev.connect(b.user).welcome["me"]  # type: ignore[attr-defined]
    with dev.socket(json_twin=twin) as one:
        got = one.hello(
            dev.token(b.user), resume={c: {"seq": 2, "epoch": epoch}, "me": {"seq": 0, "epoch": epoch}, "nowhere": {"seq": 1, "epoch": epoch}}
        )  # type: ignore[attr-defined]
        assert set(got["conversations"]) == {c, "nowhere"}
        assert got["conversations"]["nowhere"] == {"error": "not_found"}
        mine = got["conversations"][c]
        assert set(mine) == {"head", "epoch", "from", "to", "read", "delivered"}
        assert (mine["head"], mine["epoch"], mine["from"], mine["to"]) == (6, epoch, 3, 6)
        assert all(type(v) is int for v in {**mine["read"], **mine["delivered"]}.values())
        assert not [p for p in one.pushes if p.get("c") == c and "s" in p and p["s"] < 3]
        assert [one.push("message.new", c)["s"] for _ in range(4)] == [3, 4, 5, 6]
        assert (got["me"]["from"], got["me"]["to"]) == (1, me["head"])
        assert one.push("conversation.joined", "me", conversation=c)["s"] == 1
        a.ask("message.send", c=c, id=uuid7(), text="live")
        assert one.push("message.new", c)["s"] == 7
    with dev.socket(json_twin=twin) as one:
        got = one.hello(dev.token(b.user), resume={c: {"seq": 7, "epoch": epoch}})["conversations"][c]  # type: ignore[attr-defined]
        assert set(got) == {"head", "epoch", "read", "delivered"}
        assert got["head"] == 7
    with dev.socket(json_twin=twin) as one:
        got = one.hello(dev.token(b.user), resume={c: {"seq": 3, "epoch": epoch + 1}})["conversations"][c]  # type: ignore[attr-defined]
        assert got["gap"] == {"from": 1, "to": 7}
        assert "from" not in got
        a.ask("message.send", c=c, id=uuid7(), text="live")
        assert one.push("message.new", c)["s"] == 8
        assert not [p for p in one.pushes if p.get("c") == c and "s" in p]
    with dev.socket(json_twin=twin) as one:
        got = one.hello(dev.token(b.user), resume={c: {"seq": 900, "epoch": epoch + 1}})["conversations"][c]  # type: ignore[attr-defined]
        assert got["gap"] == {"from": 1, "to": 8}
    with dev.socket(json_twin=twin) as one:
        # a seq above the head: 2 s of waiting is more than the 500 ms of a hello
        got = one.hello(dev.token(b.user), resume={c: {"seq": 900, "epoch": epoch}})["conversations"][c]  # type: ignore[attr-defined]
        assert got == {"later": True}
        late = one.push("conversation.watching", c)
        assert late["p"] == {"error": "unavailable"}
        assert "s" not in late
        one.ask("conversation.watch", c=c)
    stranger = dev.connect(dev.user(), twin, resume={c: {"seq": 1, "epoch": epoch}})
    got = stranger.welcome["conversations"][c]  # type: ignore[attr-defined]
    if got == {"later": True}:
        got = stranger.push("conversation.watching", c)["p"]
    assert got == {"error": "not_found"}


def test_later_comes_when_the_seq_does(dev: Dev, group: Group) -> None:
    c, (a, b) = group(2)
    epoch = b.ask("conversation.watch", c=c)["epoch"]
    one = dev.socket()
    got = one.hello(dev.token(b.user), resume={c: {"seq": 2, "epoch": epoch}})["conversations"][c]  # type: ignore[attr-defined]
    assert got == {"later": True}
    a.ask("message.send", c=c, id=uuid7(), text="x")
    late = one.push("conversation.watching", c)
    assert set(late) == {"t", "c", "p"}
    assert set(late["p"]) == {"head", "epoch", "read", "delivered"}
    assert late["p"]["head"] == 2
    a.ask("message.send", c=c, id=uuid7(), text="x")
    assert one.push("message.new", c)["s"] == 3


# order


def test_commands_of_one_connection_take_effect_in_the_order_sent(group: Group, twin: bool) -> None:
    c, (a, b) = group(2, twin)
    ids = [uuid7() for _ in range(150)]
    asked = [a.say("message.send", c=c, id=message, text=str(k)) for k, message in enumerate(ids)]
    got = [a.answer(i) for i in asked]
    assert [r["seq"] for r in got] == list(range(2, 152))
    assert [r["n"] for r in got] == list(range(1, 151))
    for one in (a, b):
        pushes = [one.push("message.new", c) for _ in range(150)]
        assert [(p["s"], p["p"]["id"]) for p in pushes] == list(enumerate(ids, 2))
        assert all(p["p"]["seq"] == p["s"] and p["p"]["sent_at"] == p["at"] for p in pushes)


def test_mixed_commands_in_order(group: Group) -> None:
    c, (a, b) = group(2)
    message = uuid7()
    asked = [
        a.say("message.send", c=c, id=message, text="1"),
        a.say("message.edit", c=c, id=message, text="2", op=uuid7()),
        a.say("reaction.add", c=c, id=message, emoji="x", op=uuid7()),
        a.say("message.pin", c=c, id=message, op=uuid7()),
        a.say("conversation.update", c=c, name="n", op=uuid7()),
        a.say("message.delete", c=c, id=message, op=uuid7(), **{"for": "all"}),
    ]
    for i in asked:
        a.answer(i)
    assert [
        b.push(t, c)["s"] for t in ("message.new", "message.updated", "reaction.added", "message.pinned", "conversation.updated", "message.deleted")
    ] == [2, 3, 4, 5, 6, 7]


def test_the_watch_reply_comes_before_its_pushes_and_none_after_unwatch(group: Group, dev: Dev) -> None:
    c, (a, b) = group(2)
    for _ in range(30):
        a.ask("message.send", c=c, id=uuid7(), text="x")
    for _ in range(5):
        one = dev.connect(b.user)  # type: ignore[attr-defined]
        one.say("conversation.watch", c=c, after=0)
        one.say("conversation.unwatch", c=c)
        one.say("conversation.watch", c=c)
        sent = a.say("message.send", c=c, id=uuid7(), text="now")
        watched = one.answer(1 + 1)
        assert not [p for p in one.pushes if p.get("c") == c] or watched
        one.answer(3)
        head = one.answer(4)["head"]
        seq = a.answer(sent)["seq"]
        one.settle()
        after = [p["s"] for p in one.pushes if p.get("c") == c and "s" in p]
        assert after == sorted(after)
        if seq > head and seq not in after:
            one.push("message.new", c)
        one.ask("conversation.unwatch", c=c)
        one.pushes = [p for p in one.pushes if p.get("c") != c]
        i = a.ask("message.send", c=c, id=uuid7(), text="unseen")
        assert i
        one.push("notice.message", c)
        one.settle()
        assert not [p for p in one.pushes if p.get("c") == c and p["t"] != "notice.message"]


def test_frames_of_one_socket_say_the_reply_first(group: Group, dev: Dev) -> None:
    c, (a, b) = group(2)
    for _ in range(3):
        a.ask("message.send", c=c, id=uuid7(), text="x")
    one = dev.connect(b.user)  # type: ignore[attr-defined]
    one.frames.clear()
    one.say("conversation.watch", c=c, after=1)
    while len([p for p in one.pushes if p.get("c") == c]) < 3:
        assert one._some(time.monotonic() + 10)
    flat: list[dict[str, Any]] = []
    for frame in one.frames:
        got = msgpack.unpackb(frame)
        flat += got if isinstance(got, list) else [got]
    kinds = ["reply" if "i" in f else "push" for f in flat if "i" in f or f.get("c") == c]
    assert kinds[0] == "reply"


def test_a_watching_sender_gets_its_own_push_and_a_removed_one_nothing_more(group: Group) -> None:
    c, (a, b, d) = group(3)
    a.ask("message.send", c=c, id=uuid7(), text="x")
    a.push("message.new", c)
    removed = a.ask("member.remove", c=c, user=b.user, op=uuid7())["seq"]  # type: ignore[attr-defined]
    a.ask("message.send", c=c, id=uuid7(), text="secret")
    got = b.push("member.removed", c)
    assert got["s"] == removed
    assert got["p"] == {"user": b.user, "by": a.user}  # type: ignore[attr-defined]
    b.push("conversation.left", "me", conversation=c)
    d.push("message.new", c, text="secret")
    b.settle()
    assert not [p for p in b.pushes if p.get("c") == c and p["t"] != "message.new"]
    assert not [p for p in b.pushes if p.get("p", {}).get("text") == "secret"]
    assert b.refused("conversation.watch", c=c)["code"] == "not_found"
    assert b.refused("message.send", c=c, id=uuid7(), text="x")["code"] == "not_found"


def test_an_edit_of_a_deleted_message_comes_as_skip(group: Group, dev: Dev) -> None:
    c, (a, b) = group(2)
    message = uuid7()
    a.ask("message.send", c=c, id=message, text="one", mentions=[b.user])  # type: ignore[attr-defined]
    a.ask("message.edit", c=c, id=message, text="two", op=uuid7())
    a.ask("message.delete", c=c, id=message, op=uuid7(), **{"for": "all"})
    a.ask("message.send", c=c, id=uuid7(), text="last")
    b.push("message.new", c, text="last")
    live = [p for p in a.pushes if p.get("c") == c and "s" in p]
    assert [p["t"] for p in live][:3] == ["message.new", "message.updated", "message.deleted"]
    got = a.ask("conversation.sync", c=c, after=0)
    assert set(got) == {"entries", "head", "epoch", "more"}
    assert (got["head"], got["more"]) == (5, False)
    assert [e["s"] for e in got["entries"]] == [1, 2, 3, 4, 5]
    assert [e["t"] for e in got["entries"]] == ["conversation.created", "message.new", "skip", "message.deleted", "message.new"]
    tomb = got["entries"][1]["p"]
    assert set(tomb) == {"id", "seq", "n", "sender", "type", "sent_at", "deleted_at"}
    assert got["entries"][2] == {"t": "skip", "c": c, "s": 3} or set(got["entries"][2]) == {"t", "c", "s"}
    assert "one" not in str(got)
    assert "two" not in str(got)
    one = dev.connect(b.user)  # type: ignore[attr-defined]
    watched = one.ask("conversation.watch", c=c, after=0)
    assert (watched["from"], watched["to"]) == (1, 5)
    one.push("message.new", c, text="last")
    assert [p["t"] for p in one.pushes if p.get("c") == c and "s" in p] == ["conversation.created", "message.new", "skip", "message.deleted"]
    sync = b.ask("conversation.sync", c="me", after=0)
    said = [e for e in sync["entries"] if e["t"] in ("mention.new", "skip")]
    assert all("text" not in e.get("p", {}) for e in said)


def test_sync_pages(group: Group, dev: Dev) -> None:
    c, (a, _) = group(2)
    asked = [a.say("message.send", c=c, id=uuid7(), text="x") for _ in range(210)]
    for i in asked:
        a.answer(i)
    got = a.ask("conversation.sync", c=c, after=0)
    assert (len(got["entries"]), got["more"], got["head"]) == (200, True, 211)
    got = a.ask("conversation.sync", c=c, after=200, limit=5)
    assert ([e["s"] for e in got["entries"]], got["more"]) == ([201, 202, 203, 204, 205], True)
    got = a.ask("conversation.sync", c=c, after=211)
    assert (got["entries"], got["more"]) == ([], False)
    got = a.ask("conversation.sync", c=c, after=3, epoch=got["epoch"] + 5)
    assert got["gap"] == {"from": 1, "to": 211}
    assert got["entries"] == []
    assert a.refused("conversation.sync", c=c)["code"] == "bad_request"
    said = dev.rest("GET", f"/conversations/{c}/sync?after=209", CAAS_User=a.user)  # type: ignore[attr-defined]
    assert (said.status, [e["s"] for e in said.body["entries"]]) == (200, [210, 211])
    began = time.monotonic()
    got = a.refused("conversation.sync", c=c, after=500)
    assert (got["code"], got["retryable"]) == ("unavailable", True)
    assert time.monotonic() - began > 1.9
    other = dev.connect(a.user)  # type: ignore[attr-defined]
    i = other.say("conversation.watch", c=c, after=212)
    a.ask("message.send", c=c, id=uuid7(), text="x")
    assert other.answer(i)["head"] == 212


def test_watching_again_answers_anew_and_replays_nothing(group: Group) -> None:
    c, (a, b) = group(2)
    a.ask("message.send", c=c, id=uuid7(), text="x")
    b.push("message.new", c)
    got = b.ask("conversation.watch", c=c, after=0)
    assert set(got) == {"conversation", "role", "capabilities", "head", "epoch", "read", "delivered"}
    assert (got["role"], got["head"]) == ("member", 2)
    assert sorted(got["capabilities"]) == sorted(["send", "react", "edit_own", "delete_own", "pin"])
    a.ask("message.send", c=c, id=uuid7(), text="y")
    assert b.push("message.new", c)["p"]["text"] == "y"


def test_me_is_watched_from_hello_on(dev: Dev) -> None:
    one = dev.connect(dev.user())
    got = one.ask("conversation.create", type="group")["conversation"]
    push = one.push("conversation.joined", "me")
    assert set(push) == {"t", "c", "s", "at", "p"}
    assert push["p"] == {"conversation": got["id"], "by": one.welcome["user"]["id"]}  # type: ignore[attr-defined]


def test_websockets_are_at_ws_alone(dev: Dev) -> None:
    assert dev.socket(path="/nowhere").status == 404
    assert rest(dev.port, "GET", "/api/v1/nowhere").status == 404


def test_watching_again_with_another_epoch_says_gap(group: Group) -> None:
    c, (a, _) = group(2)
    a.ask("message.send", c=c, id=uuid7(), text="x")
    epoch = a.ask("conversation.watch", c=c)["epoch"]
    for after in (0, 2, 900):
        assert a.ask("conversation.watch", c=c, after=after, epoch=epoch + 1)["gap"] == {"from": 1, "to": 2}
    assert "gap" not in a.ask("conversation.watch", c=c, epoch=epoch + 1)


def stored_in_the_end(one: Wire, i: int, send: dict[str, Any]) -> None:
    """A disk that is slow says `too_many`, and when to come again."""
    until = time.monotonic() + 60
    while True:
        try:
            one.answer(i)
            return
        except Refused as no:
            if no.error["code"] != "too_many" or time.monotonic() > until:
                raise
            time.sleep(no.error["retry_after_ms"] / 1000)
            i = one.say("message.send", **send)


def test_a_slow_reader_is_closed_and_never_skipped_and_catching_up_is_never_slow(dev: Dev) -> None:
    a, b = dev.user(), dev.user()
    one, slow = dev.connect(a), dev.connect(b)
    c = one.ask("conversation.create", type="group", members=[b])["conversation"]["id"]
    epoch = slow.ask("conversation.watch", c=c)["epoch"]
    count, more_than_fits = 1200, 700  # between server and client the kernel keeps 10 MiB at most; whoever is closed has 5 s to read it
    asked = {}
    for k in range(count):
        send = {"c": c, "id": uuid7(), "text": "x" * 16_000}
        asked[one.say("message.send", **send)] = send
        if k % 20 == 19:
            for i, send in asked.items():
                stored_in_the_end(one, i, send)
            asked = {}
        if k == more_than_fits:
            end = slow.until_closed()
            assert (end.code, end.reason) == (4408, "slow")
    seqs = [p["s"] for p in slow.pushes if p["t"] == "message.new"]
    assert seqs == list(range(2, len(seqs) + 2))
    assert len(seqs) < count
    last = len(seqs) + 1
    again = dev.socket()
    got = again.hello(dev.token(b), resume={c: {"seq": 1, "epoch": epoch}})["conversations"][c]
    assert (got["from"], got["to"]) == (2, count + 1)
    time.sleep(3)  # nothing is read meanwhile, and nothing comes of it
    assert [again.push("message.new", c, within=60)["s"] for _ in range(count)] == list(range(2, count + 2))
    assert last <= count
    again.settle()


def test_a_field_in_a_map_is_named_as_far_as_it_can_be(dev: Dev) -> None:
    one = dev.socket()
    assert one.refused("hello", token=dev.token("bob"), resume={"x": {"seq": 1}})["field"] == "resume"
    assert one.until_closed().code == 4504
