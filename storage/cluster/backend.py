"""A worker's view of the cluster: everything that runs for it, opened and closed together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import trio

from protocol.world import Clock
from storage.cluster.bus import ClusterBus
from storage.cluster.counters import ClusterCounters
from storage.cluster.documents import ClusterDocuments
from storage.cluster.fitting import open_mongo
from storage.cluster.kafka import Kafka
from storage.cluster.log import ClusterLog
from storage.cluster.redis import open_redis
from storage.cluster.settings import Settings, settle
from storage.cluster.sharing import Share
from storage.cluster.shortening import Shortening
from storage.cluster.stored import StoredEntries
from storage.cluster.topics import prepare
from storage.feed import MOST_BYTES


class Engines(NamedTuple):
    """Where the engines are."""

    kafka: Kafka
    mongo: str
    """URI of the replica set."""
    redis: str
    """URL."""
    database: str = "caas"
    """In MongoDB; and what keys in Redis begin with."""


class Node(NamedTuple):
    """Who we are among the others."""

    name: str
    """Of the node; no two have the same."""
    who: bytes
    """Of this life of this worker; 16 bytes that nobody else has."""
    folder: Path
    """Where the workers of the node meet."""


class ClusterBackend:
    """The ports, and what the set-up is."""

    def __init__(self, settings: Settings, log: ClusterLog, documents: ClusterDocuments, counters: ClusterCounters, bus: ClusterBus) -> None:
        self.settings = settings
        self.log, self.documents, self.counters, self.bus = log, documents, counters, bus


@asynccontextmanager
async def open_cluster(engines: Engines, node: Node, clock: Clock, *, partitions: int = 64, setup: str = "", schema: int = 0,
                       feed_bytes: int = MOST_BYTES, serves: bool = True) -> AsyncIterator[ClusterBackend]:
    """Open a cluster as one more worker, making the set-up if there is none; `setup` is the id that a new one gets, `schema` the id of the
    entries' schema in the registry. Who does not serve (the command line) takes no share of storing.

    Raises Unfit when an engine is not fit to be trusted, StorageAway when one is not there. While it is open, Fatal ends it from inside: the
    worker must exit."""
    async with open_mongo(engines.mongo, engines.database) as mongo, open_redis(engines.redis) as redis, trio.open_nursery() as nursery:
        documents, kept = ClusterDocuments(mongo), StoredEntries(mongo)
        nursery.start_soon(documents.run)
        nursery.start_soon(kept.run)
        settings = await settle(documents, partitions, setup)
        await prepare(engines.kafka, settings.partitions, settings.generation)
        share = Share(engines.kafka, engines.kafka.log_topic(settings.generation), node.name, node.folder)
        log = ClusterLog(engines.kafka, settings, kept, share, schema=schema, feed_bytes=feed_bytes)
        backend = ClusterBackend(settings, log, documents, ClusterCounters(redis, engines.database), ClusterBus(engines.kafka, node.who))
        await backend.bus.open()
        nursery.start_soon(backend.bus.run)
        for run in (share.run, Shortening(engines.kafka, log, clock).run) if serves else ():
            nursery.start_soon(run)
        log.start(nursery)
        try:
            yield backend
        finally:
            with trio.CancelScope(shield=True):
                await log.close()
                await backend.bus.close()
        nursery.cancel_scope.cancel()
