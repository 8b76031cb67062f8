"""What clients say about conversations and members. Absent is UNSET; a null clears, where that is possible."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from protocol import limits
from protocol.replies import Cursor
from protocol.shapes import ConversationId, Custom, Epoch, Op, OwnOrOther, Seq, UserId

Text = Annotated[str, Meta(max_length=limits.NAME)]
Long = Annotated[str, Meta(max_length=limits.DESCRIPTION)]
Url = Annotated[str, Meta(max_length=limits.URL)]
Count = Annotated[int, Meta(ge=1, le=limits.LARGEST_INTEGER)]

TYPES = ("direct", "group", "channel")
ACCESS = ("private", "public", "broadcast")
ABOUT = ("name", "description", "photo_url", "custom")
"""What is told of a conversation besides what it is."""


class Params(msgspec.Struct, frozen=True, omit_defaults=True):
    """The `p` of a command. Unknown fields are ignored."""


class Create(Params, frozen=True, omit_defaults=True):
    type: Literal["direct", "group", "channel"]
    id: ConversationId | UnsetType = UNSET
    op: Op | UnsetType = UNSET
    access: Literal["private", "public", "broadcast"] | UnsetType = UNSET
    name: Text | UnsetType = UNSET
    description: Long | UnsetType = UNSET
    photo_url: Url | UnsetType = UNSET
    members: list[UserId] | UnsetType = UNSET
    custom: Custom | UnsetType = UNSET


class Named(Params, frozen=True, omit_defaults=True):
    c: ConversationId


class Watch(Params, frozen=True, omit_defaults=True):
    c: OwnOrOther
    after: Seq | UnsetType = UNSET
    epoch: Epoch | UnsetType = UNSET


class Update(Params, frozen=True, omit_defaults=True):
    c: ConversationId
    name: Text | UnsetType | None = UNSET
    description: Long | UnsetType | None = UNSET
    photo_url: Url | UnsetType | None = UNSET
    custom: Custom | UnsetType | None = UNSET
    op: Op | UnsetType = UNSET


class Freeze(Params, frozen=True, omit_defaults=True):
    c: ConversationId
    frozen: bool
    op: Op | UnsetType = UNSET


class Whole(Params, frozen=True, omit_defaults=True):
    """What concerns a whole conversation and needs no more words: join, leave, delete."""

    c: ConversationId
    op: Op | UnsetType = UNSET


class Sync(Params, frozen=True, omit_defaults=True):
    c: OwnOrOther
    after: Seq
    epoch: Epoch | UnsetType = UNSET
    limit: Count | UnsetType = UNSET


class List(Params, frozen=True, omit_defaults=True):
    cursor: Cursor | UnsetType = UNSET
    limit: Count | UnsetType = UNSET


class AddMembers(Params, frozen=True, omit_defaults=True):
    c: ConversationId
    users: list[UserId]
    op: Op | UnsetType = UNSET


class RemoveMember(Params, frozen=True, omit_defaults=True):
    c: ConversationId
    user: UserId
    op: Op | UnsetType = UNSET


class UpdateMember(Params, frozen=True, omit_defaults=True):
    c: ConversationId
    user: UserId
    role: str
    op: Op | UnsetType = UNSET


class ListMembers(Params, frozen=True, omit_defaults=True):
    c: ConversationId
    cursor: Cursor | UnsetType = UNSET
    limit: Count | UnsetType = UNSET
