"""What a connection says of itself: hello, a fresh token, what it watches. Carried out by actors/connection.py."""

from typing import Annotated, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from protocol import replies
from protocol.shapes import Epoch, OwnOrOther, Seq
from services.conversations.model import Named, Params, Watch
from services.presence.model import Of

Short = Annotated[str, Meta(max_length=256)]


class Device(msgspec.Struct, frozen=True):
    """What the client runs on."""

    id: Short
    platform: Short
    name: Short | UnsetType = UNSET


class Seen(msgspec.Struct, frozen=True):
    """The last seq that a client has of a conversation, and the epoch it was told with it."""

    seq: Seq
    epoch: Epoch


class Hello(Params, frozen=True, omit_defaults=True):
    token: str
    device: Device | UnsetType = UNSET
    sdk: Short | UnsetType = UNSET
    resume: dict[OwnOrOther, Seen] | UnsetType = UNSET


class RefreshToken(Params, frozen=True, omit_defaults=True):
    token: str


class Own(NamedTuple):
    """A command that only a connection can have: it stands in no service, and has no route."""

    params: type[msgspec.Struct]
    answers: type[msgspec.Struct]
    summary: str
    rate: str = "read"


OWN = {
    "hello": Own(Hello, replies.Welcome, "Say who one is, and what one has seen: the first command of a connection.", "connects"),
    "token.refresh": Own(RefreshToken, replies.TokenTaken, "Give the connection a fresh token of the same user.", "connects"),
    "conversation.watch": Own(Watch, replies.ConversationWatched, "Be told what happens in a conversation, from after a seq on."),
    "presence.watch": Own(Of, replies.PresenceList, "Know how users are, and be told when that changes."),
    "presence.unwatch": Own(Of, replies.Nothing, "Be told no more of these users."),
    "conversation.unwatch": Own(Named, replies.Nothing, "Be told no more."),
}
