"""The asyncio face: the core on asyncio's streams. No thread, no trio.

    async with caas_sdk.aio.connect("http://127.0.0.1:3000", token) as client:
        await client.messages.send("lobby", "Hello")
"""

import asyncio
import os
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from caas_sdk.aio_socket import open_socket
from caas_sdk.client import Client, Flag, Socket, Token

__all__ = ["connect"]


@asynccontextmanager
async def connect(url: str, token: Token, *, device: Mapping[str, str] | None = None, retries: int | None = None, timeout_s: float = 30.0,
                  ssl_context: ssl.SSLContext | None = None) -> AsyncIterator[Client]:
    """A client, connected; it reconnects by itself until the block ends, or for `retries` tries in a row.

    `token`: a token, or a function (plain or async) that gives a fresh one. `timeout_s`: for the first connection, and for each call.
    Raises Disconnected when the token is refused, TimedOut when nobody answers. A handler that raises ends the block.
    """
    failed: Exception | None = None
    async with asyncio.TaskGroup() as group:
        runtime = _Asyncio(group, ssl_context)
        client = Client(runtime, url, token, chance=random.random, entropy=os.urandom, device=device, retries=retries, timeout_s=timeout_s)
        client.start()
        try:
            await client.connected()
            yield client
        except Exception as error:  # noqa: BLE001 - raised again below, outside of the group, so that it is not wrapped in one
            failed = error
        await client.leave()
        runtime.cancel_all()
    if failed is not None:
        raise failed


class _Asyncio:
    """What the client needs of asyncio."""

    def __init__(self, group: asyncio.TaskGroup, ssl_context: ssl.SSLContext | None) -> None:
        self._group, self._ssl = group, ssl_context
        self._tasks: set[asyncio.Task[None]] = set()

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def flag(self) -> Flag:
        return asyncio.Event()

    def spawn(self, work: Callable[..., Awaitable[None]], *arguments: Any) -> Callable[[], object]:
        async def run() -> None:
            await work(*arguments)

        task = self._group.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task.cancel

    def cancel_all(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def wait(self, flag: Flag, seconds: float | None) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await flag.wait()
        except TimeoutError:
            return flag.is_set()
        return True

    async def within(self, seconds: float, work: Callable[[], Awaitable[Any]]) -> Any:
        async with asyncio.timeout(seconds):
            return await work()

    def dial(self, url: str, heard: Callable[[], None]) -> AbstractAsyncContextManager[Socket]:
        return open_socket(url, self._ssl, heard)
