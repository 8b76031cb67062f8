"""What clients say about presence, and what a user has chosen."""

from typing import Annotated, Literal, NamedTuple

from msgspec import UNSET, Meta, UnsetType

from protocol import limits
from protocol.shapes import Op, UserId
from services.conversations.model import Params

STATUSES = ("online", "away", "dnd", "invisible")
Status = Literal["online", "away", "dnd", "invisible"]
Text = Annotated[str, Meta(max_length=limits.NAME)]

NAME = "presence"
"""What this is called among a user's settings."""


class Choose(Params, frozen=True, omit_defaults=True):
    status: Status
    text: Text | UnsetType = UNSET
    op: Op | UnsetType = UNSET


class Of(Params, frozen=True, omit_defaults=True):
    users: list[UserId]


class Chosen(NamedTuple):
    """What a user has said of themself, and when others saw them last (ms; 0: never)."""

    status: str = "online"
    text: str = ""
    seen_at: int = 0
