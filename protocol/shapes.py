"""The nouns of the wire, described: what a message, a conversation or a user looks like to whoever reads it.

They describe and are not what the hot path builds: that makes plain maps. From them come the schemas of `/openapi.json` and the
tables of the docs, and tests hold what the server sends against them. A field with `UNSET` may be absent.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from protocol.limits import LARGEST_INTEGER

USER_ID = r"^[A-Za-z0-9_@.:+\-]{1,128}$"
CONVERSATION_ID = r"^~?[A-Za-z0-9_@.:+\-]{1,128}$"
ACT_ID = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"

# `extra_json_schema` says more in the schema than decoding checks: rules check it, with a sentence that says what to do.
def _text(title: str, description: str, **schema: Any) -> Meta:
    return Meta(title=title, description=description, extra_json_schema=schema)


_NOT = {"enum": ["me", ".", ".."]}

UserId = Annotated[str, _text("user id", "A user, by the company's id.", pattern=USER_ID, **{"not": _NOT})]
ConversationId = Annotated[str, _text("conversation id", "A conversation.", pattern=CONVERSATION_ID, **{"not": _NOT})]
OwnOrOther = Annotated[str, _text("conversation id or me", "A conversation; `me` is one's own personal one.", pattern=CONVERSATION_ID)]
MessageId = Annotated[str, _text("message id", "A message, by the UUIDv7 its sender made.", pattern=ACT_ID)]
Op = Annotated[str, _text("act id", "A UUIDv7 of this act: said again with the same one, it takes effect once.", pattern=ACT_ID)]
Emoji = Annotated[str, _text("emoji", "An emoji, or a short name of one.", minLength=1, maxLength=64)]
Seq = Annotated[int, Meta(ge=0, le=LARGEST_INTEGER, title="seq", description="A place among all entries of a conversation.")]
Nth = Annotated[int, Meta(ge=0, le=LARGEST_INTEGER, title="n", description="A place among the messages of a conversation.")]
Epoch = Annotated[int, Meta(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER, title="epoch",
                            description="Which life of the data this is; compared for equality only.")]
At = Annotated[int, Meta(ge=0, le=LARGEST_INTEGER, title="time", description="Milliseconds since 1970 UTC.")]
Size = Annotated[int, Meta(ge=0, le=LARGEST_INTEGER)]
Custom = Annotated[dict[str, Any], Meta(title="custom data", description="The application's own data, kept as it is.")]

Type = Literal["direct", "group", "channel"]
Access = Literal["private", "public", "broadcast"]
Capability = Literal["send", "react", "pin", "edit_own", "edit_any", "delete_own", "delete_any", "update", "add_members",
                     "remove_members", "set_roles", "freeze", "delete"]
Status = Annotated[Literal["online", "away", "dnd", "invisible", "offline", "unknown"],
                   Meta(description="`invisible` is seen by the user alone: the others see `offline`.")]
Typing = Literal["text", "voice", "file"]


class Shape(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Something the server says. Tests refuse a field that the shape does not know; clients ignore it."""


class Attachment(Shape, frozen=True):
    """A file as it is described; the bytes are elsewhere."""

    kind: str
    url: str
    mime: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    size: Size | UnsetType = UNSET
    width: Size | UnsetType = UNSET
    height: Size | UnsetType = UNSET
    duration_ms: Size | UnsetType = UNSET
    preview: str | UnsetType = UNSET


class Reaction(Shape, frozen=True):
    """Who reacted with one emoji. `own`: whether the reader did; only in replies."""

    count: Size
    users: Annotated[list[UserId], Meta(description="The first five.")]
    own: bool | UnsetType = UNSET


class Message(Shape, frozen=True):
    """A message; a deleted one has only `id, seq, n, sender, type, thread, sent_at, deleted_at`. Replies in threads have no `n`."""

    id: MessageId
    seq: Seq
    sender: UserId
    type: Annotated[str, Meta(description="text, image, video, audio, file, voice, encrypted, system, or the application's own.")]
    sent_at: At
    n: Nth | UnsetType = UNSET
    text: str | UnsetType = UNSET
    attachments: list[Attachment] | UnsetType = UNSET
    mentions: list[UserId] | UnsetType = UNSET
    mention_all: bool | UnsetType = UNSET
    reply_to: MessageId | UnsetType = UNSET
    thread: MessageId | UnsetType = UNSET
    custom: Custom | UnsetType = UNSET
    silent: bool | UnsetType = UNSET
    edited_at: At | UnsetType = UNSET
    deleted_at: At | UnsetType = UNSET
    pinned: bool | UnsetType = UNSET
    reactions: Annotated[dict[Emoji, Reaction], Meta(description="By emoji.")] | UnsetType = UNSET


class Edit(Shape, frozen=True):
    """An earlier text of a message, and when it was written."""

    at: At
    text: str | UnsetType = UNSET


class Conversation(Shape, frozen=True):
    """A conversation. `head`: the seq of its last entry. No `created_by`: the application made it."""

    id: ConversationId
    type: Type
    created_at: At
    updated_at: At
    member_count: Size
    head: Seq
    access: Access | UnsetType = UNSET
    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    photo_url: str | UnsetType = UNSET
    custom: Custom | UnsetType = UNSET
    frozen: bool | UnsetType = UNSET
    created_by: UserId | UnsetType = UNSET


class User(Shape, frozen=True):
    """A user."""

    id: UserId
    display_name: str | UnsetType = UNSET
    avatar_url: str | UnsetType = UNSET
    custom: Custom | UnsetType = UNSET


class Member(Shape, frozen=True):
    """A member of a conversation."""

    user: User
    role: str
    joined_at: At
    read_seq: Seq | UnsetType = UNSET


class Presence(Shape, frozen=True):
    """Whether a user is there. `unknown`: the server cannot tell."""

    user: UserId
    status: Status
    text: str | UnsetType = UNSET
    last_seen_at: At | UnsetType = UNSET


class Range(Shape, frozen=True):
    """Seqs, both ends included."""

    from_: Seq = msgspec.field(name="from")
    to: Seq


class Watched(Shape, frozen=True):
    """Where a conversation is, and what will be pushed: `from` to `to`, both included; absent when nothing was missed. `gap`:
    retention has removed these, or the epoch is another one; pushes go on behind it."""

    head: Seq
    epoch: Epoch
    read: Annotated[dict[UserId, Seq], Meta(description="How far the first 100 members have read.")]
    delivered: Annotated[dict[UserId, Seq], Meta(description="How far their devices have taken delivery.")]
    from_: Seq | UnsetType = msgspec.field(name="from", default=UNSET)
    to: Seq | UnsetType = UNSET
    gap: Range | UnsetType = UNSET


class Resumed(Shape, frozen=True):
    """*watched*, of a conversation named in `resume`; or `error`: the code that says why it may not be read; or `later`: it follows
    as the push `conversation.watching`."""

    head: Seq | UnsetType = UNSET
    epoch: Epoch | UnsetType = UNSET
    read: dict[UserId, Seq] | UnsetType = UNSET
    delivered: dict[UserId, Seq] | UnsetType = UNSET
    from_: Seq | UnsetType = msgspec.field(name="from", default=UNSET)
    to: Seq | UnsetType = UNSET
    gap: Range | UnsetType = UNSET
    error: str | UnsetType = UNSET
    later: bool | UnsetType = UNSET
