"""The engines, each as `async with engines.kafka(folder, brokers=1) as kafka: kafka.bootstrap`.

Each is well when the block begins and gone when it ends, has its folder and free ports for itself, and members by name that can be
killed, paused, resumed and restarted: `kafka.kill("kafka-2")`, `await kafka.restart("kafka-2")`. One that cannot be had here raises `Missing`.
"""

from deploy.local.engine import Engine, Unwell
from deploy.local.kafka import Kafka, kafka
from deploy.local.mongo import Mongo, mongo
from deploy.local.packages import Missing
from deploy.local.redis import Redis, redis
from deploy.local.registry import Registry, registry

__all__ = ["Engine", "Kafka", "Missing", "Mongo", "Redis", "Registry", "Unwell", "kafka", "mongo", "redis", "registry"]
