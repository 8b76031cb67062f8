"""One node on the real engines, while MongoDB, and then Redis, is stopped in its tracks, slow, killed and started again: what goes on, what is
refused and with which code, and that everything catches up by itself.
"""

import os
import random
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest
import trio
from pymongo import MongoClient

from bench.server import Server
from deploy.local import engines
from deploy.local.engines import Kafka, Mongo, Redis
from tests.engines.needing import needing
from tests.faults.load import connected, new_id
from tests.storage.halves import fresh

pytestmark = [pytest.mark.real, pytest.mark.cluster]

WITHIN_S = 40.0
AT_ONCE_S, WAKING_S = 5.0, 12.0
"""A refusal may wait for one deadline of ours, which is 3 s; a room that cannot wake is tried until a command's own deadline."""
SEED = random.Random(int(os.environ.get("CAAS_SEED", "6")))


class Refusal(Exception):
    """An error reply."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error)
        self.code: str = error["code"]
        self.retryable: bool = error["retryable"]


class Talk:
    """One user's connection, plain: every answer as it comes."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._count = socket, 0
        self.pushes: list[dict[str, Any]] = []
        self._replies: dict[int, dict[str, Any]] = {}
        self._news = trio.Event()

    async def read(self) -> None:
        while True:
            got = msgpack.unpackb(await self._socket.get_message())
            for one in got if isinstance(got, list) else [got]:
                if "i" in one:
                    self._replies[one["i"]] = one
                else:
                    self.pushes.append(one)
            self._news.set()
            self._news = trio.Event()

    async def call(self, command: str, /, within_s: float = 15.0, **p: Any) -> Any:
        self._count += 1
        number = self._count
        await self._socket.send_message(msgpack.packb({"i": number, "m": command, "p": p}))
        with trio.fail_after(within_s):
            while number not in self._replies:
                await self._news.wait()
        reply = self._replies.pop(number)
        if "e" in reply:
            raise Refusal(reply["e"])
        return reply["r"]

    async def say(self, conversation: str, text: str) -> int:
        """Send, and wait for the tick; its seq."""
        return int((await self.call("message.send", c=conversation, id=new_id(SEED), text=text))["seq"])

    async def hears(self, kind: str, **p: Any) -> dict[str, Any]:
        """A push of this kind with these fields, come or to come."""
        with trio.fail_after(WITHIN_S):
            while True:
                for push in self.pushes:
                    if push["t"] == kind and all(push["p"].get(name) == value for name, value in p.items()):
                        return push
                await self._news.wait()

    async def again(self, command: str, /, **p: Any) -> Any:
        """Until it is not refused for the moment."""
        with trio.fail_after(WITHIN_S):
            while True:
                try:
                    return await self.call(command, **p)
                except Refusal as refusal:
                    if not refusal.retryable:
                        raise
                await trio.sleep(0.1)


@asynccontextmanager
async def talking(server: Server, user: str) -> AsyncIterator[Talk]:
    token = server.session(user)
    async with connected(server.base) as socket, trio.open_nursery() as nursery:
        talk = Talk(socket)
        nursery.start_soon(talk.read)
        await talk.call("hello", token=token)
        yield talk
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def room_of_two(server: Server) -> AsyncIterator[tuple[Talk, Talk]]:
    """Alice and bob in the conversation `live`, which bob watches."""
    async with talking(server, "alice") as alice, talking(server, "bob") as bob:
        await alice.call("conversation.create", id="live", type="group", members=["bob"], op=new_id(SEED))
        await bob.call("conversation.watch", c="live")
        yield alice, bob


@asynccontextmanager
async def node(folder: Path, kafka: Kafka, mongo: Mongo, redis: Redis) -> AsyncIterator[Server]:
    settings = {"CAAS_BACKEND": "cluster", "CAAS_KAFKA": kafka.bootstrap, "CAAS_KAFKA_REPLICAS": "1", "CAAS_MONGO": mongo.uri,
                "CAAS_REDIS": redis.url, "CAAS_SETUP": fresh(), "CAAS_PARTITIONS": "8", "CAAS_NODE": "n1"}
    with Server(folder / "data", workers=1, log=folder / "server.log", limits="on", settings=settings, ready_within_s=90) as server:
        yield server


