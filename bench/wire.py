"""The cheapest client: frames made before they are needed, raw sockets, one epoll, and no more decoding than counting takes."""

import base64
import hashlib
import os
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgpack

from protocol.ids import make_uuid7, show_act

RECEIVE = 65_536
PING, PONG, CLOSE = 0x9, 0xA, 0x8
_KEY = base64.b64encode(b"sixteen bytes ..").decode()
_ACCEPT = base64.b64encode(hashlib.sha1(_KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


def new_id() -> str:
    """A UUIDv7 of now."""
    return show_act(make_uuid7(time.time_ns() // 1_000_000, os.urandom(10)))


def frame(payload: bytes, opcode: int = 0x2) -> bytes:
    """A client's frame. Its mask is four zero bytes, which leaves the payload as it is."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big") if size < 65_536 else b"\xff" + size.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


def command(number: int, name: str, **p: Any) -> bytes:
    """A command's frame."""
    return frame(msgpack.packb({"i": number, "m": name, "p": p}))


class Closed(Exception):
    """The server ended a connection that was to stay."""


class Socket:
    """One connection: greeted with `hello` when made, non-blocking from then on."""

    __slots__ = ("_rest", "sock")

    def __init__(self, address: tuple[str, int], source: str, token: str) -> None:
        self._rest = b""
        self.sock = socket.create_connection(address, timeout=10, source_address=(source, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall((f"GET /ws HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           f"Sec-WebSocket-Key: {_KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: caas.v1\r\n\r\n").encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._some()
        head, _, self._rest = head.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101") or _ACCEPT not in head:
            raise Closed(head.decode(errors="replace"))
        self.ask("hello", token=token)

    def ask(self, name: str, **p: Any) -> Any:
        """One command and its result; what comes besides is dropped. Waits, even on a connection that no longer waits."""
        self.sock.settimeout(10)
        self.sock.sendall(command(1, name, **p))
        while True:
            for payload in self.payloads(self._some()):
                said = msgpack.unpackb(payload)
                for one in said if isinstance(said, list) else [said]:
                    if one.get("i") == 1:
                        if "e" in one:
                            raise Closed(f"{name}: {one['e']}")
                        self.sock.setblocking(False)
                        return one["r"]

    def ask_all(self, commands: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Several commands in one frame, all answered when it returns. Waits, and raises Closed for the first that was refused."""
        self.sock.settimeout(30)
        self.sock.sendall(frame(msgpack.packb([{"i": number, "m": name, "p": p} for number, (name, p) in enumerate(commands, 2)])))
        left = set(range(2, len(commands) + 2))
        while left:
            for payload in self.payloads(self._some()):
                said = msgpack.unpackb(payload)
                for one in said if isinstance(said, list) else [said]:
                    if "e" in one:
                        raise Closed(str(one["e"]))
                    left.discard(one.get("i", 0))
        self.sock.setblocking(False)

    def receive(self) -> list[bytes]:
        """The payloads that have come, without waiting. Pings are answered."""
        try:
            data = self.sock.recv(RECEIVE)
        except BlockingIOError:
            return []
        if not data:
            raise Closed("the server closed a connection")
        return list(self.payloads(data))

    def payloads(self, data: bytes) -> Iterator[bytes]:
        """Those of the frames that are complete. Raises Closed for a close frame."""
        if self._rest:
            data = self._rest + data
        place, end = 0, len(data)
        while end - place >= 2:
            size, begin = data[place + 1], place + 2
            if size == 126:
                size, begin = int.from_bytes(data[begin:begin + 2], "big"), begin + 2
            elif size == 127:
                size, begin = int.from_bytes(data[begin:begin + 8], "big"), begin + 8
            if begin + size > end:
                break
            payload, opcode = data[begin:begin + size], data[place] & 0xF
            place = begin + size
            if opcode == PING:
                self.sock.send(frame(payload, PONG))
            elif opcode == CLOSE:
                raise Closed(f"closed with {int.from_bytes(payload[:2], 'big')} {payload[2:].decode(errors='replace')}")
            elif opcode < CLOSE:
                yield payload
        self._rest = data[place:]

    def _some(self) -> bytes:
        data = self.sock.recv(RECEIVE)
        if not data:
            raise Closed("the server closed a connection")
        return data


class Herd:
    """Many connections on one epoll."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._sockets: dict[int, Socket] = {}

    def add(self, one: Socket) -> None:
        """One more."""
        self._sockets[one.sock.fileno()] = one
        self._epoll.register(one.sock.fileno(), select.EPOLLIN)

    def poll(self, within_s: float, take: Callable[[Socket, list[bytes]], None]) -> None:
        """Hand everything that has come to `take`, once."""
        sockets = self._sockets
        for descriptor, _ in self._epoll.poll(within_s, 1_024):
            one = sockets[descriptor]
            if payloads := one.receive():
                take(one, payloads)

    def idle(self, for_s: float) -> None:
        """Do nothing but answer pings."""
        until = time.monotonic() + for_s
        while (left := until - time.monotonic()) > 0:
            self.poll(left, lambda one, payloads: None)

    def close(self) -> None:
        """End them all."""
        for one in self._sockets.values():
            one.sock.close()
        self._epoll.close()
