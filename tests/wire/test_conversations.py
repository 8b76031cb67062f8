"""Section 3: conversations, members, roles."""

import time
from typing import Any

import pytest

from tests.wire.client import Wire, uuid7
from tests.wire.conftest import Dev, Group

OWNER = {
    "send",
    "react",
    "pin",
    "edit_own",
    "edit_any",
    "delete_own",
    "delete_any",
    "update",
    "add_members",
    "remove_members",
    "set_roles",
    "freeze",
    "delete",
}
MEMBER = {"send", "react", "pin", "edit_own", "delete_own"}
ADMIN = MEMBER | {"add_members", "remove_members"}


def test_create(dev: Dev, twin: bool) -> None:
    a, b = dev.user(), dev.user()
    one, two = dev.connect(a, twin), dev.connect(b, twin)
    op = uuid7()
    made = one.ask("conversation.create", type="group", op=op, members=[a, b], name="N")
    assert set(made) == {"conversation"}
    c = made["conversation"]["id"]
    assert one.push("conversation.joined", "me")["p"] == {"conversation": c, "by": a}
    assert two.push("conversation.joined", "me")["p"] == {"conversation": c, "by": a}
    got = one.ask("conversation.get", c=c)
    assert set(got) == {"conversation", "role", "capabilities"}
    assert (got["role"], set(got["capabilities"])) == ("owner", OWNER)
    assert got["conversation"] == made["conversation"]
    got = two.ask("conversation.get", c=c)
    assert (got["role"], set(got["capabilities"])) == ("member", MEMBER)
    first = two.ask("conversation.sync", c=c, after=0)["entries"]
    assert len(first) == 1
    assert set(first[0]) == {"t", "c", "s", "at", "p"}
    assert (first[0]["t"], first[0]["s"]) == ("conversation.created", 1)
    assert set(first[0]["p"]) == {"conversation", "members", "by"}
    assert first[0]["p"]["by"] == a
    assert first[0]["p"]["conversation"]["id"] == c
    assert sorted(first[0]["p"]["members"]) == sorted([a, b])
    again = one.ask("conversation.create", type="group", op=op, members=[a, b], name="N")
    assert again == {**made, "duplicate": True}
    assert one.refused("conversation.create", type="group", op=op, members=[a, b], name="M")["code"] == "id_conflict"


@pytest.mark.parametrize(
    "p",
    [
        {},
        {"type": "direct"},
        {"type": "party"},
        {"type": "group", "access": "open"},
        {"type": "group", "members": ["a b"]},
        {"type": "group", "members": "bob"},
        {"type": "group", "name": 7},
        {"type": "direct", "members": ["bob", "carol"]},
        {"type": "direct", "members": []},
        {"type": "direct", "members": ["bob"], "id": "x1"},
        {"type": "direct", "members": ["bob"], "name": "x"},
        {"type": "group", "id": "~x"},
        {"type": "group", "id": "me"},
    ],
)
def test_what_cannot_be_created(dev: Dev, p: dict[str, Any]) -> None:
    assert dev.connect("alice").refused("conversation.create", **p)["code"] == "bad_request"


def test_direct_with_oneself(dev: Dev) -> None:
    assert dev.connect("alice").refused("conversation.create", type="direct", members=["alice"])["code"] == "bad_request"


def test_unknown_users_are_not_found_and_nobody_is_added(dev: Dev, group: Group) -> None:
    a, b = dev.user(), dev.user()
    one = dev.connect(a)
    c = dev.name("c")
    got = one.refused("conversation.create", type="group", id=c, members=[b, "nobody1"])
    assert got["code"] == "not_found"
    assert got["field"] in ("members", "members.1")
    assert one.refused("conversation.get", c=c)["code"] == "not_found"
    assert one.refused("conversation.create", type="direct", members=["nobody1"])["field"].startswith("members")
    c = one.ask("conversation.create", type="group")["conversation"]["id"]
    got = one.refused("member.add", c=c, users=[b, "nobody2"])
    assert (got["code"], got["field"].split(".")[0]) == ("not_found", "users")
    assert [m["user"]["id"] for m in one.ask("member.list", c=c)["items"]] == [a]
    for m, p, field in (
        ("message.send", {"id": uuid7(), "text": "x", "mentions": ["nobody3"]}, "mentions"),
        ("member.remove", {"user": "nobody4"}, "user"),
        ("member.update", {"user": "nobody5", "role": "admin"}, "user"),
    ):
        got = one.refused(m, c=c, **p)
        assert (got["code"], got["field"].split(".")[0]) == ("not_found", field), m
    assert one.refused("user.block", user="nobody6")["code"] == "not_found"
    assert one.refused("user.block", user="nobody6")["field"] == "user"


