"""What clients say about reactions."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from protocol.shapes import ConversationId, MessageId, Op
from services.conversations.model import Params

MOST = 50
"""Different emojis on one message."""

Emoji = Annotated[str, Meta(min_length=1, max_length=64)]


class React(Params, frozen=True, omit_defaults=True):
    c: ConversationId
    id: MessageId
    emoji: Emoji
    op: Op | UnsetType = UNSET
