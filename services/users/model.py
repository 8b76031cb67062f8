"""What is known of a user."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from protocol import limits
from protocol.replies import Cursor
from protocol.shapes import Custom, Op, UserId
from services.conversations.model import Count, Params

Text = Annotated[str, Meta(max_length=limits.NAME)]
Url = Annotated[str, Meta(max_length=limits.URL)]

KEPT_MS: Final = 30 * 24 * 3_600_000
"""How long the first answer to an act on a user is kept; an older act is refused."""
TOLD = ("display_name", "avatar_url", "custom")
"""What a company may say of a user, and what the wire shows besides the id."""

class Profile(msgspec.Struct, frozen=True):
    """What a company says of a user. Absent: unchanged; null: cleared."""

    external_id: UserId
    display_name: Text | UnsetType | None = UNSET
    avatar_url: Url | UnsetType | None = UNSET
    custom: Custom | UnsetType | None = UNSET

    def changes(self) -> dict[str, Any]:
        """The fields that were given."""
        return {name: value for name in TOLD if (value := getattr(self, name)) is not UNSET}


class User(msgspec.Struct, frozen=True, omit_defaults=True):
    """A user as stored."""

    external_id: UserId
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
    act: str = ""
    """The act that made the last change, as 32 hexadecimal digits; empty when it had no id of its own."""
    digest: str = ""
    """What that act said."""

    def shown(self) -> dict[str, Any]:
        """The user as the wire has it."""
        fields = ((name, getattr(self, name)) for name in TOLD)
        return {"id": self.external_id, **{name: value for name, value in fields if value is not None}}


class Get(Params, frozen=True, omit_defaults=True):
    users: list[UserId]


class Show(Params, frozen=True, omit_defaults=True):
    user: UserId


class List(Params, frozen=True, omit_defaults=True):
    cursor: Cursor | UnsetType = UNSET
    limit: Count | UnsetType = UNSET


class Update(Params, frozen=True, omit_defaults=True):
    """Absent: unchanged; null: cleared. Without `user` it is oneself."""

    user: UserId | UnsetType = UNSET
    display_name: Text | UnsetType | None = UNSET
    avatar_url: Url | UnsetType | None = UNSET
    custom: Custom | UnsetType | None = UNSET
    op: Op | UnsetType = UNSET


class Put(Update, frozen=True, omit_defaults=True):
    """The whole user: what is absent is cleared."""
