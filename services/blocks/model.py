"""What clients say about blocks."""

from msgspec import UNSET, UnsetType

from services.conversations.model import Count, Params


class Block(Params, frozen=True, omit_defaults=True):
    user: str
    op: str | UnsetType = UNSET


class ListBlocks(Params, frozen=True, omit_defaults=True):
    cursor: str | UnsetType = UNSET
    limit: Count | UnsetType = UNSET
