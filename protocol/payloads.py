"""What pushes say: the `p` of each. The frames around them are in `protocol/events.py`."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from protocol.shapes import (
    At,
    Attachment,
    Capability,
    Conversation,
    ConversationId,
    Emoji,
    Epoch,
    MessageId,
    Nth,
    OwnOrOther,
    Seq,
    Shape,
    Size,
    Typing,
    UserId,
)

Clearable = str | UnsetType | None
Data = Annotated[dict[str, Any], Meta(title="custom data", description="The application's own data.")]


class MessageChange(Shape, frozen=True):
    """The fields that an edit changed; null: cleared."""

    id: MessageId
    edited_at: At
    by: UserId | UnsetType = UNSET
    text: Clearable = UNSET
    attachments: list[Attachment] | UnsetType | None = UNSET
    mentions: list[UserId] | UnsetType | None = UNSET
    custom: Data | UnsetType | None = UNSET


class MessageBy(Shape, frozen=True):
    """Which message, and who did it."""

    id: MessageId
    by: UserId | UnsetType = UNSET


class Reacted(Shape, frozen=True):
    """Who reacted, with what. `count` is a hint: how many have reacted so."""

    id: MessageId
    emoji: Emoji
    user: UserId
    count: Size | UnsetType = UNSET


class MembersBy(Shape, frozen=True):
    """Who came (new members only), and who let them in."""

    users: list[UserId]
    by: UserId | UnsetType = UNSET


class MemberBy(Shape, frozen=True):
    """Who left; `by` whom, oneself included."""

    user: UserId
    by: UserId | UnsetType = UNSET


class RoleBy(Shape, frozen=True):
    """Who has which role now."""

    user: UserId
    role: str
    by: UserId | UnsetType = UNSET


class Creation(Shape, frozen=True):
    """The conversation as it began."""

    conversation: Conversation
    members: list[UserId]
    by: UserId | UnsetType = UNSET


class ConversationChange(Shape, frozen=True):
    """The fields that changed; null: cleared."""

    by: UserId | UnsetType = UNSET
    name: Clearable = UNSET
    description: Clearable = UNSET
    photo_url: Clearable = UNSET
    custom: Data | UnsetType | None = UNSET


class FrozenBy(Shape, frozen=True):
    """Whether it is frozen now."""

    frozen: bool
    by: UserId | UnsetType = UNSET


class By(Shape, frozen=True):
    """Who did it; absent: the application."""

    by: UserId | UnsetType = UNSET


class InConversation(Shape, frozen=True):
    """Which message, of which conversation."""

    conversation: ConversationId
    message: MessageId


class ConversationBy(Shape, frozen=True):
    """Which conversation, and who did it."""

    conversation: ConversationId
    by: UserId | UnsetType = UNSET


class Pointers(Shape, frozen=True):
    """How far this user has read, by conversation."""

    conversations: dict[ConversationId, Seq]


class Hidden(Shape, frozen=True):
    """Which message this user does not want to see any more."""

    conversation: ConversationId
    id: MessageId


class Setting(Shape, frozen=True):
    """A setting of this user; null: back to what it was at first."""

    name: str
    value: bool | int | str | list[str] | dict[str, Any] | None


class Blocking(Shape, frozen=True):
    """Whom this user blocks, or no longer."""

    user: UserId
    blocked: bool


class Receipt(Shape, frozen=True):
    """How far somebody has read, or taken delivery."""

    user: UserId
    seq: Seq
    at: At


class Typist(Shape, frozen=True):
    """Who types, and what."""

    user: UserId
    kind: Typing
    thread: MessageId | UnsetType = UNSET


class Notice(Shape, frozen=True):
    """The newest message of a conversation that this connection does not watch. `silent`: it asks for nobody's attention."""

    seq: Seq
    n: Nth
    sender: UserId
    silent: bool | UnsetType = UNSET


class HeadsOf(Shape, frozen=True):
    """The last seq of each watched conversation that moved since the last time; may be empty."""

    epoch: Epoch
    conversations: dict[OwnOrOther, Seq]


class Granted(Shape, frozen=True):
    """What the reader may do there now, and in which role (none: not a member)."""

    capabilities: list[Capability]
    role: str | UnsetType = UNSET


class Reason(Shape, frozen=True):
    """Why."""

    reason: str
