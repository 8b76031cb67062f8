"""What clients say about messages."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from protocol import limits
from services.conversations.model import Count, Params, Seq

Kind = Annotated[str, Meta(min_length=1, max_length=64)]


class Attachment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file as it is described; the bytes are elsewhere."""

    kind: Kind
    url: Annotated[str, Meta(max_length=limits.URL)]
    mime: Annotated[str, Meta(max_length=limits.NAME)] | UnsetType = UNSET
    name: Annotated[str, Meta(max_length=limits.NAME)] | UnsetType = UNSET
    size: Seq | UnsetType = UNSET
    width: Seq | UnsetType = UNSET
    height: Seq | UnsetType = UNSET
    duration_ms: Seq | UnsetType = UNSET
    preview: Annotated[str, Meta(max_length=limits.URL)] | UnsetType = UNSET


class Send(Params, frozen=True, omit_defaults=True):
    c: str
    id: str
    text: str | UnsetType = UNSET
    type: Kind | UnsetType = UNSET
    attachments: list[Attachment] | UnsetType = UNSET
    mentions: list[str] | UnsetType = UNSET
    mention_all: bool | UnsetType = UNSET
    reply_to: str | UnsetType = UNSET
    thread: str | UnsetType = UNSET
    custom: dict[str, Any] | UnsetType = UNSET
    silent: bool | UnsetType = UNSET
    after: str | UnsetType = UNSET


class Edit(Params, frozen=True, omit_defaults=True):
    c: str
    id: str
    text: str | UnsetType | None = UNSET
    attachments: list[Attachment] | UnsetType | None = UNSET
    mentions: list[str] | UnsetType | None = UNSET
    custom: dict[str, Any] | UnsetType | None = UNSET
    op: str | UnsetType = UNSET


class Delete(Params, frozen=True, omit_defaults=True):
    c: str
    id: str
    for_: Literal["all", "me"] = msgspec.field(name="for", default="all")
    op: str | UnsetType = UNSET


class Pin(Params, frozen=True, omit_defaults=True):
    c: str
    id: str
    op: str | UnsetType = UNSET


class One(Params, frozen=True, omit_defaults=True):
    c: str
    id: str


class Listing(Params, frozen=True, omit_defaults=True):
    c: str
    before: Seq | UnsetType = UNSET
    after: Seq | UnsetType = UNSET
    around: Seq | UnsetType = UNSET
    thread: str | UnsetType = UNSET
    limit: Count | UnsetType = UNSET
