"""Every push, as the whole frame: its name `t`, where it arrives, and what it says.

Durable ones are entries of a conversation and have their place `s` there; those of `me` are entries of one's personal conversation.
Ephemeral ones are told once, to whoever is connected. A client that does not know a `t` counts its `s` and ignores the rest.
"""

from typing import Literal, get_args

from protocol import payloads
from protocol.shapes import At, ConversationId, Message, OwnOrOther, Presence, Resumed, Seq, Shape


class Push(Shape, frozen=True, tag_field="t"):
    """A frame that the server sends by itself."""


class Skip(Push, frozen=True, tag="skip"):
    """An entry that the reader may not see: it counts, and says nothing."""

    c: OwnOrOther
    s: Seq


class Durable(Push, frozen=True):
    """An entry of a conversation: told in order of `s`, to whoever watches, and again to whoever comes back."""

    c: ConversationId
    s: Seq
    at: At


class Personal(Push, frozen=True):
    """An entry of one's personal conversation."""

    c: Literal["me"]
    s: Seq
    at: At


class Ephemeral(Push, frozen=True):
    """Something that is true now, in a conversation; it is not kept."""

    c: ConversationId


class MessageNew(Durable, frozen=True, tag="message.new"):
    """A message was sent."""

    p: Message


class MessageUpdated(Durable, frozen=True, tag="message.updated"):
    """A message was edited."""

    p: payloads.MessageChange


class MessageDeleted(Durable, frozen=True, tag="message.deleted"):
    """A message was deleted for everybody."""

    p: payloads.MessageBy


class ReactionAdded(Durable, frozen=True, tag="reaction.added"):
    """Somebody reacted to a message."""

    p: payloads.Reacted


class ReactionRemoved(Durable, frozen=True, tag="reaction.removed"):
    """Somebody took a reaction back."""

    p: payloads.Reacted


class MessagePinned(Durable, frozen=True, tag="message.pinned"):
    """A message was pinned."""

    p: payloads.MessageBy


class MessageUnpinned(Durable, frozen=True, tag="message.unpinned"):
    """A message is pinned no longer."""

    p: payloads.MessageBy


class MemberAdded(Durable, frozen=True, tag="member.added"):
    """Users were let in, or came by themselves."""

    p: payloads.MembersBy


class MemberRemoved(Durable, frozen=True, tag="member.removed"):
    """A user left or was shown out; to that user nothing of the conversation comes after it."""

    p: payloads.MemberBy


class MemberUpdated(Durable, frozen=True, tag="member.updated"):
    """A member has another role."""

    p: payloads.RoleBy


class ConversationCreated(Durable, frozen=True, tag="conversation.created"):
    """The conversation began: its first entry. No `member.added` follows."""

    p: payloads.Creation


class ConversationUpdated(Durable, frozen=True, tag="conversation.updated"):
    """What is told of the conversation changed."""

    p: payloads.ConversationChange


class ConversationFrozen(Durable, frozen=True, tag="conversation.frozen"):
    """The conversation was frozen, or is no longer."""

    p: payloads.FrozenBy


class ConversationDeleted(Durable, frozen=True, tag="conversation.deleted"):
    """The conversation was deleted; nothing comes after it."""

    p: payloads.By


class MentionNew(Personal, frozen=True, tag="mention.new"):
    """Somebody mentioned this user."""

    p: payloads.InConversation


class InviteNew(Personal, frozen=True, tag="invite.new"):
    """Somebody let this user into a conversation."""

    p: payloads.ConversationBy


class ConversationJoined(Personal, frozen=True, tag="conversation.joined"):
    """This user belongs to a conversation now, whoever did it."""

    p: payloads.ConversationBy


class ConversationLeft(Personal, frozen=True, tag="conversation.left"):
    """This user belongs to a conversation no longer."""

    p: payloads.ConversationBy


class ReadMoved(Personal, frozen=True, tag="read.moved"):
    """This user has read on, on some device."""

    p: payloads.Pointers


class MessageHidden(Personal, frozen=True, tag="message.hidden"):
    """This user deleted a message for themselves."""

    p: payloads.Hidden


class SettingChanged(Personal, frozen=True, tag="setting.changed"):
    """A setting of this user changed."""

    p: payloads.Setting


class BlockChanged(Personal, frozen=True, tag="block.changed"):
    """This user blocks somebody, or no longer."""

    p: payloads.Blocking


class MessageRead(Ephemeral, frozen=True, tag="message.read"):
    """A member has read so far; not told to the connection that said it."""

    p: payloads.Receipt


class MessageDelivered(Ephemeral, frozen=True, tag="message.delivered"):
    """A member's device has so far; not told to the connection that said it."""

    p: payloads.Receipt


class TypingStarted(Ephemeral, frozen=True, tag="typing.started"):
    """Somebody types; told for each start, not to the connection that types."""

    p: payloads.Typist


class TypingStopped(Ephemeral, frozen=True, tag="typing.stopped"):
    """Somebody types no more: stopped, sent, was silent for 6 s, or went away."""

    p: payloads.Typist


class NoticeMessage(Ephemeral, frozen=True, tag="notice.message"):
    """Something new in a conversation that this connection does not watch; at most one a second."""

    p: payloads.Notice


class ConversationWatching(Ephemeral, frozen=True, tag="conversation.watching"):
    """What `hello` could not tell of a conversation in time: the same fields."""

    p: Resumed


class CapabilitiesChanged(Ephemeral, frozen=True, tag="capabilities.changed"):
    """The reader may do other things in a conversation now."""

    p: payloads.Granted


class PresenceChanged(Push, frozen=True, tag="presence.changed"):
    """A watched user came, went, or said how they are."""

    p: Presence


class Heads(Push, frozen=True, tag="heads"):
    """Every 25 s: where the watched conversations are that moved."""

    p: payloads.HeadsOf


class SessionRevoked(Push, frozen=True, tag="session.revoked"):
    """The session has ended; the connection closes with 4503."""

    p: payloads.Reason


Entry = (
    Skip | MessageNew | MessageUpdated | MessageDeleted | ReactionAdded | ReactionRemoved | MessagePinned | MessageUnpinned | MemberAdded |
    MemberRemoved | MemberUpdated | ConversationCreated | ConversationUpdated | ConversationFrozen | ConversationDeleted | MentionNew |
    InviteNew | ConversationJoined | ConversationLeft | ReadMoved | MessageHidden | SettingChanged | BlockChanged
)
"""A durable push: what `conversation.sync` gives, and what moves the last seq."""
Momentary = (
    MessageRead | MessageDelivered | TypingStarted | TypingStopped | NoticeMessage | ConversationWatching | CapabilitiesChanged |
    PresenceChanged | Heads | SessionRevoked
)

EVENTS: dict[str, type[Push]] = {str(kind.__struct_config__.tag): kind for union in (Entry, Momentary) for kind in get_args(union)}
"""All pushes, by name."""
