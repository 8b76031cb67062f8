"""One clock for all connections of a worker: heartbeats, closings that take too long, sockets that take nothing."""

from typing import TYPE_CHECKING, Final

import trio

from transport.websocket.outbox import SLOW, STALLED_S

if TYPE_CHECKING:
    from transport.websocket.connection import Connection
    from transport.websocket.hub import Hub

_UNANSWERED: Final = 2
"""Heartbeats without a pong; then the peer is taken for gone."""


class Sweeper:
    """A connection goes into the slot of the beat it came in, one slot a beat: its first ping comes a whole period later."""

    def __init__(self, hub: "Hub", heartbeat_s: float) -> None:
        self._hub = hub
        slots = max(1, round(heartbeat_s))
        self._beat_s = heartbeat_s / slots
        self._slots: list[set[Connection]] = [set() for _ in range(slots)]
        self._beat = 0
        self.count = 0

    def add(self, connection: "Connection") -> None:
        """From its handshake..."""
        connection.slot = self._beat % len(self._slots)
        self._slots[connection.slot].add(connection)
        self.count += 1

    def remove(self, connection: "Connection") -> None:
        """...until its socket is closed."""
        self._slots[connection.slot].remove(connection)
        self.count -= 1

    def everyone(self) -> "list[Connection]":
        """All that are alive now."""
        return [connection for slot in self._slots for connection in slot]

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await trio.sleep(self._beat_s)
            self._beat += 1
            now = trio.current_time()
            self._end_closings(now)
            self._cut_stalled(now)
            for connection in list(self._slots[self._beat % len(self._slots)]):
                _beat(connection)

    def _end_closings(self, now: float) -> None:
        overdue = [connection for connection, deadline in self._hub.closing.items() if deadline <= now]
        for connection in overdue:
            connection.reset()

    def _cut_stalled(self, now: float) -> None:
        stalled = [connection for connection in self._hub.waiting if now - connection.outbox.stalled_since >= STALLED_S]
        for connection in stalled:
            if not connection.outbox.closed:
                connection.outbox.cut(SLOW, "slow")


def _beat(connection: "Connection") -> None:
    # While bytes wait, our ping waits behind them, and while reading is paused its pong cannot be heard: neither is silence.
    if connection.outbox.closed or connection.paused or connection.outbox.buffered:
        return
    if connection.unanswered >= _UNANSWERED:
        connection.outbox.close(SLOW, "slow")
    else:
        connection.ping()
