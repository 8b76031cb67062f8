"""What is refused of a message before its conversation is asked. Pure."""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from protocol import limits
from protocol.errors import Refused, too_large
from protocol.ids import parse_act
from services.conversations.rules import check_custom, check_users
from services.messages.model import Edit, Send


def check_message(p: Send) -> None:
    """Its shape and its sizes."""
    check_content(p)
    if p.type == "system":
        raise Refused("forbidden", "Only the server sends messages of type `system`: choose another type.", field="type")
    if not p.text and not p.attachments and p.custom is UNSET:  # "" and [] say nothing either
        raise Refused("bad_request", "A message needs `text`, `attachments` or `custom`.", field="text")
    check_reference(p.reply_to, "reply_to")
    check_reference(p.thread, "thread")


def check_content(p: Send | Edit) -> None:
    """What can be said, and said anew."""
    if p.text is not UNSET and p.text is not None:
        check_text(p.text)
    if p.attachments and len(p.attachments) > limits.ATTACHMENTS:
        raise too_large("attachments", limits.ATTACHMENTS, len(p.attachments), "attachments")
    if p.mentions:
        check_mentions(p.mentions)
    if p.custom is not None:
        check_custom(p.custom)


def check_edit(p: Edit) -> None:
    """Its shape and its sizes; it has to change something."""
    check_content(p)
    if all(getattr(p, name) is UNSET for name in ("text", "attachments", "mentions", "custom")):
        raise Refused("bad_request", "An edit needs `text`, `attachments`, `mentions` or `custom`.", field="text")


def check_left(body: Mapping[str, Any]) -> None:
    """An edit leaves something of the message."""
    if all(body.get(name) is None for name in ("text", "attachments", "custom")):
        raise Refused("bad_request", "A message needs `text`, `attachments` or `custom`: delete it instead.", field="text")


def check_text(text: str) -> None:
    """Text, by its bytes of UTF-8."""
    if len(text) * 4 > limits.TEXT and (size := len(text.encode())) > limits.TEXT:
        raise too_large("text", limits.TEXT, size, "text")


def check_mentions(users: list[str]) -> None:
    """Who is mentioned."""
    if len(users) > limits.MENTIONS:
        raise too_large("mentions", limits.MENTIONS, len(users), "mentions")
    check_users(users, "mentions")


def check_reference(message: Any, field: str) -> None:
    """Another message's id."""
    if message is not UNSET and parse_act(message) is None:
        raise Refused("bad_request", f"`{field}` must be a message's id, a lower-case UUIDv7.", field=field)
