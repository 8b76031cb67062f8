"""Centrifuge, the engine of Centrifugo, in either encoding of its protocol (github.com/centrifugal/protocol, client.proto)."""

import json
from collections.abc import Sequence
from typing import Any

from bench.generate import ASK, MARKER, NO_PLACE, Dialect, Publish, Script, client_frame, publish, text_of, upgrade
from bench.servers.plain import Plain

CONNECT, SUBSCRIBE, PUBLISH = 4, 5, 7
"""Fields of a Command; a Reply has the results at 5, 6, 8."""


class CentrifugeJson(Plain):
    """A room is a channel."""

    durability = "none (memory engine, no history); answered; nothing checked"
    dialect = Dialect("json", ping=b"{}", pong=client_frame(b"{}", 0x1), grouped="lines")

    def script(self, user: str, rooms: Sequence[str]) -> Script:
        """connect, then subscribe."""
        subscribe = [(_json({"id": number, "subscribe": {"channel": room}}), f'"id":{number},"subscribe"'.encode())
                     for number, room in enumerate(rooms, 2)]
        return Script(upgrade("/connection/websocket"), ((_json({"id": 1, "connect": {}}), b'"connect"'), *subscribe))

    def publish(self, room: str, size: int) -> Publish:
        """A publish by the client."""
        return publish(_json({"id": ASK, "publish": {"channel": room, "data": text_of(size)}}))


class CentrifugeProtobuf(CentrifugeJson):
    """The same in Protobuf, each command with its length before it."""

    dialect = Dialect("protobuf", ping=b"\x00", pong=client_frame(b"\x00"), grouped="lengths")

    def script(self, user: str, rooms: Sequence[str]) -> Script:
        """connect, then subscribe."""
        subscribe = [(_command(number, SUBSCRIBE, field(1, room.encode())), b"\x08" + varint(number) + b"\x32")
                     for number, room in enumerate(rooms, 2)]
        return Script(upgrade("/connection/websocket", protocol="centrifuge-protobuf"), ((_command(1, CONNECT, b""), b"\x08\x01\x2a"), *subscribe))

    def publish(self, room: str, size: int) -> Publish:
        """A publish by the client. Its number is a varint of five bytes."""
        frame = _command(ASK, PUBLISH, field(1, room.encode()) + field(2, text_of(size).encode()))
        return Publish(frame, frame.find(MARKER.encode()), NO_PLACE, NO_PLACE, NO_PLACE, frame.find(varint(ASK)))


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def field(number: int, value: bytes) -> bytes:
    """A field of bytes, text or a message."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def _command(number: int, what: int, request: bytes) -> bytes:
    command = b"\x08" + varint(number) + field(what, request)
    return client_frame(varint(len(command)) + command)


def _json(what: dict[str, Any]) -> bytes:
    return client_frame(json.dumps(what, separators=(",", ":")).encode(), 0x1)