def test_an_id_that_exists(dev: Dev) -> None:
    a, b, d = (dev.user() for _ in range(3))
    one, two, three = dev.connect(a), dev.connect(b), dev.connect(d)
    c = dev.name("c")
    made = one.ask("conversation.create", type="group", id=c, members=[b], name="N", op=uuid7())["conversation"]
    got = two.ask("conversation.create", type="group", id=c, name="other", op=uuid7())
    assert got["conversation"] == made
    assert three.refused("conversation.create", type="group", id=c, op=uuid7())["code"] == "id_conflict"
    one.ask("conversation.delete", c=c, op=uuid7())
    for x in (one, two, three):
        assert x.refused("conversation.create", type="group", id=c, op=uuid7())["code"] == "id_conflict"
        assert x.refused("conversation.get", c=c)["code"] == "not_found"


def test_direct(dev: Dev, twin: bool) -> None:
    a, b = dev.user(), dev.user()
    one, two = dev.connect(a, twin), dev.connect(b, twin)
    made = one.ask("conversation.create", type="direct", members=[b], op=uuid7())["conversation"]
    c = made["id"]
    assert made["type"] == "direct"
    assert made.get("access", "private") == "private"
    assert made["member_count"] == 2
    assert two.ask("conversation.create", type="direct", members=[a], op=uuid7())["conversation"]["id"] == c
    assert one.ask("conversation.create", type="direct", members=[a, b], op=uuid7())["conversation"]["id"] == c
    assert {m["user"]["id"]: m["role"] for m in one.ask("member.list", c=c)["items"]} == {a: "owner", b: "owner"}
    for x in (one, two):
        got = x.ask("conversation.get", c=c)
        assert got["role"] == "owner"
        assert not set(got["capabilities"]) & {"add_members", "remove_members", "set_roles", "delete"}
    for m, p in (
        ("member.add", {"users": ["alice"]}),
        ("member.remove", {"user": b}),
        ("conversation.leave", {}),
        ("conversation.delete", {}),
        ("member.update", {"user": b, "role": "member"}),
    ):
        assert one.refused(m, c=c, op=uuid7(), **p)["code"] == "forbidden", m
    assert dev.connect("alice").refused("conversation.join", c=c, op=uuid7())["code"] == "not_found"
    for x in (one, two):
        x.ask("conversation.watch", c=c)
    two.ask("user.block", user=a, op=uuid7())
    for x in (one, two):
        assert x.refused("message.send", c=c, id=uuid7(), text="x")["code"] == "blocked"
    two.ask("user.unblock", user=a, op=uuid7())
    for x in (one, two):
        x.ask("message.send", c=c, id=uuid7(), text="x")


def test_update(group: Group, twin: bool) -> None:
    c, (a, b) = group(2, twin)
    op = uuid7()
    p = {"name": "N", "description": "D", "photo_url": "https://x/p", "custom": {"k": 1}}
    got = a.ask("conversation.update", c=c, op=op, **p)
    assert {k: got["conversation"][k] for k in p} == p
    push = b.push("conversation.updated", c)
    assert push["p"] == {**p, "by": a.user}  # type: ignore[attr-defined]
    assert got["conversation"]["updated_at"] == push["at"]
    a.ask("conversation.update", c=c, op=uuid7(), description=None, name="M")
    assert b.push("conversation.updated", c)["p"] == {"description": None, "name": "M", "by": a.user}  # type: ignore[attr-defined]
    assert b.refused("conversation.update", c=c, name="x", op=uuid7())["code"] == "forbidden"
    again = a.ask("conversation.update", c=c, op=op, **p)
    assert again["duplicate"] is True
    assert again["conversation"]["id"] == c
    assert a.refused("conversation.update", c=c, op=op, name="Z")["code"] == "id_conflict"


