"""What is known of a user."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from protocol import limits
from protocol.errors import Refused, too_large
from protocol.ids import is_user_id

Text = Annotated[str, Meta(max_length=limits.NAME)]
Url = Annotated[str, Meta(max_length=limits.URL)]

TOLD = ("display_name", "avatar_url", "custom")
"""What a company may say of a user, and what the wire shows besides the id."""

_compact = msgspec.json.Encoder().encode


class Profile(msgspec.Struct, frozen=True):
    """What a company says of a user. Absent: unchanged; null: cleared."""

    external_id: str
    display_name: Text | UnsetType | None = UNSET
    avatar_url: Url | UnsetType | None = UNSET
    custom: dict[str, Any] | UnsetType | None = UNSET

    def changes(self) -> dict[str, Any]:
        """The fields that were given."""
        return {name: value for name in TOLD if (value := getattr(self, name)) is not UNSET}


class User(msgspec.Struct, frozen=True, omit_defaults=True):
    """A user as stored."""

    external_id: str
    created_at: int
    updated_at: int
    change: int
    """How often it was created or changed: 1, 2, 3..."""
    told: int = 0
    """The last change that the application's own conversation has an entry of."""
    failed: int = 0
    """How often telling of the last change has failed."""
    display_name: str | None = None
    avatar_url: str | None = None
    custom: dict[str, Any] | None = None

    def shown(self) -> dict[str, Any]:
        """The user as the wire has it."""
        fields = ((name, getattr(self, name)) for name in TOLD)
        return {"id": self.external_id, **{name: value for name, value in fields if value is not None}}


def check_profile(profile: Profile, field: str) -> None:
    """What a company says must be possible; `field` is where it stands in the request. Raises Refused."""
    if not is_user_id(profile.external_id):
        raise Refused("bad_request", "A user's id is 1-128 of A-Za-z0-9_@.:+-, and not `me`, `.` or `..`.", field=f"{field}.external_id")
    if isinstance(profile.custom, dict) and (size := len(_compact(profile.custom))) > limits.CUSTOM:
        raise too_large("custom", limits.CUSTOM, size, f"{field}.custom")
