"""The bus between nodes that share a store in memory."""

from storage.hearing import Hearing
from storage.memory.store import Store


class MemoryBus(Hearing):
    """The port Bus."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    def publish(self, topic: str, message: bytes) -> None:
        """See the port."""
        for hear in list(self._store.heard.values()):
            hear(topic, message)
