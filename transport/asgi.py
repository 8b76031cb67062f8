"""An ASGI application behind our listener, on Hypercorn's own server for one connection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext

from transport.listener import ServeHTTP
from transport.websocket.handshake import MAX_HEAD

if TYPE_CHECKING:
    from hypercorn.protocol import ProtocolWrapper
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
        self._protocol = protocol


async def _stay(request: object) -> None:
    """Every request is HTTP/1.1."""


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
