"""One link between two workers, whichever of them dialled: frames, what waits to leave, and the questions still open.

A frame is its length (4 bytes) and one msgpack array: [0, message] tells, [1, id, message] asks, [2, id, answer] answers, and
[3, id, refusal] refuses, the refusal being [code, message, field, limit, retry_after_ms]. The first frame each way is [worker].
"""

import socket
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec
import trio

from protocol.errors import Refused

MOST_WAITING: Final = 8 * 1024 * 1024
"""Bytes that may wait for one worker; when there are more, the link is dropped."""


class Kind:
    """What a frame is, its first item."""

    TELL: Final = 0
    ASK: Final = 1
    ANSWER: Final = 2
    REFUSE: Final = 3


Reply = Callable[[object, Exception | None], None]

_READ = 65_536
_LENGTH = 4
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Broken(Exception):
    """What came over the link is no frame of ours."""


class Open(NamedTuple):
    """A question on its way."""

    reply: Reply
    deadline: float
    end: int
    """Where its frame ends in the stream: it is surely not delivered until this many bytes have left."""


def frame(*parts: object) -> bytes:
    """The bytes of one frame. Raises TypeError for what msgpack cannot hold."""
    body = _encode(parts)
    return len(body).to_bytes(_LENGTH, "big") + body


class Pipe:
    """One connection, while it lasts. Nothing here calls anybody back but `settle`, and the reader through `frames`."""

    def __init__(self, worker: str, sock: socket.socket, rest: bytes, first: bytes) -> None:
        self.worker = worker
        self.scope = trio.CancelScope()
        self.open: dict[int, Open] = {}
        self._sock = sock
        self._read = bytearray(rest)
        self._gathered: list[bytes] = [first] if first else []
        self._leaving = memoryview(b"")
        self._given = self._buffered = len(first)
        self._wake = trio.Event()
        self._wake.set()
        self._alive = True

    @property
    def alive(self) -> bool:
        """Whether it may still be written to."""
        return self._alive

    def put(self, data: bytes) -> bool:
        """Have these frames leave with whatever else this tick brings. False, and the link is dropped, when too much waits."""
        if self._buffered + len(data) > MOST_WAITING:
            self.drop()
        if not self._alive:
            return False
        self._gathered.append(data)
        self._given += len(data)
        self._buffered += len(data)
        self._wake.set()
        return True

    def ask(self, number: int, data: bytes, reply: Reply, deadline: float) -> bool:
        """As `put`, and remember who waits for the answer."""
        if not self.put(data):
            return False
        self.open[number] = Open(reply, deadline, self._given)
        return True

    def drop(self) -> None:
        """End it soon: its own task tells those who wait."""
        self._alive = False
        self.scope.cancel()

    def settle(self) -> None:
        """Answer every open question: what had not left was surely not delivered, of the rest nobody can say."""
        self._alive = False
        left = self._given - self._buffered
        asked, self.open = self.open, {}
        for question in asked.values():
            code = "timeout" if question.end <= left else "unavailable"
            question.reply(None, Refused(code, "The link to the worker that has this broke: try again."))

    def expire(self, now: float) -> None:
        """Answer `timeout` to the questions whose time is over."""
        for number in [number for number, question in self.open.items() if question.deadline <= now]:
            self.open.pop(number).reply(None, Refused("timeout"))

    async def write(self) -> None:
        """Send what gathers, a whole tick's frames at once; until cancelled, or OSError."""
        while True:
            await self._wake.wait()
            if self._flush():
                self._wake = trio.Event()
            else:
                await trio.lowlevel.wait_writable(self._sock)

    def _flush(self) -> bool:
        """Offer the socket what waits; whether it took all of it."""
        while self._buffered:
            if not self._leaving:
                self._leaving = memoryview(b"".join(self._gathered))
                self._gathered.clear()
            try:
                sent = self._sock.send(self._leaving)
            except BlockingIOError:
                return False
            self._leaving = self._leaving[sent:]
            self._buffered -= sent
        return True

    async def frames(self) -> list[list[Any]]:
        """The frames that have come, at least one; none at the end of the link. Raises Broken, OSError."""
        while True:
            if came := list(self._take()):
                return came
            data = await receive(self._sock)
            if not data:
                return []
            self._read += data

    def _take(self) -> Iterator[list[Any]]:
        start = 0
        with memoryview(self._read) as view:
            while (end := frame_end(view, start)) <= len(view):
                yield parsed(view[start + _LENGTH:end])
                start = end
        del self._read[:start]

    def close(self) -> None:
        """Give the socket back."""
        self._sock.close()


def frame_end(data: memoryview, start: int) -> int:
    """Where the frame that begins at `start` ends; beyond the data when it is not all there. Raises Broken."""
    if len(data) < start + _LENGTH:
        return start + _LENGTH
    size = int.from_bytes(data[start:start + _LENGTH], "big")
    if size > MOST_WAITING:
        raise Broken(f"a frame of {size} bytes")
    return start + _LENGTH + size


def parsed(body: memoryview) -> list[Any]:
    """One frame's array. Raises Broken."""
    try:
        parts = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Broken(str(error)) from error
    if not isinstance(parts, list) or not parts:
        raise Broken("not an array")
    return parts


async def receive(sock: socket.socket) -> bytes:
    """What has come; empty at the end. Raises OSError."""
    while True:
        await trio.lowlevel.wait_readable(sock)
        try:
            return sock.recv(_READ)
        except BlockingIOError:
            continue


async def read_greeting(sock: socket.socket) -> tuple[str, bytes]:
    """The other's first frame, which names it, and what came behind it. Raises Broken, OSError."""
    data = b""
    while (end := frame_end(memoryview(data), 0)) > len(data):
        more = await receive(sock)
        if not more:
            raise Broken("hung up before saying who it is")
        data += more
    match parsed(memoryview(data)[_LENGTH:end]):
        case [str(worker)]:
            return worker, data[end:]
        case _:
            raise Broken("did not say who it is")


def pack_refusal(error: Exception) -> list[Any]:
    """A refusal as it travels; any other error is `internal`, for it is not the asker's business."""
    refused = error if isinstance(error, Refused) else Refused("internal")
    return [refused.code, refused.message, refused.field, refused.limit, refused.retry_after_ms]


def unpack_refusal(parts: list[Any]) -> Refused:
    """The refusal that travelled."""
    code, message, field, limit, retry_after_ms = parts
    return Refused(code, message, field=field, limit=None if limit is None else (limit[0], limit[1], limit[2]), retry_after_ms=retry_after_ms)
