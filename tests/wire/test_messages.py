"""Sections 3 and 4: messages, reactions, receipts, typing, presence, users, blocks, and what is pushed of them."""

from typing import Any

import pytest

from tests.wire.client import Wire, uuid7
from tests.wire.conftest import Dev, Group


def send(one: Wire, c: str, **p: Any) -> tuple[str, dict[str, Any]]:
    message = p.pop("id", None) or uuid7()
    return message, one.ask("message.send", c=c, id=message, **{"text": "hello", **p})


def who(one: Wire) -> str:
    return str(one.user)  # type: ignore[attr-defined]


def test_repeats_of_a_send(group: Group, dev: Dev, twin: bool) -> None:
    c, (a, b) = group(2, twin)
    message, first = send(a, c, custom={"a": 1, "b": 2})
    assert a.ask("message.send", c=c, id=message, text="hello", custom={"b": 2, "a": 1}) == {**first, "duplicate": True}  # keys in any order
    assert a.ask("message.send", c=c, id=message, text="hello", custom={"a": 1, "b": 2}) == {**first, "duplicate": True}
    assert a.ask("message.send", c=c, id=message, text="hello", custom={"a": 1, "b": 2}, after=uuid7()) == {**first, "duplicate": True}
    assert a.refused("message.send", c=c, id=message, text="other")["code"] == "id_conflict"
    assert a.refused("message.send", c=c, id=message, text="hello", custom={"a": 1, "b": 2}, type="text")["code"] == "id_conflict"
    assert b.refused("message.send", c=c, id=message, text="hello", custom={"a": 1, "b": 2})["code"] == "id_conflict"
    assert a.refused("conversation.update", c=c, op=message, name="x")["code"] == "id_conflict"
    again = dev.connect(who(a), twin)
    assert again.ask("message.send", c=c, id=message, text="hello", custom={"a": 1, "b": 2}) == {**first, "duplicate": True}
    # whatever has happened since, and before rights are looked at
    a.ask("message.edit", c=c, id=message, text="new", op=uuid7())
    assert a.ask("message.send", c=c, id=message, text="hello", custom={"a": 1, "b": 2}) == {**first, "duplicate": True}
    a.ask("conversation.freeze", c=c, frozen=True, op=uuid7())
    assert a.ask("message.send", c=c, id=message, text="hello", custom={"a": 1, "b": 2}) == {**first, "duplicate": True}
    a.ask("conversation.freeze", c=c, frozen=False, op=uuid7())
    mine, sent = send(b, c)
    a.ask("member.remove", c=c, user=who(b), op=uuid7())
    assert b.ask("message.send", c=c, id=mine, text="hello") == {**sent, "duplicate": True}
    a.ask("message.delete", c=c, id=message, op=uuid7(), **{"for": "all"})
    assert a.ask("message.send", c=c, id=message, text="hello", custom={"a": 1, "b": 2}) == {**first, "duplicate": True}
    other = a.ask("conversation.create", type="group", op=uuid7())["conversation"]["id"]
    got = a.ask("message.send", c=other, id=message, text="hello")
    assert got["n"] == 1
    assert "duplicate" not in got


def test_an_error_is_not_a_first_answer(group: Group) -> None:
    c, (a, b) = group(2)
    a.ask("conversation.freeze", c=c, frozen=True, op=uuid7())
    message = uuid7()
    assert b.refused("message.send", c=c, id=message, text="x")["code"] == "frozen"
    a.ask("conversation.freeze", c=c, frozen=False, op=uuid7())
    assert "duplicate" not in b.ask("message.send", c=c, id=message, text="x")


