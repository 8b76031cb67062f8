"""Once a tick: everything gathered leaves, and handlers hear who has gone."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from transport.websocket.connection import Connection
    from transport.websocket.crowd import Batch
    from transport.websocket.outbox import Outbox

_AT_ONCE = 256
"""Sends to single connections, and to crowds, between two turns of everybody else: about 2 ms."""


class Flusher:
    """The worker's one sender. A tick is one pass of trio's scheduler: what all its tasks gave one connection goes in one send."""

    def __init__(self, tell: "Callable[[Connection, int], None]", most_waiting: int) -> None:
        self._tell = tell
        self.most_waiting = most_waiting
        """Bytes that may wait for one connection."""
        self.most_gathered = most_waiting // 4
        """Bytes that may gather for a crowd; then they are sent, whoever has to wait for it."""
        self.batches: deque[Batch] = deque()
        """What crowds are to be sent, in order."""
        self._dirty: deque[Outbox] = deque()  # at most one entry for each connection and tick
        self._ended: deque[tuple[Connection, int]] = deque()
        self._wake: trio.Event | None = None

    def add(self, outbox: "Outbox") -> None:
        """It has something to send."""
        self._dirty.append(outbox)
        if self._wake is not None:
            self._wake.set()
            self._wake = None

    def add_batch(self, batch: "Batch") -> None:
        """A crowd has something to send."""
        self.batches.append(batch)
        if self._wake is not None:
            self._wake.set()
            self._wake = None

    def part(self, outbox: "Outbox") -> None:
        """It is about to be sent something: hand it first what crowds have for it."""
        for batch in self.batches:
            batch.part(outbox)

    def flush_batches(self) -> None:
        """All that crowds have, at once."""
        while self.batches:
            self._flush_batches(_AT_ONCE)

    def end(self, connection: "Connection", code: int) -> None:
        """Tell its handler soon: not now, for whoever is sending may be walking over its listeners."""
        self._ended.append((connection, code))
        if self._wake is not None:
            self._wake.set()
            self._wake = None

    def flush(self) -> None:
        """Send for up to _AT_ONCE connections by themselves, and as many in crowds; what is left is the task's."""
        self._flush_batches(_AT_ONCE)
        dirty = self._dirty
        for _ in range(min(len(dirty), _AT_ONCE)):
            dirty.popleft().flush()
        while self._ended:
            self._tell(*self._ended.popleft())

    def _flush_batches(self, left: int) -> None:
        while self.batches and left > 0:
            batch = self.batches[0]
            left -= batch.flush(left)
            if batch.done:
                self.batches.popleft()

    async def run(self) -> None:
        """Flush whenever there is something, in turn with everybody else."""
        while True:
            if self.batches or self._dirty or self._ended:
                self.flush()
                await trio.lowlevel.checkpoint()
            else:
                self._wake = trio.Event()
                await self._wake.wait()
