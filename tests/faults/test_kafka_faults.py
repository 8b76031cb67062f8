"""Three brokers under faults, while a worker appends and reads: nothing acknowledged is lost, nothing is there twice, each conversation keeps its
order, two readers read the same, and a broker that stands still is left behind.
"""

import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
import trio
from confluent_kafka.admin import AdminClient

from deploy.local import engines
from deploy.local.engines import Kafka
from storage.cluster.kafka import Kafka as Names
from storage.cluster.log import ClusterLog
from storage.cluster.topics import prepare
from storage.memory import Store, open_memory
from storage.ports.entry import NOWHERE, decode_entry
from storage.ports.errors import StorageAway, StorageError
from storage.ports.log import Row
from tests.contracts.data import ONE, entry, op
from tests.contracts.data import record as made
from tests.engines.needing import needing

pytestmark = [pytest.mark.real, pytest.mark.cluster,
              pytest.mark.skipif("CLUSTER_FAULTS" not in os.environ, reason="a minute and more: CLUSTER_FAULTS=1 runs it")]

PARTITIONS = 6
STILL_S = float(os.environ.get("CLUSTER_PAUSE_S", "8"))
"""How long a broker stands still besides; 30 in the long form."""
BACK_WITHIN_S = 60.0


class MadeAs(NamedTuple):
    partitions: int = PARTITIONS
    generation: int = 1
    epoch: int = 1


class Everything:
    ours = frozenset(range(PARTITIONS))


@asynccontextmanager
async def opened(names: Names) -> AsyncIterator[ClusterLog]:
    """A worker's log; nothing of it is stored."""
    async with open_memory(Store(PARTITIONS)) as memory, trio.open_nursery() as nursery:
        log = ClusterLog(names, MadeAs(), memory.log, Everything())
        log.start(nursery)
        yield log
        await log.close()
        nursery.cancel_scope.cancel()


class Room:
    """Appends one record after the other, as a room does; each again until it is acknowledged."""

    def __init__(self, log: ClusterLog, name: str, partition: int) -> None:
        self._log, self.name, self._partition = log, name, partition
        self.acknowledged = 0
        self.longest_s, self.last = 0.0, trio.current_time()
        self.surely_not: Counter[int] = Counter()
        self.unsure: Counter[int] = Counter()

    async def run(self) -> None:
        while True:
            error = await self._append(self.acknowledged + 1)
            if error is None:
                self.acknowledged += 1
                self.longest_s, self.last = max(self.longest_s, trio.current_time() - self.last), trio.current_time()
            else:
                (self.surely_not if isinstance(error, StorageAway) else self.unsure)[self.acknowledged + 1] += 1
            await trio.sleep(0.02)

    async def _append(self, number: int) -> StorageError | None:
        answered, said = trio.Event(), list[StorageError | None]()
        record = made(number, partition=self._partition, conversation=self.name)._replace(entries=[entry(number, conversation=self.name)])
        self._log.append(record, lambda error: (said.append(error), answered.set())[1])  # type: ignore[func-returns-value]
        await answered.wait()
        return said[0]


async def keep(log: ClusterLog, rows: list[Row]) -> None:
    while True:
        rows += await log.receive()


@pytest.fixture
async def brokers(tmp_path: Path) -> AsyncIterator[Kafka]:
    with needing():
        async with engines.kafka(tmp_path, brokers=3) as running:
            yield running


def leader(brokers: Kafka, names: Names, partition: int) -> str:
    """The member that leads a partition."""
    admin = AdminClient({"bootstrap.servers": brokers.bootstrap})
    return f"kafka-{admin.list_topics(names.log_topic(1), timeout=20).topics[names.log_topic(1)].partitions[partition].leader}"


async def test_one_broker_after_the_other_dies_or_stands_still(brokers: Kafka) -> None:
    names = Names(brokers.bootstrap, "t")
    await prepare(names, PARTITIONS, 1)
    rows: tuple[list[Row], list[Row]] = ([], [])
    async with opened(names) as log, opened(names) as other, trio.open_nursery() as nursery:
        for each, kept in zip((log, other), rows, strict=True):
            await each.follow(dict.fromkeys(range(PARTITIONS), NOWHERE))
            nursery.start_soon(keep, each, kept)
        rooms = [Room(log, f"c{number}", number % PARTITIONS) for number in range(12)]
        for room in rooms:
            nursery.start_soon(room.run)
        await all_go_on(rooms)
        for fault in ("kill", "pause"):
            member = await trio.to_thread.run_sync(leader, brokers, names, 0)
            getattr(brokers, fault)(member)
            await all_go_on(rooms)
            print(f"{fault} {member}: longest pause {max(room.longest_s for room in rooms):.1f} s")
            if fault == "kill":
                await brokers.restart(member)
            else:
                await trio.sleep(STILL_S)
                brokers.resume(member)
            await all_go_on(rooms)
            with trio.fail_after(BACK_WITHIN_S):
                await brokers.wait_well()
        with trio.fail_after(BACK_WITHIN_S):
            while any(len([row for row in kept if row.conversation == room.name]) < room.acknowledged for room in rooms for kept in rows):
                await trio.sleep(0.05)
        nursery.cancel_scope.cancel()
    check(rooms, *rows)


async def all_go_on(rooms: list[Room]) -> None:
    """Until each has had ten more acknowledged."""
    before = [room.acknowledged for room in rooms]
    with trio.fail_after(BACK_WITHIN_S):
        while any(room.acknowledged < was + 10 for room, was in zip(rooms, before, strict=True)):
            await trio.sleep(0.02)


def check(rooms: list[Room], rows: list[Row], others: list[Row]) -> None:
    for room in rooms:
        mine = [decode_entry(row.data).op for row in rows if row.conversation == room.name]
        counts = Counter(mine)
        for number in range(1, room.acknowledged + 1):
            assert 1 <= counts[op(number)] <= 1 + room.unsure[number], f"{room.name}: {number} is there {counts[op(number)]} times"
        firsts = list(dict.fromkeys(mine))
        assert firsts == sorted(firsts), f"{room.name} is out of order"
    for partition in range(PARTITIONS):
        one, other = ([row for row in kept if row.partition == partition] for kept in (rows, others))
        assert one[: len(other)] == other[: len(one)]
        assert all(earlier.place < later.place for earlier, later in pairwise(one))
    assert {row.tenant for row in rows} == {ONE.tenant}
