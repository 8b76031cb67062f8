"""The drill: people chat, a backup is taken, they go on, the machine is lost, the backup is restored; everybody is told what is gone."""

import random
import signal
from pathlib import Path

import pytest
import trio

from bench.server import Server, kill
from caas.__main__ import main
from tests.checker import history as checker
from tests.faults.load import Client, History, ask, new_id, read_log

pytestmark = pytest.mark.real

ROOMS = ("room-0", "room-1")
USERS = ("alice", "bob")


def caas(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["caas", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


async def test_a_restored_backup_is_told_to_everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, backup, history = tmp_path / "data", tmp_path / "backup.sqlite", History()
    with Server(data, workers=2, log=tmp_path / "server.log") as server:
        tokens = {user: server.session(user) for user in USERS}
        chance = random.Random(1)
        await ask(server.base, tokens["alice"], [("conversation.create", {"id": room, "type": "group", "members": ["bob"], "op": new_id(chance)})
                                                 for room in ROOMS])
        clients = [Client(server.base, user, tokens[user], ROOMS, history, number) for number, user in enumerate(USERS)]
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(client.run)
            await trio.sleep(1.5)
            assert await trio.to_thread.run_sync(caas, monkeypatch, "backup", str(backup), "--data", str(data)) == 0
            await trio.sleep(1.5)
            assert caas(monkeypatch, "restore", str(backup), "--data", str(data)) == 2, "not while the server runs"
            for pid in server.pids():
                kill(pid, signal.SIGKILL)
            nursery.cancel_scope.cancel()
    seen = {client.user: dict(client.last) for client in clients}
    assert caas(monkeypatch, "restore", str(backup), "--data", str(data)) == 0
    assert caas(monkeypatch, "scrub", "--data", str(data)) == 0

    with Server(data, workers=2, log=tmp_path / "again.log") as server:
        log = await read_log(server.base, server.session("alice"), ROOMS)
        for room in ROOMS:
            assert 0 < log[room][-1].seq < seen["alice"][room][0], "nothing was lost: this shows nothing"
        async with trio.open_nursery() as nursery:
            for client in clients:
                client.moved(server.base, server.session(client.user))
                nursery.start_soon(client.run)
            with trio.fail_after(20):
                while not all(client.last[room][1] == 2 for client in clients for room in ROOMS):
                    await trio.sleep(0.05)
                while len(await _heard(history)) < len(USERS) * len(ROOMS):
                    await trio.sleep(0.05)
            nursery.cancel_scope.cancel()
        log = await read_log(server.base, server.session("alice"), ROOMS)
    gaps = {(event.client, event.conversation) for event in history.events if event.op == "gap"}
    assert gaps == {(user, room) for user in USERS for room in ROOMS}, "everybody is told, of each conversation"
    silent = [sentence for sentence in checker.violations(history.events, log) if "was told of no gap" in sentence]
    assert not silent, silent


async def _heard(history: History) -> set[tuple[str, str]]:
    await trio.lowlevel.checkpoint()
    return {(event.client, event.conversation) for event in history.events if event.epoch == 2 and event.type == "ok" and event.op == "send"}
