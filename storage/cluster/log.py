"""The log in Kafka, and the stored entries beside it."""

from collections.abc import Callable, Collection, Mapping, Sequence

import trio

from storage.cluster.appending import Appends
from storage.cluster.following import Follows
from storage.cluster.kafka import Kafka
from storage.cluster.ports import Keeps, MadeAs, Shares
from storage.feed import MOST_BYTES, Feed
from storage.giving_way import GivingWay
from storage.ports.entry import Place
from storage.ports.errors import StorageAway, StorageError
from storage.ports.log import Loaded, Record, Row, Stored, StoredRow, Storing
from storage.ports.scope import Tenanted


class ClusterLog:
    """The ports Log and Following: what is appended and read back lies in Kafka, what is stored where `kept` keeps it."""

    def __init__(self, kafka: Kafka, settings: MadeAs, kept: Keeps, shares: Shares, *, schema: int = 0, feed_bytes: int = MOST_BYTES) -> None:
        self.partitions, self.generation, self.epoch = settings.partitions, settings.generation, settings.epoch
        topic = kafka.log_topic(settings.generation)
        self.alone = False
        self._kept, self._shares, self._feed = kept, shares, Feed(feed_bytes)
        self.appends = Appends(kafka, topic, schema)
        self._follows = Follows(kafka, topic, settings.generation, self._feed)
        self._giving_way = GivingWay(lambda: self.appends.busy)

    def start(self, nursery: trio.Nursery) -> None:
        """Begin to work."""
        nursery.start_soon(self.appends.run)
        nursery.start_soon(self.appends.look)
        nursery.start_soon(self._follows.run)
        nursery.start_soon(self._giving_way.run)
        self.appends.start()
        self._follows.start()

    async def close(self) -> None:
        """Wait a moment for what is on its way, then let Kafka go."""
        await self.appends.close()
        await self._follows.close()

    @property
    def away(self) -> bool:
        """Whether Kafka answers nobody: appends are refused."""
        return self.appends.away

    def append(self, record: Record, done: Callable[[StorageError | None], None]) -> None:
        """See the port."""
        self.appends.append(record, done)
        self._giving_way.begin()

    async def follow(self, after: Mapping[int, Place]) -> Mapping[int, Place]:
        """See the port."""
        return await self._follows.follow(after)

    def leave(self, partitions: Collection[int]) -> None:
        """See the port."""
        self._follows.leave(partitions)

    async def ends(self, partitions: Collection[int]) -> Mapping[int, Place]:
        """See the port."""
        if self.away:
            raise StorageAway("Kafka answers nobody")
        return await self._follows.reached(partitions)

    async def receive(self) -> Sequence[Row]:
        """See the port."""
        return await self._feed.take()

    async def stored_places(self) -> dict[int, Place]:
        """See the port."""
        return await self._kept.stored_places()

    async def store(self, step: Storing) -> None:
        """See the port."""
        await self._kept.store(step)

    async def load(self, scope: Tenanted, conversation: str, partition: int) -> Loaded:
        """See the port."""
        return await self._kept.load(scope, conversation, partition)

    async def entries(self, scope: Tenanted, conversation: str, after: int, before: int, limit: int, *,
                      newest: bool = False, kinds: Sequence[str] = (), seqs: Sequence[int] = ()) -> Sequence[StoredRow]:
        """See the port."""
        return await self._kept.entries(scope, conversation, after, before, limit, newest=newest, kinds=kinds, seqs=seqs)

    async def of_each(self, scope: Tenanted, wanted: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], StoredRow]:
        """See the port."""
        return await self._kept.of_each(scope, wanted)

    async def find(self, scope: Tenanted, conversation: str, ops: Collection[bytes]) -> Mapping[bytes, StoredRow]:
        """See the port."""
        return await self._kept.find(scope, conversation, ops)

    async def stored_after(self, partition: int, after: Place, limit: int) -> Sequence[Stored]:
        """See the port."""
        return await self._kept.stored_after(partition, after, limit)

    def stores(self, followed: Collection[int]) -> Collection[int]:
        """See the port."""
        ours = self._shares.ours
        return followed if ours is None else [partition for partition in followed if partition in ours]
