"""The log and the stored entries, in memory."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import trio

from storage.memory.store import Store
from storage.memory.way import Way
from storage.ports.entry import Place
from storage.ports.errors import StorageError
from storage.ports.log import Loaded, Record, Row, Stored, StoredRow, Storing
from storage.ports.scope import Tenanted


class MemoryLog:
    """The ports Log and Following."""

    def __init__(self, store: Store, way: Way) -> None:
        self.partitions, self.generation, self.epoch = store.partitions, store.generation, store.epoch
        self._store, self._way, self.alone = store, way, False
        self._cursors: dict[int, Place] = {}
        self._news = trio.Event()

    def append(self, record: Record, done: Callable[[StorageError | None], None]) -> None:
        """See the port."""
        self._way.send(lambda: self._store.append(record), done, ("append", record.tenant, record.conversation))

    async def follow(self, after: Mapping[int, Place]) -> Mapping[int, Place]:
        """See the port."""
        await trio.lowlevel.checkpoint()
        ends = {partition: self._store.rows[partition][-1].place for partition in after.keys() - self._cursors.keys() if self._store.rows[partition]}
        self._cursors = {partition: self._cursors.get(partition, place) for partition, place in after.items()}
        self.look()
        return {partition: end for partition, end in ends.items() if end > after[partition]}

    def leave(self, partitions: Collection[int]) -> None:
        """See the port."""
        for partition in partitions:
            self._cursors.pop(partition, None)

    async def ends(self, partitions: Collection[int]) -> Mapping[int, Place]:
        """See the port."""
        await trio.lowlevel.checkpoint()
        return {partition: self._store.rows[partition][-1].place for partition in partitions if self._store.rows[partition]}

    async def receive(self) -> Sequence[Row]:
        """See the port."""
        while True:
            await trio.sleep(self._store.weather.read_lag_s())
            if rows := self._store.rows_after(self._cursors, self._store.weather.read_most()):
                for row in rows:
                    self._cursors[row.partition] = row.place
                return rows
            await self._news.wait()

    async def stored_places(self) -> dict[int, Place]:
        """See the port."""
        await trio.lowlevel.checkpoint()
        return dict(self._store.places)

    async def store(self, step: Storing) -> None:
        """See the port."""
        await self._way.write(lambda: self._store.store(step))

    async def load(self, scope: Tenanted, conversation: str, partition: int) -> Loaded:
        """See the port."""
        await trio.lowlevel.checkpoint()
        return self._store.load(scope.tenant, conversation, partition)

    async def entries(self, scope: Tenanted, conversation: str, after: int, before: int, limit: int, *,
                      newest: bool = False, kinds: Sequence[str] = (), seqs: Sequence[int] = ()) -> Sequence[StoredRow]:
        """See the port."""
        await trio.lowlevel.checkpoint()
        return self._store.entries(scope.tenant, conversation, after, before, limit, newest, kinds, seqs)

    async def of_each(self, scope: Tenanted, wanted: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], StoredRow]:
        """See the port."""
        await trio.lowlevel.checkpoint()
        found = {(name, seq): self._store.entries(scope.tenant, name, seq - 1, seq + 1, 1) for name, seq in wanted}
        return {of: rows[0] for of, rows in found.items() if rows}

    async def find(self, scope: Tenanted, conversation: str, ops: Collection[bytes]) -> Mapping[bytes, StoredRow]:
        """See the port."""
        await trio.lowlevel.checkpoint()
        found = ((op, self._store.find_act(scope.tenant, conversation, op)) for op in ops)
        return {op: row for op, row in found if row is not None}

    def stores(self, followed: Collection[int]) -> Collection[int]:
        """See the port: as `Store.stores` divides them."""
        return [partition for partition in followed if self._store.stores(self, partition)]

    async def stored_after(self, partition: int, after: Place, limit: int) -> Sequence[Stored]:
        """See the port."""
        await trio.lowlevel.checkpoint()
        return self._store.stored_after(partition, after, limit)

    def look(self) -> None:
        """Rows may have come: let `receive` look."""
        self._news.set()
        self._news = trio.Event()

    def statistics(self) -> dict[str, Any]:
        """For people."""
        return {"followed": len(self._cursors)}