def test_freeze(group: Group, twin: bool) -> None:
    c, (a, b) = group(2, twin)
    message = uuid7()
    a.ask("message.send", c=c, id=message, text="x")
    op = uuid7()
    got = a.ask("conversation.freeze", c=c, frozen=True, op=op)
    assert got == {"seq": 3}
    assert b.push("conversation.frozen", c)["p"] == {"frozen": True, "by": a.user}  # type: ignore[attr-defined]
    for x in (a, b):
        assert x.refused("message.send", c=c, id=uuid7(), text="x")["code"] == "frozen"
        assert x.refused("reaction.add", c=c, id=message, emoji="x", op=uuid7())["code"] == "frozen"
    assert a.refused("message.edit", c=c, id=message, text="y", op=uuid7())["code"] == "frozen"
    assert a.ask("conversation.freeze", c=c, frozen=True, op=uuid7()) == {"seq": 3, "unchanged": True}
    assert a.ask("conversation.freeze", c=c, frozen=True, op=op) == {"seq": 3, "duplicate": True}
    assert b.refused("conversation.freeze", c=c, frozen=False)["code"] == "forbidden"
    a.ask("conversation.freeze", c=c, frozen=False, op=uuid7())
    assert b.push("conversation.frozen", c)["s"] == 4
    assert a.ask("conversation.freeze", c=c, frozen=True, op=op) == {"seq": 3, "duplicate": True}
    b.ask("message.send", c=c, id=uuid7(), text="x")
    assert a.refused("conversation.freeze", c=c)["code"] == "bad_request"


def test_join_leave_delete(dev: Dev, twin: bool) -> None:
    a, b, d = (dev.user() for _ in range(3))
    one, two, three = (dev.connect(u, twin) for u in (a, b, d))
    c = dev.name("c")
    one.ask("conversation.create", type="group", access="public", id=c, op=uuid7())
    one.ask("conversation.watch", c=c)
    assert two.refused("conversation.get", c=c)["code"] == "not_a_member"  # its existence may be seen, and no more
    assert two.refused("message.send", c=c, id=uuid7(), text="x")["code"] == "not_a_member"
    op = uuid7()
    assert two.ask("conversation.join", c=c, op=op) == {"seq": 2}
    assert one.push("member.added", c)["p"] == {"users": [b], "by": b}
    assert two.push("conversation.joined", "me")["p"] == {"conversation": c, "by": b}
    assert two.ask("conversation.join", c=c, op=uuid7()) == {"seq": 2, "unchanged": True}
    assert two.ask("conversation.join", c=c, op=op) == {"seq": 2, "duplicate": True}
    two.ask("conversation.watch", c=c)
    left = uuid7()
    assert two.ask("conversation.leave", c=c, op=left) == {"seq": 3}
    assert one.push("member.removed", c)["p"] == {"user": b, "by": b}
    assert two.push("conversation.left", "me")["p"] == {"conversation": c, "by": b}
    assert two.ask("conversation.leave", c=c, op=left) == {"seq": 3, "duplicate": True}
    assert one.refused("conversation.leave", c=c, op=uuid7())["code"] == "forbidden"
    two.ask("conversation.join", c=c, op=uuid7())
    one.ask("member.update", c=c, user=b, role="owner", op=uuid7())
    one.ask("conversation.leave", c=c, op=uuid7())
    assert one.refused("conversation.delete", c=c, op=uuid7())["code"] in ("not_a_member", "forbidden")
    two.ask("conversation.watch", c=c)
    gone = uuid7()
    got = two.ask("conversation.delete", c=c, op=gone)
    assert set(got) == {"seq"}
    assert two.push("conversation.deleted", c)["p"] == {"by": b}
    assert two.ask("conversation.delete", c=c, op=gone) == {**got, "duplicate": True}
    assert three.refused("conversation.join", c=c, op=uuid7())["code"] == "not_found"
    private = two.ask("conversation.create", type="group", op=uuid7())["conversation"]["id"]
    for m, p in (
        ("conversation.join", {}),
        ("conversation.get", {}),
        ("conversation.watch", {}),
        ("message.send", {"id": uuid7(), "text": "x"}),
        ("message.list", {}),
        ("member.list", {}),
        ("conversation.leave", {}),
        ("conversation.sync", {"after": 0}),
        ("message.read", {"seq": 1}),
        ("typing.start", {}),
        ("conversation.delete", {}),
        ("conversation.update", {"name": "x"}),
        ("conversation.freeze", {"frozen": True}),
        ("member.add", {"users": [d]}),
        ("message.get", {"id": uuid7()}),
        ("reaction.add", {"id": uuid7(), "emoji": "x"}),
    ):
        assert three.refused(m, c=private, **p)["code"] == "not_found", m