def test_repeats_of_everything_else(group: Group, dev: Dev, twin: bool) -> None:
    c, (a, b) = group(2, twin)
    message, _ = send(a, c)
    extra = dev.user()
    acts: list[tuple[str, dict[str, Any]]] = [
        ("message.edit", {"id": message, "text": "two"}),
        ("reaction.add", {"id": message, "emoji": "x"}),
        ("reaction.remove", {"id": message, "emoji": "x"}),
        ("message.pin", {"id": message}),
        ("message.unpin", {"id": message}),
        ("member.add", {"users": [extra]}),
        ("member.update", {"user": extra, "role": "admin"}),
        ("member.remove", {"user": extra}),
        ("conversation.update", {"name": "n"}),
        ("conversation.freeze", {"frozen": True}),
        ("conversation.freeze", {"frozen": False}),
        ("message.delete", {"id": message, "for": "me"}),
        ("message.delete", {"id": message, "for": "all"}),
    ]
    done = []
    for m, p in acts:
        op = uuid7()
        first = a.ask(m, c=c, op=op, **p)
        assert not {"duplicate", "unchanged"} & set(first), m
        done.append((m, p, op, first))
    for m, p, op, first in done:
        got = a.ask(m, c=c, op=op, **p)
        if m == "conversation.update":
            assert got["duplicate"] is True
        else:
            assert got == {**first, "duplicate": True}, m
        if p.get("for") != "me":
            assert b.refused(m, c=c, op=op, **p)["code"] == "id_conflict", m
    op = uuid7()
    first = a.ask("user.update", display_name="X", op=op)
    assert a.ask("user.update", display_name="X", op=op) == {**first, "duplicate": True}
    assert a.refused("user.update", display_name="Y", op=op)["code"] == "id_conflict"
    op = uuid7()
    first = a.ask("user.block", user=extra, op=op)
    assert set(first) == {"seq"}
    assert a.ask("user.block", user=extra, op=op) == {**first, "duplicate": True}
    got = a.ask("user.block", user=extra, op=uuid7())
    assert got["unchanged"] is True
    assert a.push("block.changed", "me")["p"] == {"user": extra, "blocked": True}
    a.ask("user.unblock", user=extra, op=uuid7())
    assert a.push("block.changed", "me")["p"] == {"user": extra, "blocked": False}
    assert a.ask("user.unblock", user=extra, op=uuid7())["unchanged"] is True


def test_edit(group: Group, twin: bool) -> None:
    c, (a, b) = group(2, twin)
    piece = {"kind": "file", "url": "https://x/y"}
    message, _ = send(a, c, text="one", attachments=[piece], custom={"k": 1}, mentions=[who(b)])
    got = a.ask("message.edit", c=c, id=message, text="two", op=uuid7())
    push = b.push("message.updated", c)
    assert push["p"] == {"id": message, "by": who(a), "edited_at": got["edited_at"], "text": "two"}
    assert push["s"] == got["seq"]
    seen = b.ask("message.get", c=c, id=message)["message"]
    assert (seen["attachments"], seen["custom"], seen["mentions"], seen["edited_at"]) == ([piece], {"k": 1}, [who(b)], got["edited_at"])
    a.ask("message.edit", c=c, id=message, custom=None, op=uuid7())
    assert {k: v for k, v in b.push("message.updated", c)["p"].items() if k not in ("edited_at", "by", "id")} == {"custom": None}
    got = b.ask("message.get", c=c, id=message)
    assert "custom" not in got["message"]
    a.ask("message.edit", c=c, id=message, text="three", op=uuid7())
    got = b.ask("message.get", c=c, id=message)
    assert next(e["text"] for e in got["edits"] if "text" in e) == "one"
    assert got["edits"][-1]["text"] == "two"
    assert all(set(e) <= {"text", "at"} for e in got["edits"])
    assert b.refused("message.edit", c=c, id=message, text="x")["code"] == "forbidden"
    assert a.refused("message.edit", c=c, id=uuid7(), text="x")["code"] == "not_found"


