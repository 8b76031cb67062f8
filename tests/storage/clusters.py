"""A whole cluster backend on the engines of a test run, under names of its own."""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from itertools import count
from os import urandom
from pathlib import Path

from confluent_kafka.admin import AdminClient

from caas.world import SystemClock
from deploy.local.engines import Kafka, Mongo, Redis
from storage.cluster.backend import ClusterBackend, Engines, Node, open_cluster
from storage.cluster.kafka import Kafka as Names
from tests.storage.halves import drop, fresh

PARTITIONS = 6
"""Few: a broker makes each of them a folder."""
Open = Callable[..., AbstractAsyncContextManager[ClusterBackend]]


@contextmanager
def made(kafka: Kafka, mongo: Mongo, redis: Redis, folder: Path, **settings: object) -> Iterator[Open]:
    """Opens one more node at each call; what it left in the engines is removed at the end."""
    name, numbers = fresh(), count(1)
    engines = Engines(Names(kafka.bootstrap, name, replicas=1)._replace(**settings), mongo.uri, redis.url, name)

    def open_one(**options: object) -> AbstractAsyncContextManager[ClusterBackend]:
        node = f"node{next(numbers)}"
        (folder / node).mkdir(parents=True)
        return open_cluster(engines, Node(node, urandom(16), folder / node), SystemClock(), **{"partitions": PARTITIONS, **options})

    open_one.engines = engines  # type: ignore[attr-defined]
    yield open_one
    drop(mongo.uri, name)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    for asked in admin.delete_topics([engines.kafka.log_topic(1), engines.kafka.bus_topic]).values():
        asked.exception(10)
