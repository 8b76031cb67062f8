"""Whether the topics are fit to be trusted: made where they are missing, and looked at, setting by setting, before anything is served.

A setting that is not as it must be loses acknowledged messages on some later day; so the program refuses to start, and says what to set.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar

import trio
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from storage.cluster.features import Features, finalized
from storage.cluster.kafka import ANSWER_S, RECORD_BYTES, Kafka, see_brokers
from storage.failing import Unfit
from storage.ports.errors import StorageAway

_log = logging.getLogger("storage.cluster")

BUS_PARTITIONS = 8
"""Fixed: what is said on one subject stays in one of them, and so in order."""
_BUS = {"cleanup.policy": "delete", "retention.ms": "600000", "segment.ms": "600000"}
_MADE_WITHIN_S, _LOOK_S = 30.0, 0.02
T = TypeVar("T")
_ELR = "eligible.leader.replicas.version"


class Topic(NamedTuple):
    """A topic as it should be."""

    name: str
    partitions: int
    replicas: int
    config: Mapping[str, str]
    lasting: bool
    """Whether it is looked at setting by setting."""


def topics_of(kafka: Kafka, partitions: int, generation: int) -> tuple[Topic, Topic]:
    """The log's and the bus's."""
    log = {
        "cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", "unclean.leader.election.enable": "false",
        "min.insync.replicas": str(in_sync(kafka)), "message.timestamp.type": "LogAppendTime", "max.message.bytes": str(RECORD_BYTES + 65_536),
    }
    return (Topic(kafka.log_topic(generation), partitions, kafka.replicas, log, lasting=True),
            Topic(kafka.bus_topic, BUS_PARTITIONS, kafka.replicas, _BUS, lasting=False))


def in_sync(kafka: Kafka) -> int:
    """How many replicas must have a record before it is acknowledged."""
    return 2 if kafka.replicas >= 3 else 1


async def prepare(kafka: Kafka, partitions: int, generation: int) -> None:
    """Make the topics where they are missing, and look at all that must hold. Raises Unfit with what to set, StorageAway."""
    await _ask(see_brokers, kafka)
    admin = kafka.admin()
    for topic in topics_of(kafka, partitions, generation):
        await _prepare(admin, kafka, topic)
    if kafka.replicas < 3:
        _log.warning("Kafka keeps %d copy of the log: what was acknowledged is lost with that broker's disk. For development alone; "
                     "serve with three brokers and CAAS_KAFKA_REPLICAS=3", kafka.replicas)
        return
    if wrong := wrong_features(await _ask(finalized, kafka)):
        raise Unfit(wrong)


def wrong_features(features: Features) -> str:
    """What is the matter with the brokers' features; empty: nothing."""
    if features.get(_ELR, 0) >= 1:
        return ""
    return ("eligible leader replicas are off: after all in-sync replicas of a partition have failed, one that lacks acknowledged messages could "
            f"lead it. Switch them on with `kafka-features.sh --bootstrap-server ... upgrade --feature {_ELR}=1`")


async def _prepare(admin: AdminClient, kafka: Kafka, topic: Topic) -> None:
    try:
        found = await _ask(_partitions, admin, topic.name)
        if not found:
            await _ask(_make, admin, kafka, topic)
            found = await _made(admin, topic)
        if wrong := wrong_partitions(topic, found):
            raise Unfit(wrong)
        if topic.lasting and (wrongs := wrong_settings(topic, await _ask(_settings, admin, topic.name))):
            raise Unfit("; ".join(wrongs))
    except KafkaException as error:
        raise StorageAway(f"Kafka at {kafka.bootstrap} does not answer: {error.args[0].str()}") from error


async def _made(admin: AdminClient, topic: Topic) -> dict[int, int]:
    """Every broker has heard of a new topic a moment later."""
    found: dict[int, int] = {}
    with trio.move_on_after(_MADE_WITHIN_S):
        while len(found) < topic.partitions:
            await trio.sleep(_LOOK_S)
            found = await _ask(_partitions, admin, topic.name)
    return found