def test_delete(group: Group, dev: Dev, twin: bool) -> None:
    c, (a, b) = group(2, twin)
    message, _ = send(a, c)
    got = b.ask("message.delete", c=c, id=message, op=uuid7(), **{"for": "me"})
    hidden = b.push("message.hidden", "me")
    assert hidden["p"] == {"conversation": c, "id": message}
    assert got == {"seq": hidden["s"]}
    assert message not in [m["id"] for m in b.ask("message.list", c=c)["items"]]
    assert message in [m["id"] for m in a.ask("message.list", c=c)["items"]]
    assert b.refused("message.delete", c=c, id=message, **{"for": "all"})["code"] == "forbidden"
    assert b.refused("message.delete", c=c, id=message, **{"for": "us"})["code"] == "bad_request"
    got = a.ask("message.delete", c=c, id=message, op=uuid7(), **{"for": "all"})
    push = b.push("message.deleted", c)
    assert (push["s"], push["p"]) == (got["seq"], {"id": message, "by": who(a)})
    assert a.refused("message.edit", c=c, id=message, text="x", op=uuid7())["code"] == "not_found"
    assert a.refused("reaction.add", c=c, id=message, emoji="x", op=uuid7())["code"] == "not_found"
    again = a.ask("message.delete", c=c, id=message, op=uuid7(), **{"for": "all"})
    assert again["unchanged"] is True


def test_list(group: Group, dev: Dev, twin: bool) -> None:
    c, (a, b) = group(2, twin)
    root, _ = send(a, c)  # 2
    seqs = [2] + [send(a, c)[1]["seq"] for _ in range(9)]  # 3-11
    replies = [send(b, c, thread=root)[1]["seq"] for _ in range(3)]  # 12-14
    seqs += [send(a, c)[1]["seq"] for _ in range(2)]  # 15, 16
    assert seqs == [*range(2, 12), 15, 16]
    assert replies == [12, 13, 14]

    def listed(**p: Any) -> tuple[list[int], dict[str, Any]]:
        got = b.ask("message.list", c=c, **p)
        return [m["seq"] for m in got["items"]], {k: got.get(k) for k in ("prev", "next")}

    assert listed() == (seqs, {"prev": None, "next": None})
    got, around = listed(limit=3)
    assert got == [11, 15, 16]
    assert around["next"] is None
    assert listed(before=around["prev"], limit=3)[0] == [8, 9, 10]
    got, page = listed(before=8, limit=3)
    assert got == [5, 6, 7]
    assert listed(before=page["prev"], limit=100) == ([2, 3, 4], {"prev": None, "next": listed(before=page["prev"], limit=100)[1]["next"]})
    assert listed(after=page["next"], limit=2)[0] == [8, 9]
    got, page = listed(after=9, limit=3)
    assert got == [10, 11, 15]
    assert listed(after=page["next"])[0] == [16]
    assert listed(after=page["next"])[1]["next"] is None
    assert listed(after=16)[0] == []
    assert listed(before=2)[0] == []
    got, page = listed(around=8, limit=5)
    assert 8 in got
    assert len(got) == 5
    assert listed(before=page["prev"], limit=1)[0] == [got[0] - 1]
    assert listed(after=page["next"], limit=1)[0] == [got[-1] + 1]
    got, _ = listed(around=13, limit=4)
    assert set(got) <= set(seqs)
    assert listed(around=2, limit=1)[0] == [2]
    assert listed(thread=root)[0] == replies
    assert listed(thread=root, limit=2)[0] == [13, 14]
    assert listed(thread=root, after=12)[0] == [13, 14]
    assert listed(thread=root, before=14)[0] == [12, 13]
    assert b.refused("message.list", c=c, before=5, after=3)["code"] == "bad_request"
    assert b.refused("message.list", c=c, before=5, around=3)["code"] == "bad_request"
    assert b.refused("message.list", c=c, before=-1)["code"] == "bad_request"
    assert all(type(listed(before=8, limit=2)[1][k]) is int for k in ("prev", "next"))
    said = dev.rest("GET", f"/conversations/{c}/messages?before=8&limit=2", CAAS_User=who(b))
    assert said.body == b.ask("message.list", c=c, before=8, limit=2)
    said = dev.rest("GET", f"/conversations/{c}/messages?thread={root}", CAAS_User=who(b))
    assert [m["seq"] for m in said.body["items"]] == replies


