"""What the tests of the faces share: a real server, and a cable to it that can be cut."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import pytest
import trio
from caas_sdk import aio, create_session
from caas_sdk import trio as on_trio
from caas_sdk.client import Client

from tests.journeys.conftest import development

SECRET = "caas_sk_dev"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A development set-up of its own; its base address."""
    with development(tmp_path_factory.mktemp("sdk")) as base:
        yield base


class Face:
    """trio or asyncio: the same stories run on both."""

    def __init__(self, name: str, base: str) -> None:
        self.name, self.base = name, base

    def run(self, story: Callable[["Face"], Awaitable[None]]) -> None:
        """Run a story to its end, two minutes at most."""
        if self.name == "trio":
            async def timed() -> None:
                with trio.fail_after(120):
                    await story(self)
            trio.run(timed)
        else:
            asyncio.run(asyncio.wait_for(_coroutine(story(self)), 120))

    def client(self, user: str, base: str = "", **options: Any) -> AbstractAsyncContextManager[Client]:
        """A user's client, connected. Tokens are given by a function that is asked whenever one is needed."""
        connect = on_trio.connect if self.name == "trio" else aio.connect
        token = options.pop("token", lambda: create_session(self.base, SECRET, user))
        return connect(base or self.base, token, **options)

    async def sleep(self, seconds: float) -> None:
        """The face's own."""
        await (trio if self.name == "trio" else asyncio).sleep(seconds)

    async def within(self, seconds: float, waiting: Awaitable[None]) -> None:
        """Wait, but not longer. Raises the face's own error."""
        if self.name == "trio":
            with trio.fail_after(seconds):
                await waiting
        else:
            await asyncio.wait_for(_coroutine(waiting), seconds)


async def _coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable


@pytest.fixture(params=["trio", "asyncio"])
def face(request: pytest.FixtureRequest, server: str) -> Face:
    """Each of the two."""
    return Face(request.param, server)


class Cable:
    """A TCP proxy in a thread: what goes through can be cut at once, and new connections be refused for a while."""

    def __init__(self, base: str) -> None:
        host, _, port = base.removeprefix("http://").rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.plugged = True
        self.dialled = 0
        self.base = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Reset every connection."""
        with self._lock:
            cut, self._pairs = self._pairs, set()
        for one in cut:
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """The end."""
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.dialled += 1
            if not self.plugged:
                near.close()
                continue
            far = socket.create_connection(self._target)
            with self._lock:
                self._pairs |= {near, far}
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65_536):
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._pairs -= {one, other}
        one.close()


@pytest.fixture
def cable(server: str) -> Iterator[Cable]:
    """A cable to the server."""
    made = Cable(server)
    yield made
    made.close()


def untrusting() -> ssl.SSLContext:
    """TLS that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
