"""A real server on a loopback port, and a client that can say anything."""

import contextlib
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
import trio

from transport.door import UNLIMITED, Door, DoorLimits
from transport.listener import Listener, open_sockets
from transport.origins import EVERYBODY, Origins
from transport.proxied import NOBODY, Proxies
from transport.websocket.connection import Connection
from transport.websocket.frames import BINARY, CLOSE, TEXT, Event
from transport.websocket.hub import Hub

KEY = b"\x11\x22\x33\x44"


@dataclass
class Recorder:
    """A handler that remembers what it was told; `answer` is called for each message."""

    answer: Callable[[Connection, int, bytes], None] = lambda connection, opcode, payload: None
    connections: list[Connection] = field(default_factory=list)
    received: list[Event] = field(default_factory=list)
    ended: list[tuple[int, int]] = field(default_factory=list)
    _more: trio.Event = field(default_factory=trio.Event)

    def opened(self, connection: Connection) -> str:
        self.connections.append(connection)
        connection.admitted()
        self._tell()
        return f"state of {connection.id}"

    def messages(self, connection: Connection, batch: list[Event]) -> None:
        assert connection.state == f"state of {connection.id}"
        self.received += batch
        for opcode, payload in batch:
            self.answer(connection, opcode, payload)
        self._tell()

    def closed(self, connection: Connection, code: int) -> None:
        self.ended.append((connection.id, code))
        self._tell()

    def _tell(self) -> None:
        self._more.set()
        self._more = trio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait, looking again whenever something was told."""
        while not condition():
            await self._more.wait()

    async def first(self) -> Connection:
        await self.until(lambda: bool(self.connections))
        return self.connections[0]


def echoing(connection: Connection, opcode: int, payload: bytes) -> None:
    connection.outbox.send(payload, text=opcode == TEXT)


@dataclass
class Server:
    hub: Hub
    door: Door
    listener: Listener
    handler: Recorder
    port: int


@contextlib.asynccontextmanager
async def open_server(
    answer: Callable[[Connection, int, bytes], None] | None = None,
    *,
    limits: DoorLimits = UNLIMITED,
    serve_http: Any = None,
    path: str | None = "/ws",
    tls: ssl.SSLContext | None = None,
    origins: Origins = EVERYBODY,
    proxies: Proxies = NOBODY,
    **options: Any,
) -> AsyncIterator[Server]:
    handler = Recorder() if answer is None else Recorder(answer)
    door = Door(limits)
    hub = Hub(handler, door, **options)
    sockets = open_sockets("127.0.0.1", 0)
    listener = Listener(sockets, hub, serve_http, door=door, path=path, tls=tls, origins=origins, proxies=proxies)
    port = sockets[0].getsockname()[1]
    async with trio.open_nursery() as nursery:
        await nursery.start(hub.run)
        await nursery.start(listener.run)
        yield Server(hub, door, listener, handler, port)
        nursery.cancel_scope.cancel()


class Client:
    """A WebSocket client made of bytes: it keeps no rule that it is not told to keep."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.data = b""
        self.sent = 0

    async def send(self, data: bytes) -> None:
        self.sent += len(data)
        await self.stream.send_all(data)

    async def frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True) -> None:
        await self.send(masked(opcode, payload, fin=fin))

    async def text(self, payload: str) -> None:
        await self.frame(TEXT, payload.encode())

    async def binary(self, payload: bytes) -> None:
        await self.frame(BINARY, payload)

    async def head(self) -> bytes:
        """The response's head."""
        while b"\r\n\r\n" not in self.data:
            assert await self._more(), f"closed after {self.data!r}"
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        return head

    async def receive(self) -> tuple[int, bytes] | None:
        """The next frame; None when the server hangs up."""
        while True:
            parsed = _parse(self.data)
            if parsed is not None:
                opcode, payload, size = parsed
                self.data = self.data[size:]
                return opcode, payload
            if not await self._more():
                return None

    async def receive_close(self) -> tuple[int, str]:
        """Frames up to the close frame; its code and reason."""
        while (got := await self.receive()) is not None:
            if got[0] == CLOSE:
                return struct.unpack_from("!H", got[1])[0], got[1][2:].decode()
        raise AssertionError("hung up without a close frame")

    async def everything(self) -> bytes:
        """All bytes until the server hangs up."""
        with contextlib.suppress(trio.BrokenResourceError):
            while await self._more():
                pass
        return self.data

    async def _more(self) -> bool:
        chunk = await self.stream.receive_some(65_536)
        self.data += chunk
        return bool(chunk)


def masked(opcode: int, payload: bytes, *, fin: bool = True, key: bytes = KEY) -> bytes:
    size = len(payload)
    first = (0x80 if fin else 0) | opcode
    if size < 126:
        header = bytes((first, 0x80 | size))
    elif size < 65_536:
        header = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        header = struct.pack("!BBQ", first, 0x80 | 127, size)
    return header + key + bytes(byte ^ key[place % 4] for place, byte in enumerate(payload))


def _parse(data: bytes) -> tuple[int, bytes, int] | None:
    if len(data) < 2:
        return None
    size, start = data[1] & 0x7F, 2
    if size >= 126:
        start = 4 if size == 126 else 10
        if len(data) < start:
            return None
        size = int.from_bytes(data[2:start], "big")
    if len(data) < start + size:
        return None
    return data[0] & 0x0F, data[start : start + size], start + size


def request(path: str = "/ws", protocol: str | None = "caas.v1", **headers: str) -> bytes:
    lines = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    if protocol is not None:
        lines["Sec-WebSocket-Protocol"] = protocol
    lines.update({name.replace("_", "-"): value for name, value in headers.items()})
    return (f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n").encode()


@dataclass
class Wire:
    """What the tests of this folder share; the clients made with it are closed at the test's end."""

    clients: list[Client] = field(default_factory=list)
    server: ClassVar[Any] = staticmethod(open_server)
    request: ClassVar[Any] = staticmethod(request)
    masked: ClassVar[Any] = staticmethod(masked)
    echoing: ClassVar[Any] = staticmethod(echoing)
    limits: ClassVar[Any] = DoorLimits

    def client(self, stream: trio.abc.Stream) -> Client:
        self.clients.append(Client(stream))
        return self.clients[-1]

    async def connect(self, port: int, *, address: str = "127.0.0.1") -> Client:
        """A connection, with nothing said, from one of the machine's loopback addresses."""
        return self.client(await trio.open_tcp_stream("127.0.0.1", port, local_address=address))

    async def dial(self, port: int, *, protocol: str | None = "caas.v1", path: str = "/ws", address: str = "127.0.0.1") -> Client:
        """An open WebSocket."""
        client = await self.connect(port, address=address)
        await client.send(request(path, protocol))
        assert (await client.head()).startswith(b"HTTP/1.1 101 ")
        return client


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    wire = Wire()
    yield wire
    for client in wire.clients:
        await trio.aclose_forcefully(client.stream)