def test_after_holds_the_order(group: Group) -> None:
    c, (a, b) = group(2)
    first, second = uuid7(), uuid7()
    got = a.refused("message.send", c=c, id=second, text="2", after=first)
    assert (got["code"], got["retryable"]) == ("unavailable", True)
    assert type(got["retry_after_ms"]) is int
    send(a, c, id=first)
    a.ask("message.send", c=c, id=second, text="2", after=first)
    b.push("message.new", c)


def test_an_empty_message(group: Group) -> None:
    c, (a, _) = group(2)
    for p in ({}, {"text": ""}):
        assert a.refused("message.send", c=c, id=uuid7(), **p)["code"] == "bad_request"
    a.ask("message.send", c=c, id=uuid7(), attachments=[{"kind": "file", "url": "https://x/y"}])
    a.ask("message.send", c=c, id=uuid7(), custom={"a": 1}, type="mine")


def test_reactions_and_pins(group: Group, twin: bool) -> None:
    c, (a, b) = group(2, twin)
    message, _ = send(a, c)
    got = b.ask("reaction.add", c=c, id=message, emoji="👍", op=uuid7())
    assert got == {"seq": 3}
    push = a.push("reaction.added", c)
    assert {"id", "emoji", "user"} <= set(push["p"]) <= {"id", "emoji", "user", "count"}
    assert (push["p"]["emoji"], push["p"]["user"], push["p"].get("count", 1)) == ("👍", who(b), 1)
    assert b.ask("reaction.add", c=c, id=message, emoji="👍", op=uuid7()) == {"seq": 3, "unchanged": True}
    assert b.ask("reaction.remove", c=c, id=message, emoji="👍", op=uuid7()) == {"seq": 4}
    assert a.push("reaction.removed", c)["s"] == 4
    assert b.ask("reaction.remove", c=c, id=message, emoji="👍", op=uuid7()) == {"seq": 4, "unchanged": True}
    assert not a.ask("message.get", c=c, id=message)["message"].get("reactions")
    assert b.ask("message.pin", c=c, id=message, op=uuid7()) == {"seq": 5}
    assert a.push("message.pinned", c)["p"] == {"id": message, "by": who(b)}
    assert a.ask("message.pin", c=c, id=message, op=uuid7()) == {"seq": 5, "unchanged": True}
    assert a.ask("message.unpin", c=c, id=message, op=uuid7()) == {"seq": 6}
    assert b.push("message.unpinned", c)["p"] == {"id": message, "by": who(a)}
    assert not a.ask("message.get", c=c, id=message)["message"].get("pinned")
    for emoji in ("", "x" * 1000):
        assert a.refused("reaction.add", c=c, id=message, emoji=emoji)["code"] in ("bad_request", "too_large")
    for m in ("reaction.add", "reaction.remove"):
        assert a.refused(m, c=c, id=uuid7(), emoji="x")["code"] == "not_found"
    for m in ("message.pin", "message.unpin"):
        assert a.refused(m, c=c, id=uuid7())["code"] == "not_found"


