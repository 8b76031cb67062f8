"""A WebSocket client on asyncio's streams: wsproto says what the bytes mean."""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Ping, RejectConnection, Request, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from caas_sdk.client import SocketClosed
from caas_sdk.protocol import DIAL_WITHIN_S, LARGEST_MESSAGE, SUBPROTOCOL

_READ = 64 * 1024


@asynccontextmanager
async def open_socket(url: str, ssl_context: ssl.SSLContext | None, heard: Callable[[], None]) -> AsyncIterator["AioSocket"]:
    """A socket that is open; it is closed when the block ends. `heard` is called for every ping. Raises SocketClosed."""
    parts = urlsplit(url)
    secure = (ssl_context or ssl.create_default_context()) if parts.scheme == "wss" else None
    port = parts.port or (443 if secure else 80)
    try:
        async with asyncio.timeout(DIAL_WITHIN_S):
            reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=secure)
    except (OSError, TimeoutError) as error:
        raise SocketClosed from error
    socket = AioSocket(reader, writer, heard)
    try:
        async with asyncio.timeout(DIAL_WITHIN_S):
            await socket.open(parts.netloc.rpartition("@")[2], parts.path + (f"?{parts.query}" if parts.query else ""))
        yield socket
    except TimeoutError as error:
        raise SocketClosed from error
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


class AioSocket:
    """One WebSocket. Messages are whole and binary."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Callable[[], None]) -> None:
        self._reader, self._writer, self._heard = reader, writer, heard
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._came: deque[bytes] = deque()
        self._part = bytearray()
        self._accepted = False

    async def open(self, host: str, target: str) -> None:
        """Shake hands."""
        await self._say(Request(host=host, target=target, subprotocols=[SUBPROTOCOL]))
        while not self._accepted:
            await self._read()

    async def send(self, data: bytes) -> None:
        """One binary message."""
        await self._say(BytesMessage(data=data))

    async def receive(self) -> bytes:
        """The next message."""
        while not self._came:
            await self._read()
        return self._came.popleft()

    async def close(self) -> None:
        """Say goodbye."""
        await self._say(CloseConnection(code=1000))

    async def _read(self) -> None:
        try:
            data = await self._reader.read(_READ)
            self._protocol.receive_data(data or None)
        except (OSError, RemoteProtocolError) as error:
            raise SocketClosed from error
        for event in self._protocol.events():
            await self._take(event)

    async def _take(self, event: Event) -> None:
        if isinstance(event, BytesMessage | TextMessage):
            self._gather(event)
        elif isinstance(event, Ping):
            self._heard()
            await self._say(event.response())
        elif isinstance(event, AcceptConnection):
            self._accepted = True
        elif isinstance(event, RejectConnection):
            raise SocketClosed
        elif isinstance(event, CloseConnection):
            with suppress(SocketClosed):
                await self._say(event.response())
            raise SocketClosed(None if event.code == 1006 else event.code)

    def _gather(self, event: BytesMessage | TextMessage) -> None:
        self._part += event.data if isinstance(event.data, bytes | bytearray) else event.data.encode()
        if len(self._part) > LARGEST_MESSAGE:
            raise SocketClosed
        if event.message_finished:
            self._came.append(bytes(self._part))
            self._part.clear()

    async def _say(self, event: Event) -> None:
        try:
            self._writer.write(self._protocol.send(event))
            await self._writer.drain()
        except (OSError, LocalProtocolError) as error:
            raise SocketClosed from error
