"""Workers die of SIGKILL while people read: no pointer that is older than ten seconds is lost, none goes back, unread is what the log says."""

import os
import random
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed, HandshakeError

from bench.server import kill
from tests.checker.history import Log
from tests.faults.load import Client, ask, connected, read_messages
from tests.faults.load import _ask as ask_on
from tests.faults.stage import ROOMS, USERS, Stage, open_stage, until

pytestmark = pytest.mark.real

KILLS = int(os.environ.get("CAAS_POINTER_KILLS", "2"))
DURABLE_S = 10.0 + 4.0
"""The promise, and what appending it may take on a busy machine."""


class Reader:
    """Somebody who reads what comes, on a connection of their own, and comes back whatever happens."""

    def __init__(self, base: str, token: str, client: Client) -> None:
        self.base, self.token, self.client = base, token, client
        self.reading = True
        self.said: list[tuple[float, str, int]] = []  # acknowledged: when, where, how far
        self.tried: dict[str, int] = {}  # how far at most: what was sent may count though its answer was lost

    async def run(self) -> None:
        while True:
            try:
                async with connected(self.base) as socket:
                    await ask_on(socket, "hello", {"token": self.token})
                    await self._read(socket)
            except* (HandshakeError, ConnectionClosed, trio.TooSlowError, OSError):
                pass
            await trio.sleep(0.1)

    async def _read(self, socket: Any) -> None:
        while True:
            for room in ROOMS if self.reading else ():
                if seq := self.client.last.get(room, (0, 0))[0]:
                    self.tried[room] = max(seq, self.tried.get(room, 0))
                    self.client.history.note(self.client, room, "read", "invoke", seq=seq)
                    await ask_on(socket, "message.read", {"c": room, "seq": seq})
                    self.client.history.note(self.client, room, "read", "ok", seq=seq)
                    self.said.append((trio.current_time(), room, seq))
            await trio.sleep(0.2)

    def furthest(self, room: str, before: float) -> int:
        """How far they have said to have read by then."""
        return max((seq for at, where, seq in self.said if where == room and at < before), default=0)


async def rows(stage: Stage, reader: Reader) -> dict[str, dict[str, Any]]:
    [page] = await ask(stage.server.base, reader.token, [("conversation.list", {"limit": 100})])
    return {row["conversation"]["id"]: row for row in page["items"] if row["conversation"]["id"] in ROOMS}


async def test_killed_workers_lose_no_pointer_but_those_of_the_last_seconds(tmp_path: Path) -> None:
    seed = int(os.environ.get("CAAS_SEED", random.randrange(10**6)))
    print(f"seed {seed}")
    chance = random.Random(seed)
    async with open_stage(tmp_path, workers=3, seed=seed) as stage, trio.open_nursery() as nursery:
        tokens = {user: stage.server.session(user) for user in USERS}
        readers = [Reader(stage.server.base, tokens[client.user], client) for client in stage.clients]
        for reader in readers:
            reader.client.reading = False  # on their own connections alone: how far exactly is looked at after each kill
            nursery.start_soon(reader.run)
        for _ in range(KILLS):
            await trio.sleep(DURABLE_S + 3)
            for reader in readers:
                reader.reading = False
            since = trio.current_time()
            assert all(any(reader.furthest(room, since - DURABLE_S) for room in ROOMS) for reader in readers), "nobody read: this shows nothing"
            kill(pid := chance.choice(stage.server.pids()), signal.SIGKILL)
            stage.history.blow(f"process {pid}")
            await stage.all_are_back(since, 15)
            for reader in readers:
                listed = await rows(stage, reader)
                for room in ROOMS:
                    kept, tried = reader.furthest(room, since - DURABLE_S), reader.tried.get(room, 0)
                    assert kept <= listed[room]["read_seq"] <= tried, (reader.client.user, room)
                reader.reading = True
            await until(lambda: stage.server.serving() == stage.server.workers, 15)
        log = await read_all(stage, readers)
        await check(stage, readers)
        await stage.check(log, tmp_path)
        nursery.cancel_scope.cancel()


async def read_all(stage: Stage, readers: list[Reader]) -> Log:
    """Nobody sends any more; everybody reads a part of what there is, and pauses. The log, as read back."""
    log = await stage.drain()
    for reader in readers:
        reader.reading = False
        [page] = await ask(stage.server.base, reader.token, [("conversation.sync", {"c": "me", "after": 0, "limit": 500})])
        told: dict[str, list[int]] = {}
        for push in page["entries"]:
            for room, seq in push.get("p", {}).get("conversations", {}).items() if push["t"] == "read.moved" else ():
                told.setdefault(room, []).append(seq)
        assert all(earlier < later for seqs in told.values() for earlier, later in pairwise(seqs)), told
    await stage.read_on(log)
    return log


async def check(stage: Stage, readers: list[Reader]) -> None:
    """What the list says of each, against the messages themselves."""
    await trio.sleep(3)
    for reader in readers:
        for room, row in (await rows(stage, reader)).items():
            messages = await said(stage, reader, room)
            mine = max((message["n"] for message in messages if message["sender"] == reader.client.user), default=0)
            read_n = max((message["n"] for message in messages if message["seq"] <= row["read_seq"]), default=0)
            assert (row["last_n"], row["own_n"], row["read_n"]) == (len(messages), mine, read_n), (reader.client.user, room)
            assert row["unread"] == max(0, len(messages) - max(read_n, mine))


async def said(stage: Stage, reader: Reader, room: str) -> list[dict[str, Any]]:
    """All messages of a room."""
    return await read_messages(stage.server.base, reader.token, room)