async def metric(server: Server, name: str) -> float:
    def look() -> float:
        with urllib.request.urlopen(f"{server.base}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    return await trio.to_thread.run_sync(look)


async def refused(talk: Talk, within_s: float, command: str, /, **p: Any) -> None:
    """With `unavailable`, in time."""
    with pytest.raises(Refusal) as refusal, trio.fail_after(within_s):
        await talk.call(command, **p)
    assert (refusal.value.code, refusal.value.retryable) == ("unavailable", True)


async def test_mongodb_away(tmp_path: Path, kafka: Kafka, redis: Redis) -> None:
    """Live chat goes on; rooms do not wake, and old history is not read; when it is back, followers catch up by themselves."""
    with needing():
        made = engines.mongo(tmp_path / "mongo")
    async with made as mongo, node(tmp_path, kafka, mongo, redis) as server, talking(server, "alice") as alice, talking(server, "bob") as bob:
        for name in ("live", "sleeps"):
            await alice.call("conversation.create", id=name, type="group", members=["bob"], op=new_id(SEED))
        await bob.call("conversation.watch", c="live")
        await alice.say("live", "before")
        for away in ("pause", "kill"):
            getattr(mongo, away)("mongo-1")
            seqs = [await alice.say("live", f"{away} {number}") for number in range(5)]
            assert seqs == list(range(seqs[0], seqs[0] + 5)), "live chat goes on"
            await bob.hears("message.new", text=f"{away} 4")
            await bob.call("typing.start", c="live")
            await refused(bob, WAKING_S, "conversation.watch", c="not-awake")
            await refused(bob, AT_ONCE_S, "message.list", c="live", before=2)
            await refused(bob, AT_ONCE_S, "conversation.list")
            assert await metric(server, "caas_storing_rows") > 0
            if away == "pause":
                mongo.resume("mongo-1")
            else:
                await mongo.restart("mongo-1")
            page = await bob.again("message.list", c="live")
            assert [item["text"] for item in page["items"]][-5:] == [f"{away} {number}" for number in range(5)]
            await alice.say("live", f"after {away}: @bob")
            await stored(server)
        listed = await bob.again("conversation.list")
        assert {item["conversation"]["id"] for item in listed["items"]} >= {"live", "sleeps"}
        sent = new_id(SEED)
        await alice.call("message.send", c="sleeps", id=sent, text="look", mentions=["bob"])
        await bob.hears("mention.new", message=sent)


async def stored(server: Server) -> None:
    """Until storing is at the end."""
    with trio.fail_after(WITHIN_S):
        while await metric(server, "caas_storing_rows"):
            await trio.sleep(0.1)


async def test_mongodb_slow(tmp_path: Path, kafka: Kafka, redis: Redis) -> None:
    """Each of its answers takes half a second: sends do not feel it, reads do, nothing is refused."""
    with needing():
        made = engines.mongo(tmp_path / "mongo")
    async with made as mongo, node(tmp_path, kafka, mongo, redis) as server, talking(server, "alice") as alice:
        await alice.call("conversation.create", id="live", type="group", op=new_id(SEED))
        await alice.say("live", "before")
        await stored(server)
        with MongoClient[Any](mongo.uri) as client:
            slow = {"failCommands": ["find", "insert", "update", "aggregate"], "blockConnection": True, "blockTimeMS": 500, "appName": "caas"}
            client.admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": slow})
            try:
                for number in range(20):
                    await alice.say("live", f"{number}")
                listed = await alice.call("conversation.list")
                assert listed["items"]
                with trio.fail_after(WITHIN_S):
                    while len((await alice.call("message.list", c="live", limit=100))["items"]) < 21:
                        await trio.sleep(0.1)
            finally:
                client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
        await stored(server)


async def test_redis_away(tmp_path: Path, kafka: Kafka, mongo: Mongo) -> None:
    """Chat goes on, limits hold, whoever may be elsewhere is `unknown` and never `offline`; when it is back, it is known again."""
    with needing():
        made = engines.redis(tmp_path / "redis")
    async with made as redis, node(tmp_path, kafka, mongo, redis) as server, room_of_two(server) as (alice, bob):
        (seen,) = (await alice.call("presence.watch", users=["carol"]))["items"]
        assert seen["status"] == "offline"
        redis.pause("redis")
        for number in range(3):
            await alice.say("live", f"{number}")
        await bob.hears("message.new", text="2")
        await alice.hears("presence.changed", user="carol", status="unknown")
        assert not [push for push in alice.pushes if push["t"] == "presence.changed" and push["p"]["status"] == "offline"]
        redis.resume("redis")
        async with talking(server, "carol"):
            await alice.hears("presence.changed", user="carol", status="online")
            redis.kill("redis")
            assert await limited(alice), "limits hold"
            await redis.restart("redis")
            await alice.again("message.send", c="live", id=new_id(SEED), text="after")
            await bob.hears("message.new", text="after")


async def limited(talk: Talk) -> bool:
    """Whether somebody who asks without end is told to slow down."""
    for _ in range(3_000):
        try:
            await talk.call("conversation.get", c="live")
        except Refusal as refusal:
            return refusal.code == "too_many"
    return False

