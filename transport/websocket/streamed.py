"""A connection on any trio stream (TLS; in tests, memory): one task reads, one writes, the handler sees no difference."""

from collections import deque
from typing import TYPE_CHECKING

import trio

from transport.websocket.connection import CLOSING_S, Connection
from transport.websocket.outbox import SLOW, STALLED_S, Outbox

if TYPE_CHECKING:
    from transport.websocket.handshake import Upgrade
    from transport.websocket.hub import Hub

_RECEIVE = 65_536
_ONE_SEND = 65_536
_RECORD = 16_384  # of TLS; and a piece for which STALLED_S is enough on any line worth having
_LINGER_S = 1.0


class StreamedOutbox(Outbox):
    """An outbox whose bytes a writer task takes."""

    __slots__ = ("_on_its_way", "_wake")

    def __init__(self, connection: "StreamedConnection", hub: "Hub") -> None:
        super().__init__(connection, hub.flusher)
        self._on_its_way = 0  # bytes in the stream's hands
        self._wake = trio.Event()

    def flush(self) -> None:
        if not self._pending:
            return
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.extend(self._pending)
        self._pending.clear()
        self._wake.set()

    async def write_to(self, stream: trio.abc.Stream) -> None:
        """Write whatever comes, until the stream fails or takes nothing for STALLED_S."""
        while True:
            if not self._waiting:
                self._wake = trio.Event()
                await self._wake.wait()
                continue
            wire = self._next_wire(self._waiting)
            for start in range(0, len(wire), _RECORD):
                piece = wire[start : start + _RECORD]
                with trio.fail_after(STALLED_S):
                    await stream.send_all(piece)
                self.buffered -= len(piece)
                self._on_its_way -= len(piece)
            self._progressed()

    def _next_wire(self, waiting: deque[bytes]) -> bytes:
        chunks: list[bytes] = []
        while waiting and self._on_its_way < _ONE_SEND:
            chunks.append(waiting.popleft())
            self._on_its_way += len(chunks[-1])
        return b"".join(chunks)

    def _overflow(self) -> None:
        self.cut(SLOW, "slow")

    def _keep_begun(self) -> list[bytes]:
        self.buffered = self._on_its_way
        self._wake.set()
        return []


class StreamedConnection(Connection):
    """One client on one stream."""

    __slots__ = ("_may_read", "_scope", "_stream", "_written")

    def __init__(self, hub: "Hub", stream: trio.abc.Stream, upgrade: "Upgrade", peer: str) -> None:
        super().__init__(hub, upgrade, peer)
        self._stream = stream
        self._scope = trio.CancelScope()
        self._may_read = trio.Event()
        self._may_read.set()
        self.outbox = self._written = StreamedOutbox(self, hub)

    async def run(self) -> None:
        """Serve it until it is gone."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    await self._read()
                    nursery.cancel_scope.cancel()
        finally:
            self.lost()
            with trio.move_on_after(CLOSING_S, shield=True):
                await self._stream.aclose()

    async def _read(self) -> None:
        try:
            while data := await self._stream.receive_some(_RECEIVE):
                self.received(bytes(data))
                await self._may_read.wait()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def _write(self) -> None:
        try:
            await self._written.write_to(self._stream)
        except trio.TooSlowError:
            self.outbox.cut(SLOW, "slow")  # the stream is unusable inside a frame: only the handler hears why
            self._scope.cancel()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._scope.cancel()

    def want_writable(self, wanted: bool) -> None:
        """The writer task waits by itself."""

    def _read_on(self, wanted: bool) -> None:
        if wanted:
            self._may_read.set()
        else:
            self._may_read = trio.Event()

    def _half_close(self) -> None:
        # Most streams cannot end one direction: give the peer a moment to hang up first, so that our last frame is not lost.
        self._scope.deadline = min(self._scope.deadline, trio.current_time() + _LINGER_S)

    def _release(self, *, reset: bool) -> None:
        self._scope.cancel()
