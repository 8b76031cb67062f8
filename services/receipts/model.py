"""What clients say about how far they have got."""

from protocol.shapes import ConversationId, Seq
from services.conversations.model import Params


class Reached(Params, frozen=True, omit_defaults=True):
    c: ConversationId
    seq: Seq
