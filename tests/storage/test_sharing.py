"""Storing, divided over nodes by a real consumer group: each partition to one of them, all again to those that are left."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from deploy.local.engines import Kafka
from storage.cluster.kafka import Kafka as Names
from storage.cluster.sharing import Share, nodes_at_work
from storage.cluster.topics import prepare
from tests.storage.halves import fresh

pytestmark = pytest.mark.real

PARTITIONS = 6
WITHIN_S = 40.0


@asynccontextmanager
async def worker(names: Names, node: str, folder: Path) -> AsyncIterator[Share]:
    """A worker of a node; its folder is the node's."""
    (folder / node).mkdir(exist_ok=True)
    share = Share(names, names.log_topic(1), node, folder / node)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(share.run)
        yield share
        nursery.cancel_scope.cancel()


def of(share: Share) -> Collection[int]:
    return share.ours if share.ours is not None else ["not said"]


async def divided(*shares: Share) -> None:
    """Until they have all partitions, each of them some, and no two the same."""
    with trio.fail_after(WITHIN_S):
        while True:
            all_of_them = [partition for share in shares for partition in of(share)]
            if sorted(all_of_them, key=str) == sorted(range(PARTITIONS), key=str) and all(of(share) for share in shares):
                return
            await trio.sleep(0.05)


async def test_each_partition_is_stored_by_one_node_and_those_of_a_node_that_left_by_the_others(kafka: Kafka, tmp_path: Path) -> None:
    names = Names(kafka.bootstrap, fresh(), replicas=1)
    await prepare(names, PARTITIONS, 1)
    assert await trio.to_thread.run_sync(nodes_at_work, names) == []
    async with worker(names, "one", tmp_path) as one:
        assert one.ours is None, "until the group has said something, a node stores all"
        await divided(one)
        async with worker(names, "two", tmp_path) as two, worker(names, "two", tmp_path) as sibling:
            await divided(one, two)
            with trio.fail_after(WITHIN_S):
                while of(sibling) != of(two):
                    await trio.sleep(0.05)
            assert await trio.to_thread.run_sync(nodes_at_work, names) == ["one", "two"]
        await divided(one)


async def test_when_the_worker_that_joined_for_its_node_goes_a_sibling_joins(kafka: Kafka, tmp_path: Path) -> None:
    names = Names(kafka.bootstrap, fresh(), replicas=1)
    await prepare(names, PARTITIONS, 1)
    async with trio.open_nursery() as nursery:
        first = await nursery.start(_lives, names, tmp_path)
        async with worker(names, "one", tmp_path) as sibling:
            await divided(sibling)
            first.cancel()
            with trio.fail_after(WITHIN_S):
                while sibling._member is None:
                    await trio.sleep(0.05)
                while await trio.to_thread.run_sync(nodes_at_work, names) != ["one"]:
                    await trio.sleep(0.05)
            await divided(sibling)


async def _lives(names: Names, folder: Path, *, task_status: "trio.TaskStatus[trio.CancelScope]" = trio.TASK_STATUS_IGNORED) -> None:
    """The node's first worker, until it is cancelled."""
    with trio.CancelScope() as scope:
        async with worker(names, "one", folder) as first:
            await divided(first)
            task_status.started(scope)
            await trio.sleep_forever()
