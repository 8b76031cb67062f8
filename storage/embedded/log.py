"""The log and the stored entries, in SQLite."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

import trio

from storage.embedded.database import Settings
from storage.embedded.desk import Desk
from storage.embedded.readers import Readers
from storage.embedded.reading import (
    Between,
    Load,
    read_after,
    read_by_op,
    read_ends,
    read_entries,
    read_log,
    read_of_each,
    read_places,
)
from storage.embedded.steps import Step, prepare_step, write_step
from storage.embedded.transaction import Transaction
from storage.embedded.writer import Handed, Switch
from storage.feed import Feed
from storage.ports.entry import Place
from storage.ports.errors import StorageError
from storage.ports.log import Loaded, Record, Row, Stored, StoredRow, Storing
from storage.ports.scope import Tenanted

SCAN = 2_000
"""Rows read at once when a partition is taken on."""


class EmbeddedLog:
    """The ports Log and Following."""

    def __init__(self, settings: Settings, desk: Desk, readers: Readers, feed: Feed) -> None:
        self.partitions, self.generation, self.epoch = settings.partitions, settings.generation, settings.epoch
        self._settings, self._desk, self._readers, self._feed, self.alone = settings, desk, readers, feed, True
        self._asked: set[int] = set()
        """What the writer has been asked to follow."""
        self._live: set[int] = set()
        """What rows are let through of."""
        self._following = trio.Lock()
        self._ends: dict[int, Place] = {}
        """The last place that is known to come, of each partition, since the latest call of follow."""

    def append(self, record: Record, done: Callable[[StorageError | None], None]) -> None:
        """See the port."""
        self._desk.append(record, done)

    async def follow(self, after: Mapping[int, Place]) -> Mapping[int, Place]:
        """See the port. What is behind is read here and goes into the feed, which is bounded: somebody must be receiving."""
        async with self._following:
            lost, gained = self._asked - set(after), set(after) - self._asked
            self._ends = {}
            self.leave(lost)
            try:
                reached = await self._scan({partition: self._settings.offset(after[partition]) for partition in gained})
            except BaseException:
                self._feed.drop(gained)
                raise
            self._asked = set(after)
            followed = trio.Event()
            self._desk.switch(Switch(frozenset(after), reached, followed.set))
            await followed.wait()
            return {partition: end for partition, end in self._ends.items() if partition in gained}

    async def ends(self, partitions: Collection[int]) -> Mapping[int, Place]:
        """See the port."""
        ends, _ = await self._readers.read(read_ends)
        return {partition: Place(self.generation, offset) for partition, offset in ends.items() if partition in partitions}

    def leave(self, partitions: Collection[int]) -> None:
        """See the port. The writer goes on handing rows of them until it is told otherwise: they are not let through."""
        self._asked.difference_update(partitions)
        self._live.difference_update(partitions)
        self._feed.drop(partitions)

    async def receive(self) -> Sequence[Row]:
        """See the port."""
        return await self._feed.take()

    async def stored_places(self) -> dict[int, Place]:
        """See the port."""
        return await self._readers.read(read_places)

    async def store(self, step: Storing) -> None:
        """See the port."""
        await self._desk.write(partial(_write, prepare_step(step)))

    async def load(self, scope: Tenanted, conversation: str, partition: int) -> Loaded:
        """See the port."""
        return await self._readers.read(Load(self._settings, scope.tenant, conversation, partition))

    async def entries(self, scope: Tenanted, conversation: str, after: int, before: int, limit: int, *,
                      newest: bool = False, kinds: Sequence[str] = (), seqs: Sequence[int] = ()) -> Sequence[StoredRow]:
        """See the port."""
        between = Between(after, before, limit, newest, kinds, seqs)
        return await self._readers.read(partial(read_entries, self._settings, scope.tenant, conversation, between))

    async def of_each(self, scope: Tenanted, wanted: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], StoredRow]:
        """See the port."""
        return await self._readers.read(partial(read_of_each, self._settings, scope.tenant, wanted)) if wanted else {}

    async def find(self, scope: Tenanted, conversation: str, ops: Collection[bytes]) -> Mapping[bytes, StoredRow]:
        """See the port."""
        return await self._readers.read(partial(read_by_op, self._settings, scope.tenant, conversation, sorted(ops))) if ops else {}

    def stores(self, followed: Collection[int]) -> Collection[int]:
        """See the port. There is one node, and each partition is followed by one of its workers."""
        return followed

    async def stored_after(self, partition: int, after: Place, limit: int) -> Sequence[Stored]:
        """See the port."""
        return await self._readers.read(partial(read_after, self._settings, partition, after, limit))

    def take(self, handed: Handed) -> None:
        """Rows that the writer gave back, in trio's thread."""
        if handed.followed is not None:
            self._live = self._asked & handed.followed  # not what has been left since
            self._note_ends(handed.rows)
        self._feed.put([row for row in handed.rows if row.partition in self._live])

    def _note_ends(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._ends[row.partition] = row.place

    async def _scan(self, after: Mapping[int, int]) -> dict[int, int]:
        """Put what is behind into the feed; how far each partition was read."""
        if not after:
            return {}
        ends, log_end = await self._readers.read(read_ends)
        wanted = {partition: offset for partition, offset in after.items() if ends.get(partition, 0) > offset}
        quiet = {partition: max(log_end, after[partition]) for partition in after.keys() - wanted.keys()}
        return {**quiet, **await self._scan_behind(wanted)}

    async def _scan_behind(self, after: Mapping[int, int]) -> dict[int, int]:
        begin = reached = min(after.values(), default=0)
        while after:
            rows, last, end = await self._readers.read(partial(read_log, self._settings, begin, sorted(after), SCAN))
            behind = [row for row in rows if row.place.offset > after[row.partition]]
            self._note_ends(behind)
            self._feed.put(behind)
            begin = reached = last
            if end:
                break
            await self._feed.wait_room()
        return {partition: max(reached, begin_after) for partition, begin_after in after.items()}


def _write(step: Step, transaction: Transaction) -> None:
    write_step(transaction, step)
