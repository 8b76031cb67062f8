"""A server under load, and what the tests of faults do with it: hurt it, wait until everybody is back, read everything, check it."""

import math
import random
import statistics
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import trio

from bench.server import Server
from tests.checker import history as checker
from tests.faults.acts import GUESTS, as_folded, folded
from tests.faults.load import Client, History, ask, new_id, read_log, read_messages, read_pushes

USERS = ("alice", "bob", "carol", "dave")
ROOMS = tuple(f"room-{number}" for number in range(8))
"""Enough that every worker has some."""
SLOW_S = 3.0
"""Who is not back by then is told of."""


class Stage:
    """Clients at work on a server."""

    def __init__(self, server: Server, clients: list[Client], history: History, token: str) -> None:
        self.server, self.clients, self.history, self._token = server, clients, history, token

    async def all_are_back(self, since: float, within_s: float) -> float:
        """Until each client has had a message of after `since` acknowledged in each conversation; seconds that took."""
        slow = since + SLOW_S
        with trio.move_on_after(within_s):
            while missing := self.missing(since):
                await trio.sleep(0.01)
                if trio.current_time() > slow:
                    print(f"not yet back after {SLOW_S:g} s: {missing}\n{self.troubles()}")
                    slow = math.inf
        assert not self.missing(since), f"after {within_s} s not yet back: {self.missing(since)}\n{self.troubles()}"
        return trio.current_time() - since

    def missing(self, since: float) -> list[str]:
        """Who waits where."""
        return [f"{client.name} in {lane.conversation}" for client in self.clients for lane in client.lanes.values() if lane.answered_of < since]

    def troubles(self) -> str:
        """What clients must not meet, and the end of the server's log."""
        surprises = [surprise for client in self.clients for surprise in client.surprises]
        doing = [f"{client.name} {client.doing}; last {client.last}; failed {list(client.failed)}" for client in self.clients]
        return "\n".join([*surprises, *doing, self.server.log.read_text()[-6000:]])

    async def drain(self, within_s: float = 30) -> checker.Log:
        """Stop sending; until everything is answered and everything has come everywhere. The log, as read back."""
        for client in self.clients:
            client.sending = False
        log: checker.Log = {}
        with trio.move_on_after(within_s):
            while any(lane.pending or lane.acting for client in self.clients for lane in client.lanes.values()):
                await trio.sleep(0.02)
            log = await read_log(self.server.base, self._token, ROOMS)
            heads = {room: entries[-1].seq for room, entries in log.items()}
            while not all(client.is_drained(heads) for client in self.clients):
                await trio.sleep(0.02)
            return log
        behind = [(client.name, client.last, [lane for lane in client.lanes.values() if lane.pending or lane.acting]) for client in self.clients]
        raise AssertionError(f"after {within_s} s not everything is answered and delivered: {behind}\n{self.troubles()}")

    async def check(self, log: checker.Log, keep: Path) -> None:
        """No rule is broken, nothing surprising was met, and both ways of reading give the same."""
        checker.write(self.history.events, keep / "history.jsonl")
        found = checker.violations(self.history.events, log)
        assert not found, f"{len(found)} violations; the history is in {keep}:\n" + "\n".join(found[:20])
        assert not [client.surprises for client in self.clients if client.surprises], self.troubles()
        for room, pushes in (await read_pushes(self.server.base, self._token, ROOMS)).items():
            listed = await read_messages(self.server.base, self._token, room)
            said = [(push["s"], push["p"]["id"]) for push in pushes if push["t"] == "message.new"]
            assert [(message["seq"], message["id"]) for message in listed] == said, room
            assert {message["id"]: as_folded(message) for message in listed} == folded(pushes), f"{room} reads other than its entries say"

    def acknowledged(self, op: checker.Op = "send") -> int:
        """Sends (or other acts) acknowledged so far."""
        return sum(1 for event in self.history.events if (event.op, event.type) == (op, "ok"))


@asynccontextmanager
async def open_stage(folder: Path, workers: int, seed: int) -> AsyncIterator[Stage]:
    """A server with `workers`, four users, eight rooms of all four, and everybody sending to each."""
    with Server(folder / "data", workers=workers, log=folder / "server.log") as server:
        tokens = {user: server.session(user) for user in USERS}
        for guest in GUESTS:
            server.session(guest)
        create = [("conversation.create", {"id": room, "type": "group", "members": list(USERS), "op": new_id(random.Random(f"{seed} {room}"))})
                  for room in ROOMS]
        await ask(server.base, tokens[USERS[0]], create)
        history = History()
        clients = [Client(server.base, user, tokens[user], ROOMS, history, seed + number, owner=not number) for number, user in enumerate(USERS)]
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(client.run)
            stage = Stage(server, clients, history, tokens[USERS[0]])
            await stage.all_are_back(trio.current_time(), 10)
            yield stage
            nursery.cancel_scope.cancel()


class Hurt(NamedTuple):
    """Seconds until all were back: when every worker served before, and when some were still starting from the time before."""

    calm: list[float]
    in_a_row: list[float]

    def __str__(self) -> str:
        return "; ".join(f"{len(took)} {name}: all back after {statistics.median(took):.2f} s (median), {max(took):.2f} s (worst)"
                         for name, took in zip(("with all workers up", "in a row"), self, strict=True) if took)


async def hurt(stage: Stage, times: int, how: Callable[[int], None], chance: random.Random, within_s: float) -> Hurt:
    """`how` to a random worker, `times`; one in four follows the one before at once, whoever is up by then, or nobody."""
    hurts = Hurt([], [])
    for _ in range(times):
        calm = stage.server.serving() == stage.server.workers
        await trio.sleep(chance.uniform(0.2, 1.0))
        victim = chance.choice(stage.server.pids())
        since = trio.current_time()
        how(victim)
        (hurts.calm if calm else hurts.in_a_row).append(await stage.all_are_back(since, within_s))
        await until(lambda: len(stage.server.pids()) == stage.server.workers, 15)
        if chance.random() < 0.75:
            await until(lambda: stage.server.serving() == stage.server.workers, 15)
    return hurts


async def until(true: Callable[[], bool], within_s: float) -> None:
    """Wait for something that other processes do."""
    with trio.fail_after(within_s):
        while not true():
            await trio.sleep(0.01)
