"""A server under load, and what the tests of faults do with it: hurt it, wait until everybody is back, read everything, check it."""

import math
import random
import statistics
from collections.abc import AsyncIterator, Callable, Mapping
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
AGAIN_S = 2.0
"""Who finds nobody to connect to tries again within so long, however often: it is the server whose time is taken."""
SLOW_S = 3.0
"""Who is not back by then is told of."""


class Violated(AssertionError):
    """Rules of the checker are broken; how often each."""

    def __init__(self, tally: Mapping[str, int], what: str) -> None:
        super().__init__(what)
        self.tally = tally


class Stage:
    """Clients at work on a server."""

    def __init__(self, server: Server, clients: list[Client], history: History) -> None:
        self.server, self.clients, self.history = server, clients, history
        self.lists: list[checker.Listed] = []
        """What everybody's list said when all was over."""

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

    async def any_is_back(self, since: float, within_s: float) -> None:
        """Until one message of after `since` is acknowledged to anybody: the server lives."""
        with trio.move_on_after(within_s):
            while all(lane.answered_of < since for client in self.clients for lane in client.lanes.values()):
                await trio.sleep(0.01)
            return
        raise AssertionError(f"after {within_s} s nobody is served\n{self.troubles()}")

    def missing(self, since: float) -> list[str]:
        """Who waits where."""
        return [f"{client.name} in {lane.conversation}" for client in self.clients for lane in client.lanes.values() if lane.answered_of < since]

    def troubles(self) -> str:
        """What clients must not meet, and the end of the server's log."""
        surprises = [surprise for client in self.clients for surprise in client.surprises]
        doing = [f"{client.name} {client.doing}; last {client.last}; refused {dict(client.told.most_common(8))}; failed {list(client.failed)}; "
                 f"{[str(lane) for lane in client.lanes.values() if lane.pending]}" for client in self.clients]
        return "\n".join([*surprises, *doing, self.server.log.read_text()[-12000:]])

    async def drain(self, within_s: float = 30) -> checker.Log:
        """Stop sending; until everything is answered and everything has come everywhere. The log, as read back."""
        for client in self.clients:
            client.sending = False
        log: checker.Log = {}
        with trio.move_on_after(within_s):
            while any(lane.busy for client in self.clients for lane in client.lanes.values()):
                await trio.sleep(0.02)
            log = await read_log(self.server.base, self.clients[0].token, ROOMS)
            heads = {room: entries[-1].seq for room, entries in log.items()}
            while not all(client.is_drained(heads) for client in self.clients):
                await trio.sleep(0.02)
            return log
        behind = [(client.name, client.last, [lane for lane in client.lanes.values() if lane.busy]) for client in self.clients]
        raise AssertionError(f"after {within_s} s not everything is answered and delivered: {behind}\n{self.troubles()}")

    async def check(self, log: checker.Log, keep: Path) -> dict[str, int]:
        """No rule is broken, nothing surprising was met, and both ways of reading give the same. Violations of each rule: none."""
        checker.write(self.history.events, keep / "history.jsonl")
        await self.read_on(log)
        counted = await self.listed(log)
        found = checker.violations(self.history.events, log, counted, self.lists)
        tally = checker.tally(found)
        print(f"violations: {shown(tally)}")
        if found:
            raise Violated(tally, f"{len(found)} violations ({shown(tally)}); the history is in {keep}:\n" + "\n".join(found[:20]))
        assert not [client.surprises for client in self.clients if client.surprises], self.troubles()
        for room, pushes in (await read_pushes(self.server.base, self.clients[0].token, ROOMS)).items():
            listed = await read_messages(self.server.base, self.clients[0].token, room)
            said = [(push["s"], push["p"]["id"]) for push in pushes if push["t"] == "message.new"]
            assert [(message["seq"], message["id"]) for message in listed] == said, room
            assert {message["id"]: as_folded(message) for message in listed} == folded(pushes), f"{room} reads other than its entries say"
        return tally

    async def read_on(self, log: checker.Log) -> None:
        """Each reads some of the rooms to their end, and leaves the others as they are."""
        for number, client in enumerate(self.clients):
            marks = {room: log[room][-1].seq for room in ROOMS[number:]}
            for room, seq in marks.items():
                self.history.note(client, room, "read", "invoke", seq=seq)
            await ask(self.server.base, client.token, [("message.read", {"c": room, "seq": seq}) for room, seq in marks.items()])
            for room, seq in marks.items():
                self.history.note(client, room, "read", "ok", seq=seq)

    async def listed(self, log: checker.Log, within_s: float = 10) -> dict[str, int]:
        """How many messages the list says there are, by room; into `lists`, what it says to each user. It may lag behind the log for a moment."""
        counted: dict[str, int] = {}
        with trio.move_on_after(within_s):
            while not counted or checker.tally(checker.violations((), log, counted, self.lists))["S12"]:
                await trio.sleep(0.1)
                pages = [await ask(self.server.base, client.token, [("conversation.list", {"limit": 100})]) for client in self.clients]
                rows = [(client.user, row["conversation"]["id"], row) for client, [page] in zip(self.clients, pages, strict=True)
                        for row in page["items"] if row["conversation"]["id"] in ROOMS]
                counted = {room: row["last_n"] for user, room, row in rows if user == self.clients[0].user}
                self.lists = [checker.Listed(user, room, row["read_seq"], row["unread"]) for user, room, row in rows]
        assert len(self.lists) == len(ROOMS) * len(self.clients), f"only {[row[:2] for row in self.lists]} are listed"
        return counted

    def refused(self, code: str) -> int:
        """Refusals with this code so far."""
        return sum(client.refusals[code] for client in self.clients)

    def acknowledged(self, op: checker.Op = "send") -> int:
        """Sends (or other acts) acknowledged so far."""
        return sum(1 for event in self.history.events if (event.op, event.type) == (op, "ok"))


