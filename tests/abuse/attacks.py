"""What a hostile client does to a server, on plain sockets. Each attack tells how many bytes or connections it had; what was refused is not counted.

Frames are masked with zeros: their payload goes as it is, and costs the attacker nothing.
"""

import json
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple

import msgpack

from bench.server import Server

BINARY, TEXT, PING = 0x82, 0x81, 0x89
NO_MASK = bytes(4)
CLOSING = b"\x88"
"""The first byte of a server's close frame."""
FRAME = 61_000
"""Bytes of the largest frames sent here: below the limit, so that they are decoded."""
HEAD = (b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\n")


class Target(NamedTuple):
    """A server, and the token of somebody who may be there."""

    server: Server
    token: str


class Foe:
    """One connection of a client that keeps no rule."""

    def __init__(self, target: Target) -> None:
        self.socket = socket.create_connection(target.server.address, timeout=20)
        self.sent = 0

    def send(self, data: bytes) -> bool:
        """As far as it is taken; False once the server has hung up."""
        try:
            for at in range(0, len(data), 65_536):
                self.sent += self.socket.send(data[at : at + 65_536])
        except OSError:
            return False
        return True

    def enter(self, token: str, protocol: bytes = b"caas.v1") -> "Foe":
        """An open connection of somebody known."""
        self.socket.sendall(HEAD % protocol + b"\r\n")
        hello = {"i": 1, "m": "hello", "p": {"token": token}}
        as_text = protocol.endswith(b"json")
        self.socket.sendall(frame(TEXT, json.dumps(hello).encode()) if as_text else frame(BINARY, msgpack.packb(hello)))
        self.until(b"heartbeat_s")
        return self

    def until(self, mark: bytes) -> None:
        """Read up to something."""
        seen = b""
        while mark not in seen:
            chunk = self.socket.recv(1 << 20)
            assert chunk, f"hung up before {mark!r}: {seen[-200:]!r}"
            seen = seen[-len(mark) :] + chunk

    def to_the_end(self) -> None:
        """Read until the server hangs up."""
        with suppress(OSError):
            while self.socket.recv(1 << 20):
                pass


@contextmanager
def foes(target: Target, number: int) -> Iterator[list[Foe]]:
    """So many at once."""
    made = [Foe(target) for _ in range(number)]
    try:
        yield made
    finally:
        for foe in made:
            foe.socket.close()


def frame(first: int, payload: bytes) -> bytes:
    """One frame; `first` is its first byte."""
    size = len(payload)
    if size < 126:
        return bytes((first, 0x80 | size)) + NO_MASK + payload
    return bytes((first, 0x80 | 126)) + struct.pack(">H", size) + NO_MASK + payload


def strangers(number: int, data: bytes) -> Callable[[Target], int]:
    """So many connections that send this, and hear what the server has to say."""
    def attack(target: Target) -> int:
        with foes(target, number) as all_of_them:
            for foe in all_of_them:
                foe.send(data)
            for foe in all_of_them:
                foe.to_the_end()
            return sum(foe.sent for foe in all_of_them)

    return attack


def drip(target: Target) -> int:
    """Two hundred handshakes, each byte by byte; none is ever whole."""
    with foes(target, 200) as all_of_them:
        for at in range(len(HEAD)):
            for foe in all_of_them:
                foe.send(HEAD[at : at + 1])
        return len(all_of_them)


def known(number: int, data: bytes, *, answered: int = 0, protocol: bytes = b"caas.v1") -> Callable[[Target], int]:
    """So many connections of somebody known, one after the other, that send this: `answered` times to a server that answers and stays, or once to
    one that then closes."""
    def attack(target: Target) -> int:
        sent = 0
        for _ in range(number):
            with foes(target, 1) as (foe,):
                foe.enter(target.token, protocol)
                for _ in range(answered):
                    assert foe.send(data)
                    foe.until(b"bad_request")
                if not answered and foe.send(data):
                    foe.until(CLOSING)
                sent += foe.sent
        return sent

    return attack


def deaf(target: Target) -> int:
    """Twenty who ask for a hundred pages of the history each, a quarter of a megabyte a page, and read nothing."""
    asks = [frame(BINARY, msgpack.packb({"i": i, "m": "message.list", "p": {"c": "lobby"}})) for i in range(2, 102)]
    with foes(target, 20) as all_of_them:
        for foe in all_of_them:
            foe.enter(target.token)
        for foe in all_of_them:
            foe.send(b"".join(asks))
        with foes(target, 1) as (friend,):
            friend.enter(target.token)
            for ask in asks:  # they have had their turns when a friend who asks after them has had as many
                friend.send(ask)
                friend.until(b"items")
        return len(asks) * len(all_of_them)


def command(p: bytes) -> bytes:
    """A command in msgpack whose `p` is this."""
    return b"\x83\xa1i\x07\xa1m\xacmessage.send\xa1p" + p


def fragments(whole: bytes, pieces: int) -> bytes:
    """One message in so many frames."""
    size = -(-len(whole) // pieces)
    parts = [whole[at : at + size] for at in range(0, len(whole), size)]
    return b"".join(bytes(((0x82 if not at else 0x80) & (0x7F if at < len(parts) - 1 else 0xFF), 0x80 | len(part))) + NO_MASK + part
                    for at, part in enumerate(parts))


@dataclass(frozen=True)
class Attack:
    """`run` gives how many bytes were sent (or connections made, or commands); the budget is for a million of those, or a thousand."""

    name: str
    run: Callable[[Target], int]
    cpu_s: float
    """Seconds of processor of the worker, for each MB sent (for each thousand where `each` says so)."""
    peak_mb: float
    """By how much its resident memory may grow meanwhile."""
    each: int = 1_000_000


ENDLESS = b"\x82\xff" + struct.pack(">Q", 1 << 62) + NO_MASK
NESTED, NESTED_A_LITTLE = (command(b"\x82\xa1c\xa5lobby\xa2id" + b"\x91" * depth + b"\xc0") for depth in (FRAME - 50, 1_000))
WIDE = command(b"\x82\xa1c\xa5lobby\xa2id\xdd" + struct.pack(">I", FRAME - 50) + b"\xc0" * (FRAME - 50))
NESTED_TEXT = b'{"i":7,"m":"message.send","p":{"id":' + b"[" * (FRAME // 2) + b"]" * (FRAME // 2) + b"}}"
WIDE_TEXT = b'{"i":7,"m":"message.send","p":{"id":[' + b"0," * (FRAME // 2) + b"0]}}"
DECLARED = command(b"\xdf\xff\xff\xff\xff" + (b"\xa1x\xdd\xff\xff\xff\xff") * (FRAME // 8))

ATTACKS = [
    Attack("heads without an end", strangers(60, HEAD % b"caas.v1" + b"X-Bomb: " + b"a" * 1_000_000), 0.25, 8),
    Attack("two thousand headers", strangers(60, HEAD % b"caas.v1" + b"A: b\r\n" * 2_000), 0.25, 8),
    Attack("requests without an end", strangers(60, b"POST /api/v1/conversations HTTP/1.1\r\nHost: h\r\n" + b"A: b\r\n" * 100_000), 0.25, 33),
    Attack("handshakes byte by byte", drip, 6, 8, each=1_000),
    Attack("a frame of 2^62 bytes", strangers(20, HEAD % b"caas.v1" + b"\r\n" + ENDLESS + bytes(4_000_000)), 0.25, 8),
    Attack("empty fragments", known(20, b"\x02\x80" + NO_MASK + (b"\x00\x80" + NO_MASK) * 10_000), 0.5, 8),
    Attack("messages in 32 pieces", known(1, fragments(NESTED_A_LITTLE, 32), answered=300), 4, 8),
    Attack("pings", known(20, frame(PING, b"") * 10_000), 1.8, 8),
    Attack("deep nesting", known(1, frame(BINARY, NESTED), answered=20), 3.7, 8),
    Attack("many items", known(1, frame(BINARY, WIDE), answered=20), 2.1, 8),
    Attack("huge declared lengths", known(40, frame(BINARY, DECLARED)), 1, 8),
    Attack("deep nesting in JSON", known(40, frame(TEXT, NESTED_TEXT), protocol=b"caas.v1.json"), 1, 8),
    Attack("many items in JSON", known(1, frame(TEXT, WIDE_TEXT), answered=20, protocol=b"caas.v1.json"), 0.4, 8),
    Attack("readers who read nothing", deaf, 0.8, 180, each=1_000),
]