def test_broadcast(dev: Dev) -> None:
    a, b, d = (dev.user() for _ in range(3))
    one, two, three = (dev.connect(u) for u in (a, b, d))
    c = one.ask("conversation.create", type="group", access="broadcast", members=[b, d], op=uuid7())["conversation"]["id"]
    assert set(two.ask("conversation.get", c=c)["capabilities"]) == MEMBER - {"send"}
    assert two.refused("message.send", c=c, id=uuid7(), text="x")["code"] == "forbidden"
    one.ask("message.send", c=c, id=uuid7(), text="x")
    one.ask("member.update", c=c, user=d, role="admin", op=uuid7())
    three.ask("message.send", c=c, id=uuid7(), text="x")


def test_members_and_roles(group: Group, dev: Dev, twin: bool) -> None:
    c, (a, b, d) = group(3, twin)
    e = dev.user()
    four = dev.connect(e, twin)
    op = uuid7()
    assert a.ask("member.add", c=c, users=[e, b.user], op=op) == {"seq": 2}  # type: ignore[attr-defined]
    assert b.push("member.added", c)["p"] == {"users": [e], "by": a.user}  # type: ignore[attr-defined]
    assert four.push("conversation.joined", "me")["p"] == {"conversation": c, "by": a.user}  # type: ignore[attr-defined]
    assert four.push("invite.new", "me")["p"] == {"conversation": c, "by": a.user} if any(p["t"] == "invite.new" for p in four.pushes) else True  # type: ignore[attr-defined]
    assert a.ask("member.add", c=c, users=[e], op=uuid7()) == {"seq": 2, "unchanged": True}
    assert a.ask("member.add", c=c, users=[e, b.user], op=op) == {"seq": 2, "duplicate": True}  # type: ignore[attr-defined]
    assert b.refused("member.add", c=c, users=["alice"], op=uuid7())["code"] == "forbidden"
    assert b.refused("member.update", c=c, user=e, role="admin", op=uuid7())["code"] == "forbidden"
    assert b.refused("member.remove", c=c, user=e, op=uuid7())["code"] == "forbidden"
    assert a.ask("member.update", c=c, user=b.user, role="admin", op=uuid7()) == {"seq": 3}  # type: ignore[attr-defined]
    assert d.push("member.updated", c)["p"] == {"user": b.user, "role": "admin", "by": a.user}  # type: ignore[attr-defined]
    changed = b.push("capabilities.changed", c)
    assert set(changed) == {"t", "c", "p"}
    assert changed["p"]["role"] == "admin"
    assert set(changed["p"]["capabilities"]) == ADMIN
    assert set(b.ask("conversation.get", c=c)["capabilities"]) == ADMIN
    assert a.ask("member.update", c=c, user=b.user, role="admin", op=uuid7()) == {"seq": 3, "unchanged": True}  # type: ignore[attr-defined]
    assert a.refused("member.update", c=c, user=b.user, role="emperor", op=uuid7())["code"] in ("bad_request", "not_found")  # type: ignore[attr-defined]
    assert a.refused("member.update", c=c, user="alice", role="admin", op=uuid7())["code"] == "not_found"
    assert b.ask("member.remove", c=c, user=e, op=uuid7()) == {"seq": 4}
    assert four.push("conversation.left", "me")["p"] == {"conversation": c, "by": b.user}  # type: ignore[attr-defined]
    got = a.ask("member.remove", c=c, user=e, op=uuid7())
    assert got == {"seq": 4, "unchanged": True}
    assert b.refused("conversation.update", c=c, name="x")["code"] == "forbidden"
    assert b.refused("member.remove", c=c, user=a.user, op=uuid7())["code"] == "forbidden"  # type: ignore[attr-defined]
    for m in ("message.delete",):
        message = uuid7()
        d.ask("message.send", c=c, id=message, text="x")
        assert b.refused(m, c=c, id=message, **{"for": "all"})["code"] == "forbidden"
        assert b.refused("message.edit", c=c, id=message, text="y")["code"] == "forbidden"
        a.ask("message.edit", c=c, id=message, text="by the owner", op=uuid7())
        assert b.push("message.updated", c)["p"]["by"] == a.user  # type: ignore[attr-defined]
        a.ask(m, c=c, id=message, op=uuid7(), **{"for": "all"})


