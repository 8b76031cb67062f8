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
    def name(self) -> str: ...

    @property
    def text(self) -> bool: ...

    def send_frames(self, wire: bytes) -> None: ...

    def watches(self, key: Key) -> bool: ...


class Addressees:
    """Who is connected here. As many as there are connections, which are bounded."""

    def __init__(self, frame: Callable[[bytes, bool], bytes]) -> None:
        self._frame = frame
        self._of: dict[tuple[str, str], dict[str, Addressee]] = {}

    def enter(self, tenant: str, user: str, connection: Addressee) -> None:
        """A connection of this user has said a good hello."""
        self._of.setdefault((tenant, user), {})[connection.name] = connection

    def leave(self, tenant: str, user: str, connection: Addressee) -> None:
        """And has ended."""
        held = self._of.get((tenant, user), {})
        held.pop(connection.name, None)
        if not held:
            self._of.pop((tenant, user), None)

    def deliver(self, key: Key, push: bytes, users: Collection[str], watching: bool) -> None:
        """A push about a conversation, to those connections of these users that watch it, or to those that do not."""
        binary = text = b""
        for user in users:
            for connection in self._of.get((key.tenant, user), {}).values():
                if connection.watches(key) is not watching:
                    continue
                if connection.text:
                    text = text or self._frame(write(_unpack(push)), True)
                else:
                    binary = binary or self._frame(push, False)
                connection.send_frames(text if connection.text else binary)
