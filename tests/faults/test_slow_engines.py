"""One node on the real engines, while Kafka, and then Redis, works in fits and starts. Without them: test_kafka_away.py, test_stores_away.py, and
there MongoDB, slow, too."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from deploy.local import engines
from deploy.local.engines import Kafka, Mongo, Redis
from deploy.local.member import Member
from tests.engines.needing import needing
from tests.faults.test_stores_away import node, room_of_two, stored

SENDS = 5

pytestmark = [pytest.mark.real, pytest.mark.cluster]


@asynccontextmanager
async def in_fits(member: Member) -> AsyncIterator[None]:
    """Slow: of each half second it works for the tenth part."""

    async def beat() -> None:
        while True:
            member.pause()
            await trio.sleep(0.45)
            member.resume()
            await trio.sleep(0.05)

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(beat)
            yield
            nursery.cancel_scope.cancel()
    finally:
        member.resume()


async def test_kafka_slow(tmp_path: Path, mongo: Mongo, redis: Redis) -> None:
    """Sends take as long as it does: each once, in order, and none is refused."""
    with needing():
        made = engines.kafka(tmp_path / "kafka")
    async with made as kafka, node(tmp_path, kafka, mongo, redis) as server, room_of_two(server) as (alice, bob):
        first = await alice.say("live", "before")
        async with in_fits(kafka.members["kafka-1"]):
            assert [await alice.say("live", f"{number}") for number in range(SENDS)] == list(range(first + 1, first + 1 + SENDS))
            await bob.hears("message.new", text=f"{SENDS - 1}")
        heard = [push["p"]["text"] for push in bob.pushes if push["t"] == "message.new"]
        assert heard == ["before", *map(str, range(SENDS))]
        await alice.say("live", "after")
        await stored(server)


async def test_redis_slow(tmp_path: Path, kafka: Kafka, mongo: Mongo) -> None:
    """Chat does not feel it, and nobody who is here is told of as offline."""
    with needing():
        made = engines.redis(tmp_path / "redis")
    async with made as redis, node(tmp_path, kafka, mongo, redis) as server, room_of_two(server) as (alice, bob):
        (seen,) = (await alice.call("presence.watch", users=["bob"]))["items"]
        assert seen["status"] == "online"
        async with in_fits(redis.members["redis"]):
            for number in range(20):
                await alice.say("live", f"{number}")
                await trio.sleep(0.2)
            await bob.hears("message.new", text="19")
        assert not [push for push in alice.pushes if push["t"] == "presence.changed" and push["p"]["status"] == "offline"]
        await alice.say("live", "after")
        await bob.hears("message.new", text="after")
