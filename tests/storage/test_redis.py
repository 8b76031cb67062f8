"""Counters while Redis is away, stands still, comes back, and has forgotten everything: limits hold on, nothing waits long, nothing is doubled."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from deploy.local import engines
from deploy.local.engines import Redis
from deploy.local.ports import free_ports
from storage.cluster.breaker import AGAIN_S, Breaker
from storage.cluster.counters import ClusterCounters
from storage.cluster.redis import make_client, open_redis
from storage.failing import Unfit
from storage.ports.errors import StorageAway
from tests.contracts.data import ONE, WITHIN_S
from tests.engines.needing import needing

pytestmark = pytest.mark.real


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[Redis]:
    with needing():
        engine = engines.redis(folder)
    async with engine as running:
        yield running


async def take(counters: ClusterCounters, amount: int, now_ms: int = 5_000) -> int:
    return await counters.take(ONE, "sends", amount, 10, 1_000, now_ms)


async def test_without_redis_limits_are_local_and_never_lifted() -> None:
    async with open_redis(f"redis://127.0.0.1:{free_ports(1)[0]}/0") as redis:
        counters = ClusterCounters(redis)
        assert [await take(counters, 4) for _ in range(4)] == [4, 4, 2, 0]
        assert await take(counters, 3, 6_000) == 3, "the next window"
        assert await take(counters, 9, 5_999) == 7, "a clock that steps back opens no window again"
        assert not await counters.lease(ONE, "job", "ann", 1_000, 5_000)
        assert counters.away
        for asked in (counters.add(ONE, "a"), counters.read(ONE, ["a"]), counters.renew("n", 1, 1), counters.marks(ONE, ["a"], 1)):
            with pytest.raises(StorageAway):
                await asked


async def test_what_was_had_counts_on_when_redis_goes_and_what_is_had_then_is_had_once_a_node(tmp_path: Path) -> None:
    async with started(tmp_path) as engine, open_redis(engine.url) as redis, open_redis(engine.url) as other:
        counters, others = ClusterCounters(redis), ClusterCounters(other)
        assert (await take(counters, 6), await take(others, 3)) == (6, 3)
        engine.kill("redis")
        assert await take(counters, 9) == 4, "ten, and six of them were had here"
        assert await take(others, 9) == 7
        assert (await take(counters, 1), await take(others, 1)) == (0, 0)


async def test_a_redis_that_stands_still_is_waited_for_once(tmp_path: Path) -> None:
    """After the first wait nobody waits, but one a second who looks; and when it goes on, it is used again by itself."""
    async with started(tmp_path) as engine, open_redis(engine.url) as redis:
        counters = ClusterCounters(redis)
        await counters.add(ONE, "a", 5)
        engine.pause("redis")
        try:
            begun = trio.current_time()
            with pytest.raises(StorageAway):
                await counters.read(ONE, ["a"])
            first = trio.current_time() - begun
            for _ in range(1_000):
                with pytest.raises(StorageAway):
                    await counters.read(ONE, ["a"])
                if trio.current_time() - begun > AGAIN_S:
                    break
            assert first < WITHIN_S
            assert counters.away
        finally:
            engine.resume("redis")
        assert await back(counters) == [5]


async def test_a_redis_that_was_restarted_has_forgotten_and_says_so(tmp_path: Path) -> None:
    async with started(tmp_path) as engine, open_redis(engine.url) as redis:
        counters = ClusterCounters(redis)
        assert not await counters.renew("n1", 60_000, 10_000)
        await counters.mark(ONE, "n1", {"ann": 1})
        assert await take(counters, 10) == 10
        await engine.restart("redis")
        assert await back(counters) == [0]
        assert await counters.marks(ONE, ["ann"], 10_001) == [{}]
        assert not await counters.renew("n1", 60_000, 10_001), "its marks are gone: it must make them anew"
        assert await take(counters, 10) == 10, "the window began anew with Redis"


async def test_marks_of_the_dead_are_swept_away(tmp_path: Path) -> None:
    async with started(tmp_path) as engine, open_redis(engine.url) as redis:
        counters = ClusterCounters(redis)
        await counters.renew("dead", 1_000, 10_000)
        await counters.mark(ONE, "dead", {"ann": 1})
        await counters.renew("alive", 1_000, 10_000 + 2 * 3_600_000)
        await counters.mark(ONE, "alive", {f"u{number}": 1 for number in range(1_200)})
        assert await counters.marks(ONE, ["ann"], 10_000 + 2 * 3_600_000) == [{}]
        with make_client(engine.url) as client:
            assert client.hgetall("caas:lives").keys() == {b"alive"}
            assert not client.exists("caas:marks:10:tenant-one:ann")
        names = [f"u{number}" for number in range(1_200)]
        assert await counters.marks(ONE, names, 10_000 + 2 * 3_600_000) == [{"alive": 1}] * 1_200


async def back(counters: ClusterCounters) -> list[int]:
    with trio.fail_after(WITHIN_S):
        while True:
            try:
                return await counters.read(ONE, ["a"])
            except StorageAway:
                await trio.sleep(0.05)


def test_no_url_lifts_a_deadline() -> None:
    with make_client("redis://127.0.0.1:1/0?socket_timeout=900&socket_connect_timeout=900") as client:
        assert client.get_connection_kwargs()["socket_timeout"] == 0.5
        assert client.get_connection_kwargs()["socket_connect_timeout"] == 0.5
    with pytest.raises(Unfit, match="looks like redis://"):
        make_client("localhost:6379")


def test_a_breaker_lets_one_in_each_second_look() -> None:
    now = [0.0]
    breaker = Breaker(1.0, lambda: now[0])
    assert breaker.admits()
    breaker.failed()
    assert breaker.away
    assert not breaker.admits()
    now[0] = 1.0
    assert [breaker.admits(), breaker.admits()] == [True, False]
    now[0] = 1.5
    breaker.answered()
    assert breaker.admits()
    assert not breaker.away
