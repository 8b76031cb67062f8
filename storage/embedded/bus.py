"""The bus of one worker. Workers of a node reach each other by links, and there is one node."""

from collections import deque
from collections.abc import Callable

import trio

MOST_WAITING = 10_000


class EmbeddedBus:
    """The port Bus. Listeners are called by `run`, never by `publish`."""

    def __init__(self) -> None:
        self._handles: dict[str, list[Callable[[bytes], None]]] = {}
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._news = trio.Event()
        self.dropped = 0

    def publish(self, topic: str, message: bytes) -> None:
        """See the port."""
        if topic not in self._handles:
            return
        if len(self._waiting) >= MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append((topic, message))
        self._news.set()

    def subscribe(self, topic: str, handle: Callable[[bytes], None]) -> Callable[[], None]:
        """See the port."""
        self._handles.setdefault(topic, []).append(handle)
        return lambda: self._end(topic, handle)

    async def run(self) -> None:
        """Hand out what was said."""
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
