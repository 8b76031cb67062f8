"""Following partitions of the log: a thread that reads them from where it is told, and hands rows to trio in the log's order.

It reads by assignment, from the place after the stored one. Where the log does not reach back so far, or has been cut short, it stops the
worker with an alarm: a jump would lose entries, or give their numbers to others. Past the feed's bound it reads no more, so memory stays
bounded on this side, and librdkafka's own queue is bounded too.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import trio
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from storage.cluster.kafka import ANSWER_S, Kafka, acquaint
from storage.cluster.records import rows_of
from storage.failing import Fatal
from storage.feed import Feed
from storage.ports.entry import Place
from storage.ports.errors import StorageAway
from storage.ports.log import Row

_log = logging.getLogger("storage.cluster")

AT_ONCE = 1_000
"""Records taken from librdkafka at once."""
AHEAD = 8
"""Such batches that may be on their way to trio."""
_LOOK_S = 0.05
_CLOSE_S = 5.0
_HIGHS_WITHIN_S = 2.0
_ENDS = (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]
_LOST = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._LOG_TRUNCATION})


class Reach(NamedTuple):
    """The offsets of a partition that Kafka has: low <= offset < high."""

    low: int
    high: int


def _nobody(ends: Mapping[int, Place]) -> None:
    """Nobody waits."""


class Switch(NamedTuple):
    """Read no more of `lost`, and `gained` from these places on. `done` is told how far the log reached."""

    lost: frozenset[int] = frozenset()
    gained: Mapping[int, Place] = {}
    reaches: Mapping[int, Reach] = {}
    done: Callable[[Mapping[int, Place]], None] = _nobody


class Handed(NamedTuple):
    """What comes to trio: rows; partitions of which rows count from here on; somebody who is told; what ended the thread."""

    rows: Sequence[Row] = ()
    live: frozenset[int] = frozenset()
    tell: Callable[[], None] | None = None
    fatal: BaseException | None = None


class Follows:
    """The half of the log that is read. In trio's thread, but for `Reading`, which is the other thread's."""

    def __init__(self, kafka: Kafka, topic: str, generation: int, feed: Feed) -> None:
        self._topic, self._generation, self._feed = topic, generation, feed
        self._admin = kafka.admin()
        self._reading = Reading(kafka, topic, generation, feed, self._hand)
        self._token = trio.lowlevel.current_trio_token()
        self._asked: set[int] = set()
        self._live: set[int] = set()
        self._following = trio.Lock()
        self._news = trio.Event()

    def start(self) -> None:
        """Begin to read."""
        threading.Thread(target=self._reading.run, name="kafka-rows", daemon=True).start()

    async def follow(self, after: Mapping[int, Place]) -> Mapping[int, Place]:
        """See the port Log. Returns when all that was in the log has been read into the feed, which is bounded: somebody must be receiving."""
        async with self._following:
            self.leave(self._asked - set(after))
            gained = {partition: after[partition] for partition in set(after) - self._asked}
            try:
                reaches = await reach(self._admin, self._topic, gained)
                ends = await self._switch(Switch(gained=gained, reaches=reaches)) if gained else {}
            except BaseException:
                self.leave(gained)
                raise
            self._asked = set(after)
            return ends

    def leave(self, partitions: Collection[int]) -> None:
        """See the port Log."""
        if partitions:
            self._asked.difference_update(partitions)
            self._live.difference_update(partitions)
            self._feed.drop(partitions)
            self._reading.switches.append(Switch(lost=frozenset(partitions)))

    async def reached(self, partitions: Collection[int]) -> dict[int, Place]:
        """See the port Log, `ends`. An offset is a whole record, which the feed never divides."""
        highs = await highs_of(self._admin, self._topic, partitions)
        return {partition: Place(self._generation, high - 1) for partition, high in highs.items() if high}

    async def run(self) -> None:
        """Put what was read into the feed, for as long as the worker lives. Raises what ended the thread."""
        while True:
            await self._news.wait()
            self._news = trio.Event()
            while self._reading.handed:
                self._take(self._reading.handed.popleft())

    async def close(self) -> None:
        """End the thread."""
        self._reading.closing = True
        await trio.to_thread.run_sync(self._reading.ended.wait, _CLOSE_S)

    async def _switch(self, switch: Switch) -> Mapping[int, Place]:
        switched, found = trio.Event(), list[Mapping[int, Place]]()

        def done(ends: Mapping[int, Place]) -> None:
            found.append(ends)
            switched.set()

        self._reading.switches.append(switch._replace(done=done))
        await switched.wait()
        return found[0]

    def _hand(self) -> None:
        """In the other thread: there is something to take."""
        self._token.run_sync_soon(self._tell)

    def _tell(self) -> None:
        self._news.set()

    def _take(self, handed: Handed) -> None:
        if handed.fatal is not None:
            raise handed.fatal
        self._live |= handed.live
        self._feed.put([row for row in handed.rows if row.partition in self._live])
        if handed.tell is not None:
            handed.tell()


class Reading:
    """The thread that reads. `switches` come in, `handed` goes out, and `hand` says so."""

    def __init__(self, kafka: Kafka, topic: str, generation: int, feed: Feed, hand: Callable[[], None]) -> None:
        self._topic, self._generation, self._feed, self._hand = topic, generation, feed, hand
        self._consumer = kafka.consumer()
        self.switches: deque[Switch] = deque()
        self.handed: deque[Handed] = deque()
        self.closing, self.ended = False, threading.Event()
        self._after: dict[int, Place] = {}
        self._switch = Switch()
        self._reaching: dict[int, int] = {}
        """Of the partitions of the switch: the last offset that it waits for."""
        self._ends: dict[int, Place] = {}

    def run(self) -> None:
        """Read until it is closed."""
        try:
            acquaint(self._consumer, self._topic)
            while not self.closing:
                self._work()
        except trio.RunFinishedError:
            pass
        except BaseException as error:  # noqa: BLE001 - the thread's life ends here: the worker is told, and ends too
            self._give(Handed(fatal=error))
        finally:
            self._consumer.close()
            self.ended.set()

    def _work(self) -> None:
        while self.switches:
            self._begin(self.switches.popleft())
        if not self._feed.room.wait(_LOOK_S) or len(self.handed) > AHEAD:
            return
        first = self._consumer.poll(_LOOK_S)
        if first is not None:
            self._read([first, *self._consumer.consume(AT_ONCE, 0)])

    def _begin(self, switch: Switch) -> None:
        self._unassign(sorted(switch.lost & self._after.keys()))
        if switch.gained:
            self._assign(switch)
        self._reached([])

    def _unassign(self, lost: Sequence[int]) -> None:
        if lost:
            self._consumer.incremental_unassign([TopicPartition(self._topic, partition) for partition in lost])
        for partition in lost:
            del self._after[partition]
            self._reaching.pop(partition, None)

    def _assign(self, switch: Switch) -> None:
        """A switch that has not come to its end is abandoned: whoever asked for it has gone."""
        starts = {partition: start_of(partition, place, self._generation, switch.reaches[partition]) for partition, place in switch.gained.items()}
        self._after.update(switch.gained)
        self._give(Handed(live=frozenset(starts)))
        if starts:
            self._consumer.incremental_assign([TopicPartition(self._topic, partition, start) for partition, start in starts.items()])
        highs = {partition: reach.high for partition, reach in switch.reaches.items()}
        self._reaching = {partition: highs[partition] - 1 for partition, start in starts.items() if start < highs[partition]}
        self._ends, self._switch = {}, switch

    def _read(self, messages: Sequence[Message]) -> None:
        rows: list[Row] = []
        for message in messages:
            error = message.error()
            if error is not None:
                self._failed(message, error)
            else:
                rows += self._rows(message)
        self._reached(rows)

    def _rows(self, message: Message) -> list[Row]:
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        after = self._after.get(partition)
        if after is None:
            return []
        rows = rows_of(partition, self._generation, offset, message.key(), message.value())
        if offset == after.offset and after.generation == self._generation:
            rows = [row for row in rows if row.place > after]
        if self._reaching and offset >= self._reaching.get(partition, offset + 1):
            del self._reaching[partition]
            if rows:
                self._ends[partition] = rows[-1].place
        return rows

    def _reached(self, rows: list[Row]) -> None:
        """Hand rows on; and tell whoever switched when all has been read that was there."""
        tell = None
        if not self._reaching and self._switch.done is not _nobody:
            tell, self._switch = partial(self._switch.done, self._ends), Switch()
        if rows or tell:
            self._give(Handed(rows, tell=tell))

    def _failed(self, message: Message, error: KafkaError) -> None:
        """Raises Fatal where entries are gone; everything else librdkafka tries again."""
        if error.code() in _LOST:
            raise Fatal(f"partition {message.partition()} of {self._topic} cannot be read where this worker left off: {error.str()}. "
                        "Entries have been lost or removed; follow docs/operate.md before anything is started again")
        _log.warning("partition %s of %s: %s", message.partition(), self._topic, error.str())

    def _give(self, handed: Handed) -> None:
        self.handed.append(handed)
        self._hand()


def start_of(partition: int, after: Place, generation: int, reach: Reach) -> int:
    """The offset to begin at, so that nothing after the place is missed. Raises Fatal where the log has not what there must be."""
    if after.generation > generation:
        raise Fatal(f"partition {partition} is stored up to generation {after.generation}, and the log is of generation {generation}")
    first = after.offset if after.generation == generation else 0
    if after.generation == generation and after.offset >= reach.high:
        raise Fatal(f"partition {partition} is stored up to offset {after.offset}, and the log ends at {reach.high}: acknowledged entries are lost; "
                    "follow docs/operate.md")
    if reach.low > (first + 1 if after.generation == generation else 0):
        raise Fatal(f"partition {partition} is stored up to offset {first}, and the log begins at {reach.low}: entries that were never stored "
                    "have been removed; follow docs/operate.md")
    return max(first, reach.low)


async def reach(admin: AdminClient, topic: str, partitions: Iterable[int]) -> dict[int, Reach]:
    """How far the log reaches in these partitions. Raises StorageAway."""
    wanted = [TopicPartition(topic, partition) for partition in sorted(partitions)]
    until = trio.current_time() + ANSWER_S
    while wanted:
        try:
            return await trio.to_thread.run_sync(reach_now, admin, wanted, abandon_on_cancel=True)
        except (KafkaException, TimeoutError) as error:  # a partition that has just been made, or changes its leader, says so for a moment
            if trio.current_time() > until:
                raise StorageAway(f"Kafka does not say how far the log reaches: {error}") from error
        await trio.sleep(_LOOK_S)
    return {}


def reach_now(admin: AdminClient, wanted: Sequence[TopicPartition]) -> dict[int, Reach]:
    """The same, asked once. Blocks. Raises KafkaException, TimeoutError."""
    asked = [admin.list_offsets(dict.fromkeys(wanted, spec), request_timeout=ANSWER_S) for spec in _ENDS]
    lows, highs = [{each.partition: future.result(ANSWER_S + 1).offset for each, future in futures.items()} for futures in asked]
    return {partition: Reach(low, highs[partition]) for partition, low in lows.items()}


async def highs_of(admin: AdminClient, topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """The offset behind the last record of each, asked once. Raises StorageAway."""
    wanted = {TopicPartition(topic, partition): _ENDS[1] for partition in partitions}

    def ask() -> dict[int, int]:
        futures = admin.list_offsets(wanted, request_timeout=_HIGHS_WITHIN_S)
        return {each.partition: future.result(_HIGHS_WITHIN_S).offset for each, future in futures.items()}

    try:
        return await trio.to_thread.run_sync(ask, abandon_on_cancel=True)
    except (KafkaException, TimeoutError) as error:
        raise StorageAway(f"Kafka does not say how far the log reaches: {error}") from error