async def _ask(question: Callable[..., T], *about: Any) -> T:
    return await trio.to_thread.run_sync(partial(question, *about), abandon_on_cancel=True)


def wrong_partitions(topic: Topic, found: Mapping[int, int]) -> str:
    """What is the matter with a topic of these replicas by partition; empty: nothing."""
    if len(found) != topic.partitions:
        return (f"the topic {topic.name} has {len(found)} partitions and must have {topic.partitions}: their number is fixed when a set-up is made. "
                f"If it holds nothing yet, delete it and start again; else configure the number it was made with")
    if topic.lasting and (fewest := min(found.values())) < topic.replicas:
        return (f"the topic {topic.name} has {fewest} replicas and must have {topic.replicas}: raise them with kafka-reassign-partitions.sh, "
                "or, for development alone, set CAAS_KAFKA_REPLICAS=1")
    return ""


def wrong_settings(topic: Topic, found: Mapping[str, str]) -> list[str]:
    """What is the matter with a topic of these settings, one sentence each."""
    said = []
    for name, must in topic.config.items():
        have = found.get(name, "")
        if have != must and not _better(name, have, must):
            said.append(f"the topic {topic.name} has {name}={have or 'nothing'} and must have {must}: set it with "
                        f"`kafka-configs.sh --bootstrap-server ... --alter --topic {topic.name} --add-config {name}={must}`")
    return said


def _better(name: str, have: str, must: str) -> bool:
    """More than enough is enough."""
    return name in ("min.insync.replicas", "max.message.bytes") and have.isdigit() and int(have) >= int(must)


def _partitions(admin: AdminClient, name: str) -> dict[int, int]:
    """Replicas by partition; none where there is no such topic."""
    topic = admin.list_topics(timeout=ANSWER_S).topics.get(name)
    if topic is None or (topic.error is not None and topic.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART):
        return {}
    return {number: len(partition.replicas) for number, partition in topic.partitions.items()}


def _settings(admin: AdminClient, name: str) -> dict[str, str]:
    [asked] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name)], request_timeout=ANSWER_S).values()
    found: Mapping[str, Any] = asked.result(ANSWER_S + 1)
    return {key: str(entry.value) for key, entry in found.items()}


def _make(admin: AdminClient, kafka: Kafka, topic: Topic) -> None:
    """Raises Unfit where we may not."""
    if not kafka.create:
        raise Unfit(f"there is no topic {topic.name}: {_by_hand(topic)}, or let the server make it with CAAS_KAFKA_CREATE_TOPICS=true")
    new = NewTopic(topic.name, topic.partitions, topic.replicas, config=dict(topic.config))
    [asked] = admin.create_topics([new], operation_timeout=_MADE_WITHIN_S, request_timeout=_MADE_WITHIN_S).values()
    try:
        asked.result(_MADE_WITHIN_S + 1)
    except KafkaException as error:
        code = error.args[0].code()
        if code in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.POLICY_VIOLATION):
            raise Unfit(f"the topic {topic.name} is missing and this user may not make it: {_by_hand(topic)}") from error
        if code == KafkaError.INVALID_REPLICATION_FACTOR:
            raise Unfit(f"the topic {topic.name} needs {topic.replicas} brokers: start them, or, for development alone, "
                        "set CAAS_KAFKA_REPLICAS=1") from error
        if code != KafkaError.TOPIC_ALREADY_EXISTS:  # another node was first
            raise


def _by_hand(topic: Topic) -> str:
    config = " ".join(f"--config {name}={value}" for name, value in topic.config.items())
    return (f"make it with `kafka-topics.sh --bootstrap-server ... --create --topic {topic.name} --partitions {topic.partitions} "
            f"--replication-factor {topic.replicas} {config}`")
