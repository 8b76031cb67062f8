"""An ASGI application behind our listener, on Hypercorn's own server for one connection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
from h11 import ERROR, LocalProtocolError, Response
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import RawData
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext

from transport.listener import ServeHTTP
from transport.websocket.handshake import MAX_HEAD

if TYPE_CHECKING:
    from h11 import Data, EndOfMessage, InformationalResponse
    from hypercorn.protocol import ProtocolWrapper
    from hypercorn.protocol.h11 import H11Protocol
    from hypercorn.typing import ASGIFramework, LifespanState

    from transport.replay import ReplayStream

_IDLE_S = 5.0  # also what a client has for its next request's headers


class _Server(TCPServer):
    """HTTP/1.1 alone. Whoever asks for HTTP/2 (`Upgrade: h2c`, or its preface at once) is answered as if they had not: its streams could
    be held open without a deadline of ours."""

    @property
    def protocol(self) -> "ProtocolWrapper":
        return self._protocol

    @protocol.setter
    def protocol(self, protocol: "ProtocolWrapper") -> None:
        protocol.protocol._check_protocol = _stay  # type: ignore[method-assign, union-attr]
        protocol.protocol._send_h11_event = _Together(protocol.protocol)  # type: ignore[arg-type, method-assign, union-attr]
        self._protocol = protocol


async def _stay(request: object) -> None:
    """Every request is HTTP/1.1."""


class _Together:
    """Sends a response's head with the beginning of its body, and nothing where there is nothing to send."""

    def __init__(self, http: "H11Protocol") -> None:
        self._http, self._head = http, b""

    async def __call__(self, event: "Data | EndOfMessage | InformationalResponse | Response") -> None:
        """In place of `H11Protocol._send_h11_event`, whose errors it has."""
        try:
            data = self._http.connection.send(event) or b""
        except LocalProtocolError:
            if self._http.connection.their_state is not ERROR:
                raise
            return
        if isinstance(event, Response):
            self._head = data
            return
        data, self._head = self._head + data, b""
        if data:
            await self._http.send(RawData(data))


@asynccontextmanager
async def open_asgi(app: "ASGIFramework") -> AsyncIterator[ServeHTTP]:
    """Start the application's lifespan, and give what serves it on one connection; leaving ends idle connections, then the lifespan."""
    # TCPServer, WorkerContext and Lifespan are Hypercorn's inner names: its version is pinned, and tests/transport holds them.
    config = Config()
    config.keep_alive_timeout = _IDLE_S
    config.h11_max_incomplete_size = MAX_HEAD
    config.include_server_header = False
    wrapper, context, state = ASGIWrapper(app), WorkerContext(None), _state()
    lifespan = Lifespan(wrapper, config, state)

    async def serve(stream: "ReplayStream") -> None:
        await _Server(wrapper, config, context, state, stream)  # type: ignore[arg-type]  # has all that it uses of a stream

    ended = trio.Event()

    async def live(*, task_status: trio.TaskStatus[None]) -> None:
        try:
            await lifespan.handle_lifespan(task_status=task_status)
        finally:
            ended.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(live)
        await lifespan.wait_for_startup()
        if lifespan.shutdown.is_set():  # it has none, or could not start: then its error ends us here
            await ended.wait()
            await trio.lowlevel.checkpoint()
        try:
            yield serve
        finally:
            await context.terminated.set()
            if not lifespan.shutdown.is_set():
                with trio.CancelScope(shield=True):  # has a time limit of its own
                    await lifespan.wait_for_shutdown()
            nursery.cancel_scope.cancel()


def _state() -> "LifespanState":
    return {}
