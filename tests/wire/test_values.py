"""Section 1: values, ids, limits by name."""

import json
import struct
import time
import uuid
from typing import Any

import msgpack
import pytest

from tests.wire.client import Wire, uuid7
from tests.wire.conftest import Dev, Group


def send(one: Wire, c: str, **p: Any) -> str:
    message = uuid7()
    one.ask("message.send", c=c, **{"id": message, "text": "hello", **p})
    return message


def depth(levels: int) -> Any:
    """A value of that many maps in one another."""
    value: Any = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


@pytest.fixture(scope="module")
def room(dev: Dev) -> tuple[str, Wire]:
    user = dev.user()
    one = dev.connect(user)
    made = one.ask("conversation.create", type="group", op=uuid7())
    return made["conversation"]["id"], one


@pytest.mark.parametrize("value", [b"\x01", msgpack.ExtType(5, b"x"), msgpack.Timestamp(1, 0)])
def test_no_bin_ext_or_timestamp(room: tuple[str, Wire], value: Any) -> None:
    c, one = room
    for p in ({"text": value}, {"custom": {"x": value}}, {"junk": value}):
        assert one.refused("message.send", c=c, id=uuid7(), **p)["code"] == "bad_request", p


@pytest.mark.parametrize("key", [5, None, True, 0.5, b"k", (), ("a",)])
def test_no_key_but_text(room: tuple[str, Wire], key: Any) -> None:
    c, one = room
    for p in ({"custom": {key: 1}}, {"custom": {"x": {key: 1}}}, {"custom": {"x": [{key: 1}]}}, {"junk": {key: 1}}):
        assert one.refused("message.send", c=c, id=uuid7(), text="a", **p)["code"] == "bad_request", p


def test_text_that_is_no_utf8_cannot_be_decoded(dev: Dev) -> None:
    for twin, bad in ((False, b"\x83\xa1i\x01\xa1m\xa8user.get\xa1p\x81\xa1x\xa2\xff\xfe"), (True, b'{"i":1,"m":"user.get","p":{"users":["\xff"]}}')):
        one = dev.connect(dev.user(), twin)
        one.raw(bad)
        end = one.until_closed()
        assert (end.code, end.reason) == (4500, "bad_frame")


def test_integers_of_any_width(room: tuple[str, Wire]) -> None:
    c, one = room
    packed = msgpack.packb({"m": "message.list"})[1:] + b"\xa1i" + b"\xcf" + struct.pack(">Q", 70001)
    packed = b"\x83" + packed + b"\xa1p\x82" + msgpack.packb({"c": c})[1:] + b"\xa5limit\xd3" + struct.pack(">q", 5)
    one.raw(packed)
    assert "items" in one.answer(70001)


@pytest.mark.parametrize("value", [2**53, 2**63, -(2**53), 1.0, 1.5, True, "1", [1], {"a": 1}])
def test_where_an_integer_is_meant(room: tuple[str, Wire], value: Any) -> None:
    c, one = room
    wide = type(value) is int  # found before it is known which field it stands in
    got = one.refused("message.list", c=c, limit=value)
    assert got["code"] == "bad_request"
    assert wide or got["field"] == "limit"
    got = one.refused("conversation.sync", c=c, after=value)
    assert got["code"] == "bad_request"
    assert wide or got["field"] == "after"
    got = one.refused(
        "message.send",
        c=c,
        id=uuid7(),
        attachments=[{"kind": "image", "url": "https://x", "width": 1}, {"kind": "image", "url": "https://x", "size": value}],
    )
    assert got["code"] == "bad_request"
    assert wide or got["field"] == "attachments.1.size"


