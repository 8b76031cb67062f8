"""One seed, from beginning to verdict: people talk in rooms of two applications, things go wrong, then all is healed and everything compared."""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgspec
import trio
from trio._core import _run as scheduler
from trio.testing import MockClock

from actors.room import Room
from protocol.ids import show_act
from services.heads import removed_by
from sim.device import ANSWER_S, Device, History, to_entry
from sim.faults import FAULTS, SPELL_S, Skies
from sim.history import Entry, Listed, violations
from sim.stored import stored_otherwise
from sim.world import Wire, World
from storage.memory.store import Store
from storage.ports.entry import decode_entry

TENANTS, ROOMS = ("t1", "t2"), ("r1", "r2")
PEOPLE = ("alice", "bob", "carol", "dave")
"""alice owns the rooms, and shows dave out of each at some time."""
MESSAGES = 4
TROUBLE_S = 8.0
HEALED_WITHIN_S = 60.0
SLEEPY_S = 0.2
"""In every fourth world rooms sleep after so little that they wake all the time, also from what is not stored yet."""
MOST_STEPS = 300_000
"""Of all tasks; a seed takes some six thousand."""


@dataclass
class Result:
    """What came of a seed."""

    seed: int
    faults: Sequence[str]
    found: list[str] = field(default_factory=list)
    """Every violation, as a sentence; empty when all is as promised."""
    acknowledged: int = 0
    entries: int = 0
    happened: dict[str, int] = field(default_factory=dict)
    """How often each fault was brought about."""
    seconds: float = 0.0
    """Of the world's time."""
    trace: str = ""
    """A hash of all that was seen: the same seed gives the same."""


def run(seed: int, faults: Collection[str] = tuple(FAULTS)) -> Result:
    """Live through one seed."""
    result = Result(seed, tuple(sorted(faults)))
    before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # trio's own way to be seeded, said nowhere
    scheduler._r = random.Random(seed)
    idle, Room.idle = Room.idle, SLEEPY_S if seed % 4 == 1 else Room.idle
    steps = Steps()
    try:
        trio.run(_play, result, steps, clock=MockClock(autojump_threshold=0), instruments=[steps])
    except Exception as error:  # noqa: BLE001 - this life ends here, and that is what came of it
        result.found.append(f"S0: the world fell: {error!r}: {_first_line(error)}")
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = before  # type: ignore[misc]
        Room.idle = idle
    return result