def test_receipts(group: Group, dev: Dev, twin: bool) -> None:
    c, (a, b) = group(2, twin)
    for _ in range(3):
        send(a, c)
    other = dev.connect(who(b), twin)
    other.ask("conversation.watch", c=c)
    assert b.ask("message.delivered", c=c, seq=3) == {}
    got = a.push("message.delivered", c)
    assert set(got) == {"t", "c", "p"}
    assert set(got["p"]) == {"user", "seq", "at"}
    assert (got["p"]["user"], got["p"]["seq"]) == (who(b), 3)
    assert type(got["p"]["at"]) is int
    assert b.ask("message.read", c=c, seq=4) == {}
    got = a.push("message.read", c)
    assert (got["p"]["user"], got["p"]["seq"]) == (who(b), 4)
    assert other.push("message.read", c)["p"]["seq"] == 4
    assert b.ask("message.read", c=c, seq=2) == {}
    send(a, c)
    assert b.ask("message.read", c=c, seq=5) == {}
    assert a.push("message.read", c)["p"]["seq"] == 5
    b.settle()
    assert not [p for p in b.pushes if p["t"] in ("message.read", "message.delivered") and p["p"]["user"] == who(b)]
    watched = a.ask("conversation.watch", c=c)
    assert watched["read"][who(b)] == 5
    assert watched["delivered"][who(b)] >= 3
    moved = b.push("read.moved", "me")
    assert set(moved) == {"t", "c", "s", "at", "p"}
    assert moved["p"]["conversations"][c] in (4, 5)
    assert other.push("read.moved", "me")["p"] == moved["p"]
    assert {m["user"]["id"]: m.get("read_seq") for m in a.ask("member.list", c=c)["items"]}[who(b)] == 5
    got = b.refused("message.read", c=c, seq=10_000)
    assert got["code"] in ("bad_request", "unavailable")


def test_typing(group: Group, dev: Dev, twin: bool) -> None:
    c, (a, b) = group(2, twin)
    second = dev.connect(who(a), twin)
    second.ask("conversation.watch", c=c)
    assert a.ask("typing.start", c=c) == {}
    started = b.push("typing.started", c)
    assert started == {"t": "typing.started", "c": c, "p": {"user": who(a), "kind": "text"}}
    second.push("typing.started", c)
    a.ask("typing.stop", c=c)
    assert b.push("typing.stopped", c)["p"] == {"user": who(a), "kind": "text"}
    root, _ = send(b, c)
    a.ask("typing.start", c=c, kind="voice", thread=root)
    assert b.push("typing.started", c)["p"] == {"user": who(a), "kind": "voice", "thread": root}
    send(a, c, thread=root)
    b.push("typing.stopped", c)
    a.ask("typing.start", c=c, kind="file")
    b.push("typing.started", c, kind="file")
    send(a, c)
    b.push("typing.stopped", c)
    a.ask("typing.start", c=c)
    b.push("typing.started", c)
    assert not [p for p in a.pushes if p["t"].startswith("typing")]
    a.end()
    b.push("typing.stopped", c)
    assert b.refused("typing.start", c=c, kind="dance")["code"] == "bad_request"


def test_presence(dev: Dev, twin: bool) -> None:
    a, b = dev.user(), dev.user()
    one, two = dev.connect(a, twin), dev.connect(b, twin)
    got = one.ask("presence.watch", users=[b, a])
    assert one.refused("presence.watch", users=[b, "nobody"])["code"] == "not_found"
    assert set(got) == {"items"}
    mine = {i["user"]: i for i in got["items"]}
    assert {"user", "status"} <= set(mine[b]) <= {"user", "status", "text", "last_seen_at"}
    assert mine[b]["status"] == "online"
    assert two.ask("presence.set", status="dnd", text="busy") == {}
    got = one.push("presence.changed", user=b, status="dnd")
    assert set(got) == {"t", "p"}
    assert got["p"]["text"] == "busy"
    two.ask("presence.set", status="away")
    assert "text" not in one.push("presence.changed", user=b, status="away")["p"]
    two.ask("presence.set", status="online")
    one.push("presence.changed", user=b, status="online")
    assert two.refused("presence.set", status="offline")["code"] == "bad_request"
    assert two.refused("presence.set", status="gone")["code"] == "bad_request"
    assert one.ask("presence.unwatch", users=[b]) == {}
    said = dev.rest("GET", f"/presence?users={b},{a}", CAAS_User=a)
    assert said.status == 200
    assert {i["user"] for i in said.body["items"]} == {a, b}
    assert dev.rest("PUT", "/presence", {"status": "dnd"}, CAAS_User=b).body == {}


