"""A connection on a plain TCP socket: read by the worker's one poller, written with the raw non-blocking send."""

import socket
import struct
from collections import deque
from typing import TYPE_CHECKING

import trio

from transport.websocket.connection import Connection
from transport.websocket.native import forget
from transport.websocket.outbox import _ONE_SEND, Outbox

if TYPE_CHECKING:
    from transport.websocket.handshake import Upgrade
    from transport.websocket.hub import Hub

_RECEIVE = 65_536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class PlainOutbox(Outbox):
    """An outbox that calls send(2) itself: no task, lock or scheduler pass for each recipient."""

    __slots__ = ("_offset",)

    def __init__(self, connection: "PlainConnection", sock: socket.socket, hub: "Hub") -> None:
        super().__init__(connection, hub.flusher)
        self.offer, self.fd = sock.send, sock.fileno()
        self.idle = True
        self._offset = 0  # of the first waiting chunk: bytes of it already taken

    def flush(self) -> None:
        pending = self._pending
        if not pending:
            return
        if self._waiting is not None:
            self._waiting.extend(pending)
            pending.clear()
            return
        wire = pending[0] if len(pending) == 1 else b"".join(pending)
        try:
            taken = self.offer(wire)
        except BlockingIOError:
            taken = 0
        except OSError:
            self._connection.lost()
            return
        if taken != len(wire):
            self._wait_for_room(taken)
            return
        pending.clear()
        self.buffered = 0
        self.idle = not self.closed
        if self._observed:
            self._progressed()

    def keep(self, wires: list[bytes], taken: int) -> None:
        self.idle = False
        self._pending.extend(wires)
        self.buffered += sum(map(len, wires))
        self._wait_for_room(taken)

    def writable(self) -> None:
        if self._waiting is None:
            self._connection.want_writable(False)
            return
        try:
            taken = self.offer(self._next_wire())
        except BlockingIOError:
            return
        except OSError:
            self._connection.lost()
            return
        self.stalled_since = trio.current_time()
        self._take(taken)
        if not self._waiting:
            self._waiting = None
            self.idle = not (self.closed or self._pending)
            self._connection.want_writable(False)
        self._progressed()

    def _wait_for_room(self, taken: int) -> None:
        self._waiting = deque(self._pending)
        self._pending.clear()
        self.stalled_since = trio.current_time()
        self._take(taken)
        self._connection.want_writable(True)
        if taken:
            self._progressed()

    def _take(self, taken: int) -> None:
        """Drop what the socket has taken; chunks stay whole, so that the frame begun is known."""
        waiting = self._waiting
        assert waiting is not None
        self.buffered -= taken
        taken += self._offset
        while waiting and taken >= len(waiting[0]):
            taken -= len(waiting.popleft())
        self._offset = taken

    def _next_wire(self) -> bytes:
        assert self._waiting
        chunks: list[bytes] = []
        size = -self._offset
        for chunk in self._waiting:
            chunks.append(chunk)
            size += len(chunk)
            if size >= _ONE_SEND:
                break
        return b"".join(chunks)[self._offset :]

    def _keep_begun(self) -> list[bytes]:
        begun = [self._waiting[0]] if self._waiting and self._offset else []
        self.buffered = len(begun[0]) - self._offset if begun else 0
        self._connection.want_writable(True)
        return begun


class PlainConnection(Connection):
    """One client on one non-blocking socket; `fd` is its place in the poller."""

    __slots__ = ("_reading", "_sock", "_writing", "fd")

    def __init__(self, hub: "Hub", sock: socket.socket, upgrade: "Upgrade", peer: str) -> None:
        super().__init__(hub, upgrade, peer)
        self._sock = sock
        self.fd = sock.fileno()
        self._reading = True
        self._writing = False
        self.outbox = PlainOutbox(self, sock, hub)

    def readable(self) -> None:
        """Take what is there, once: the next connection has its turn before more of this one."""
        try:
            data = self._sock.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            self.lost()
            return
        if data:
            self.received(data)
        else:
            self.lost()

    def want_writable(self, wanted: bool) -> None:
        """Whether the poller is to say when the socket has room."""
        if wanted == self._writing or self.gone:
            return
        self._writing = wanted
        (self._hub.waiting.add if wanted else self._hub.waiting.discard)(self)
        self._hub.poller.watch(self.fd, self._reading, wanted)

    def _read_on(self, wanted: bool) -> None:
        self._reading = wanted
        self._hub.poller.watch(self.fd, wanted, self._writing)

    def _half_close(self) -> None:
        # Unread bytes would turn close() into a reset that overtakes our close frame: stop writing, read on until they end.
        if not self._reading:
            self._read_on(True)
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.lost()

    def _release(self, *, reset: bool) -> None:
        self._hub.waiting.discard(self)
        self._hub.poller.remove(self.fd)
        forget(self.outbox)
        if reset:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._sock.close()
