"""What is refused before a user is looked at, and what a user is after a change. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from protocol.errors import Refused
from protocol.ids import act_time, is_user_id
from services.conversations.rules import check_custom
from services.scope import Scope
from services.users.model import KEPT_MS, TOLD, Profile, Put, Update, User

_ID = "A user's id is 1-128 of A-Za-z0-9_@.:+-, and not `me`, `.` or `..`."


def check_profile(profile: Profile, field: str) -> None:
    """What a company says must be possible; `field` is where it stands in the request. Raises Refused."""
    if not is_user_id(profile.external_id):
        raise Refused("bad_request", _ID, field=f"{field}.external_id")
    check_custom(profile.custom, f"{field}.custom")


def changed_user(scope: Scope, p: Update) -> str:
    """Whom a change is about, by the company's id: oneself, or for the application whom it names. Raises Refused."""
    if scope.is_application:
        if p.user is UNSET:
            raise Refused("bad_request", "Say which user: the application itself is none.", field="user")
        return p.user
    if p.user not in (UNSET, scope.external):
        raise Refused("forbidden", "A user changes nobody else: the application may, by its secret key.", field="user")
    return scope.external


def check_new(user: str) -> None:
    """Whether a user may be called so. Raises Refused."""
    if not is_user_id(user):
        raise Refused("bad_request", _ID, field="user")


def check_age(op: bytes, now_ms: int) -> None:
    """An act whose first answer may have been forgotten is not carried out again. Raises Refused."""
    if act_time(op) < now_ms - KEPT_MS:
        raise Refused("id_expired", "This act is older than 30 days: make a new one.", field="op")


def given(p: Update) -> dict[str, Any]:
    """The fields that a change sets; None clears. A `Put` sets them all."""
    values = {name: getattr(p, name) for name in TOLD}
    if isinstance(p, Put):
        return {name: None if value is UNSET else value for name, value in values.items()}
    return {name: value for name, value in values.items() if value is not UNSET}


def changed(user: User | None, external: str, fields: Mapping[str, Any], now_ms: int, act: str = "", digest: str = "") -> User:
    """The user after this was said; the same object when it says nothing new."""
    if user is None:
        return User(external, now_ms, now_ms, 1, act=act, digest=digest, **fields)
    if all(getattr(user, name) == value for name, value in fields.items()):
        return user
    return msgspec.structs.replace(user, updated_at=now_ms, change=user.change + 1, failed=0, act=act, digest=digest, **fields)
