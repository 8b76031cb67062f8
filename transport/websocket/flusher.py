"""Once a tick: everything gathered leaves, and handlers hear who has gone."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from transport.websocket.connection import Connection
    from transport.websocket.outbox import Outbox

_AT_ONCE = 256
"""Sends between two turns of everybody else: about 2 ms."""


class Flusher:
    """The worker's one sender. A tick is one pass of trio's scheduler: what all its tasks gave one connection goes in one send."""

    def __init__(self, tell: "Callable[[Connection, int], None]", most_waiting: int) -> None:
        self._tell = tell
        self.most_waiting = most_waiting
        """Bytes that may wait for one connection."""
        self._dirty: deque[Outbox] = deque()  # at most one entry for each connection and tick
        self._ended: deque[tuple[Connection, int]] = deque()
        self._wake: trio.Event | None = None

    def add(self, outbox: "Outbox") -> None:
        """It has something to send."""
        self._dirty.append(outbox)
        if self._wake is not None:
            self._wake.set()
            self._wake = None

    def end(self, connection: "Connection", code: int) -> None:
        """Tell its handler soon: not now, for whoever is sending may be walking over its listeners."""
        self._ended.append((connection, code))
        if self._wake is not None:
            self._wake.set()
            self._wake = None

    def flush(self) -> None:
        """Send for up to _AT_ONCE connections; what is left is the task's."""
        dirty = self._dirty
        for _ in range(min(len(dirty), _AT_ONCE)):
            dirty.popleft().flush()
        while self._ended:
            self._tell(*self._ended.popleft())

    async def run(self) -> None:
        """Flush whenever there is something, in turn with everybody else."""
        while True:
            if self._dirty or self._ended:
                self.flush()
                await trio.lowlevel.checkpoint()
            else:
                self._wake = trio.Event()
                await self._wake.wait()
