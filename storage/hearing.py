"""Whoever listens on a node's bus: what was heard waits, bounded, and is handed out by a task of its own. The same for every backend."""

from collections import deque
from collections.abc import Callable

import trio

MOST_WAITING = 10_000


class Hearing:
    """The half of the port Bus that listens. Listeners are called by `run`, never by whoever publishes."""

    def __init__(self) -> None:
        self._handles: dict[str, list[Callable[[bytes], None]]] = {}
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._news = trio.Event()
        self.dropped = 0

    def subscribe(self, topic: str, handle: Callable[[bytes], None]) -> Callable[[], None]:
        """See the port."""
        self._handles.setdefault(topic, []).append(handle)
        return lambda: self._end(topic, handle)

    def hear(self, topic: str, message: bytes) -> None:
        """Somebody said something; when too much waits it is dropped."""
        if topic not in self._handles:
            return
        if len(self._waiting) >= MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append((topic, message))
        self._news.set()

    async def run(self) -> None:
        """Hand out what was heard."""
        while True:
            await self._news.wait()
            self._news = trio.Event()
            while self._waiting:
                topic, message = self._waiting.popleft()
                for handle in list(self._handles.get(topic, ())):
                    handle(message)

    def _end(self, topic: str, handle: Callable[[bytes], None]) -> None:
        handles = self._handles.get(topic, [])
        if handle in handles:
            handles.remove(handle)
        if not handles:
            self._handles.pop(topic, None)
