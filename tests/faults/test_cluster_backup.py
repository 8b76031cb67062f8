"""A cluster is backed up while people chat, all of it is lost, and it is restored, as a cluster and on one machine: nothing that was acknowledged
before the backup began is missing, every number is what it was, clients are told, and go on.
"""

import random
import shutil
from pathlib import Path

import pytest
import trio

from bench.server import Server
from deploy.local.engines import Kafka, Mongo, Redis
from tests.checker.history import Event
from tests.faults.load import Client, History, ask, read_log, read_messages
from tests.faults.stage import ROOMS, USERS, Stage
from tests.faults.test_move import people, typed
from tests.storage.halves import drop, fresh

pytestmark = pytest.mark.real

WITHIN_S = 60


async def test_a_cluster_is_backed_up_while_people_chat_and_restored_elsewhere(tmp_path: Path, kafka: Kafka, mongo: Mongo, redis: Redis) -> None:
    lost, found = fresh(), fresh()
    common = {"CAAS_BACKEND": "cluster", "CAAS_KAFKA": kafka.bootstrap, "CAAS_KAFKA_REPLICAS": "1", "CAAS_MONGO": mongo.uri, "CAAS_REDIS": redis.url,
              "CAAS_PARTITIONS": "8", "CAAS_NODE": "n1"}
    before, after = {**common, "CAAS_SETUP": lost}, {**common, "CAAS_SETUP": found}
    file, history = tmp_path / "backup", History()
    with node(tmp_path / "one", before) as server:
        acknowledged = await chat_and_back_up(server, history, tmp_path / "one", before, file)
        epoch = await epoch_of(server)
    drop(mongo.uri, lost)
    said = await trio.to_thread.run_sync(typed, tmp_path / "two", after, "restore", str(file))
    assert "entries may be lost" in said
    (tmp_path / "two" / "data").mkdir(parents=True, exist_ok=True)
    shutil.copy(tmp_path / "one" / "data" / "master.key", tmp_path / "two" / "data" / "master.key")
    with node(tmp_path / "two", after) as server:
        await holds(server, acknowledged)
        assert await epoch_of(server) != epoch, "who resumes is told"
        await goes_on(server, history)
    await trio.to_thread.run_sync(typed, tmp_path / "three", {}, "restore", str(file))
    shutil.copy(tmp_path / "one" / "data" / "master.key", tmp_path / "three" / "data" / "master.key")
    with node(tmp_path / "three", {"CAAS_PARTITIONS": "8"}) as server:
        await holds(server, acknowledged)
    refused = await trio.to_thread.run_sync(refuses, tmp_path / "two", after, file)
    assert "holds a set-up already" in refused
    for name in (lost, found):
        drop(mongo.uri, name)


def node(folder: Path, settings: dict[str, str]) -> Server:
    folder.mkdir(exist_ok=True)
    return Server(folder / "data", workers=2, log=folder / "server.log", settings=settings, ready_within_s=90)


async def chat_and_back_up(server: Server, history: History, folder: Path, settings: dict[str, str], file: Path) -> list[Event]:
    """What had been acknowledged when the backup began, and was stored a moment later; people write all the while."""
    async with trio.open_nursery() as nursery:
        clients = await people(server, history, random.randrange(10**6))
        for client in clients:
            nursery.start_soon(client.run)
        stage = Stage(server, clients, history)
        await stage.all_are_back(trio.current_time(), WITHIN_S)
        await trio.sleep(2)
        acknowledged = [event for event in history.events if (event.op, event.type) == ("send", "ok")]
        await trio.sleep(2)
        typed_at = len(history.events)
        await trio.to_thread.run_sync(typed, folder, settings, "backup", str(file))
        assert any((event.op, event.type) == ("send", "ok") for event in history.events[typed_at:]), "people wrote meanwhile"
        nursery.cancel_scope.cancel()
    return acknowledged


async def holds(server: Server, acknowledged: list[Event]) -> None:
    """Each under its number; both ways of reading tell the same, without a hole."""
    own = server.session(USERS[0])
    log = await read_log(server.base, own, ROOMS)
    kept = {(room, entry.seq): entry.id for room, entries in log.items() for entry in entries}
    assert len(acknowledged) > 50
    assert [event for event in acknowledged if kept.get((event.conversation, event.seq)) != event.id] == []
    for room, entries in log.items():
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        assert {message["id"] for message in await read_messages(server.base, own, room)} <= {entry.id for entry in entries}


async def goes_on(server: Server, history: History) -> None:
    """Somebody new comes in, and is answered in every room."""
    async with trio.open_nursery() as nursery:
        client = Client(server.base, USERS[1], server.session(USERS[1]), ROOMS, history, 7)
        nursery.start_soon(client.run)
        await Stage(server, [client], history).all_are_back(trio.current_time(), WITHIN_S)
        nursery.cancel_scope.cancel()


async def epoch_of(server: Server) -> int:
    [page] = await ask(server.base, server.session(USERS[0]), [("conversation.sync", {"c": ROOMS[0], "after": 0, "limit": 1})])
    return int(page["epoch"])


def refuses(folder: Path, settings: dict[str, str], file: Path) -> str:
    with pytest.raises(AssertionError) as refused:
        typed(folder, settings, "restore", str(file))
    return str(refused.value)
