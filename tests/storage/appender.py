"""A process that appends to a data folder as fast as it may, stores what comes back, and says what was acknowledged.

    python -m tests.storage.appender FOLDER NAME ROOMS

Each line of its output is `conversation number`: record `number` of that conversation is durable. It runs until it is killed.
"""

import os
import sys
from pathlib import Path

import trio

from storage.embedded import EmbeddedBackend, open_embedded
from storage.ports.entry import NOWHERE, Place, decode_entry
from storage.ports.errors import StorageError
from storage.ports.log import Accepted, Change, Row, Storing
from tests.contracts.data import ONE, record

PARTITIONS = 8


async def write(backend: EmbeddedBackend, conversation: str, partition: int) -> None:
    """One room: one append on its way at a time, of one to three entries."""
    number = 0
    while True:
        durable = trio.Event()

        def done(error: StorageError | None, durable: trio.Event = durable) -> None:
            if error is not None:
                raise error
            durable.set()

        numbers = range(number + 1, number + 2 + number % 3)
        backend.log.append(record(*numbers, partition=partition, conversation=conversation), done)
        await durable.wait()
        number = numbers[-1]
        os.write(1, f"{conversation} {number}\n".encode())


class Storer:
    """Accepts everything, in the log's order. Several may run at once and agree, as they must."""

    def __init__(self, backend: EmbeddedBackend) -> None:
        self._log = backend.log
        self._heads: dict[str, tuple[int, Place]] = {}

    async def run(self) -> None:
        """Follow every partition from its stored place."""
        places = await self._log.stored_places()
        await self._log.follow({partition: places.get(partition, NOWHERE) for partition in range(PARTITIONS)})
        while True:
            rows = await self._log.receive()
            entries = [accepted for row in rows if (accepted := await self._accept(row)) is not None]
            heads = [Change(ONE.tenant, "heads", name, {"seq": seq, "window": 1, "place": tuple(place)}, place)
                     for name, (seq, place) in self._heads.items() if name in {row.conversation for row in rows}]
            await self._log.store(Storing(entries, (), heads, {row.partition: row.place for row in rows}))

    async def _accept(self, row: Row) -> Accepted | None:
        if row.conversation not in self._heads:
            head = (await self._log.load(ONE, row.conversation, row.partition)).head
            self._heads[row.conversation] = (head["seq"], Place(*head["place"])) if head else (0, NOWHERE)
        seq, place = self._heads[row.conversation]
        if row.place <= place:
            return None
        self._heads[row.conversation] = seq + 1, row.place
        return Accepted(row, seq + 1, seq + 1, "message.send", decode_entry(row.data).op)


async def main(folder: str, name: str, rooms: int) -> None:
    """Write until killed."""
    async with open_embedded(Path(folder), partitions=PARTITIONS) as backend, trio.open_nursery() as nursery:
        nursery.start_soon(Storer(backend).run)
        for room in range(rooms):
            nursery.start_soon(write, backend, f"{name}-{room}", room % PARTITIONS)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]))
