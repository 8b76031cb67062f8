"""A node's view of a store in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from storage.memory.bus import MemoryBus
from storage.memory.counters import MemoryCounters
from storage.memory.documents import MemoryDocuments
from storage.memory.log import MemoryLog
from storage.memory.store import Store
from storage.memory.way import Way


class MemoryBackend:
    """The ports, as one node has them."""

    def __init__(self, store: Store) -> None:
        self.way = Way(store.weather)
        self.log = MemoryLog(store, self.way)
        self.documents = MemoryDocuments(store, self.way)
        self.counters = MemoryCounters(store)
        self.bus = MemoryBus(store)


@asynccontextmanager
async def open_memory(store: Store) -> AsyncIterator[MemoryBackend]:
    """Open a store as one more node. Leaving (or being cancelled) is this node's crash: what others see stays."""
    backend = MemoryBackend(store)
    store.told[backend] = backend.log.look
    store.heard[backend] = backend.bus.hear
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(backend.way.run)
            nursery.start_soon(backend.bus.run)
            yield backend
            nursery.cancel_scope.cancel()
    finally:
        del store.told[backend], store.heard[backend]
        backend.way.crash()
