"""Appending to Kafka: what waits, taken from tenants in turn; what is on its way; and who is told when it has landed.

Records are handed to librdkafka in trio's thread, which does not wait; what comes back is polled in a thread of its own and handed out
by `run`. Each partition has a lane: only so much of it is on its way at once, so that what waits, waits here, where tenants take turns,
and a partition whose broker is gone stands in nobody else's way.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import trio
from confluent_kafka import KafkaError, KafkaException

from storage.cluster.kafka import Kafka, acquaint, of_append
from storage.cluster.records import key_of, value_of
from storage.failing import Fatal
from storage.ports.errors import OutcomeUnknown, StorageAway, StorageError, TooMuch
from storage.ports.log import Record
from storage.turns import Append, Turns, append_of

_log = logging.getLogger("storage.cluster")

LANE_BYTES = 512 * 1024
"""Of one partition, on their way at once."""
MOST_BYTES = 64 * 1024 * 1024
"""Of all lanes, waiting and on their way."""
AWAY_AFTER_S = 8.0
"""A partition that has not answered for so long is away: what comes is refused at once, until it answers. Shorter than a command's own deadline,
so that who has been told `timeout` once is told `unavailable` from then on."""
EXPIRE_S = 8.0
"""What could not even leave by then is refused: surely not written. Shorter than a command's own deadline."""
_POLL_S, _LOOK_S = 0.1, 0.25
_NEVER = float("inf")
_CLOSE_S = 5.0
Done = Callable[[StorageError | None], None]


class _Lane:
    """One partition's."""

    __slots__ = ("bytes", "flying", "turns")

    def __init__(self) -> None:
        self.turns = Turns()
        self.flying: dict[int, tuple[Append, float]] = {}
        """By number: the record, and when it left. In the order they left."""
        self.bytes = 0

    def since(self) -> float:
        """When the oldest left that has no answer; infinity when none is on its way."""
        return next(iter(self.flying.values()))[1] if self.flying else _NEVER


class Appends:
    """The half of the log that is written. Everything but the polling is in trio's thread."""

    def __init__(self, kafka: Kafka, topic: str, schema: int = 0) -> None:
        self._topic, self._schema = topic, schema
        self._producer = kafka.producer()
        self._token = trio.lowlevel.current_trio_token()
        self._lanes: dict[int, _Lane] = {}
        self._number = self._bytes = 0
        self._reports: deque[tuple[int, int, KafkaError | None]] = deque()
        """Of each record that has an answer: partition, number, what went wrong."""
        self._refusals: deque[Callable[[], None]] = deque()
        self._news = trio.Event()
        self._answered = float("-inf")  # when Kafka last took a record
        self._closing = False
        self._ended = threading.Event()
        self.away = False
        """Whether Kafka has answered nobody for long, though somebody waits."""

    @property
    def busy(self) -> bool:
        """Whether answers are to come."""
        return self._bytes > 0

    def start(self) -> None:
        """Begin to poll."""
        threading.Thread(target=self._poll, name="kafka-verdicts", daemon=True).start()

    def append(self, record: Record, done: Done) -> None:
        """See the port Log. `done` is called by `run`."""
        lane = self._lanes.get(record.partition)
        if lane is None:
            lane = self._lanes[record.partition] = _Lane()
        append = append_of(record, done, trio.current_time())
        if self.away or append.since - lane.since() > AWAY_AFTER_S:
            self._refuse(done, StorageAway("Kafka has not answered for some time"))
        elif self._bytes + append.size > MOST_BYTES:
            self._refuse(done, StorageAway("more waits to be written than Kafka keeps up with"))
        elif not lane.turns.put(append):
            self._refuse(done, TooMuch("more of this tenant waits to be written than is fair to the others"))
        else:
            self._bytes += append.size
            self._leave(record.partition, lane)

    async def run(self) -> None:
        """Hand out verdicts, for as long as the worker lives. Raises Fatal when nothing can be appended any more."""
        while True:
            await self._news.wait()
            self._news = trio.Event()
            while self._refusals:
                self._refusals.popleft()()
            while self._reports:
                self._landed(*self._reports.popleft())

    async def look(self) -> None:
        """Refuse what could not leave in time, and see whether Kafka is there."""
        while True:
            await trio.sleep(_LOOK_S)
            now = trio.current_time()
            oldest = min((lane.since() for lane in self._lanes.values()), default=_NEVER)
            self.away = oldest < _NEVER and now - max(oldest, self._answered) > AWAY_AFTER_S
            for lane in self._lanes.values():
                for append in lane.turns.expire(now - EXPIRE_S):
                    self._bytes -= append.size
                    append.done(StorageAway("Kafka has not taken it in time"))

    async def close(self) -> None:
        """Wait a moment for what is on its way, and let go."""
        with trio.move_on_after(_CLOSE_S, shield=True):
            while any(lane.flying for lane in self._lanes.values()):  # noqa: ASYNC110 - for a moment, at the end
                await trio.sleep(0.01)
        self._closing = True
        await trio.to_thread.run_sync(self._ended.wait, _CLOSE_S)

    def _leave(self, partition: int, lane: _Lane) -> None:
        """Let as much leave as the lane holds."""
        while lane.turns and lane.bytes < LANE_BYTES:
            for append in lane.turns.take(LANE_BYTES - lane.bytes):
                self._produce(partition, lane, append)

    def _produce(self, partition: int, lane: _Lane, append: Append) -> None:
        self._number += 1
        number, record = self._number, append.record
        lane.flying[number] = append, trio.current_time()
        lane.bytes += append.size
        try:
            self._producer.produce(self._topic, value_of(record, self._schema), key_of(record), partition,
                                   on_delivery=partial(self._report, partition, number))
        except KafkaException as error:
            self._reports.append((partition, number, error.args[0]))
            self._news.set()
        except BufferError:
            self._reports.append((partition, number, KafkaError(KafkaError._QUEUE_FULL)))
            self._news.set()

    def _landed(self, partition: int, number: int, error: KafkaError | None) -> None:
        lane = self._lanes[partition]
        append, _ = lane.flying.pop(number)
        lane.bytes -= append.size
        self._bytes -= append.size
        if error is None:
            self._answered, self.away = trio.current_time(), False
            append.done(None)
        elif error.fatal() or error.code() == KafkaError._FATAL:
            append.done(OutcomeUnknown(error.str()))
            raise Fatal(f"this producer can append no more: {error.str()}")
        else:
            append.done(of_append(error))
        self._leave(partition, lane)

    def _refuse(self, done: Done, error: StorageError) -> None:
        self._refusals.append(partial(done, error))
        self._news.set()

    # The thread that polls.

    def _report(self, partition: int, number: int, error: KafkaError | None, message: Any) -> None:
        self._reports.append((partition, number, error))

    def _poll(self) -> None:
        try:
            acquaint(self._producer, self._topic)
            while not self._closing:
                self._producer.poll(_POLL_S)
                if self._reports:
                    self._token.run_sync_soon(self._tell)
        except trio.RunFinishedError:
            self._closing = True
        finally:
            self._producer.purge()
            self._producer.poll(0)
            self._ended.set()

    def _tell(self) -> None:
        self._news.set()
