"""The cluster backend, as the configuration names it."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from redis.exceptions import RedisError

from caas.assembly import World
from caas.config import Config
from services.catalogue import KINDS
from storage.cluster import sharing
from storage.cluster.backend import ClusterBackend, Engines, Node, open_cluster
from storage.cluster.bus import WHO_BYTES
from storage.cluster.counters import living as counted
from storage.cluster.documents import ClusterDocuments
from storage.cluster.fitting import open_mongo
from storage.cluster.kafka import Kafka
from storage.cluster.redis import make_client
from storage.cluster.registry import register
from storage.cluster.settings import read_settings
from storage.failing import Unfit

_log = logging.getLogger("caas")


def engines_of(config: Config) -> Engines:
    """Where the engines are. Raises Unfit."""
    properties = properties_of(config.kafka_properties)
    kafka = Kafka(config.kafka, config.setup, replicas=config.kafka_replicas, create=config.kafka_create_topics, properties=properties)
    return Engines(kafka, config.mongo, config.redis, config.setup)


def properties_of(path: str) -> dict[str, str]:
    """Further settings of librdkafka, from a file. Raises Unfit."""
    if not path:
        return {}
    try:
        lines = [line.strip() for line in Path(path).read_text().splitlines()]
    except OSError as error:
        raise Unfit(f"CAAS_KAFKA_PROPERTIES={path}: it cannot be read: {error.strerror}") from error
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {name.strip(): value.strip() for name, _, value in pairs}


def nodes_at_work(config: Config) -> list[str]:
    """The nodes of the set-up that serve. Raises Unfit, StorageAway."""
    return sharing.nodes_at_work(engines_of(config).kafka)


@asynccontextmanager
async def open_configured(config: Config, world: World, setup: str, *, serves: bool = True) -> AsyncIterator[ClusterBackend]:
    """Open it for a worker of this node. Raises Unfit, StorageAway."""
    folder = config.data / "run"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    engines, node = engines_of(config), Node(config.node, world.rng.bytes(WHO_BYTES), folder)
    schema = await register(config.registry, f"{config.setup}.log", KINDS) if config.registry else 0
    async with open_cluster(engines, node, world.clock, partitions=config.partitions, setup=setup, schema=schema, serves=serves) as backend:
        yield backend


def living(config: Config, now_ms: int) -> list[str]:
    """The workers of all nodes that say they live. Nobody where Redis is away: nothing else says it."""
    engines = engines_of(config)
    with make_client(engines.redis) as client:
        try:
            return counted(client, engines.database, now_ms)
        except RedisError as error:
            _log.warning("Redis does not say whether nodes still run: %s", error)
            return []


@asynccontextmanager
async def open_configured_documents(config: Config) -> AsyncIterator[ClusterDocuments]:
    """Its documents, while nodes run or not. Raises Unfit (also where a set-up was moved away), StorageAway."""
    async with open_mongo(config.mongo, config.setup) as mongo, trio.open_nursery() as nursery:
        documents = ClusterDocuments(mongo)
        nursery.start_soon(documents.run)
        if await read_settings(documents) is None:
            raise Unfit(f"no set-up `{config.setup}` was made there yet: start a node first")
        yield documents
        nursery.cancel_scope.cancel()