@pytest.mark.parametrize("value", [2**53, 1.0, True])
def test_where_an_integer_is_meant_in_json(dev: Dev, value: Any) -> None:
    user = dev.user()
    one = dev.connect(user, True)
    c = one.ask("conversation.create", type="group")["conversation"]["id"]
    assert one.refused("message.list", c=c, limit=value)["code"] == "bad_request"
    got = dev.rest("POST", f"/conversations/{c}/read", {"seq": value}, CAAS_User=user)
    assert (got.status, got.body["code"], got.body.get("field", "seq")) == (400, "bad_request", "seq")


def test_the_largest_integer_stands(room: tuple[str, Wire]) -> None:
    c, one = room
    message = send(one, c, custom={"n": 2**53 - 1, "f": 1.5, "b": True, "l": [1, None, "x"], "neg": -(2**53 - 1)})
    got = one.ask("message.get", c=c, id=message)["message"]
    assert got["custom"] == {"n": 2**53 - 1, "f": 1.5, "b": True, "l": [1, None, "x"], "neg": -(2**53 - 1)}


def test_depth(room: tuple[str, Wire]) -> None:
    c, one = room
    send(one, c, custom=depth(14))  # the command is 1, p 2, so this ends at 16
    assert one.refused("message.send", c=c, id=uuid7(), custom=depth(15))["code"] == "bad_request"
    assert one.refused("message.send", c=c, id=uuid7(), junk=depth(15))["code"] == "bad_request"
    one.put([{"i": 80001, "m": "message.send", "p": {"c": c, "id": uuid7(), "custom": depth(14)}}])
    assert one.answer(80001)["seq"]
    one.put([{"i": 80002, "m": "user.get", "p": {"users": []}, "x": depth(15)}])
    assert one.answer(80002) == {"items": []}
    one.put({"i": 80003, "m": "user.get", "p": {"users": []}, "x": depth(16)})
    with pytest.raises(Exception, match="bad_request"):
        one.answer(80003)


def test_depth_over_rest_and_in_the_twin(dev: Dev) -> None:
    user = dev.user()
    one = dev.connect(user, True)
    c = one.ask("conversation.create", type="group")["conversation"]["id"]
    send(one, c, custom=depth(14))
    assert one.refused("message.send", c=c, id=uuid7(), custom=depth(15))["code"] == "bad_request"
    assert dev.rest("POST", f"/conversations/{c}/messages", {"text": "x", "custom": depth(14)}, CAAS_User=user).status == 201
    got = dev.rest("POST", f"/conversations/{c}/messages", {"text": "x", "custom": depth(16)}, CAAS_User=user)
    assert (got.status, got.body["code"]) == (400, "bad_request")
    got = dev.rest("POST", f"/conversations/{c}/messages", {"text": "x", "custom": depth(40)}, CAAS_User=user)
    assert (got.status, got.body["code"]) == (400, "bad_request")
    one.raw(b'{"i":9,"m":"user.get","p":{"users":[],"x":' + b"[" * 30000 + b"]" * 30000 + b"}}")
    assert one.until_closed().code == 4500  # no decoder goes so deep


def test_items(room: tuple[str, Wire]) -> None:
    _, one = room
    # i, m, p are 3 pairs; users 1; junk 1: 4,091 items fill 4,096
    assert one.ask("user.get", users=[], junk=[0] * 4091) == {"items": []}
    assert one.refused("user.get", users=[], junk=[0] * 4092)["code"] == "bad_request"
    assert one.ask("user.get", users=[], junk={str(k): 0 for k in range(4091)}) == {"items": []}
    assert one.refused("user.get", users=[], junk={str(k): 0 for k in range(4092)})["code"] == "bad_request"
    one.put([{"i": 90000 + k, "m": "user.get", "p": {"users": [], "junk": [0] * 900}} for k in range(64)])
    for k in range(64):
        assert one.answer(90000 + k) == {"items": []}
    one.put([{"i": 91000, "m": "user.get", "p": {"users": [], "junk": [0] * 4092}}, {"i": 91001, "m": "user.get", "p": {"users": []}}])
    assert one.answer(91001) == {"items": []}
    with pytest.raises(Exception, match="bad_request"):
        one.answer(91000)


