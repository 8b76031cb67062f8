"""What clients say about typing."""

from typing import Literal

from msgspec import UNSET, UnsetType

from protocol.shapes import ConversationId, MessageId
from services.conversations.model import Params

Kind = Literal["text", "voice", "file"]


class Typing(Params, frozen=True, omit_defaults=True):
    c: ConversationId
    kind: Kind | UnsetType = UNSET
    thread: MessageId | UnsetType = UNSET
