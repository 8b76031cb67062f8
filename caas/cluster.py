"""The cluster backend, as the configuration names it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio
from confluent_kafka import KafkaException
from pymongo.errors import PyMongoError

from caas.assembly import World
from caas.config import Config
from caas.engines import kafka_properties, mongo_uri, redis_url
from services.catalogue import KINDS
from storage.cluster import sharing
from storage.cluster.backend import ClusterBackend, Engines, Node, open_cluster
from storage.cluster.bus import WHO_BYTES
from storage.cluster.documents import ClusterDocuments
from storage.cluster.fitting import open_mongo
from storage.cluster.kafka import Kafka
from storage.cluster.mongo import make_client
from storage.cluster.mongo_errors import of_read
from storage.cluster.moving import WITHIN_S, ClusterSource, ClusterTarget
from storage.cluster.registry import register
from storage.cluster.settings import read_settings
from storage.failing import Unfit
from storage.ports.errors import StorageAway


def engines_of(config: Config) -> Engines:
    """Where the engines are. Raises Unfit."""
    kafka = Kafka(config.kafka, config.setup, replicas=config.kafka_replicas, create=config.kafka_create_topics, properties=kafka_properties(config))
    return Engines(kafka, mongo_uri(config), redis_url(config), config.setup)


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


@asynccontextmanager
async def open_configured_documents(config: Config) -> AsyncIterator[ClusterDocuments]:
    """Its documents, while nodes run or not. Raises Unfit (also where a set-up was moved away), StorageAway."""
    async with open_mongo(mongo_uri(config), config.setup) as mongo, trio.open_nursery() as nursery:
        documents = ClusterDocuments(mongo)
        nursery.start_soon(documents.run)
        if await read_settings(documents) is None:
            raise Unfit(f"no set-up `{config.setup}` was made there yet: start a node first")
        yield documents
        nursery.cancel_scope.cancel()


@contextmanager
def open_source(config: Config) -> Iterator[ClusterSource]:
    """The set-up, to be moved. Blocks. Raises Unfit, StorageError."""
    engines = engines_of(config)
    with telling(), make_client(engines.mongo, WITHIN_S) as client:
        yield ClusterSource(client, engines.database, engines.kafka)


@contextmanager
def open_moment(config: Config) -> Iterator[ClusterSource]:
    """The set-up as it is now, to be copied while nodes serve. Blocks. Raises Unfit, StorageError."""
    engines = engines_of(config)
    with telling(), make_client(engines.mongo, WITHIN_S) as client, client.start_session(snapshot=True) as session:
        yield ClusterSource(client, engines.database, engines.kafka, session)


@contextmanager
def open_target(config: Config) -> Iterator[ClusterTarget]:
    """Where a set-up is to be moved. Blocks. Raises Unfit, StorageError."""
    engines = engines_of(config)
    with telling(), make_client(engines.mongo, WITHIN_S) as client:
        yield ClusterTarget(client, engines.database, engines.kafka)


@contextmanager
def telling() -> Iterator[None]:
    """What the drivers raise is StorageAway here: the work was not done, or not to the end."""
    try:
        yield
    except PyMongoError as error:
        raise of_read(error) from error
    except KafkaException as error:
        raise StorageAway(f"Kafka does not answer: {error}") from error
