"""What is refused of a message before its conversation is asked. Pure."""

from typing import Any

from msgspec import UNSET

from protocol import limits
from protocol.errors import Refused, too_large
from protocol.ids import parse_act
from services.conversations.rules import check_custom, check_users
from services.messages.model import Send


def check_message(p: Send) -> None:
    """Its shape and its sizes."""
    if p.text is not UNSET:
        check_text(p.text)
    if p.attachments is not UNSET and len(p.attachments) > limits.ATTACHMENTS:
        raise too_large("attachments", limits.ATTACHMENTS, len(p.attachments), "attachments")
    if p.mentions is not UNSET:
        check_mentions(p.mentions)
    if p.custom is not UNSET:
        check_custom(p.custom)
    if p.type == "system":
        raise Refused("forbidden", "Only the server sends messages of type `system`: choose another type.", field="type")
    if p.text is UNSET and p.attachments is UNSET and p.custom is UNSET:
        raise Refused("bad_request", "A message needs `text`, `attachments` or `custom`.", field="text")
    for field in ("reply_to", "thread"):
        check_reference(getattr(p, field), field)


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