def test_member_list(dev: Dev, twin: bool) -> None:
    people = [dev.user() for _ in range(7)]
    one = dev.connect(people[0], twin)
    dev.rest("PATCH", f"/users/{people[1]}", {"display_name": "Second"})
    c = one.ask("conversation.create", type="group", members=people[1:], op=uuid7())["conversation"]["id"]
    got = one.ask("member.list", c=c, limit=3)
    assert set(got) == {"items", "next"}
    seen = got["items"]
    for _ in range(5):
        if "next" not in got:
            break
        got = one.ask("member.list", c=c, limit=3, cursor=got["next"])
        seen += got["items"]
    assert "next" not in got
    assert sorted(m["user"]["id"] for m in seen) == sorted(people)
    for m in seen:
        assert {"user", "role", "joined_at"} <= set(m) <= {"user", "role", "joined_at", "read_seq"}
        assert type(m["joined_at"]) is int
    assert {"id": people[1], "display_name": "Second"} in [m["user"] for m in seen]
    assert one.refused("member.list", c=c, cursor="nonsense")["code"] == "bad_request"
    assert one.refused("member.list", c=c, cursor=7)["code"] == "bad_request"


def test_conversation_list(dev: Dev, twin: bool) -> None:
    a, b = dev.user(), dev.user()
    one, two = dev.connect(a, twin), dev.connect(b, twin)
    cs = [one.ask("conversation.create", type="group", members=[b], op=uuid7())["conversation"]["id"] for _ in range(5)]
    for c in cs:
        one.ask("conversation.watch", c=c)
    message = uuid7()
    sent = one.ask("message.send", c=cs[1], id=message, text="newest", mentions=[b])
    one.push("message.new", cs[1])
    item: dict[str, Any] = {}
    for _ in range(100):  # it may lag by what is not stored yet
        got = two.ask("conversation.list")
        item = got["items"][0] if got["items"] else {}
        if len(got["items"]) == 5 and item.get("last_n") == 1 and item["unread_mentions"]:
            break
        time.sleep(0.05)
    assert "next" not in got
    assert [i["conversation"]["id"] for i in got["items"]] == [cs[1], cs[4], cs[3], cs[2], cs[0]]
    assert {"conversation", "role", "read_seq", "read_n", "last_n", "own_n", "unread", "unread_mentions"} <= set(item)
    assert set(item) <= {
        "conversation",
        "role",
        "read_seq",
        "read_n",
        "last_n",
        "own_n",
        "unread",
        "unread_mentions",
        "last_message",
        "muted_until",
        "pinned",
        "archived",
    }
    assert {k: item[k] for k in ("role", "read_seq", "read_n", "last_n", "own_n", "unread", "unread_mentions")} == {
        "role": "member",
        "read_seq": 0,
        "read_n": 0,
        "last_n": 1,
        "own_n": 0,
        "unread": 1,
        "unread_mentions": 1,
    }
    assert item["last_message"] == {
        "id": message,
        "seq": 2,
        "n": 1,
        "sender": a,
        "type": "text",
        "text": "newest",
        "mentions": [b],
        "sent_at": sent["sent_at"],
    }
    two.ask("message.read", c=cs[1], seq=2)
    item = two.ask("conversation.list")["items"][0]
    assert {k: item[k] for k in ("read_seq", "read_n", "last_n", "own_n", "unread", "unread_mentions")} == {
        "read_seq": 2,
        "read_n": 1,
        "last_n": 1,
        "own_n": 0,
        "unread": 0,
        "unread_mentions": 0,
    }
    pages, cursor = [], {}
    for _ in range(4):
        page = two.ask("conversation.list", limit=2, **cursor)
        pages += [i["conversation"]["id"] for i in page["items"]]
        if "next" not in page:
            break
        cursor = {"cursor": page["next"]}
    assert pages == [cs[1], cs[4], cs[3], cs[2], cs[0]]
    assert two.refused("conversation.list", cursor="nonsense")["code"] == "bad_request"


