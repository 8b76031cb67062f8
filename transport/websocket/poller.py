"""One task drains every readable plain socket of a worker through an epoll of its own; trio waits on that one descriptor."""

import select
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from transport.websocket.flusher import Flusher
    from transport.websocket.plain import PlainConnection

_SLICE_S = 0.002
"""The longest the loop keeps the thread before others have a turn."""
_MOST_EVENTS = 1024


class Poller:
    """No task for each connection: registering costs one kernel entry, and reading one recv for each that has something."""

    def __init__(self, flusher: "Flusher") -> None:
        self._epoll = select.epoll()
        self._flusher = flusher
        self._connections: dict[int, PlainConnection] = {}

    def add(self, connection: "PlainConnection") -> None:
        """Read it from now on."""
        self._connections[connection.fd] = connection
        self._epoll.register(connection.fd, select.EPOLLIN)

    def remove(self, fd: int) -> None:
        """Call it before the socket is closed, while the descriptor is still its own."""
        del self._connections[fd]
        self._epoll.unregister(fd)

    def watch(self, fd: int, reading: bool, writing: bool) -> None:
        """What to be told of; hanging up is always told."""
        self._epoll.modify(fd, (select.EPOLLIN if reading else 0) | (select.EPOLLOUT if writing else 0))

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            events = self._epoll.poll(0, _MOST_EVENTS)
            if events:
                await self._serve(events)
            else:
                await trio.lowlevel.wait_readable(self._epoll.fileno())

    def close(self) -> None:
        """Give the epoll descriptor back, once nothing is registered."""
        self._epoll.close()

    async def _serve(self, events: list[tuple[int, int]]) -> None:
        """One turn for each that has something, giving way every _SLICE_S; a descriptor closed and used anew meanwhile just finds nothing."""
        now = trio.lowlevel.current_clock().current_time
        until = now() + _SLICE_S
        connections = self._connections
        for fd, mask in events:
            connection = connections.get(fd)
            if connection is None:
                continue
            if mask & select.EPOLLOUT:
                connection.outbox.writable()
            if mask & ~select.EPOLLOUT and not connection.gone:
                connection.readable()
            if now() > until:
                self._flusher.flush()
                await trio.lowlevel.checkpoint()
                until = now() + _SLICE_S
        self._flusher.flush()
        await trio.lowlevel.checkpoint()