def test_items_in_the_twin_and_over_rest(dev: Dev) -> None:
    user = dev.user()
    one = dev.connect(user, True)
    c = one.ask("conversation.create", type="group")["conversation"]["id"]
    assert one.ask("user.get", users=[], junk=[0] * 4091) == {"items": []}
    assert one.refused("user.get", users=[], junk=[0] * 4092)["code"] == "bad_request"
    got = dev.rest("POST", f"/conversations/{c}/messages", {"text": "x", "junk": [0] * 5000}, CAAS_User=user)
    assert (got.status, got.body["code"]) == (400, "bad_request")


def test_unknown_fields_are_ignored(room: tuple[str, Wire], dev: Dev) -> None:
    c, one = room
    one.put(
        {
            "x": {"y": 1},
            "p": {"zz": 1, "id": uuid7(), "text": "t", "c": c, "attachments": [{"kind": "file", "url": "https://x/y", "new": 1}]},
            "m": "message.send",
            "i": 95000,
        }
    )
    got = one.ask("message.get", c=c, id=one.answer(95000)["id"])
    assert got["message"]["attachments"] == [{"kind": "file", "url": "https://x/y"}]
    other = dev.socket()
    other.hello(dev.token(dev.user()), device={"id": "d", "platform": "web", "zzz": 1}, zzz=2)


def test_null_stands_only_in_an_update(room: tuple[str, Wire]) -> None:
    c, one = room
    for field in ("text", "custom", "attachments", "mentions", "reply_to", "silent", "thread", "type", "mention_all"):
        assert one.refused("message.send", c=c, **{"id": uuid7(), "text": "x", field: None})["code"] == "bad_request", field
    assert one.refused("message.list", c=c, limit=None)["code"] == "bad_request"
    assert one.refused("conversation.create", type="group", name=None)["code"] == "bad_request"
    one.ask("conversation.update", c=c, name="n", description="d", photo_url="https://x/p", custom={"a": 1})
    got = one.ask("conversation.update", c=c, description=None, custom=None)["conversation"]
    assert (got.get("name"), got.get("photo_url")) == ("n", "https://x/p")
    assert "description" not in got
    assert "custom" not in got
    one.ask("user.update", display_name="D", avatar_url="https://x/a", custom={"k": 1})
    got = one.ask("user.update", avatar_url=None)["user"]
    assert (got.get("display_name"), got.get("custom")) == ("D", {"k": 1})
    assert "avatar_url" not in got


def test_an_absent_p_is_an_empty_one(room: tuple[str, Wire]) -> None:
    _, one = room
    one.put({"i": 96000, "m": "conversation.list"})
    assert "items" in one.answer(96000)


@pytest.mark.parametrize("user", ["", "me", ".", "..", "a b", "a/b", "~x", "é", "x" * 129, "a\n", "a,b"])
def test_ids_that_are_none(dev: Dev, room: tuple[str, Wire], user: str) -> None:
    got = dev.rest("POST", "/sessions/create", {"user": {"external_id": user}})
    assert (got.status, got.body["code"], got.body["field"]) == (400, "bad_request", "user.external_id")
    got = room[1].refused("conversation.create", type="group", id=user)
    assert (got["code"], got["field"]) == ("bad_request", "id")


@pytest.mark.parametrize("user", ["x", "y" * 128, "AZaz09_@.:+-", "...", "Me", "a.b", "-"])
def test_ids_that_are_some(dev: Dev, room: tuple[str, Wire], user: str) -> None:
    assert dev.session(user)["user"] == {"id": user}
    got = room[1].ask("conversation.create", type="group", id=user)
    assert got["conversation"]["id"] == user
    assert room[1].ask("user.get", users=[user]) == {"items": [{"id": user}]}


def test_the_server_chooses_ids_that_begin_with_a_tilde(room: tuple[str, Wire]) -> None:
    assert room[0].startswith("~")


