"""Half a cluster, to put its rules to: what is stored lies in a real MongoDB, counts in a real Redis, and the log itself in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pymongo
import trio

from storage.cluster.counters import ClusterCounters
from storage.cluster.documents import ClusterDocuments
from storage.cluster.fitting import open_mongo
from storage.cluster.redis import open_redis
from storage.cluster.stored import StoredEntries
from storage.memory import MemoryBackend, Store, open_memory


class HalfLog:
    """A log in memory, with what was stored of it in MongoDB."""

    def __init__(self, log: Any, kept: StoredEntries) -> None:
        self._log, self._kept = log, kept

    def __getattr__(self, name: str) -> Any:
        stored = name in ("stored_places", "store", "load", "entries", "of_each", "find", "stored_after")
        return getattr(self._kept if stored else self._log, name)


class Half:
    """The ports."""

    def __init__(self, memory: MemoryBackend, kept: StoredEntries, documents: ClusterDocuments, counters: ClusterCounters) -> None:
        self.log: Any = HalfLog(memory.log, kept)
        self.documents, self.counters, self.bus = documents, counters, memory.bus


@asynccontextmanager
async def open_half(store: Store, uri: str, url: str, database: str) -> AsyncIterator[Half]:
    """One more node of it."""
    async with open_mongo(uri, database) as mongo, open_redis(url) as redis, open_memory(store) as memory, trio.open_nursery() as nursery:
        kept, documents = StoredEntries(mongo), ClusterDocuments(mongo)
        nursery.start_soon(kept.run)
        nursery.start_soon(documents.run)
        yield Half(memory, kept, documents, ClusterCounters(redis, database))
        nursery.cancel_scope.cancel()


def fresh() -> str:
    """A name for a database that nobody has used."""
    return f"t{uuid4().hex[:12]}"


def drop(uri: str, database: str) -> None:
    """Take a database away again."""
    with pymongo.MongoClient[dict[str, Any]](uri) as client:
        client.drop_database(database)