def test_users(dev: Dev, twin: bool) -> None:
    user = dev.user()
    one = dev.connect(user, twin)
    got = one.ask("user.update", display_name="N", custom={"k": 1}, op=uuid7())
    assert got == {"user": {"id": user, "display_name": "N", "custom": {"k": 1}}}
    assert one.ask("user.get", users=["nobody", user]) == {"items": [{"id": user, "display_name": "N", "custom": {"k": 1}}]}
    got = one.ask("user.update", display_name="N", op=uuid7())
    assert got["user"]["display_name"] == "N"


def test_notices_and_mentions_and_invitations(dev: Dev, twin: bool) -> None:
    a, b = dev.user(), dev.user()
    one, two = dev.connect(a, twin), dev.connect(b, twin)
    c = one.ask("conversation.create", type="group", members=[b], op=uuid7())["conversation"]["id"]
    two.push("conversation.joined", "me", conversation=c)
    invited = two.push("invite.new", "me")
    assert invited["p"] == {"conversation": c, "by": a}
    message, sent = send(one, c, mentions=[b])
    notice = two.push("notice.message", c)
    assert notice == {"t": "notice.message", "c": c, "p": {"seq": sent["seq"], "n": sent["n"], "sender": a}}
    mention = two.push("mention.new", "me")
    assert mention["p"] == {"conversation": c, "message": message}


def test_the_first_entries_of_me(dev: Dev) -> None:
    user = dev.user()
    one = dev.connect(user)
    got = one.ask("conversation.sync", c="me", after=0)
    assert [e["s"] for e in got["entries"]] == list(range(1, got["head"] + 1))
    known = {
        "mention.new",
        "invite.new",
        "conversation.joined",
        "conversation.left",
        "read.moved",
        "message.hidden",
        "setting.changed",
        "block.changed",
        "skip",
    }
    assert {e["t"] for e in got["entries"]} <= known


def test_token_refresh(dev: Dev, twin: bool) -> None:
    user = dev.user()
    one = dev.connect(user, twin)
    fresh = dev.session(user)
    got = one.ask("token.refresh", token=fresh["token"])
    assert set(got) == {"expires_at"}
    assert got["expires_at"] == fresh["expires_at"]
    assert one.refused("token.refresh", token=dev.token("bob"))["code"] in ("forbidden", "token_invalid")
    assert one.refused("token.refresh", token="x")["code"] == "token_invalid"
    one.settle()


@pytest.mark.parametrize("size", [1500])
def test_a_deep_pipeline(group: Group, size: int) -> None:
    c, (a, b) = group(2)
    asked = [a.say("message.send", c=c, id=uuid7(), text=str(k)) for k in range(size)]
    seqs = [a.answer(i)["seq"] for i in asked]
    assert seqs == list(range(2, size + 2))
    assert [b.push("message.new", c)["p"]["text"] for _ in range(size)] == [str(k) for k in range(size)]


def test_repeats_over_another_transport_and_at_once(group: Group, dev: Dev) -> None:
    c, (a, _) = group(2)
    message, first = send(a, c)
    key = {"CAAS_User": who(a), "Idempotency_Key": message}
    got = dev.rest("POST", f"/conversations/{c}/messages", {"text": "hello"}, **key)
    assert (got.status, got.body) == (200, {**first, "duplicate": True})
    got = dev.rest("POST", f"/conversations/{c}/messages", {"text": "hello", "id": message}, CAAS_User=who(a))
    assert (got.status, got.body) == (200, {**first, "duplicate": True})
    op = uuid7()
    first = a.ask("reaction.add", c=c, id=message, emoji="x", op=op)
    got = dev.rest("PUT", f"/conversations/{c}/messages/{message}/reactions/x", CAAS_User=who(a), Idempotency_Key=op)
    assert (got.status, got.body) == (200, {**first, "duplicate": True})
    others = [dev.connect(who(a), k % 2 == 1) for k in range(4)]
    same = uuid7()
    asked = [(one, one.say("message.send", c=c, id=same, text="once")) for one in others]
    answers = [one.answer(i) for one, i in asked]
    assert len({r["seq"] for r in answers}) == 1
    assert sum("duplicate" not in r for r in answers) == 1
    one, i = a, uuid7()
    a.put([{"i": 70001 + k, "m": "message.send", "p": {"c": c, "id": i, "text": "twice"}} for k in range(3)])
    answers = [one.answer(70001 + k) for k in range(3)]
    assert [r.get("duplicate", False) for r in answers] == [False, True, True]