def test_ids_of_messages_and_acts(room: tuple[str, Wire]) -> None:
    c, one = room
    good = uuid7()
    bad = [str(uuid.uuid4()), good.upper(), good.replace("-", ""), "{" + good + "}", "", "x", 7, str(uuid.uuid1())]
    for value in bad:
        got = one.refused("message.send", c=c, id=value, text="x")
        assert (got["code"], got["field"]) == ("bad_request", "id"), value
        got = one.refused("conversation.freeze", c=c, frozen=False, op=value)
        assert (got["code"], got["field"]) == ("bad_request", "op"), value
        assert one.refused("message.get", c=c, id=value)["code"] == "bad_request", value
        assert one.refused("message.send", c=c, id=uuid7(), text="x", reply_to=value)["code"] == "bad_request", value
        assert one.refused("message.send", c=c, id=uuid7(), text="x", after=value)["code"] == "bad_request", value
    assert one.refused("message.send", c=c, text="x")["code"] == "bad_request"
    assert one.refused("message.send", c=c, id=uuid7(90_000), text="x")["code"] == "id_in_future"
    assert one.refused("conversation.update", c=c, name="x", op=uuid7(90_000))["code"] == "id_in_future"
    assert one.refused("conversation.create", type="group", op=uuid7(90_000))["code"] == "id_in_future"
    one.ask("message.send", c=c, id=uuid7(40_000), text="x")
    one.ask("message.send", c=c, id=uuid7(-86_400_000), text="x")


def test_hello_says_the_limits(dev: Dev) -> None:
    one = dev.connect(dev.user())
    limits = one.welcome["limits"]  # type: ignore[attr-defined]
    named = {
        "text": 16384,
        "custom": 4096,
        "attachments": 30,
        "mentions": 100,
        "frame": 65536,
        "batch": 64,
        "resume": 200,
        "members": 100,
        "group": 10000,
    }
    assert {k: limits.get(k) for k in named} == named


def too_large(got: dict[str, Any], name: str, most: int, said: int, field: str) -> None:
    assert got["code"] == "too_large", got
    assert got["limit"] == {"name": name, "max": most, "got": said}, got
    assert got["field"] == field, got
    assert got["retryable"] is False


def test_text_over_its_limit(room: tuple[str, Wire]) -> None:
    c, one = room
    send(one, c, text="x" * 16384)
    send(one, c, text="é" * 8192)
    too_large(one.refused("message.send", c=c, id=uuid7(), text="x" * 16385), "text", 16384, 16385, "text")
    too_large(one.refused("message.send", c=c, id=uuid7(), text="é" * 8193), "text", 16384, 16386, "text")
    message = send(one, c)
    too_large(one.refused("message.edit", c=c, id=message, text="x" * 16385), "text", 16384, 16385, "text")


def test_custom_over_its_limit(room: tuple[str, Wire]) -> None:
    c, one = room
    fits = {"é": "x" * (4096 - len(json.dumps({"é": ""}, separators=(",", ":"), ensure_ascii=False).encode()))}
    send(one, c, custom=fits)
    over = {"é": fits["é"] + "x"}
    too_large(one.refused("message.send", c=c, id=uuid7(), custom=over), "custom", 4096, 4097, "custom")
    too_large(one.refused("conversation.create", type="group", custom=over), "custom", 4096, 4097, "custom")
    too_large(one.refused("conversation.update", c=c, custom=over), "custom", 4096, 4097, "custom")
    too_large(one.refused("user.update", custom=over), "custom", 4096, 4097, "custom")
    too_large(one.refused("message.edit", c=c, id=send(one, c), custom=over), "custom", 4096, 4097, "custom")
    assert one.refused("message.send", c=c, id=uuid7(), custom=[1])["code"] == "bad_request"
    assert one.refused("message.send", c=c, id=uuid7(), custom="x")["code"] == "bad_request"


