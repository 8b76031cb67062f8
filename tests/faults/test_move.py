"""People chat, the set-up is moved to the cluster and back, and the same clients go on with their seqs: nothing lost, doubled or renumbered."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from bench.server import Server
from deploy.local.engines import Kafka, Mongo, Redis
from deploy.local.ports import free_ports
from tests.faults.load import Client, History, ask, new_id
from tests.faults.stage import ROOMS, USERS, Stage
from tests.storage.halves import drop, fresh

pytestmark = pytest.mark.real

BACK_WITHIN_S = 60


@contextmanager
def serving(folder: Path, port: int, settings: dict[str, str]) -> Iterator[Server]:
    with Server(folder / "data", workers=2, log=folder / "server.log", port=port, settings=settings) as server:
        yield server


def move(folder: Path, to: str, settings: dict[str, str]) -> str:
    """`caas move`, as an operator types it."""
    from_ = {"cluster": "embedded", "embedded": "cluster"}[to]
    done = subprocess.run([sys.executable, "-m", "caas", "move", "--from", from_, "--to", to, "--data", str(folder / "data")],
                          env={**os.environ, **settings}, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


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
                said = await trio.to_thread.run_sync(move, tmp_path, backend, settings)
                print(f"{said.strip()}; that took {trio.current_time() - began:.1f} s")
            with serving(tmp_path, port, {**settings, "CAAS_BACKEND": backend}) as server:
                if not clients:
                    clients += await people(server, history, seed)
                    for client in clients:
                        nursery.start_soon(client.run)
                stage = Stage(server, clients, history, server.session(USERS[0]))
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
