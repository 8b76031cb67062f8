"""What is refused before a conversation's log is asked. Pure."""

import base64
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from protocol import limits
from protocol.errors import Refused, too_large
from protocol.ids import is_chosen_id, is_conversation_id, is_user_id, parse_act
from services.conversations.model import Create
from services.rights import ROLES

_compact = msgspec.json.Encoder().encode


def checked_op(text: str, field: str, now_ms: int, ahead_ms: int = 60_000) -> bytes:
    """The 16 bytes of an act's id; refused when it is no lower-case UUIDv7, or too far ahead."""
    op = parse_act(text)
    if op is None:
        raise Refused("bad_request", f"`{field}` must be a lower-case UUIDv7.", field=field)
    if int.from_bytes(op[:6], "big") > now_ms + ahead_ms:
        raise Refused("id_in_future", f"`{field}` is more than a minute ahead: make ids by the server's clock (`server_time`).", field=field)
    return op


def check_conversation(conversation: str, field: str = "c") -> None:
    """The name of a conversation that may exist."""
    if not is_conversation_id(conversation):
        raise Refused("bad_request", f"`{field}` must be 1-128 of A-Za-z0-9_@.:+- (or an id the server gave).", field=field)


def check_users(users: Sequence[str], field: str) -> None:
    """Ids of users, not too many, each possible."""
    if len(users) > limits.MEMBERS:
        raise too_large("members", limits.MEMBERS, len(users), field)
    for place, user in enumerate(users):
        check_user(user, f"{field}.{place}")


def check_user(user: str, field: str) -> None:
    """The id of a user who may exist."""
    if not is_user_id(user):
        raise Refused("bad_request", "A user's id is 1-128 of A-Za-z0-9_@.:+-, and not `me`, `.` or `..`.", field=field)


def check_role(role: str) -> None:
    """A role that a member may have."""
    if role not in ROLES:
        raise Refused("bad_request", f"There is no such role: choose one of {', '.join(ROLES)}.", field="role")


def check_custom(custom: Any, field: str = "custom") -> None:
    """Own data: its keys are text at every depth, and it is small enough as compact JSON."""
    if custom is UNSET or custom is None:
        return
    if not _texts(custom):
        raise Refused("bad_request", f"Keys in `{field}` must be text.", field=field)
    if (size := len(_compact(custom))) > limits.CUSTOM:
        raise too_large("custom", limits.CUSTOM, size, field)


def _texts(value: Any) -> bool:
    """Whether all keys are text. No deeper than a command may be nested."""
    if isinstance(value, dict):
        return all(type(key) is str and _texts(inner) for key, inner in value.items())
    return not isinstance(value, list) or all(_texts(inner) for inner in value)


def check_create(p: Create) -> None:
    """The shape of a new conversation."""
    if p.type == "channel":
        raise Refused("feature_disabled", "Channels are not switched on for this application.", field="type")
    if p.id is not UNSET and not is_chosen_id(p.id):
        raise Refused("bad_request", "`id` must be 1-128 of A-Za-z0-9_@.:+- and not `me`.", field="id")
    check_users(p.members or [], "members")
    check_custom(p.custom)
    if p.type == "direct":
        _check_direct(p)


def _check_direct(p: Create) -> None:
    for field in ("id", "name"):
        if getattr(p, field) is not UNSET:
            raise Refused("bad_request", f"A direct conversation has no `{field}`: leave it out.", field=field)
    if p.access not in (UNSET, "private"):
        raise Refused("bad_request", "A direct conversation is private.", field="access")


def check_pair(others: Sequence[str]) -> None:
    """A direct conversation is of exactly two."""
    if len(others) != 1:
        raise Refused("bad_request", "A direct conversation takes exactly one other user.", field="members")


def page_size(limit: Any, default: int, most: int) -> int:
    """A page's size: what was asked for, clamped."""
    return default if limit is UNSET else min(int(limit), most)


def read_cursor(cursor: Any, kinds: type) -> Any:
    """What a cursor of ours says; None without one."""
    if cursor is UNSET:
        return None
    try:
        values: tuple[Any, ...] = msgspec.msgpack.decode(base64.urlsafe_b64decode(cursor.encode()), type=kinds)
    except (ValueError, msgspec.MsgspecError) as error:
        raise _no_cursor() from error
    if any(isinstance(value, int) and abs(value) > limits.LARGEST_INTEGER for value in values):
        raise _no_cursor()
    return values


def _no_cursor() -> Refused:
    return Refused("bad_request", "`cursor` is not one that the server gave: begin without it.", field="cursor")


def make_cursor(*values: Any) -> str:
    """An opaque cursor."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(values)).decode()
