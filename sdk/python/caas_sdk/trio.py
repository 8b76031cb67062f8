"""The trio face: the core on trio and trio-websocket.

    async with caas_sdk.trio.connect("http://127.0.0.1:3000", token) as client:
        await client.messages.send("lobby", "Hello")
"""

import os
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import SplitResult, urlsplit

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream

from caas_sdk.client import Client, Flag, Socket, SocketClosed, Token
from caas_sdk.protocol import DIAL_WITHIN_S, LARGEST_MESSAGE, SUBPROTOCOL

__all__ = ["connect"]

_READ = 64 * 1024


@asynccontextmanager
async def connect(url: str, token: Token, *, device: Mapping[str, str] | None = None, retries: int | None = None, timeout_s: float = 30.0,
                  ssl_context: ssl.SSLContext | None = None) -> AsyncIterator[Client]:
    """A client, connected; it reconnects by itself until the block ends, or for `retries` tries in a row.

    `token`: a token, or a function (plain or async) that gives a fresh one. `timeout_s`: for the first connection, and for each call.
    Raises Disconnected when the token is refused, TimedOut when nobody answers. A handler that raises ends the block.
    """
    failed: Exception | None = None
    async with trio.open_nursery() as nursery:
        client = Client(_Trio(nursery, ssl_context), url, token, chance=random.random, entropy=os.urandom, device=device, retries=retries,
                        timeout_s=timeout_s)
        client.start()
        try:
            await client.connected()
            yield client
        except Exception as error:  # noqa: BLE001 - raised again below, outside of the nursery, so that it is not wrapped in a group
            failed = error
        with trio.CancelScope(shield=True):
            await client.leave()
        nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed


class _Trio:
    """What the client needs of trio."""

    def __init__(self, nursery: trio.Nursery, ssl_context: ssl.SSLContext | None) -> None:
        self._nursery, self._ssl = nursery, ssl_context

    def now(self) -> float:
        return trio.current_time()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def flag(self) -> Flag:
        return trio.Event()

    def spawn(self, work: Callable[..., Awaitable[None]], *arguments: Any) -> Callable[[], object]:
        scope = trio.CancelScope()

        async def run() -> None:
            with scope:
                await work(*arguments)

        self._nursery.start_soon(run)
        return scope.cancel

    async def wait(self, flag: Flag, seconds: float | None) -> bool:
        with trio.move_on_after(float("inf") if seconds is None else seconds):
            await flag.wait()
        return flag.is_set()

    async def within(self, seconds: float, work: Callable[[], Awaitable[Any]]) -> Any:
        try:
            with trio.fail_after(seconds):
                return await work()
        except trio.TooSlowError as error:
            raise TimeoutError from error

    @asynccontextmanager
    async def dial(self, url: str, heard: Callable[[], None]) -> AsyncIterator[Socket]:
        """The stream is ours to close: trio-websocket leaves it open when the network breaks."""
        parts = urlsplit(url)
        failed: Exception | None = None
        stream = await self._reach(parts)
        try:
            async with trio.open_nursery() as nursery:
                try:
                    with trio.fail_after(DIAL_WITHIN_S):
                        connection = await wrap_client_stream(nursery, stream, parts.netloc.rpartition("@")[2], _target(parts),
                                                              subprotocols=[SUBPROTOCOL], max_message_size=LARGEST_MESSAGE, receive_buffer_size=_READ)
                    yield _TrioSocket(connection)
                except (SocketClosed, HandshakeError, trio.TooSlowError) as error:
                    failed = error
                nursery.cancel_scope.cancel()
        finally:
            await trio.aclose_forcefully(stream)
        if failed is not None:
            raise failed if isinstance(failed, SocketClosed) else SocketClosed() from failed

    async def _reach(self, parts: SplitResult) -> "trio.SocketStream | trio.SSLStream[trio.SocketStream]":
        secure = parts.scheme == "wss"
        host, port = str(parts.hostname), parts.port or (443 if secure else 80)
        try:
            with trio.fail_after(DIAL_WITHIN_S):
                if not secure:
                    return await trio.open_tcp_stream(host, port)
                return await trio.open_ssl_over_tcp_stream(host, port, https_compatible=True, ssl_context=self._ssl or ssl.create_default_context())
        except (OSError, trio.TooSlowError) as error:
            raise SocketClosed from error


def _target(parts: SplitResult) -> str:
    return parts.path + (f"?{parts.query}" if parts.query else "")


class _TrioSocket:
    def __init__(self, connection: WebSocketConnection) -> None:
        self._connection = connection

    async def send(self, data: bytes) -> None:
        try:
            await self._connection.send_message(data)
        except ConnectionClosed as closed:
            raise _closed(closed) from closed

    async def receive(self) -> bytes:
        try:
            message = await self._connection.get_message()
        except ConnectionClosed as closed:
            raise _closed(closed) from closed
        return message if isinstance(message, bytes) else message.encode()

    async def close(self) -> None:
        await self._connection.aclose()


def _closed(closed: ConnectionClosed) -> SocketClosed:
    return SocketClosed(None if closed.reason is None else closed.reason.code)