def test_lists_over_their_limits(room: tuple[str, Wire], dev: Dev) -> None:
    c, one = room
    piece = {"kind": "file", "url": "https://x/y"}
    send(one, c, attachments=[piece] * 30)
    too_large(one.refused("message.send", c=c, id=uuid7(), attachments=[piece] * 31), "attachments", 30, 31, "attachments")
    too_large(one.refused("message.send", c=c, id=uuid7(), text="x", mentions=[f"z{k}" for k in range(101)]), "mentions", 100, 101, "mentions")
    too_large(one.refused("conversation.create", type="group", members=[f"z{k}" for k in range(101)]), "members", 100, 101, "members")
    too_large(one.refused("member.add", c=c, users=[f"z{k}" for k in range(101)]), "members", 100, 101, "users")
    for m in ("presence.watch", "presence.unwatch", "user.get"):
        got = one.refused(m, users=[f"z{k}" for k in range(101)])
        assert got["code"] == "too_large"
        assert got["limit"]["max"] == 100
        assert got["limit"]["got"] == 101
        assert got["field"] == "users"
    got = dev.rest("GET", "/presence?users=" + ",".join(f"z{k}" for k in range(101)), CAAS_User="alice")
    assert (got.status, got.body["code"]) == (413, "too_large")


def test_the_connection_stays_after_a_field_over_its_limit_and_ends_after_a_frame(dev: Dev, twin: bool) -> None:
    one = dev.connect(dev.user(), twin)
    c = one.ask("conversation.create", type="group")["conversation"]["id"]
    assert one.refused("message.send", c=c, id=uuid7(), text="x" * 40000)["code"] == "too_large"
    head = {"i": 5000, "m": "user.get", "p": {"users": [], "x": ""}}
    size = len(json.dumps(head)) if twin else len(msgpack.packb(head)) + 2
    for length, opens in ((65536 - size, True), (65537 - size, False)):
        head["p"]["x"] = "y" * length  # type: ignore[index]
        data = json.dumps(head).encode() if twin else msgpack.packb(head)
        assert len(data) == (65536 if opens else 65537)
        one.raw(data)
        if opens:
            assert one.answer(5000) == {"items": []}
        else:
            assert one.until_closed().code == 1009


def test_a_page_limit_is_clamped(dev: Dev) -> None:
    busy = dev.user()
    two = dev.connect(busy)
    c = two.ask("conversation.create", type="group")["conversation"]["id"]
    two.put([{"i": 6000 + k, "m": "message.send", "p": {"c": c, "id": uuid7(), "text": "x"}} for k in range(60)])
    two.put([{"i": 6060 + k, "m": "message.send", "p": {"c": c, "id": uuid7(), "text": "x"}} for k in range(60)])
    for k in range(120):
        two.answer(6000 + k)
    assert len(two.ask("message.list", c=c)["items"]) == 50
    assert len(two.ask("message.list", c=c, limit=100)["items"]) == 100
    assert len(two.ask("message.list", c=c, limit=101)["items"]) == 100
    assert len(two.ask("message.list", c=c, limit=2**53 - 1)["items"]) == 100
    assert len(two.ask("conversation.sync", c=c, after=0, limit=100_000)["entries"]) == 121
    for m, more in (("message.list", {"c": c}), ("conversation.list", {}), ("member.list", {"c": c}), ("conversation.sync", {"c": c, "after": 0})):
        assert two.refused(m, limit=0, **more)["code"] == "bad_request", m
        assert two.refused(m, limit=-1, **more)["code"] == "bad_request", m
    got = dev.rest("GET", f"/conversations/{c}/messages?limit=1000", CAAS_User=busy)
    assert len(got.body["items"]) == 100
    for bad in ("0", "-1", "x", "1.0", "", "true", "9007199254740992"):
        got = dev.rest("GET", f"/conversations/{c}/messages?limit={bad}", CAAS_User=busy)
        assert (got.status, got.body["code"], got.body.get("field")) == (400, "bad_request", "limit"), bad


