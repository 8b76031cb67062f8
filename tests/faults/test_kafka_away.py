"""Kafka away, as people meet it: first `timeout`, then `unavailable` at once; reading and typing go on; and when it is back, nothing is lost and
nothing is there twice. A whole server on real engines, once with a broker that stands still and once with one that dies.
"""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from deploy.local import engines
from deploy.local.engines import Kafka, Mongo, Redis
from protocol.ids import make_uuid7, show_act
from tests.engines.needing import needing
from tests.journeys.conftest import serving, token
from tests.journeys.test_bad_input import READ, WRITE
from tests.storage.halves import drop, fresh

pytestmark = pytest.mark.real

AWAY_S = 12.0
"""Longer than a command's own deadline; `CLUSTER_PAUSE_S=30` for the long form."""
KILLED = [pytest.mark.cluster, pytest.mark.skipif("CLUSTER_FAULTS" not in os.environ, reason="CLUSTER_FAULTS=1 runs this too")]
BACK_WITHIN_S = 30.0
LOBBY = "/conversations/lobby/messages"


class Said:
    """An answer over REST: status, body, and the seconds it took."""

    def __init__(self, status: int, body: dict[str, Any], took_s: float) -> None:
        self.status, self.body, self.took_s = status, body, took_s
        self.code = body.get("code", "")


def new_id() -> str:
    return show_act(make_uuid7(time.time_ns() // 1_000_000, os.urandom(10)))


def ask(base: str, method: str, path: str, body: Any = None, user: str = "alice") -> Said:
    headers = {"Authorization": "Bearer caas_sk_dev", "CAAS-User": user, "Content-Type": "application/json"}
    request = urllib.request.Request(f"{base}/api/v1{path}", None if body is None else json.dumps(body).encode(), headers, method=method)
    began = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return Said(answer.status, json.loads(answer.read()), time.monotonic() - began)
    except urllib.error.HTTPError as error:
        with error:
            return Said(error.code, json.loads(error.read()), time.monotonic() - began)


@asynccontextmanager
async def connected(base: str) -> AsyncIterator[WebSocketConnection]:
    """A connection that is dropped in the end: nobody reads what still comes."""
    host, port = base.removeprefix("http://").split(":")
    stream = await trio.open_tcp_stream(host, int(port))
    async with trio.open_nursery() as nursery:
        yield await wrap_client_stream(nursery, stream, f"{host}:{port}", "/ws", subprotocols=["caas.v1"])
        nursery.cancel_scope.cancel()
    await trio.aclose_forcefully(stream)


async def asked(base: str, method: str, path: str, body: Any = None) -> Said:
    return await trio.to_thread.run_sync(ask, base, method, path, body)


@pytest.mark.parametrize("fault", ["pause", pytest.param("kill", marks=KILLED)])
async def test_kafka_away(fault: str, mongo: Mongo, redis: Redis, tmp_path: Path) -> None:
    name = fresh()
    with needing():
        broker = Kafka(tmp_path / "kafka")
    try:
        await broker.start()
        settings = {"backend": "cluster", "node": "n1", "kafka": broker.bootstrap, "kafka_replicas": "1", "mongo": mongo.uri, "redis": redis.url,
                    "setup": name, "partitions": "8", "workers": "1"}
        with serving(tmp_path / "data", "--limits", "off", **{f"CAAS_{key.upper()}": value for key, value in settings.items()}) as base:
            await live_through(base, broker, fault)
    finally:
        broker.drop()
        drop(mongo.uri, name)


async def live_through(base: str, broker: engines.Kafka, fault: str) -> None:
    assert (await asked(base, "POST", LOBBY, {"id": new_id(), "text": "before"})).status == 201
    async with connected(base) as alice, connected(base) as bob:
        for who, socket in (("alice", alice), ("bob", bob)):
            await enter(socket, base, who)
        other = await direct(base)
        getattr(broker, fault)("kafka-1")
        unsure = new_id()
        began = time.monotonic()
        first = await asked(base, "POST", LOBBY, {"id": unsure, "text": "meanwhile"})
        assert (first.status, first.code) == (504, "timeout")
        assert 9 < first.took_s < 13
        for path in (LOBBY, other):
            await refused_at_once(base, path)
        assert "before" in await texts(base), "history is read"
        await type_and_hear(alice, bob)
        await trio.sleep(max(0.0, float(os.environ.get("CLUSTER_PAUSE_S", AWAY_S)) - (time.monotonic() - began)))
        await refused_at_once(base, LOBBY)
        if fault == "pause":
            broker.resume("kafka-1")
        else:
            await broker.restart("kafka-1")
        await sent_again(base, "after")
        await sent_again(base, "meanwhile", unsure)
        said = await texts(base)
        assert said.index("meanwhile") < said.index("after"), "what had left was appended when Kafka was back, before what came later"
        assert [said.count(text) for text in ("before", "meanwhile", "after")] == [1, 1, 1]


async def refused_at_once(base: str, path: str) -> None:
    said = await asked(base, "POST", path, {"id": new_id(), "text": "in vain"})
    assert (said.status, said.code) == (503, "unavailable")
    assert said.body["retry_after_ms"] > 0
    assert said.took_s < 5, "it did not wait for its own deadline"


async def sent_again(base: str, text: str, id: str = "") -> None:
    """Until it is taken, as a client does it."""
    id = id or new_id()
    with trio.fail_after(BACK_WITHIN_S):
        while (said := await asked(base, "POST", LOBBY, {"id": id, "text": text})).status not in (200, 201):
            assert said.code in ("timeout", "unavailable")
            await trio.sleep(0.2)


async def texts(base: str) -> list[str]:
    said = await asked(base, "GET", f"{LOBBY}?limit=50")
    assert said.status == 200
    return [message.get("text", "") for message in said.body["items"]]


async def direct(base: str) -> str:
    """Another conversation than the lobby, when the list shows both."""
    found: list[str] = []
    with trio.fail_after(BACK_WITHIN_S):
        while len(found) < 2:
            listed = await asked(base, "GET", "/conversations")
            found = sorted((item["conversation"]["id"] for item in listed.body["items"]), key=lambda name: name == "lobby")
    return f"/conversations/{found[0]}/messages"


async def enter(socket: WebSocketConnection, base: str, who: str) -> None:
    hello = {"i": 1, "m": "hello", "p": {"token": await trio.to_thread.run_sync(token, base, who)}}
    await socket.send_message(WRITE["caas.v1"](hello))
    await told(socket, lambda frame: frame.get("i") == 1)
    await socket.send_message(WRITE["caas.v1"]({"i": 2, "m": "conversation.watch", "p": {"c": "lobby"}}))
    await told(socket, lambda frame: frame.get("i") == 2 and "r" in frame)


async def type_and_hear(alice: WebSocketConnection, bob: WebSocketConnection) -> None:
    await alice.send_message(WRITE["caas.v1"]({"i": 3, "m": "typing.start", "p": {"c": "lobby"}}))
    heard = await told(bob, lambda frame: frame.get("t") == "typing.started")
    assert heard["p"]["user"] == "alice"


async def told(socket: WebSocketConnection, wanted: Any) -> dict[str, Any]:
    with trio.fail_after(5):
        while True:
            frame = READ["caas.v1"](await socket.get_message())
            for one in frame if isinstance(frame, list) else [frame]:
                if wanted(one):
                    return dict(one)
