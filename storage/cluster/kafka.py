"""How this program speaks to Kafka: which brokers, under which names, and the settings that every client of it has.

Blocking clients live in threads of their own. Whatever must hold for durability stands here and can be seen in one place.
"""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from storage.cluster.explaining import explained, is_lasting, mend
from storage.ports.errors import OutcomeUnknown, StorageAway, StorageError, Unwritable

_SAY_EVERY_S = 10.0


class Seldom(logging.Filter):
    """What a client says again and again while a broker is away is told once in ten seconds, of all clients together."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Told by its first word: librdkafka's name for what happened."""
        about = str(record.msg).partition(" ")[0]
        if record.created - self._told.get(about, 0.0) < _SAY_EVERY_S:
            return False
        self._told[about] = record.created
        return True


_log = logging.getLogger("storage.kafka")
_log.addFilter(Seldom())

ANSWER_S = 5.0
"""For questions that the brokers are asked (topics, offsets)."""
GIVE_UP_MS = 120_000
"""An append that has no answer by then is given up: its outcome is unknown."""
STILL_MS, NOTICED_MS = 5_000, 3_000
"""A broker that stands still without falling is left after the first; that others lead by now is seen after the second."""
RECORD_BYTES = 4 * 1024 * 1024
"""The largest record. A room's is of 256 KB and the entry that went over it."""


class Kafka(NamedTuple):
    """Where it is, and what is ours there."""

    bootstrap: str
    """`host:port`, several separated by commas."""
    prefix: str = "caas"
    """What the names of our topics and groups begin with: two set-ups on one Kafka have two."""
    replicas: int = 3
    """Of the log's topic. 1: a development set-up, which loses what was acknowledged with its one disk."""
    create: bool = True
    """Whether topics that are missing are made."""
    properties: Mapping[str, str] = {}
    """Further settings of librdkafka, for whoever reaches it by TLS and SASL. They cannot override ours."""
    linger_ms: float = 0.0
    """How long a record may wait for others to leave with it (docs/decisions/kafka.md has the figures)."""

    def log_topic(self, generation: int) -> str:
        """The log of a generation. A log that is made anew is a topic of its own: old places never mean new records."""
        return f"{self.prefix}.log.{generation}"

    @property
    def bus_topic(self) -> str:
        """What need not last."""
        return f"{self.prefix}.bus"

    @property
    def storing_group(self) -> str:
        """The group that divides storing over the nodes."""
        return f"{self.prefix}.storing"

    def admin(self) -> AdminClient:
        """For questions about topics. Keep a reference while it is used."""
        return AdminClient({**self._common(), "log_level": 2})

    def producer(self) -> Producer:
        """For the log: idempotent, and acknowledged by all in-sync replicas."""
        return Producer(self._common() | {
            "enable.idempotence": True, "acks": "all", "max.in.flight.requests.per.connection": 5, "delivery.timeout.ms": GIVE_UP_MS,
            "linger.ms": self.linger_ms, "compression.type": "none", "message.max.bytes": RECORD_BYTES,
            "queue.buffering.max.messages": 1_000_000, "queue.buffering.max.kbytes": 256 * 1024, "request.timeout.ms": STILL_MS,
        }, logger=_log)

    def bus_producer(self, most: int) -> Producer:
        """For the bus: fast, and it may lose."""
        return Producer(self._common() | {
            "acks": 1, "delivery.timeout.ms": 5_000, "linger.ms": 1, "retries": 2, "queue.buffering.max.messages": most,
            "queue.buffering.max.kbytes": 16 * 1024,
        }, logger=_log)

    def consumer(self, **more: Any) -> Consumer:
        """A reader that begins where it is told, and never jumps: what is out of range is an error."""
        return Consumer(self._common() | {
            "group.id": f"{self.prefix}.readers", "enable.auto.commit": False, "enable.auto.offset.store": False, "auto.offset.reset": "error",
            "check.crcs": True, "fetch.wait.max.ms": 500, "fetch.min.bytes": 1, "fetch.queue.backoff.ms": 10, "queued.max.messages.kbytes": 16 * 1024,
            "fetch.error.backoff.ms": 50, "fetch.message.max.bytes": RECORD_BYTES, **more,
        }, logger=_log)

    def _common(self) -> dict[str, Any]:
        return {
            **self.properties, "bootstrap.servers": self.bootstrap, "client.id": "caas",
            "socket.keepalive.enable": True, "socket.nagle.disable": True, "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 1_000,
            "retry.backoff.ms": 50, "topic.metadata.refresh.fast.interval.ms": 50, "topic.metadata.refresh.interval.ms": NOTICED_MS,
            "socket.timeout.ms": STILL_MS,
            "log.connection.close": False, "error_cb": _say,
        }


def see_brokers(kafka: Kafka) -> int:
    """How many brokers there are. Raises StorageAway with what they, or the way to them, said. Blocks."""
    said: list[str] = []
    settings: dict[str, Any] = {**kafka._common(), "log_level": 0, "error_cb": lambda error: said.append(error.str())}
    asking = AdminClient(settings)
    for within_s in (1.0, ANSWER_S - 1.0):
        try:
            return len(asking.list_topics(timeout=within_s).brokers)
        except KafkaException as error:
            asking.poll(0.1)
            last = error.args[0].str()
        if any(map(is_lasting, said)):
            break
    telling = [each for each in said if mend(each)] or said or [last]
    raise StorageAway(f"Kafka at {kafka.bootstrap} cannot be reached: {explained(telling[0])}")


def acquaint(client: Producer | Consumer, topic: str) -> None:
    """Have a client know a topic before it needs it: by itself it asks for what it does not know once a second, and everybody waits. Blocks."""
    try:
        client.list_topics(topic, ANSWER_S)
    except KafkaException as error:
        _log.info("%s is not known yet: %s", topic, error)


def _say(error: KafkaError) -> None:
    """What librdkafka mends by itself is told, and no more."""
    _log.warning("Kafka: %s", error.str())


_SURELY_NOT = frozenset({
    KafkaError._PURGE_QUEUE, KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION, KafkaError._QUEUE_FULL, KafkaError.NOT_ENOUGH_REPLICAS,
})
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD, KafkaError.INVALID_MSG})


def of_append(error: KafkaError) -> StorageError:
    """What whoever asked for an append is told. What may have been written is said to be unknown."""
    if error.code() in _TOO_LARGE:
        return Unwritable(f"Kafka does not take this record: {error.str()}")
    if error.code() in _SURELY_NOT:
        return StorageAway(f"Kafka does not take the record: {error.str()}")
    return OutcomeUnknown(f"Kafka has not said whether it has the record: {error.str()}")
