"""One task drains every readable plain socket of a worker through an epoll of its own; trio waits on that one descriptor."""

import select
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from transport.websocket.flusher import Flusher
    from transport.websocket.plain import PlainConnection

_SLICE_S = 0.002
"""The longest the loop keeps the thread before others have a turn; twice as long each time as long as some of those that were ready still wait.
A client would wait for all that others do between two slices many times over, before it was so much as told that there is too much."""
_LONGEST_SLICE_S = 0.064
_MOST_EVENTS = 1024


class Poller:
    """No task for each connection: registering costs one kernel entry, and reading one recv for each that has something."""

    def __init__(self, flusher: "Flusher", rest_s: Callable[[], float]) -> None:
        """`rest_s`: how long to let more gather before each poll, in seconds: much is read, and answered, more cheaply together."""
        self._rest_s = rest_s
        self._epoll = select.epoll()
        self._flusher = flusher
        self._slice_s = _SLICE_S
        self._ready: list[tuple[int, int]] = []  # told of and not served yet, the next one last
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
        """Read until cancelled: a slice of work, then everybody else's turn; nothing to read, then sleep until there is."""
        while True:
            if not self._ready and (rest_s := self._rest_s()):
                await trio.sleep(rest_s)
            if self._work(trio.lowlevel.current_clock().current_time):
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(self._epoll.fileno())

    def close(self) -> None:
        """Give the epoll descriptor back, once nothing is registered."""
        self._epoll.close()

    def _work(self, now: Callable[[], float]) -> bool:
        """Read what is ready, for a slice of time at most, and send the answers; whether there was anything."""
        # One poll a turn, so that a connection is read once between two turns of its actor, whose mailbox is short.
        if not self._ready:
            self._ready = self._epoll.poll(0, _MOST_EVENTS)
            self._ready.reverse()
            self._slice_s = _SLICE_S
        if not self._ready:
            return False
        self._read_some(now, now() + self._slice_s)
        self._slice_s = min(2 * self._slice_s, _LONGEST_SLICE_S)
        self._flusher.flush()
        return True

    def _read_some(self, now: Callable[[], float], until: float) -> None:
        """One read for each that is ready, in turn; who is not reached in time is first in the next slice."""
        connections, ready = self._connections, self._ready
        while ready:
            fd, mask = ready.pop()
            connection = connections.get(fd)
            if connection is None:
                continue
            # A descriptor closed and used anew since the poll just finds nothing to do.
            if mask & select.EPOLLOUT:
                connection.outbox.writable()
            if mask & ~select.EPOLLOUT and not connection.gone:
                connection.readable()
            if now() > until:
                break