# The exact fields of objects.


def test_a_plain_message(group: Group, dev: Dev, twin: bool) -> None:
    c, (a, b) = group(2, twin)
    before = int(time.time() * 1000)
    message = uuid7()
    sent = a.ask("message.send", c=c, id=message, text="hi")
    assert set(sent) == {"id", "seq", "n", "sent_at"}
    assert (sent["id"], sent["seq"], sent["n"]) == (message, 2, 1)
    assert before - 5000 <= sent["sent_at"] <= before + 60_000
    whole = {"id": message, "seq": 2, "n": 1, "sender": a.user, "type": "text", "text": "hi", "sent_at": sent["sent_at"]}  # type: ignore[attr-defined]
    for one in (a, b):
        push = one.push("message.new", c)
        assert push == {"t": "message.new", "c": c, "s": 2, "at": sent["sent_at"], "p": whole}
        assert one.ask("message.get", c=c, id=message) == {"message": whole, "edits": []}
        assert one.ask("message.list", c=c) == {"items": [whole]}
    assert dev.rest("GET", f"/conversations/{c}/messages/{message}", CAAS_User=b.user).body == {"message": whole, "edits": []}  # type: ignore[attr-defined]


def test_a_full_message(group: Group, twin: bool) -> None:
    c, (a, b) = group(2, twin)
    root = send(a, c)
    b.push("message.new", c)
    piece = {
        "kind": "video",
        "url": "https://x/y",
        "mime": "video/mp4",
        "name": "y.mp4",
        "size": 1,
        "width": 2,
        "height": 3,
        "duration_ms": 4,
        "preview": "abc",
    }
    p = {
        "text": "hi",
        "type": "video",
        "attachments": [piece],
        "mentions": [b.user],
        "mention_all": True,
        "reply_to": root,
        "custom": {"k": [1]},
        "silent": True,
    }  # type: ignore[attr-defined]
    message = uuid7()
    sent = a.ask("message.send", c=c, id=message, **p)
    whole = {"id": message, "seq": 3, "n": 2, "sender": a.user, **p, "sent_at": sent["sent_at"]}  # type: ignore[attr-defined]
    assert b.push("message.new", c)["p"] == whole
    a.ask("message.pin", c=c, id=message, op=uuid7())
    a.ask("reaction.add", c=c, id=message, emoji="👍", op=uuid7())
    edited = a.ask("message.edit", c=c, id=message, text="ho", op=uuid7())
    assert set(edited) == {"seq", "edited_at"}
    whole.update(text="ho", edited_at=edited["edited_at"], pinned=True, reactions={"👍": {"count": 1, "users": [a.user]}})  # type: ignore[attr-defined]
    seen = b.ask("message.get", c=c, id=message)
    assert not seen["message"]["reactions"]["👍"].pop("own", False)
    assert seen == {"message": whole, "edits": [{"text": "hi", "at": sent["sent_at"]}]}
    whole["reactions"]["👍"]["own"] = True
    assert a.ask("message.get", c=c, id=message)["message"] == whole
    assert a.ask("message.list", c=c)["items"][-1] == whole
    # replies in threads have no n
    reply = uuid7()
    sent = a.ask("message.send", c=c, id=reply, text="in", thread=root)
    assert "n" not in sent
    push = b.push("message.new", c)
    assert push["p"] == {"id": reply, "seq": sent["seq"], "sender": a.user, "type": "text", "text": "in", "thread": root, "sent_at": sent["sent_at"]}  # type: ignore[attr-defined]
    for one, field in ((message, {"n": 2, "type": "video"}), (reply, {"thread": root, "type": "text"})):
        seq = b.ask("message.get", c=c, id=one)["message"]["seq"]
        a.ask("message.delete", c=c, id=one, op=uuid7(), **{"for": "all"})
        gone = b.ask("message.get", c=c, id=one)
        assert gone["edits"] == []
        assert gone["message"].pop("deleted_at") >= gone["message"].pop("sent_at")
        assert gone["message"] == {"id": one, "seq": seq, "sender": a.user, **field}  # type: ignore[attr-defined]
    tomb = next(m for m in b.ask("message.list", c=c)["items"] if m["id"] == message)
    assert set(tomb) == {"id", "seq", "n", "sender", "type", "sent_at", "deleted_at"}