def test_what_one_has_sent_oneself_is_not_unread(group: Group) -> None:
    c, (a, b) = group(2)
    a.ask("message.send", c=c, id=uuid7(), text="1")
    b.ask("message.send", c=c, id=uuid7(), text="2")
    b.push("message.new", c, text="2")
    item: dict[str, Any] = {}
    for _ in range(100):
        item = next((i for i in b.ask("conversation.list")["items"] if i["conversation"]["id"] == c), {})
        if item.get("last_n") == 2 and item.get("own_n") == 2:
            break
        time.sleep(0.05)
    assert (item["last_n"], item["own_n"], item["unread"]) == (2, 2, 0)


def test_the_names_of_commands_and_their_missing_fields(dev: Dev) -> None:
    one = dev.connect("alice")
    needs: dict[str, dict[str, Any]] = {
        "token.refresh": {"token": "x"},
        "conversation.create": {"type": "group"},
        "conversation.get": {"c": "x"},
        "conversation.watch": {"c": "x"},
        "conversation.unwatch": {"c": "x"},
        "conversation.update": {"c": "x"},
        "conversation.freeze": {"c": "x", "frozen": True},
        "conversation.join": {"c": "x"},
        "conversation.leave": {"c": "x"},
        "conversation.delete": {"c": "x"},
        "conversation.sync": {"c": "x", "after": 0},
        "member.add": {"c": "x", "users": ["bob"]},
        "member.remove": {"c": "x", "user": "bob"},
        "member.update": {"c": "x", "user": "bob", "role": "admin"},
        "member.list": {"c": "x"},
        "message.send": {"c": "x", "id": uuid7()},
        "message.edit": {"c": "x", "id": uuid7()},
        "message.delete": {"c": "x", "id": uuid7()},
        "message.list": {"c": "x"},
        "message.get": {"c": "x", "id": uuid7()},
        "reaction.add": {"c": "x", "id": uuid7(), "emoji": "x"},
        "reaction.remove": {"c": "x", "id": uuid7(), "emoji": "x"},
        "message.pin": {"c": "x", "id": uuid7()},
        "message.unpin": {"c": "x", "id": uuid7()},
        "message.read": {"c": "x", "seq": 1},
        "message.delivered": {"c": "x", "seq": 1},
        "typing.start": {"c": "x"},
        "typing.stop": {"c": "x"},
        "presence.set": {"status": "online"},
        "presence.watch": {"users": ["bob"]},
        "presence.unwatch": {"users": ["bob"]},
        "user.get": {"users": ["bob"]},
        "user.block": {"user": "bob"},
        "user.unblock": {"user": "bob"},
    }
    for m, p in needs.items():
        for field in p:
            got = one.refused(m, **{k: v for k, v in p.items() if k != field})
            assert (got["code"], got["field"]) == ("bad_request", field), (m, field)
            got = one.refused(m, **{**p, field: {"a": 1}})
            assert got["code"] == "bad_request", (m, field)
            assert got["field"].split(".")[0] == field, (m, field)
    for m in ("conversation.list", "user.update"):
        one.ask(m)
    for m in ("message:send", "typing:start", "MESSAGE.SEND", "message.send "):
        assert one.refused(m)["code"] == "unknown_command"


def test_me_is_a_conversation_only_where_it_may_be(dev: Dev) -> None:
    one: Wire = dev.connect(dev.user())
    assert set(one.ask("conversation.sync", c="me", after=0)) == {"entries", "head", "epoch", "more"}
    assert not [i for i in one.ask("conversation.list")["items"] if i["conversation"]["id"] == "me"]
    got = one.refused("message.send", c="me", id=uuid7(), text="x")
    assert got["code"] in ("bad_request", "not_found", "forbidden")
