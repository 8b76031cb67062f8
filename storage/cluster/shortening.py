"""Shortening the log: what was stored a day ago is removed from Kafka. Nobody else does: the topic's own retention is off.

Whoever wakes, resumes or follows begins at the stored place or later, so nobody needs what is before it; the day is for people, should they
have to look. The record at the stored place stays, so that a reader can tell that it is where it left off.
"""

import logging
from collections.abc import Mapping

import trio
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin._listoffsets import OffsetSpec

from protocol.world import Clock
from storage.cluster.kafka import ANSWER_S, Kafka
from storage.cluster.log import ClusterLog
from storage.ports.errors import StorageError

_log = logging.getLogger("storage.cluster")

EVERY_S = 3_600.0
KEEP_MS = 24 * 3_600 * 1_000


class Shortening:
    """A task of each worker: it shortens the partitions that the worker stores."""

    def __init__(self, kafka: Kafka, log: ClusterLog, clock: Clock, *, every_s: float = EVERY_S, keep_ms: int = KEEP_MS) -> None:
        self._admin, self._topic, self._log, self._clock = kafka.admin(), kafka.log_topic(log.generation), log, clock
        self._every_s, self._keep_ms = every_s, keep_ms

    async def run(self) -> None:
        """Shorten, for as long as the worker lives. What fails is done an hour later."""
        while True:
            await trio.sleep(self._every_s)
            try:
                await self.shorten()
            except (StorageError, KafkaException, TimeoutError) as error:
                _log.warning("the log is not shortened this time: %s", error)

    async def shorten(self) -> Mapping[int, int]:
        """Shorten once; the offset that each partition begins at now. Raises StorageError, KafkaException, TimeoutError."""
        places = await self._log.stored_places()
        stored = {partition: places[partition].offset for partition in self._log.stores(places.keys())
                  if places[partition].generation == self._log.generation}
        return await trio.to_thread.run_sync(self._shorten, stored, abandon_on_cancel=True) if stored else {}

    def _shorten(self, stored: Mapping[int, int]) -> dict[int, int]:
        """In a thread."""
        since = OffsetSpec.for_timestamp(self._clock.now_ms() - self._keep_ms)
        found = self._admin.list_offsets({TopicPartition(self._topic, partition): since for partition in stored}, request_timeout=ANSWER_S)
        young = {each.partition: future.result(ANSWER_S + 1).offset for each, future in found.items()}
        # Where no record is younger, the answer is -1, and all that is stored may go.
        before = {partition: offset if young[partition] < 0 else min(offset, young[partition]) for partition, offset in stored.items()}
        wanted = [TopicPartition(self._topic, partition, offset) for partition, offset in before.items() if offset > 0]
        asked = self._admin.delete_records(wanted, request_timeout=ANSWER_S) if wanted else {}
        return {each.partition: future.result(ANSWER_S + 1).low_watermark for each, future in asked.items()}
