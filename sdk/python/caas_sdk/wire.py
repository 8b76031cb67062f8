"""The constants of the wire, written by the server's `make generated`: change them there."""

LIMITS: dict[str, int] = {
    "text": 16384,
    "custom": 4096,
    "attachments": 30,
    "mentions": 100,
    "frame": 65536,
    "batch": 64,
    "resume": 200,
    "members": 100,
    "group": 10000,
    "presence": 500,
}
"""The defaults, by the names they have in `hello.limits`."""

GOING_AWAY = 4400
TOKEN_EXPIRED = 4401
SLOW = 4408
TOO_MANY = 4429
BAD_FRAME = 4500
NO_HELLO = 4501
TOKEN_INVALID = 4502
REVOKED = 4503
PROTOCOL = 4504
REASONS: dict[int, str] = {
    4400: "going_away",
    4401: "token_expired",
    4408: "slow",
    4429: "too_many",
    4500: "bad_frame",
    4501: "no_hello",
    4502: "token_invalid",
    4503: "revoked",
    4504: "protocol",
}
"""Close codes of the server, and what they say."""

RETRYABLE: dict[str, bool] = {
    "bad_frame": False,
    "bad_request": False,
    "unknown_command": False,
    "id_in_future": False,
    "not_authenticated": False,
    "token_expired": False,
    "token_invalid": False,
    "forbidden": False,
    "not_a_member": False,
    "frozen": False,
    "blocked": False,
    "feature_disabled": False,
    "not_found": False,
    "id_conflict": False,
    "id_expired": False,
    "too_large": False,
    "too_many": True,
    "internal": False,
    "unavailable": True,
    "timeout": True,
    "storage_full": True,
}
"""Every code that the server refuses with, and whether sending the same again, with the same id, may succeed."""

COMMANDS: tuple[str, ...] = (
    "hello", "token.refresh", "conversation.create", "conversation.get", "conversation.watch", "conversation.unwatch", "conversation.update",
    "conversation.freeze", "conversation.join", "conversation.leave", "conversation.delete", "conversation.list", "conversation.sync",
    "member.add", "member.remove", "member.update", "member.list", "message.send", "message.edit", "message.delete", "message.list",
    "message.get", "reaction.add", "reaction.remove", "message.pin", "message.unpin", "message.read", "message.delivered", "typing.start",
    "typing.stop", "presence.set", "presence.watch", "presence.unwatch", "presence.get", "limits.get", "user.get", "user.show", "user.list",
    "user.update", "user.put", "token_key.create", "token_key.list", "token_key.delete", "user.block", "user.unblock", "user.blocks",
)
"""All commands."""

DURABLE: tuple[str, ...] = (
    "skip", "message.new", "message.updated", "message.deleted", "reaction.added", "reaction.removed", "message.pinned", "message.unpinned",
    "member.added", "member.removed", "member.updated", "conversation.created", "conversation.updated", "conversation.frozen",
    "conversation.deleted", "mention.new", "invite.new", "conversation.joined", "conversation.left", "read.moved", "message.hidden",
    "setting.changed", "block.changed",
)
"""Pushes that are entries of a conversation and have a place `s` there."""

EPHEMERAL: tuple[str, ...] = (
    "message.read", "message.delivered", "typing.started", "typing.stopped", "notice.message", "conversation.watching", "capabilities.changed",
    "presence.changed", "heads", "session.revoked",
)
"""Pushes that are told once."""
