"""One example of everything that is said: of each command what is asked and answered, of each push the whole frame.

The golden frames in `protocol/vectors/`, the examples of `/openapi.json` and those of the docs are all made of these.
"""

from typing import Any, NamedTuple

from protocol.limits import HEARTBEAT_S, LIMITS

AT = 1_700_000_000_000
FIRST, SECOND, THIRD = (f"018bcfe5-6800-7000-8000-00000000000{n}" for n in (1, 2, 3))
"""Messages."""
OP = "018bcfe5-6801-7000-8000-0000000000aa"
CUSTOM = {"order": 4711, "tags": ["paid", "gift"]}

ALICE = {"id": "alice", "display_name": "Alice", "avatar_url": "https://cdn.example.com/alice.png", "custom": {"plan": "pro"}}
BOB = {"id": "bob", "display_name": "Bob"}
ATTACHMENT = {"kind": "image", "url": "https://cdn.example.com/cat.jpg", "mime": "image/jpeg", "name": "cat.jpg", "size": 84_211,
              "width": 1_280, "height": 960}
MESSAGE = {"id": FIRST, "seq": 2, "n": 1, "sender": "alice", "type": "text", "text": "Hello, Bob 👋", "mentions": ["bob"], "sent_at": AT}
REACTED_TO = {**MESSAGE, "reactions": {"👍": {"count": 2, "users": ["bob", "carol"], "own": False}}, "pinned": True}
PICTURE = {"id": SECOND, "seq": 3, "n": 2, "sender": "bob", "type": "image", "attachments": [ATTACHMENT], "reply_to": FIRST, "custom": CUSTOM,
           "sent_at": AT + 1_000}
TOMBSTONE = {"id": THIRD, "seq": 4, "n": 3, "sender": "bob", "type": "text", "sent_at": AT + 2_000, "deleted_at": AT + 9_000}
CONVERSATION = {"id": "support-42", "type": "group", "access": "private", "name": "Order 4711", "custom": CUSTOM, "created_by": "alice",
                "created_at": AT - 60_000, "updated_at": AT, "member_count": 3, "head": 7}
CAPABILITIES = ["send", "react", "pin", "edit_own", "delete_own"]
OWNERS = ["send", "react", "pin", "edit_own", "edit_any", "delete_own", "delete_any", "update", "add_members", "remove_members",
          "set_roles", "freeze", "delete"]
WATCHED = {"head": 7, "epoch": 1, "read": {"alice": 7, "bob": 5}, "delivered": {"alice": 7, "bob": 7}}
MISSED = {**WATCHED, "from": 5, "to": 7}
ROW = {"conversation": CONVERSATION, "role": "member", "read_seq": 5, "read_n": 3, "last_n": 5, "own_n": 2, "unread": 2, "unread_mentions": 1,
       "last_message": MESSAGE, "pinned": True}
CURSOR = "kgGoc3VwcG9ydA=="
C = "support-42"


class Example(NamedTuple):
    """What is asked, and what is answered to it."""

    p: dict[str, Any]
    r: dict[str, Any]


def _act(seq: int) -> dict[str, Any]:
    return {"seq": seq}


def _rate(per_s: float, burst: int, used: int) -> dict[str, Any]:
    return {"per_s": per_s, "burst": burst, "used": used, "remaining": burst - used}


_ON_MESSAGE = {"c": C, "id": FIRST, "op": OP}
_REACTION = {"c": C, "id": FIRST, "emoji": "👍", "op": OP}
_RECEIPT = {"c": C, "seq": 7}

_JWK = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
"""The key of RFC 8037, appendix A."""
_KEY = {"id": "tk_0123456789abcdefghjk", "algorithm": "EdDSA", "fingerprint": "SHA256:BuP9j9opu2CrWVV95h7bCuzbIxE0vjDnW0Vfjht5L6k",
        "created_at": AT, "name": "backend, 2026"}

_THERE = {"items": [{"user": "bob", "status": "away", "text": "Lunch"}, {"user": "carol", "status": "offline", "last_seen_at": AT - 600_000}]}

