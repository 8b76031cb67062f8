"""What a connection says of itself: hello, a fresh token, what it watches. Carried out by actors/connection.py."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from services.conversations.model import Params, Seq

Short = Annotated[str, Meta(max_length=256)]


class Device(msgspec.Struct, frozen=True):
    """What the client runs on."""

    id: Short
    platform: Short
    name: Short | UnsetType = UNSET


class Seen(msgspec.Struct, frozen=True):
    """The last seq that a client has of a conversation, and the epoch it was told with it."""

    seq: Seq
    epoch: int


class Hello(Params, frozen=True, omit_defaults=True):
    token: str
    device: Device | UnsetType = UNSET
    sdk: Short | UnsetType = UNSET
    resume: dict[str, Seen] | UnsetType = UNSET


class RefreshToken(Params, frozen=True, omit_defaults=True):
    token: str