def _first_line(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


class Steps(trio.abc.Instrument):
    """Counts the steps of all tasks, so that something can happen between any two, and so that what never ends does."""

    def __init__(self) -> None:
        self.taken, self._left = 0, 0
        self._then: Callable[[], None] | None = None
        self.all = trio.CancelScope()
        """Around everything."""

    def after(self, steps: int, then: Callable[[], None]) -> None:
        """Call once, so many steps from now."""
        self._left, self._then = steps, then

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """See trio."""
        self.taken += 1
        if self.taken == MOST_STEPS:
            self.all.cancel()
        if self._then is not None:
            self._left -= 1
            if self._left <= 0:
                then, self._then = self._then, None
                then()


async def _play(result: Result, steps: Steps) -> None:
    chance, skies, history = random.Random(result.seed), Skies(result.seed, result.faults), History()
    world = World(result.seed, Store(8, weather=skies))
    with steps.all:
        await _live(world, skies, history, chance, steps, result)
    if steps.all.cancelled_caught:
        result.found.append(f"S0: it does not end within {MOST_STEPS} steps")
    result.seconds = trio.current_time()


async def _live(world: World, skies: Skies, history: History, chance: random.Random, steps: Steps, result: Result) -> None:
    async with trio.open_nursery() as world.nursery:
        for name in ("w1", "w2", "w3"):
            await world.start(name)
        await _found(world)
        devices = [Device(world, history, tenant, user, ROOMS, chance.randrange(2**32), messages=MESSAGES, guests=("dave",), faults=result.faults)
                   for tenant in TENANTS for user in PEOPLE]
        trouble = Trouble(world, skies, devices, history, chance, steps, result)
        for device in devices:
            device.companions = {other.user: other for other in devices if other.tenant == device.tenant}
            device.upheaval = trouble.upheaval
            world.nursery.start_soon(device.live)
        with trio.move_on_after(TROUBLE_S):
            await trouble.run()
        await trouble.heal()
        await _judge(world, devices, history, result)
        world.nursery.cancel_scope.cancel()


async def _found(world: World) -> None:
    """Users and rooms, whatever the weather."""
    for tenant in TENANTS:
        for user in PEOPLE:
            await _stubbornly(lambda tenant=tenant, user=user: world.user(tenant, user))  # type: ignore[misc]
        for room in ROOMS:
            create = {"type": "group", "id": room, "members": list(PEOPLE[1:])}
            await _stubbornly(lambda tenant=tenant, create=create: _ask(world, tenant, "conversation.create", create))  # type: ignore[misc]


async def _stubbornly(act: Callable[[], Any]) -> Any:
    for _ in range(200):
        try:
            return await act()
        except Exception:  # noqa: BLE001 - the weather may bring anything
            await trio.sleep(0.2)
    raise TimeoutError("the weather never let it happen")


async def _ask(world: World, tenant: str, m: str, p: dict[str, Any], worker: str = "", user: str = "alice") -> Any:
    """One command on a connection of its own; alice's, unless it is another's."""
    heard: dict[int, Any] = {}
    news = trio.Event()

    def hear(frame: dict[str, Any]) -> None:
        if "i" in frame:
            heard[frame["i"]] = frame
            if frame["i"] == 2:
                news.set()

    wire = Wire(world.workers[worker or min(world.workers)], hear)
    try:
        wire.say(1, "hello", {"token": f"{tenant}:{user}"})
        with trio.fail_after(15):
            while 1 not in heard:  # noqa: ASYNC110 - the world's time costs nothing
                await trio.sleep(0.01)
            wire.say(2, m, p)
            await news.wait()
    finally:
        wire.drop()
    return heard[2]["r"]


class Trouble:
    """Brings about what may go wrong, one thing after the other, some at the same time."""

    def __init__(self, world: World, skies: Skies, devices: Sequence[Device], history: History, chance: random.Random, steps: Steps,
                 result: Result) -> None:
        self._world, self._skies, self._devices, self._history = world, skies, devices, history
        self._chance, self._steps, self._result = chance, steps, result
        self._names = world.boots
        self._over = False

    async def run(self) -> None:
        """Until cancelled."""
        active = [fault for fault in self._result.faults if fault not in ("delay", "lost", "duplicate")]
        while True:
            await trio.sleep(self._chance.random() * 1.5)
            if active:
                fault = self._chance.choice(active)
                self._result.happened[fault] = self._result.happened.get(fault, 0) + 1
                getattr(self, f"_{fault}")()

    async def heal(self) -> None:
        """Nothing goes wrong any more."""
        self._over = True
        self._skies.heal()
        self._world.store.full = False
        self._world.mend()
        for device in self._devices:
            if device.wire is not None:
                device.wire.drop()
        await trio.sleep(2)
        await self._world.reassign()

    def _crash(self) -> None:
        name = self._chance.choice(sorted(self._world.workers))
        self._steps.after(self._chance.randrange(1, 400), lambda: self._fall(name))

    def _fall(self, name: str) -> None:
        if name in self._world.workers and len(self._world.workers) > 1 and not self._over:
            self._world.crash(name)
            self._history.blow(name)
            self._world.nursery.start_soon(self._again, name)

    async def _again(self, name: str) -> None:
        await self._world.bury(name)
        await trio.sleep(self._chance.random() * 2)
        self._names += 1
        await self._world.start(name if self._chance.random() < 0.5 else f"w{self._names}")

    def _move(self) -> None:
        self._world.nursery.start_soon(self._world.turn)

    async def upheaval(self) -> None:
        """What was said is still on its way to the disk, and the conversation is another worker's."""
        if "move" in self._result.faults and not self._over and self._chance.random() < 0.7:
            self._skies.spell("slow_disk")
            await trio.sleep(0.1)
            await self._world.turn()

    def _cut(self) -> None:
        self._world.cut(self._chance.choice(sorted(self._world.workers)))
        self._later(self._world.cut_off.clear)

    def _half_open(self) -> None:
        wires = [device.wire for device in self._devices if device.wire is not None and not device.wire.closed]
        if wires:
            wire = self._chance.choice(wires)
            deaf, mute = self._chance.choice(((True, False), (False, True), (True, True)))
            wire.deaf, wire.mute = wire.deaf or deaf, wire.mute or mute  # what has begun to lose goes on losing: TCP leaves no holes

    def _slow_disk(self) -> None:
        self._skies.spell("slow_disk")

    def _lag(self) -> None:
        self._skies.spell("lag")

    def _full_disk(self) -> None:
        self._world.store.full = True
        self._later(lambda: setattr(self._world.store, "full", False))

    def _clock(self) -> None:
        clock = self._world.workers[self._chance.choice(sorted(self._world.workers))].nature.clock
        clock.wrong_ms = self._chance.choice((1, -1)) * self._chance.choice((1_000, 60_000, 3_600_000, 86_400_000))
        self._later(lambda: setattr(clock, "wrong_ms", 0))

    def _later(self, then: Callable[[], None]) -> None:
        async def wait() -> None:
            await trio.sleep(self._chance.random() * SPELL_S)
            then()

        self._world.nursery.start_soon(wait)


async def _judge(world: World, devices: Sequence[Device], history: History, result: Result) -> None:
    with trio.move_on_after(HEALED_WITHIN_S):
        while not all(device.done for device in devices):  # noqa: ASYNC110 - the world's time costs nothing
            await trio.sleep(0.5)
    result.found += [f"S1: {device.process} has had no answer within {HEALED_WITHIN_S:g} s" for device in devices if not device.done]
    await _all_stored(world)
    log, counted = await _read_back(world, result)
    heads = {conversation: len(entries) for conversation, entries in log.items()}
    with trio.move_on_after(HEALED_WITHIN_S):
        while any(device.behind(heads) for device in devices):  # noqa: ASYNC110
            await trio.sleep(0.5)
    result.found += [f"S5: {device.process} has not been given all of {behind}" for device in devices if (behind := device.behind(heads))]
    result.found += [surprise for device in devices for surprise in device.surprises]
    lists = await _lists(world, devices)
    result.found += violations(history.events, log, counted, lists)
    await _all_stored(world)
    result.found += stored_otherwise(world.store)
    result.found += _bodies_gone(world)
    result.acknowledged = sum(1 for event in history.events if event.op in ("send", "act") and event.type == "ok")
    result.entries = sum(heads.values())
    seen = [[event.t, event.process, event.op, event.type, event.id, event.seq] for event in history.events]
    result.trace = blake2b(msgspec.msgpack.encode([seen, heads]), digest_size=8).hexdigest()


async def _read_back(world: World, result: Result) -> tuple[dict[str, list[Entry]], dict[str, int]]:
    """What the log says in the end, asked of each worker: all must agree. And how many messages the lists count."""
    log: dict[str, list[Entry]] = {}
    counted: dict[str, int] = {}
    for tenant in TENANTS:
        for room in ROOMS:
            told = []
            for worker in sorted(world.workers):
                page = await _stubbornly(lambda worker=worker, tenant=tenant, room=room: _ask(  # type: ignore[misc]
                    world, tenant, "conversation.sync", {"c": room, "after": 0, "limit": 500}, worker))
                told.append([to_entry(push) for push in page["entries"]])
            if any(one != told[0] for one in told):
                result.found.append(f"S4: workers read {tenant}/{room} differently")
            log[f"{tenant}/{room}"] = told[0]
        page = await _stubbornly(lambda tenant=tenant: _ask(world, tenant, "conversation.list", {"limit": 50}))  # type: ignore[misc]
        counted |= {f"{tenant}/{row['conversation']['id']}": row["last_n"] for row in page["items"] if row["conversation"]["id"] in ROOMS}
    return log, counted


async def _lists(world: World, devices: Sequence[Device]) -> list[Listed]:
    """What everybody's list says of the rooms that they have not been shown out of, when the last read mark has its answer. Everything is
    another worker's by then: what nobody has written down is not there."""
    for device in devices:
        device.reading = False
    await trio.sleep(ANSWER_S + 1)
    await world.turn()
    rows = []
    for device in devices:
        page = await _stubbornly(lambda device=device: _ask(world, device.tenant, "conversation.list", {"limit": 50}, "", device.user))  # type: ignore[misc]
        rows += [Listed(device.user, f"{device.tenant}/{row['conversation']['id']}", row["read_seq"], row["unread"]) for row in page["items"]
                 if row["conversation"]["id"] in ROOMS and not device.lanes[row["conversation"]["id"]].over]
    return rows


async def _all_stored(world: World) -> None:
    with trio.move_on_after(HEALED_WITHIN_S):
        while any(worker.assembly.storer.waiting() for worker in world.workers.values()):  # noqa: ASYNC110
            await trio.sleep(0.5)


def _bodies_gone(world: World) -> list[str]:
    """Of what was deleted nothing is stored any more but that it was there."""
    found = []
    for tenant in TENANTS:
        for room in ROOMS:
            stored = [(row.seq, decode_entry(row.data)) for row in world.store.entries(tenant, room, 0, 1_000_000, 1_000_000)]
            removed = {removed_by(entry.facts) for _, entry in stored} - {b""}
            found += [f"S11: {show_act(entry.op)} at seq {seq} of {tenant}/{room} was deleted, and its body is stored"
                      for seq, entry in stored if entry.op in removed and entry.body]
    return found
