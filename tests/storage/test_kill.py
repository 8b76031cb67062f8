"""SIGKILL at any instant loses nothing that was acknowledged."""

import random
from pathlib import Path

import pytest
import trio

from storage.embedded import open_embedded
from storage.ports.entry import NOWHERE
from storage.ports.log import Row
from tests.storage.appender import PARTITIONS
from tests.storage.processes import appender, check, everything

pytestmark = pytest.mark.real
KILLS = 20


async def test_a_killed_writer_loses_nothing_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(20)
    acknowledged: dict[str, int] = {}
    for number in range(KILLS):
        with appender(tmp_path, f"p{number}", rooms=chance.randint(1, 12)) as process:
            process.hear(chance.randint(1, 150))
            process.kill()
            acknowledged.update(process.acknowledged)
        if number % 5 == 4:
            assert await check(tmp_path, acknowledged) >= len(acknowledged)
    assert len(acknowledged) >= KILLS


async def test_two_processes_keep_one_order_and_one_may_die(tmp_path: Path) -> None:
    with appender(tmp_path, "one", rooms=6) as one, appender(tmp_path, "other", rooms=6) as other:
        one.hear(100)
        other.hear(100)
        one.kill()
        other.hear(200)
        other.kill()
    assert await check(tmp_path, one.acknowledged | other.acknowledged) >= 400


async def test_a_worker_beside_them_reads_the_same_log(tmp_path: Path) -> None:
    async with open_embedded(tmp_path, partitions=PARTITIONS) as backend:
        await backend.log.follow(dict.fromkeys(range(PARTITIONS), NOWHERE))
        with appender(tmp_path, "one", rooms=4) as one, appender(tmp_path, "other", rooms=4) as other:
            await trio.to_thread.run_sync(one.hear, 60)
            await trio.to_thread.run_sync(other.hear, 60)
            await trio.to_thread.run_sync(one.kill)
            await trio.to_thread.run_sync(other.kill)
        async with open_embedded(tmp_path, partitions=PARTITIONS) as later:
            whole = await everything(later)
        beside: list[Row] = []
        with trio.fail_after(10):
            while len(beside) < len(whole):
                beside += await backend.log.receive()
        assert beside == whole