def test_nobody_added_changes_nothing(group: Group) -> None:
    c, (a, _) = group(2)
    assert a.ask("member.add", c=c, users=[], op=uuid7()) == {"seq": 1, "unchanged": True}
    message, _ = send(a, c)
    a.ask("reaction.add", c=c, id=message, emoji="x", op=uuid7())
    send(a, c)
    assert a.ask("reaction.add", c=c, id=message, emoji="x", op=uuid7()) == {"seq": 4, "unchanged": True}  # the head
    assert a.ask("message.edit", c=c, id=message, text="hello", op=uuid7())["unchanged"] is True
    assert a.ask("conversation.update", c=c, op=uuid7())["unchanged"] is True


def test_mentions_reach_members_alone(group: Group, dev: Dev) -> None:
    c, (a, b) = group(2)
    stranger = dev.connect(dev.user())
    name = stranger.welcome["user"]["id"]  # type: ignore[attr-defined]
    send(a, c, mentions=[name, who(b), who(b)])
    b.push("mention.new", "me")
    a.ask("member.add", c=c, users=[name], op=uuid7())
    stranger.push("conversation.joined", "me")
    assert not [p for p in stranger.pushes if p["t"] == "mention.new"]


def test_freezing_changes_capabilities(group: Group) -> None:
    c, (a, b) = group(2)
    a.ask("conversation.freeze", c=c, frozen=True, op=uuid7())
    got = b.push("capabilities.changed", c)
    assert not {"send", "react", "edit_own"} & set(got["p"]["capabilities"])
    a.ask("conversation.freeze", c=c, frozen=False, op=uuid7())
    assert {"send", "react", "edit_own"} <= set(b.push("capabilities.changed", c)["p"]["capabilities"])


def test_hiding_twice_and_hiding_again_when_one_is_out(group: Group) -> None:
    c, (a, b) = group(2)
    message, _ = send(a, c)
    op = uuid7()
    first = b.ask("message.delete", c=c, id=message, op=op, **{"for": "me"})
    got = b.ask("message.delete", c=c, id=message, op=uuid7(), **{"for": "me"})
    assert got["unchanged"] is True
    assert b.refused("message.delete", c=c, id=uuid7(), op=uuid7(), **{"for": "me"})["code"] == "not_found"
    a.ask("member.remove", c=c, user=who(b), op=uuid7())
    assert b.ask("message.delete", c=c, id=message, op=op, **{"for": "me"}) == {**first, "duplicate": True}
    assert b.refused("message.delete", c=c, id=message, op=uuid7(), **{"for": "me"})["code"] == "not_found"


def test_pages_from_the_edges(group: Group) -> None:
    c, (a, _) = group(2)
    root, _ = send(a, c)
    send(a, c, thread=root)
    assert a.ask("message.list", c=c, before=0) == {"items": []}
    assert a.ask("message.list", c=c, thread=root, before=0) == {"items": []}
    assert len(a.ask("message.list", c=c, after=0)["items"]) == 1
    assert a.ask("message.list", c=c, after=1000)["items"] == []
    assert len(a.ask("message.list", c=c, before=1000)["items"]) == 1
    assert len(a.ask("message.list", c=c, around=0)["items"]) == 1
