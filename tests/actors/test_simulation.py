"""Two rooms, three clients, a storm over the log and a crash: on a virtual clock and a seeded scheduler, the same seed gives the same trace.
On one node, and on several that share a log."""

import random
from functools import partial
from hashlib import blake2b
from typing import Any

import msgspec
import pytest
import trio
from trio._core import _run as scheduler
from trio.testing import MockClock

from protocol.ids import make_uuid7, show_act
from sim.stored import stored_otherwise
from storage.memory.store import Store
from storage.memory.weather import Storm
from tests.actors.world import Client, World, open_world
from tests.worlds import Seeded

ROOMS = ("r1", "r2")
PEOPLE = ("alice", "bob", "carol")
SENDS = 6


class Trace:
    """Everything that every client saw, and what the log holds, as one hash."""

    def __init__(self) -> None:
        self.acked: dict[tuple[str, str], int] = {}
        self.seen: list[Any] = []
        self.log: dict[str, list[tuple[int, str]]] = {}
        self.agreed = self.differed = 0

    def digest(self) -> str:
        return blake2b(msgspec.msgpack.encode([self.seen, sorted(self.acked.items()), self.log]), digest_size=8).hexdigest()


async def person(world: World, name: str, rng: random.Random, trace: Trace) -> None:
    """Sends in both rooms, comes back when its worker is gone, and sends again what was not acknowledged, under the same id."""
    left = {room: [show_act(make_uuid7(world.sim.clock.now_ms() + n, rng.randbytes(10))) for n in range(SENDS)] for room in ROOMS}
    while any(left.values()):
        client = Client(world.workers[rng.choice(sorted(world.workers))])
        try:
            with trio.move_on_after(60):
                await visit(client, name, rng, left, trace)
        except (KeyError, AssertionError):
            pass
        trace.seen.append([name, client.pushes])
        client.drop()
        await trio.sleep(rng.random())


async def visit(client: Client, name: str, rng: random.Random, left: dict[str, list[str]], trace: Trace) -> None:
    if "error" in await client.ask("hello", token=name):
        return
    for room in ROOMS:
        await client.ask("conversation.watch", c=room, after=0)
    while any(left.values()):
        room = rng.choice([room for room in ROOMS if left[room]])
        with trio.move_on_after(12) as late:
            answer = await client.ask("message.send", c=room, id=left[room][0], text=f"{name} {len(left[room])}")
        if late.cancelled_caught or client.worker.name not in client.worker.world.workers:
            return
        if "error" not in answer:
            assert trace.acked.setdefault((room, left[room][0]), answer["seq"]) == answer["seq"]
            left[room].pop(0)
        await trio.sleep(rng.random() * 0.2)


ONE_NODE = ("w1", "w2", "w3", "w4")
THREE_NODES = ("n1-w1", "n2-w1", "n3-w1", "n4-w1")
OF_TWO_WORKERS = ("n1-w1", "n1-w2", "n2-w1", "n3-w1")
"""Workers of a world: the first three begin, the second dies, the fourth comes."""


async def play(seed: int, trace: Trace, names: tuple[str, ...]) -> None:
    rng = random.Random(seed)
    store = Store(8, weather=Storm(Seeded(seed), away=0.01, unknown=0.05))
    async with open_world(*names[:3], seed=seed, users=(), store=store) as world:
        for name in PEOPLE:
            await stubbornly(lambda name=name: world.user(name))  # type: ignore[misc]
        for room in ROOMS:
            await made(world, room)
        async with trio.open_nursery() as nursery:
            if len(world.nodes) > 1:
                nursery.start_soon(rebalance, world, random.Random(rng.random()))
            for name in PEOPLE:
                nursery.start_soon(person, world, name, random.Random(rng.random()), trace)
            await trio.sleep(rng.random() * 3)
            await (world.crash if rng.random() < 0.5 else world.leave)(names[1])
            await trio.sleep(rng.random() * 2)
            await world.start(names[3])
        await read_back(world, trace)
        await compare_stored(world)
        trace.differed = sum(worker.assembly.agreement.differed for worker in world.workers.values())
        trace.agreed = sum(worker.assembly.agreement.agreed for worker in world.workers.values())


