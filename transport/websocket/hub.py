"""All WebSockets of one worker: takes over sockets after their handshake, and keeps what they share."""

import logging
import socket
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from transport.websocket.crowd import Crowd
from transport.websocket.flusher import Flusher
from transport.websocket.handshake import SUBPROTOCOLS, Upgrade
from transport.websocket.outbox import MOST_WAITING
from transport.websocket.plain import PlainConnection
from transport.websocket.poller import Poller
from transport.websocket.reader import MAX_FRAGMENTS, MAX_MESSAGE
from transport.websocket.streamed import StreamedConnection
from transport.websocket.sweeper import Sweeper

if TYPE_CHECKING:
    from transport.door import Door
    from transport.websocket.connection import Connection, Handler
    from transport.websocket.outbox import Outbox

HEARTBEAT_S: Final = 15.0

PROTOCOL: Final = 4504
GOING_AWAY: Final = 4400

_log = logging.getLogger("transport")


class Hub:
    """Made before the tree starts; sockets may be handed in while `run` runs."""

    def __init__(
        self,
        handler: "Handler",
        door: "Door",
        *,
        heartbeat_s: float = HEARTBEAT_S,
        max_message: int = MAX_MESSAGE,
        max_fragments: int = MAX_FRAGMENTS,
        spoken: Sequence[str] | None = SUBPROTOCOLS,
        frames_at_once: float = inf,
        rest_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`spoken` None takes every connection, whatever subprotocol it offers. `frames_at_once`: what a connection may save up of the
        frames that it may send (connection.py); without it their number is not limited. `rest_s`: see the poller."""
        self.handler = handler
        self.door = door
        self.max_message = max_message
        self.max_fragments = max_fragments
        self.spoken = spoken
        self.frames_at_once = frames_at_once
        self.flusher = Flusher(self._tell, max(MOST_WAITING, 4 * max_message))
        self.poller = Poller(self.flusher, rest_s)
        self.closing: dict[Connection, float] = {}
        """Close sent; the deadlines, earliest first."""
        self.waiting: set[PlainConnection] = set()
        """Those whose socket has not taken everything."""
        self._sweeper = Sweeper(self, heartbeat_s)
        self._last_id = 0
        self._empty: trio.Event | None = None
        self._draining = False

    @property
    def open(self) -> int:
        """Connections alive, those in their closing handshake included."""
        return self._sweeper.count

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read, send and sweep until cancelled; then every connection is reset and its handler told."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.poller.run)
                nursery.start_soon(self.flusher.run)
                nursery.start_soon(self._sweeper.run)
                task_status.started()
        finally:
            for connection in self._sweeper.everyone():
                connection.reset()
            self.flusher.flush()
            self.poller.close()

    def adopt(self, sock: socket.socket, upgrade: Upgrade, peer: str, rest: bytes = b"") -> None:
        """Take over a plain, non-blocking socket whose request head has been read and that the door has let in.

        `rest` is what came behind the head.
        """
        connection = PlainConnection(self, sock, upgrade, peer)
        self.poller.add(connection)
        self._open(connection, upgrade, rest)

    async def serve_stream(self, stream: trio.abc.Stream, upgrade: Upgrade, peer: str, rest: bytes = b"") -> None:
        """As adopt(), for TLS or any other stream: takes two tasks, and returns when the connection is gone."""
        connection = StreamedConnection(self, stream, upgrade, peer)
        self._open(connection, upgrade, rest)
        await connection.run()

    async def drain(self, *, at_once: int = 500, pause_s: float = 0.1, within_s: float = 20.0) -> None:
        """Close everybody with 4400, `at_once` each `pause_s`, so that they do not all come back in one moment; reset who is left in the end.

        Who comes after this has begun is closed at once: stop the listener first.
        """
        self._draining = True
        with trio.move_on_after(within_s):
            for nth, connection in enumerate(self._sweeper.everyone(), 1):
                connection.outbox.close(GOING_AWAY, "going_away")
                if nth % at_once == 0:
                    await trio.sleep(pause_s)
            if self.open:
                self._empty = trio.Event()
                await self._empty.wait()
        for connection in self._sweeper.everyone():
            connection.reset()

    def crowd(self, outboxes: "list[Outbox]") -> Crowd:
        """Connections that are to be sent the same, again and again."""
        return Crowd(self.flusher, outboxes)

    def next_id(self) -> int:
        """Connections are numbered in the order they came."""
        self._last_id += 1
        return self._last_id

    def forget(self, connection: "Connection", *, newcomer: bool) -> None:
        """Its socket is closed."""
        self.closing.pop(connection, None)
        self._sweeper.remove(connection)
        self.door.left(connection.peer, newcomer=newcomer)
        if self._empty is not None and not self.open:
            self._empty.set()

    def crashed(self, connection: "Connection", error: Exception) -> None:
        """Its handler raised: the connection is closed with 1011, the others go on."""
        _log.error("handler failed", extra={"connection": connection.id, "peer": connection.peer}, exc_info=error)

    def _open(self, connection: "Connection", upgrade: Upgrade, rest: bytes) -> None:
        self._sweeper.add(connection)
        connection.outbox.send_frames(upgrade.response)
        if self.spoken is not None and upgrade.subprotocol is None:
            connection.refuse(PROTOCOL, "protocol")
        elif self._draining:
            connection.refuse(GOING_AWAY, "going_away")
        else:
            connection.begin(rest)

    def _tell(self, connection: "Connection", code: int) -> None:
        try:
            self.handler.closed(connection, code)
        except Exception as error:  # noqa: BLE001 - it has ended already; the others must not
            self.crashed(connection, error)
