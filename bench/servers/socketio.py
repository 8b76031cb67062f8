"""Socket.IO, in Node or in Python: Engine.IO over WebSocket alone, packets in msgpack (its parser `socket.io-msgpack-parser`)."""

from collections.abc import Sequence
from typing import Any

import msgpack

from bench.generate import Dialect, Publish, Script, client_frame, publish, text_of, upgrade
from bench.servers.plain import Plain

CONNECT, EVENT = 0, 2


class SocketIo(Plain):
    """A room is Socket.IO's own."""

    dialect = Dialect("own", ping=b"2", pong=client_frame(b"3", 0x1))

    def script(self, user: str, rooms: Sequence[str]) -> Script:
        """Connect to the namespace, then join."""
        connect = (_packet({"type": CONNECT, "nsp": "/"}), b"sid")  # Engine.IO's own greeting is text, and comes unasked
        joins = [(_packet({"type": EVENT, "data": ["join", room], "nsp": "/", "id": number}), b"\xa2id" + bytes([number]))
                 for number, room in enumerate(rooms, 1)]
        return Script(upgrade("/socket.io/?EIO=4&transport=websocket"), ((b"", b'"sid"'), connect, *joins))

    def publish(self, room: str, size: int) -> Publish:
        """An event that the server emits to the room."""
        return publish(_packet({"type": EVENT, "data": ["say", room, text_of(size)], "nsp": "/"}))


def _packet(what: dict[str, Any]) -> bytes:
    return client_frame(msgpack.packb(what))