def test_types_of_messages(room: tuple[str, Wire]) -> None:
    c, one = room
    for kind in ("text", "image", "video", "audio", "file", "voice", "encrypted", "my.own-type"):
        message = send(one, c, type=kind)
        assert one.ask("message.get", c=c, id=message)["message"]["type"] == kind
    assert one.refused("message.send", c=c, id=uuid7(), text="x", type="system")["code"] in ("bad_request", "forbidden")
    assert one.refused("message.send", c=c, id=uuid7(), text="x", type="")["code"] == "bad_request"
    assert one.refused("message.send", c=c, id=uuid7(), text="x", type=1)["code"] == "bad_request"
    for bad in ({"url": "https://x"}, {"kind": "file"}, {"kind": 1, "url": "x"}, 7, "x"):
        got = one.refused("message.send", c=c, id=uuid7(), text="x", attachments=[bad])
        assert got["code"] == "bad_request", bad
        assert got["field"].startswith("attachments.0"), got


def test_reactions_name_five(group: Group) -> None:
    c, people = group(7)
    message = send(people[0], c)
    for one in people:
        one.ask("reaction.add", c=c, id=message, emoji="x", op=uuid7())
    for one in (people[0], people[6]):
        got = one.ask("message.get", c=c, id=message)["message"]["reactions"]
        assert got == {"x": {"count": 7, "users": [p.user for p in people[:5]], "own": True}}  # type: ignore[attr-defined]


def test_a_conversation_object(dev: Dev) -> None:
    user, other = dev.user(), dev.user()
    one = dev.connect(user)
    assert one.refused("conversation.create", type="channel")["code"] == "feature_disabled"  # for now
    more = {"access": "public", "name": "N", "description": "D", "photo_url": "https://x/p", "custom": {"a": 1}}
    got = one.ask("conversation.create", id=dev.name("c"), type="group", members=[other], **more)["conversation"]
    assert set(got) == {"id", "type", "created_by", "created_at", "updated_at", "member_count", "head", *more}
    assert {k: got[k] for k in more} == more
    assert (got["type"], got["created_by"], got["member_count"], got["head"]) == ("group", user, 2, 1)
    assert abs(got["created_at"] - time.time() * 1000) < 60_000
    bare = one.ask("conversation.create", type="group")["conversation"]
    assert (
        {"id", "type", "created_by", "created_at", "updated_at", "member_count", "head"}
        <= set(bare)
        <= {"id", "type", "access", "created_by", "created_at", "updated_at", "member_count", "head"}
    )
    one.ask("conversation.freeze", c=bare["id"], frozen=True)
    assert one.ask("conversation.get", c=bare["id"])["conversation"]["frozen"] is True
    one.ask("conversation.freeze", c=bare["id"], frozen=False)
    assert not one.ask("conversation.get", c=bare["id"])["conversation"].get("frozen", False)


def test_a_user_object(dev: Dev) -> None:
    user = dev.name()
    body = {"external_id": user, "display_name": "D", "avatar_url": "https://x/a", "custom": {"z": 1}}
    whole = {"id": user, "display_name": "D", "avatar_url": "https://x/a", "custom": {"z": 1}}
    assert dev.rest("POST", "/sessions/create", {"user": body}).body["user"] == whole
    assert dev.connect("alice").ask("user.get", users=[user, "nobody"]) == {"items": [whole]}
    assert dev.rest("GET", f"/users/{user}").body in (whole, {"user": whole}, {"items": [whole]})
