"""The bus between nodes: a second topic of Kafka, with one acknowledgement and short retention. It may lose.

Whoever listens on this worker hears at once, and goes on hearing while Kafka is away; what comes back of our own is passed over. One
thread polls both ways. A reader that has fallen behind what is kept begins again at the end: what is old is of no use.
"""

import logging
import threading
from collections import deque
from collections.abc import Iterable
from zlib import crc32

import trio
from confluent_kafka import OFFSET_END, KafkaError, KafkaException, Message, TopicPartition

from storage.cluster.following import reach
from storage.cluster.kafka import Kafka, acquaint
from storage.cluster.topics import BUS_PARTITIONS
from storage.hearing import MOST_WAITING, Hearing

_log = logging.getLogger("storage.cluster")

_AT_ONCE = 1_000
_POLL_S = 0.05
_CLOSE_S = 5.0
WHO_BYTES = 16
_LOST = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})


class ClusterBus(Hearing):
    """The port Bus. `who` (16 bytes) is ours alone."""

    def __init__(self, kafka: Kafka, who: bytes) -> None:
        super().__init__()
        self._kafka, self._who = kafka, who
        self._producer, self._consumer = kafka.bus_producer(MOST_WAITING), kafka.consumer()
        self._token = trio.lowlevel.current_trio_token()
        self._heard: deque[tuple[str, bytes]] = deque(maxlen=MOST_WAITING)
        self._closing, self._ended = False, threading.Event()
        self.unsaid = 0
        """Messages that other nodes were not told."""

    def publish(self, topic: str, message: bytes) -> None:
        """See the port."""
        self.hear(topic, message)
        name = topic.encode()
        try:
            self._producer.produce(self._kafka.bus_topic, self._who + message, name, crc32(name) % BUS_PARTITIONS)
        except (BufferError, KafkaException):  # too much waits, or it is too large for Kafka
            self.unsaid += 1

    async def open(self) -> None:
        """Listen from now on. Raises StorageAway."""
        reaches = await reach(self._kafka.admin(), self._kafka.bus_topic, range(BUS_PARTITIONS))
        self._consumer.assign([TopicPartition(self._kafka.bus_topic, partition, found.high) for partition, found in reaches.items()])
        threading.Thread(target=self._poll, name="kafka-bus", daemon=True).start()

    async def close(self) -> None:
        """Say what is still to be said, for a moment, and end."""
        self._closing = True
        await trio.to_thread.run_sync(self._ended.wait, _CLOSE_S)

    # The thread.

    def _poll(self) -> None:
        try:
            acquaint(self._consumer, self._kafka.bus_topic)
            while not self._closing:
                self._producer.poll(0)
                first = self._consumer.poll(_POLL_S)
                if first is not None:
                    self._read([first, *self._consumer.consume(_AT_ONCE, 0)])
            self._producer.flush(1)
        except trio.RunFinishedError:
            pass
        finally:
            self._consumer.close()
            self._ended.set()

    def _read(self, messages: Iterable[Message]) -> None:
        before = len(self._heard)
        for message in messages:
            error, value, key = message.error(), message.value(), message.key()
            if error is not None:
                self._failed(message, error)
            elif value is not None and isinstance(key, bytes) and not value.startswith(self._who):
                self._heard.append((key.decode(errors="replace"), value[WHO_BYTES:]))
        if len(self._heard) > before:
            self._token.run_sync_soon(self._take)

    def _failed(self, message: Message, error: KafkaError) -> None:
        if error.code() in _LOST:
            self._consumer.incremental_unassign([TopicPartition(self._kafka.bus_topic, message.partition() or 0)])
            self._consumer.incremental_assign([TopicPartition(self._kafka.bus_topic, message.partition() or 0, OFFSET_END)])
        _log.warning("the bus: %s", error.str())

    # In trio's thread.

    def _take(self) -> None:
        while self._heard:
            self.hear(*self._heard.popleft())
