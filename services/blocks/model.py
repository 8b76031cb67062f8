"""What clients say about blocks."""

from msgspec import UNSET, UnsetType

from protocol.replies import Cursor
from protocol.shapes import Op, UserId
from services.conversations.model import Count, Params


class Block(Params, frozen=True, omit_defaults=True):
    user: UserId
    op: Op | UnsetType = UNSET


class ListBlocks(Params, frozen=True, omit_defaults=True):
    cursor: Cursor | UnsetType = UNSET
    limit: Count | UnsetType = UNSET