def shown(tally: Mapping[str, int]) -> str:
    """Violations by rule, for people."""
    return ", ".join(f"{rule} {number}" for rule, number in tally.items())


@asynccontextmanager
async def open_stage(folder: Path, workers: int, seed: int, pace_s: float = 0.1) -> AsyncIterator[Stage]:
    """A server with `workers`, four users, eight rooms of all four, and everybody sending to each, at most once in `pace_s`."""
    with Server(folder / "data", workers=workers, log=folder / "server.log") as server:
        tokens = {user: server.session(user) for user in USERS}
        for guest in GUESTS:
            server.session(guest)
        create = [("conversation.create", {"id": room, "type": "group", "members": list(USERS), "op": new_id(random.Random(f"{seed} {room}"))})
                  for room in ROOMS]
        await ask(server.base, tokens[USERS[0]], create)
        history = History()
        clients = [Client(server.base, user, tokens[user], ROOMS, history, seed + number, pace_s, owner=not number, longest_wait_s=AGAIN_S)
                   for number, user in enumerate(USERS)]
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(client.run)
            stage = Stage(server, clients, history)
            await stage.all_are_back(trio.current_time(), 10)
            yield stage
            nursery.cancel_scope.cancel()


class Hurt(NamedTuple):
    """Seconds until all were back: when every worker served before and nobody else was hurt meanwhile, and otherwise."""

    calm: list[float]
    in_a_row: list[float]

    def __str__(self) -> str:
        return "; ".join(f"{len(took)} {name}: all back after {statistics.median(took):.2f} s (median), {max(took):.2f} s (worst)"
                         for name, took in zip(("with all workers up", "in a row"), self, strict=True) if took)


Blow = Callable[[int], None]
"""What is done to a process."""


async def hurt(stage: Stage, times: int, how: Blow, chance: random.Random, within_s: float) -> Hurt:
    """`how` to a random worker, `times`, each when everybody is back and all workers serve."""
    hurts = Hurt([], [])
    for _ in range(times):
        await trio.sleep(chance.uniform(0.2, 1.0))
        since, pid = trio.current_time(), chance.choice(stage.server.pids())
        stage.history.blow(f"process {pid}")
        how(pid)
        hurts.calm.append(await stage.all_are_back(since, within_s))
        stage.history.blow(f"process {pid} by now")
        await all_serve(stage)
    return hurts


async def hail(stage: Stage, times: int, how: Blow, chance: random.Random, within_s: float) -> Hurt:
    """`how` to a random worker, `times`, about one a second: most come as soon as anybody is served again, whoever is up by then or starting;
    before one in five everybody is back and all workers serve."""
    hurts, struck = Hurt([], []), list[float]()
    async with trio.open_nursery() as nursery:
        for number in range(times):
            calm = stage.server.serving() == stage.server.workers
            await trio.sleep(chance.uniform(0.0, 0.7))
            await until(lambda: bool(stage.server.pids()), 15)
            struck.append(trio.current_time())
            how(pid := chance.choice(stage.server.pids()))
            stage.history.blow(f"process {pid}")
            nursery.start_soon(_measure, stage, hurts, struck, calm)
            if chance.random() < 0.2 or number == times - 1:
                await stage.all_are_back(struck[-1], within_s)
                await all_serve(stage)
            else:
                await stage.any_is_back(struck[-1], within_s)
    return hurts


async def _measure(stage: Stage, hurts: Hurt, struck: list[float], calm: bool) -> None:
    """Until everybody is back from the latest blow, however many follow it."""
    since, number = struck[-1], len(struck)
    while stage.missing(since):
        await trio.sleep(0.01)
    (hurts.calm if calm and len(struck) == number else hurts.in_a_row).append(trio.current_time() - since)


async def all_serve(stage: Stage) -> None:
    """Until every worker lives, and has said that it serves."""
    await until(lambda: len(stage.server.pids()) == stage.server.workers == stage.server.serving(), 15)


async def until(true: Callable[[], bool], within_s: float) -> None:
    """Wait for something that other processes do."""
    with trio.fail_after(within_s):
        while not true():
            await trio.sleep(0.01)
