"""What a connection owns for sending: the frames of one tick leave in one send; what the socket does not take waits, bounded."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import trio

from transport.websocket.frames import BINARY, CLOSE, TEXT, close_code, close_payload, frame

if TYPE_CHECKING:
    from transport.websocket.connection import Connection
    from transport.websocket.flusher import Flusher

MOST_WAITING: Final = 1_048_576
"""Bytes that may wait for one reader; above it the reader is slow and is closed with 4408."""
LOW_WATER: Final = 65_536
"""wait_drained() goes on when fewer bytes than this wait."""
STALLED_S: Final = 10.0
"""A socket that takes nothing for so long, with bytes waiting, is slow too."""

SLOW: Final = 4408

_ONE_SEND = 262_144


class Outbox:
    """Sends never wait and never fail: what cannot leave is kept up to a limit (1 MiB), then the connection is closed as slow."""

    __slots__ = ("_connection", "_drained", "_flusher", "_observed", "_pending", "_waiting", "buffered", "closed", "fd", "idle",
                 "offer", "place", "stalled_since")  # fmt: skip

    def __init__(self, connection: "Connection", flusher: "Flusher") -> None:
        self._connection = connection
        self._flusher = flusher
        self._pending: list[bytes] = []  # gathered since the last flush
        self._waiting: deque[bytes] | None = None  # offered to the socket and not taken
        self._drained: trio.Event | None = None
        self._observed = False  # somebody wants to know when it is empty
        self.buffered = 0
        """Bytes that the socket has not taken yet."""
        self.closed = False
        """Nothing more is sent; what is given is dropped."""
        self.idle = False
        """The socket has taken everything and may be offered more at once: `offer` is its send."""
        self.offer: Callable[[bytes], int] = _taking_nothing
        self.fd = -1
        """The socket's descriptor, where it is idle now and then."""
        self.place = -1
        """Where the accelerator's io_uring holds its socket; -1 nowhere."""
        self.stalled_since = 0.0
        """When the socket took something last, where bytes wait."""

    def send(self, payload: bytes, *, text: bool) -> None:
        """One message: text (valid UTF-8) or binary."""
        self.send_frames(frame(TEXT if text else BINARY, payload))

    def send_frames(self, wire: bytes) -> None:
        """Whole frames, ready made: the fan-out path, where every listener is handed the same bytes object."""
        if self._flusher.batches:
            self._flusher.part(self)
        self.gather(wire)

    def gather(self, wire: bytes) -> None:
        """As send_frames(), of what a crowd is sent: it goes before what this outbox is sent by itself."""
        if self.closed:
            return
        if not self._pending:
            self.idle = False
            self._flusher.add(self)
        self._pending.append(wire)
        self.buffered += len(wire)
        if self.buffered > self._flusher.most_waiting:
            self._overflow()

    def close(self, code: int, reason: str = "") -> None:
        """Send what waits, then a close frame; the peer has 5 s to answer it. Only the first call counts."""
        self.close_with(close_payload(code, reason))

    def close_with(self, payload: bytes) -> None:
        """As close(), with the close frame's body as bytes."""
        if self.closed:
            return
        self.send_frames(frame(CLOSE, payload))
        if not self.closed:  # that send may itself have found the reader slow
            self._shut(close_code(payload))

    async def wait_drained(self) -> None:
        """Wait until fewer than LOW_WATER bytes wait, or the outbox is closed: so that catching up is never counted as slow."""
        if self.buffered < LOW_WATER or self.closed:
            await trio.lowlevel.checkpoint()
            return
        if self._drained is None:
            self._drained = trio.Event()
            self._observed = True
        await self._drained.wait()

    def flush(self) -> None:
        """Offer the socket what was gathered; called by the flusher, once a tick."""
        raise NotImplementedError

    def keep(self, wires: list[bytes], taken: int) -> None:
        """Frames that were offered to the idle socket, which took so many bytes of them."""
        raise NotImplementedError

    def failed(self) -> None:
        """What was offered to the socket met an error."""
        self._connection.lost()

    def writable(self) -> None:
        """The socket has room again."""

    def drop(self) -> None:
        """The connection is gone: forget everything, and let nobody wait."""
        self.closed = True
        self.idle = False
        self._pending.clear()
        self._waiting = None
        self.buffered = 0
        self._settle()

    def cut(self, code: int, reason: str) -> None:
        """To a socket that takes nothing: finish the frame begun, drop the rest, say why."""
        begun = self._keep_begun()
        self._pending.clear()
        last = frame(CLOSE, close_payload(code, reason))
        self._waiting = deque([*begun, last])
        self.buffered += len(last)
        self._shut(code)

    def _keep_begun(self) -> list[bytes]:
        """What must still leave for the stream of frames to stay whole; `buffered` becomes its size."""
        raise NotImplementedError

    def _overflow(self) -> None:
        self.flush()  # a tick may have gathered much that the socket would take
        if self.buffered > self._flusher.most_waiting:
            self.cut(SLOW, "slow")

    def _shut(self, code: int) -> None:
        self.closed = True
        self.idle = False
        self._observed = True
        self._settle()
        self._connection.closing(code)

    def _settle(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None

    def _progressed(self) -> None:
        """The socket has taken bytes: tell whoever waits for room, or for the end."""
        if self.buffered < LOW_WATER:
            self._settle()
        if not self.buffered:
            self._observed = self.closed
            if self.closed:
                self._connection.emptied()


def _taking_nothing(wire: bytes) -> int:
    return 0
