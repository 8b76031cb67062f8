"""People chat, the set-up is moved to the cluster and back, and the same clients go on with their seqs: nothing lost, doubled or renumbered."""

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest
import trio
from pymongo import MongoClient

from bench.server import Server
from caas.config import Config, read_config
from caas.offline import opened, see_nobody_serves, store_rest
from deploy.local.engines import Kafka, Mongo, Redis
from deploy.local.ports import free_ports
from tests.faults.load import Client, History, ask, new_id
from tests.faults.stage import ROOMS, USERS, Stage
from tests.storage.halves import drop, fresh

pytestmark = pytest.mark.real

BACK_WITHIN_S = 60


@contextmanager
def serving(folder: Path, port: int, settings: dict[str, str]) -> Iterator[Server]:
    with Server(folder / "data", workers=2, log=folder / "server.log", port=port, settings=settings, ready_within_s=90) as server:
        yield server


def typed(folder: Path, settings: dict[str, str], *words: str) -> str:
    """What `caas` says to an operator."""
    done = subprocess.run([sys.executable, "-m", "caas", *words, "--data", str(folder / "data")], env={**os.environ, **settings},
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rebuild_and_move(folder: Path, from_: str, to: str, settings: dict[str, str]) -> str:
    """What follows from the entries is made anew first, and is what it was, to the last place."""
    config = read_config({**settings, "CAAS_BACKEND": from_}, data=folder / "data")
    see_nobody_serves(config)
    store_rest(config)
    before = everything(config)
    lose(config)
    assert len(everything(config)) < len(before)
    said = typed(folder, {**settings, "CAAS_BACKEND": from_}, "rebuild")
    after = everything(config)
    assert [one for one in before if one not in after] == [one for one in after if one not in before] == []
    return said + typed(folder, settings, "move", "--from", from_, "--to", to)


def lose(config: Config) -> None:
    """All heads and overlays are gone."""
    if config.backend == "embedded":
        with closing(sqlite3.connect(config.data / "caas.sqlite")) as connection, connection:
            connection.execute("DELETE FROM documents WHERE collection IN (SELECT id FROM collections WHERE name IN ('heads', 'overlays'))")
        return
    with MongoClient[Any](config.mongo) as client:
        for name in ("documents.heads", "documents.overlays"):
            client[config.setup][name].delete_many({})


def everything(config: Config) -> list[Any]:
    """All documents."""
    with opened(config) as source:
        return sorted((one.tenant, one.collection, one.key, one.data and msgpack.unpackb(one.data), one.place) for one in source.documents()
                      if one.collection != "setup")


async def test_clients_resume_across_a_move_and_back(tmp_path: Path, kafka: Kafka, mongo: Mongo, redis: Redis) -> None:
    name, port, seed = fresh(), free_ports(1)[0], random.randrange(10**6)
    print(f"seed {seed}")
    settings = {"CAAS_KAFKA": kafka.bootstrap, "CAAS_KAFKA_REPLICAS": "1", "CAAS_MONGO": mongo.uri, "CAAS_REDIS": redis.url, "CAAS_SETUP": name,
                "CAAS_PARTITIONS": "8", "CAAS_NODE": "n1"}
    history = History()
    clients: list[Client] = []
    async with trio.open_nursery() as nursery:
        for backend in ("embedded", "cluster", "embedded"):
            if clients:
                began = trio.current_time()
                from_ = "cluster" if backend == "embedded" else "embedded"
                said = await trio.to_thread.run_sync(rebuild_and_move, tmp_path, from_, backend, settings)
                print(f"{said.strip()}\nthat took {trio.current_time() - began:.1f} s")
            with serving(tmp_path, port, {**settings, "CAAS_BACKEND": backend}) as server:
                if not clients:
                    clients += await people(server, history, seed)
                    for client in clients:
                        nursery.start_soon(client.run)
                stage = Stage(server, clients, history)
                print(f"{backend}: all back after {await stage.all_are_back(trio.current_time(), BACK_WITHIN_S):.1f} s")
                if (tmp_path / "data" / "moved.sqlite").exists() and backend == "embedded":
                    await stage.check(await stage.drain(60), tmp_path)
                    assert {epoch for client in clients for _, epoch in client.last.values()} == {1}, "the epoch stays"
        nursery.cancel_scope.cancel()
    drop(mongo.uri, name)


async def people(server: Server, history: History, seed: int) -> list[Client]:
    """Four, in eight rooms of all four, who come back soon."""
    tokens = {user: server.session(user) for user in USERS}
    await ask(server.base, tokens[USERS[0]], [
        ("conversation.create", {"id": room, "type": "group", "members": list(USERS), "op": new_id(random.Random(room))}) for room in ROOMS])
    return [Client(server.base, user, tokens[user], ROOMS, history, seed + number, longest_wait_s=2.0) for number, user in enumerate(USERS)]