COMMANDS: dict[str, Example] = {
    "hello": Example(
        {"token": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl", "device": {"id": "pixel-9", "platform": "android", "name": "Pixel"},
         "sdk": "caas-js/1.0", "resume": {C: {"seq": 4, "epoch": 1}}},
        {"protocol": "caas.v1", "session": "s4k2m9", "user": ALICE, "server_time": AT, "heartbeat_s": HEARTBEAT_S, "limits": LIMITS,
         "me": {**WATCHED, "head": 3, "read": {}, "delivered": {}}, "conversations": {C: MISSED}}),
    "token.refresh": Example({"token": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbGljZSJ9.YW5vdGhlcg"}, {"expires_at": AT + 900_000}),
    "conversation.create": Example(
        {"id": C, "op": OP, "type": "group", "name": "Order 4711", "members": ["bob", "carol"], "custom": CUSTOM}, {"conversation": CONVERSATION}),
    "conversation.get": Example({"c": C}, {"conversation": CONVERSATION, "role": "member", "capabilities": CAPABILITIES}),
    "conversation.watch": Example(
        {"c": C, "after": 4, "epoch": 1}, {"conversation": CONVERSATION, "role": "member", "capabilities": CAPABILITIES, **MISSED}),
    "conversation.unwatch": Example({"c": C}, {}),
    "conversation.update": Example(
        {"c": C, "name": "Order 4711, paid", "photo_url": None, "op": OP}, {"conversation": {**CONVERSATION, "name": "Order 4711, paid", "head": 8}}),
    "conversation.freeze": Example({"c": C, "frozen": True, "op": OP}, _act(8)),
    "conversation.join": Example({"c": C, "op": OP}, _act(8)),
    "conversation.leave": Example({"c": C, "op": OP}, _act(8)),
    "conversation.delete": Example({"c": C, "op": OP}, _act(8)),
    "conversation.list": Example({"limit": 50}, {"items": [ROW], "next": CURSOR}),
    "conversation.sync": Example(
        {"c": C, "after": 1, "epoch": 1, "limit": 200},
        {"entries": [{"t": "message.new", "c": C, "s": 2, "at": AT, "p": MESSAGE}, {"t": "skip", "c": C, "s": 3},
                     {"t": "message.new", "c": C, "s": 4, "at": AT + 2_000, "p": TOMBSTONE}], "head": 4, "epoch": 1, "more": False}),
    "member.add": Example({"c": C, "users": ["dora", "emil"], "op": OP}, _act(8)),
    "member.remove": Example({"c": C, "user": "carol", "op": OP}, _act(8)),
    "member.update": Example({"c": C, "user": "bob", "role": "admin", "op": OP}, _act(8)),
    "member.list": Example(
        {"c": C, "limit": 50}, {"items": [{"user": ALICE, "role": "owner", "joined_at": AT - 60_000, "read_seq": 7},
                                          {"user": BOB, "role": "member", "joined_at": AT - 60_000}], "next": CURSOR}),
    "message.send": Example({"c": C, "id": FIRST, "text": "Hello, Bob 👋", "mentions": ["bob"]}, {"id": FIRST, "seq": 2, "n": 1, "sent_at": AT}),
    "message.edit": Example({**_ON_MESSAGE, "text": "Hello, Bob and Carol"}, {"seq": 8, "edited_at": AT + 5_000}),
    "message.delete": Example({**_ON_MESSAGE, "for": "all"}, _act(8)),
    "message.list": Example({"c": C, "before": 5, "limit": 50}, {"items": [MESSAGE, PICTURE, TOMBSTONE], "next": 4}),
    "message.get": Example({"c": C, "id": FIRST}, {"message": {**REACTED_TO, "edited_at": AT + 5_000}, "edits": [{"text": "Helo, Bob", "at": AT}]}),
    "reaction.add": Example(_REACTION, _act(8)),
    "reaction.remove": Example(_REACTION, _act(8)),
    "message.pin": Example(_ON_MESSAGE, _act(8)),
    "message.unpin": Example(_ON_MESSAGE, _act(8)),
    "message.read": Example(_RECEIPT, {}),
    "message.delivered": Example(_RECEIPT, {}),
    "typing.start": Example({"c": C, "kind": "text"}, {}),
    "typing.stop": Example({"c": C}, {}),
    "presence.set": Example({"status": "dnd", "text": "In a meeting"}, {}),
    "presence.watch": Example({"users": ["bob", "carol"]}, _THERE),
    "presence.unwatch": Example({"users": ["bob"]}, {}),
    "presence.get": Example({"users": ["bob", "carol"]}, _THERE),
    "limits.get": Example({}, {"enforced": True, "caller": {"send": _rate(10, 30, 12)}, "tenant": {"send": _rate(1_000, 3_000, 160)}}),
    "user.get": Example({"users": ["alice", "bob"]}, {"items": [ALICE, BOB]}),
    "user.show": Example({"user": "alice"}, {"user": ALICE}),
    "user.list": Example({"limit": 50}, {"items": [ALICE, BOB], "next": CURSOR}),
    "user.update": Example({"user": "alice", "display_name": "Alice", "op": OP}, {"user": ALICE}),
    "user.put": Example({"user": "alice", "display_name": "Alice", "custom": {"plan": "pro"}, "op": OP}, {"user": ALICE, "created": False}),
    "token_key.create": Example({"public_key": _JWK, "name": "backend, 2026"}, {"key": _KEY}),
    "token_key.list": Example({}, {"items": [{**_KEY, "last_used_at": AT + 5_000}]}),
    "token_key.delete": Example({"key": _KEY["id"]}, {}),
    "user.block": Example({"user": "mallory", "op": OP}, _act(4)),
    "user.unblock": Example({"user": "mallory", "op": OP}, _act(5)),
    "user.blocks": Example({"limit": 50}, {"items": [{"user": {"id": "mallory", "display_name": "Mallory"}, "blocked_at": AT}], "next": CURSOR}),
}
"""By the command's name."""


def _durable(t: str, p: dict[str, Any], s: int = 8, c: str = C) -> dict[str, Any]:
    return {"t": t, "c": c, "s": s, "at": AT + 5_000, "p": p}


def _own(t: str, p: dict[str, Any]) -> dict[str, Any]:
    return _durable(t, p, 4, "me")


def _passing(t: str, p: dict[str, Any]) -> dict[str, Any]:
    return {"t": t, "c": C, "p": p}


_PUSHES: list[dict[str, Any]] = [
    {"t": "skip", "c": C, "s": 3},
    {"t": "message.new", "c": C, "s": 2, "at": AT, "p": MESSAGE},
    _durable("message.updated", {"id": FIRST, "by": "alice", "edited_at": AT + 5_000, "text": "Hello, Bob and Carol", "custom": None}),
    _durable("message.deleted", {"id": THIRD, "by": "bob"}),
    _durable("reaction.added", {"id": FIRST, "emoji": "👍", "user": "bob", "count": 2}),
    _durable("reaction.removed", {"id": FIRST, "emoji": "👍", "user": "bob", "count": 1}),
    _durable("message.pinned", {"id": FIRST, "by": "alice"}),
    _durable("message.unpinned", {"id": FIRST, "by": "alice"}),
    _durable("member.added", {"users": ["dora", "emil"], "by": "alice"}),
    _durable("member.removed", {"user": "carol", "by": "alice"}),
    _durable("member.updated", {"user": "bob", "role": "admin", "by": "alice"}),
    _durable("conversation.created", {"conversation": {**CONVERSATION, "head": 1, "updated_at": AT - 60_000}, "members": ["alice", "bob", "carol"],
                                      "by": "alice"}, 1),
    _durable("conversation.updated", {"by": "alice", "name": "Order 4711, paid", "photo_url": None}),
    _durable("conversation.frozen", {"frozen": True, "by": "alice"}),
    _durable("conversation.deleted", {"by": "alice"}),
    _own("mention.new", {"conversation": C, "message": FIRST}),
    _own("invite.new", {"conversation": C, "by": "alice"}),
    _own("conversation.joined", {"conversation": C, "by": "alice"}),
    _own("conversation.left", {"conversation": C, "by": "alice"}),
    _own("read.moved", {"conversations": {C: 7, "lobby": 112}}),
    _own("message.hidden", {"conversation": C, "id": FIRST}),
    _own("setting.changed", {"name": "language", "value": "de"}),
    _own("block.changed", {"user": "mallory", "blocked": True}),
    _passing("message.read", {"user": "bob", "seq": 7, "at": AT + 5_000}),
    _passing("message.delivered", {"user": "bob", "seq": 7, "at": AT + 5_000}),
    _passing("typing.started", {"user": "bob", "kind": "voice"}),
    _passing("typing.stopped", {"user": "bob", "kind": "voice"}),
    _passing("notice.message", {"seq": 9, "n": 6, "sender": "bob"}),
    _passing("conversation.watching", MISSED),
    _passing("capabilities.changed", {"role": "owner", "capabilities": OWNERS}),
    {"t": "presence.changed", "p": {"user": "bob", "status": "offline", "last_seen_at": AT}},
    {"t": "heads", "p": {"epoch": 1, "conversations": {C: 9}}},
    {"t": "session.revoked", "p": {"reason": "revoked"}},
]
PUSHES: dict[str, dict[str, Any]] = {str(frame["t"]): frame for frame in _PUSHES}
"""By the push's name."""

REQUEST_ID = "018bcfe5-6802-7000-8000-0000000000ff"
ERROR = {"code": "not_found", "message": "There is no such conversation.", "retryable": False, "request_id": REQUEST_ID, "field": "c"}
TOO_LARGE = {"code": "too_large", "message": "`text` is 20000, and at most 16384 is possible: make it smaller.", "retryable": False,
             "request_id": REQUEST_ID, "field": "text", "limit": {"name": "text", "max": 16_384, "got": 20_000}}