async def rebalance(world: World, rng: random.Random) -> None:
    """The group that divides storing is upset for a while: a partition is stored by several nodes, or by none."""
    evenly, nodes = world.store.stores, dict[object, str]()
    for _ in range(8):
        upset = rng.random()
        nodes |= {worker.assembly.log: worker.name for worker in world.workers.values()}
        world.store.stores = partial(_anyhow, nodes, upset)
        await trio.sleep(rng.random())
    world.store.stores = evenly


def _anyhow(nodes: dict[object, str], upset: float, log: object, partition: int) -> bool:
    return random.Random(f"{upset} {nodes.get(log)} {partition}").random() < 0.5


async def compare_stored(world: World) -> None:
    """What storing wrote, by the verdicts of rooms that slept, woke, moved and died, is what one fold of the whole log decides."""
    with trio.fail_after(120):
        while any(worker.assembly.storer.waiting() for worker in world.workers.values()):
            await trio.sleep(0.5)
    assert stored_otherwise(world.store) == []


async def stubbornly(act: Any) -> None:
    for _ in range(50):
        try:
            return await act()
        except Exception:  # the storm may refuse anything
            await trio.sleep(0.2)
    raise AssertionError("the storm is too strong")


async def made(world: World, room: str) -> None:
    for _ in range(50):
        client = Client(next(iter(world.workers.values())))
        with trio.move_on_after(30):
            await client.ask("hello", token="alice")
            answer = await client.ask("conversation.create", type="group", id=room, members=["bob", "carol"])
            if "error" not in answer:
                return
        client.drop()
    raise AssertionError("the room was not made")


async def read_back(world: World, trace: Trace) -> None:
    """What the log says in the end, asked of each worker: all must agree."""
    for room in ROOMS:
        told = []
        for worker in list(world.workers.values()):
            for _ in range(50):
                client = Client(worker)
                with trio.move_on_after(30):
                    await client.ask("hello", token="alice")
                    page = await client.ask("conversation.sync", c=room, after=0, limit=500)
                    if "error" not in page:
                        told.append([(push["s"], push["p"]["id"]) for push in page["entries"] if push["t"] == "message.new"])
                        assert [push["s"] for push in page["entries"]] == list(range(1, page["head"] + 1))
                        break
                client.drop()
        assert all(one == told[0] for one in told)
        trace.log[room] = told[0]


def run(seed: int, names: tuple[str, ...] = ONE_NODE) -> Trace:
    """One world, from its seed alone."""
    trace = Trace()
    Client.numbers = 0
    before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True
    scheduler._r = random.Random(seed)
    try:
        trio.run(play, seed, trace, names, clock=MockClock(autojump_threshold=0))
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = before
    return trace


def test_the_scheduler_can_still_be_seeded() -> None:
    assert isinstance(scheduler._r, random.Random)
    assert isinstance(scheduler._ALLOW_DETERMINISTIC_SCHEDULING, bool)


def test_the_same_seed_gives_the_same_trace() -> None:
    one, again, other = run(7).digest(), run(7).digest(), run(8).digest()
    assert one == again
    assert one != other


@pytest.mark.parametrize("seed", range(50))
def test_nothing_acknowledged_is_lost_or_doubled(seed: int) -> None:
    nothing_is_lost_or_doubled(run(seed))


@pytest.mark.parametrize("names", [THREE_NODES, OF_TWO_WORKERS], ids=["three nodes", "nodes of two workers"])
@pytest.mark.parametrize("seed", range(100, 120))
def test_over_nodes_too(seed: int, names: tuple[str, ...]) -> None:
    trace = run(seed, names)
    nothing_is_lost_or_doubled(trace)
    assert trace.agreed > 0, "rooms of several nodes were compared"


def nothing_is_lost_or_doubled(trace: Trace) -> None:
    """What was acknowledged is there once, where it was said to be; and whoever watched saw all of it from the beginning, in that order."""
    for _, pushes in trace.seen:
        for room in ROOMS:
            seen = [push for push in pushes if push.get("c") == room and "s" in push]
            assert [push["s"] for push in seen] == list(range(1, len(seen) + 1))
            told = [(push["s"], push["p"]["id"]) for push in seen if push["t"] == "message.new"]
            assert told == trace.log[room][:len(told)]
    assert trace.differed == 0
    for room in ROOMS:
        ids = [message for _, message in trace.log[room]]
        assert len(ids) == len(set(ids)) == len(PEOPLE) * SENDS
        places = {message: seq for seq, message in trace.log[room]}
        assert {message: seq for (where, message), seq in trace.acked.items() if where == room} == places
