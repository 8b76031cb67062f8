"""Addressees: the connections of this worker by their user, for what is meant for certain users wherever they are."""

from collections.abc import Callable, Collection
from typing import Protocol

import msgspec

from actors.keys import Key
from protocol.codec import write

_unpack = msgspec.msgpack.Decoder().decode


class Addressee(Protocol):
    """A connection, as this file sees it."""

    @property
    def text(self) -> bool: ...

    def send_frames(self, wire: bytes) -> None: ...

    def watches(self, key: Key) -> bool: ...


class Addressees:
    """Who is connected here. As many as there are connections, which are bounded."""

    def __init__(self, frame: Callable[[bytes, bool], bytes]) -> None:
        self._frame = frame
        self.changes = 0
        """How often somebody has come, gone, or shown another token."""
        self._of: dict[str, dict[str, tuple[Addressee, ...]]] = {}  # by tenant and user; nearly all have one, so a tuple is the smallest

    def enter(self, tenant: str, user: str, connection: Addressee) -> None:
        """A connection of this user has said a good hello."""
        self.changes += 1
        users = self._of.setdefault(tenant, {})
        users[user] = (*users.get(user, ()), connection)

    def leave(self, tenant: str, user: str, connection: Addressee) -> None:
        """And has ended."""
        self.changes += 1
        users = self._of.get(tenant, {})
        left = tuple(one for one in users.pop(user, ()) if one is not connection)
        if left:
            users[user] = left
        if not users:
            self._of.pop(tenant, None)

    def deliver(self, key: Key, push: bytes, users: Collection[str], watching: bool) -> None:
        """A push about a conversation, to those connections of these users that watch it, or to those that do not."""
        here = self._of.get(key.tenant, {})
        binary = text = b""
        for user in users:
            for connection in here.get(user, ()):
                if connection.watches(key) is not watching:
                    continue
                if connection.text:
                    text = text or self._frame(write(_unpack(push)), True)
                else:
                    binary = binary or self._frame(push, False)
                connection.send_frames(text if connection.text else binary)
