"""A random walk: senders, stops, poison, slow starts and slow ends, sleeps at every moment; what must hold, holds."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any, ClassVar

import pytest
import trio
from trio.testing import MockClock

from supervisor import Actor, ActorStopped, AskTimeout, Directory, Exit, MailboxFull, Quarantine, Quarantined, open_supervisor

KEYS = ("a", "b", "c")


class World:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.alive: Counter[str] = Counter()
        self.most_alive = 0
        self.handled: dict[str, list[tuple[int, int]]] = {key: [] for key in KEYS}
        self.answered: set[tuple[str, tuple[int, int]]] = set()
        self.untouched: set[tuple[str, tuple[int, int]]] = set()
        self.outcomes: Counter[str] = Counter()

    def pause(self) -> float:
        """Mostly about the moments at which actors rest and sleep."""
        return self.rng.choice((0.0, 0.0, 0.05, 0.1, 0.5, 0.55, 1.0, 1.05, 1.5)) * self.rng.choice((1.0, 1.0, 0.999, 1.001))


class Walker(Actor[Any]):
    mailbox: ClassVar[int] = 3
    linger: ClassVar[float] = 0.5
    idle: ClassVar[float] = 1.0

    def __init__(self, world: World, key: str) -> None:
        self.world = world
        self.key = key

    async def started(self) -> None:
        self.world.alive[self.key] += 1
        self.world.most_alive = max(self.world.most_alive, self.world.alive[self.key])
        try:
            if self.world.rng.random() < 0.3:
                await trio.sleep(self.world.pause())
        except trio.Cancelled:  # who does not start cleans up by itself: `stopped` is not run
            self.world.alive[self.key] -= 1
            raise

    async def receive(self, message: tuple[int, int]) -> object:
        self.world.handled[self.key].append(message)
        chance = self.world.rng.random()
        if chance < 0.02:
            raise RuntimeError("poisoned")
        if chance < 0.2:
            await trio.sleep(self.world.pause())
        return message

    async def stopped(self, exit: Exit) -> None:
        if self.world.rng.random() < 0.3:
            await trio.sleep(self.world.pause())
        self.world.alive[self.key] -= 1


class Turner(Actor[Any]):
    """One that never waits: its messages are handled in turns. It ends itself now and then, in the middle of one."""

    mailbox: ClassVar[int] = 3
    idle: ClassVar[float] = 1.0

    def __init__(self, world: World, key: str) -> None:
        self.world = world
        self.key = key
        self.begun = False

    def receive(self, message: tuple[int, int]) -> object:
        if not self.begun:
            self.begun = True
            self.world.alive[self.key] += 1
            self.world.most_alive = max(self.world.most_alive, self.world.alive[self.key])
        self.world.handled[self.key].append(message)
        chance = self.world.rng.random()
        if chance < 0.02:
            raise RuntimeError("poisoned")
        if chance < 0.04:
            self.ref.stop()
        if chance > 0.9:
            later = self.later()
            later.answer(message)
            return later
        return message

    async def stopped(self, exit: Exit) -> None:
        if self.world.rng.random() < 0.3:
            await trio.sleep(self.world.pause())
        self.world.alive[self.key] -= self.begun


async def sender(world: World, directory: Directory[Any], number: int) -> None:
    """Asks in turn, so that its order must be kept; notes what became of each."""
    for count in range(60):
        key, message = world.rng.choice(KEYS), (number, count)
        try:
            if world.rng.random() < 0.3:
                directory.send_nowait(key, message)
                world.outcomes["sent"] += 1
            else:
                assert await directory.ask(key, message, timeout=world.rng.choice((0.3, 5.0))) == message
                world.answered.add((key, message))
                world.outcomes["answered"] += 1
        except ActorStopped as error:
            world.outcomes["stopped"] += 1
            if not error.begun:
                world.untouched.add((key, message))
        except (MailboxFull, Quarantined) as error:
            world.outcomes[type(error).__name__] += 1
            world.untouched.add((key, message))
        except AskTimeout:
            world.outcomes["timeout"] += 1
        await trio.sleep(world.pause())


async def stopper(world: World, directory: Directory[Any]) -> None:
    for _ in range(30):
        await trio.sleep(world.pause() * 2)
        key = world.rng.choice(KEYS)
        ref = directory.find(key)
        if ref is not None and world.rng.random() < 0.5:
            ref.stop()
        else:
            await directory.stop(key)


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("kind", [Walker, Turner])
async def test_a_walk(autojump_clock: MockClock, kind: Any, seed: int) -> None:
    trio._core._run._r.seed(seed)  # the order in which tasks run is part of the walk  # type: ignore[attr-defined]
    world = World(random.Random(seed))
    async with open_supervisor() as supervisor:
        directory: Directory[Any] = Directory(
            supervisor, "walker", lambda key: kind(world, key), fingerprint=lambda m: m, quarantine=Quarantine(span=1.0)
        )
        async with trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(sender, world, directory, number)
            nursery.start_soon(stopper, world, directory)
        await trio.sleep(20)
        assert len(directory) == 0
    assert not +world.alive
    assert world.most_alive == 1
    for key, handled in world.handled.items():
        assert len(handled) == len(set(handled)), "handled twice"
        for number in range(6):
            mine = [count for sender, count in handled if sender == number]
            assert mine == sorted(mine), "out of order"
        told_untouched = {message for where, message in world.untouched if where == key}
        assert not told_untouched & set(handled), "said untouched, and was handled"
        assert {message for where, message in world.answered if where == key} <= set(handled)
    assert world.outcomes["answered"] > 50
