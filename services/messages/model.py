"""What clients say about messages."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from protocol import limits
from protocol.shapes import ConversationId, Custom, MessageId, Op, Seq, Size, UserId
from services.conversations.model import Count, Params

Kind = Annotated[str, Meta(min_length=1, max_length=64)]


class Attachment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file as it is described; the bytes are elsewhere."""

    kind: Kind
    url: Annotated[str, Meta(max_length=limits.URL)]
    mime: Annotated[str, Meta(max_length=limits.NAME)] | UnsetType = UNSET
    name: Annotated[str, Meta(max_length=limits.NAME)] | UnsetType = UNSET
    size: Size | UnsetType = UNSET
    width: Size | UnsetType = UNSET
    height: Size | UnsetType = UNSET
    duration_ms: Size | UnsetType = UNSET
    preview: Annotated[str, Meta(max_length=limits.URL)] | UnsetType = UNSET


class Send(Params, frozen=True, omit_defaults=True):
    c: ConversationId
    id: MessageId
    text: str | UnsetType = UNSET
    type: Kind | UnsetType = UNSET
    attachments: list[Attachment] | UnsetType = UNSET
    mentions: list[UserId] | UnsetType = UNSET
    mention_all: bool | UnsetType = UNSET
    reply_to: MessageId | UnsetType = UNSET
    thread: MessageId | UnsetType = UNSET
    custom: Custom | UnsetType = UNSET
    silent: bool | UnsetType = UNSET
    after: MessageId | UnsetType = UNSET


class Edit(Params, frozen=True, omit_defaults=True):
    c: ConversationId
    id: MessageId
    text: str | UnsetType | None = UNSET
    attachments: list[Attachment] | UnsetType | None = UNSET
    mentions: list[UserId] | UnsetType | None = UNSET
    custom: Custom | UnsetType | None = UNSET
    op: Op | UnsetType = UNSET


class Delete(Params, frozen=True, omit_defaults=True):
    c: ConversationId
    id: MessageId
    for_: Literal["all", "me"] = msgspec.field(name="for", default="all")
    op: Op | UnsetType = UNSET


class Pin(Params, frozen=True, omit_defaults=True):
    c: ConversationId
    id: MessageId
    op: Op | UnsetType = UNSET


class One(Params, frozen=True, omit_defaults=True):
    c: ConversationId
    id: MessageId


class Listing(Params, frozen=True, omit_defaults=True):
    c: ConversationId
    before: Seq | UnsetType = UNSET
    after: Seq | UnsetType = UNSET
    around: Seq | UnsetType = UNSET
    thread: MessageId | UnsetType = UNSET
    limit: Count | UnsetType = UNSET
