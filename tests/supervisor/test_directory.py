"""Virtual actors: woken once, asleep when idle, nothing lost in between, poison kept away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from supervisor import (
    Actor,
    ActorStopped,
    Directory,
    Exit,
    Later,
    MailboxFull,
    Quarantine,
    Quarantined,
    Supervisor,
    open_supervisor,
)


class Unavailable(Exception):
    pass


@dataclass
class World:
    """What outlives the rooms: a log, and who was alive when."""

    log: list[Any] = field(default_factory=list)
    wakes: int = 0
    alive: int = 0
    most_alive: int = 0
    slow: float = 0.0
    refuse_start: bool = False
    awake: set[str] = field(default_factory=set)
    laters: list[Later] = field(default_factory=list)


class Room(Actor[Any]):
    idle: ClassVar[float] = 10.0
    mailbox: ClassVar[int] = 512
    refusals: ClassVar[tuple[type[Exception], ...]] = (Unavailable,)

    def __init__(self, world: World, key: str) -> None:
        self.world = world
        self.key = key
        self.busy = False

    async def started(self) -> None:
        world = self.world
        if world.refuse_start:
            raise Unavailable
        world.wakes += 1
        world.alive += 1
        world.most_alive = max(world.most_alive, world.alive)
        await trio.sleep(world.slow)

    def receive(self, message: Any) -> object:
        if message == "poison":
            raise RuntimeError("poisoned")
        if message == "busy":
            self.busy = True
        if message == "later":
            later = self.later()
            self.world.laters.append(later)
            return later
        self.world.log.append(message)
        return message

    def may_sleep(self) -> bool:
        return not self.busy

    async def stopped(self, exit: Exit) -> None:
        await trio.sleep(self.world.slow)
        self.world.alive -= 1


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    async with open_supervisor() as supervisor:
        yield supervisor


@pytest.fixture
def rooms(supervisor: Supervisor, world: World) -> Directory[Any]:
    return Directory(supervisor, "room", lambda key: Room(world, key), fingerprint=lambda message: message)


async def test_fifty_callers_wake_one_room_once(autojump_clock: MockClock, rooms: Directory[Any], world: World) -> None:
    world.slow = 0.5
    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(rooms.ask, "r", number)
    assert (world.wakes, sorted(world.log)) == (1, list(range(50)))


async def test_two_hundred_messages_at_the_moment_of_sleep_are_all_answered(autojump_clock: MockClock, rooms: Directory[Any], world: World) -> None:
    """Around each moment at which the sweeper may put it to sleep, in steps far finer than the sweeper's."""
    answers: list[int] = []

    async def ask(at: float, number: int) -> None:
        await trio.sleep_until(at)
        answers.append(await rooms.ask("r", number))

    await rooms.ask("r", "first")
    edge = trio.current_time() + Room.idle
    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(ask, edge, number)
    assert sorted(answers) == list(range(200))
    assert world.log == ["first", *world.log[1:]]
    assert len(world.log) == 201
    assert world.most_alive == 1


@pytest.mark.parametrize("slow", [0.0, 0.3])
async def test_nothing_is_lost_or_doubled_between_two_lives(autojump_clock: MockClock, rooms: Directory[Any], world: World, slow: float) -> None:
    world.slow = slow
    sent = 0
    for pause in (10.0, 10.01, 10.04, 10.05, 10.06, 10.1, 10.2, 9.99, 10.35, 10.5):
        for _ in range(3):
            rooms.send_nowait("r", sent)
            sent += 1
        await trio.sleep(pause)
    await rooms.ask("r", "end")
    assert world.log == [*range(sent), "end"]
    assert world.wakes > 1
    assert world.most_alive == 1


async def test_an_idle_room_rests_then_sleeps_and_leaves_no_task(autojump_clock: MockClock, rooms: Directory[Any], world: World) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    for number in range(1000):
        rooms.send_nowait(f"r{number}", number)
    await wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().tasks_living == before + 1000
    await trio.sleep(2)
    now = rooms.statistics()
    assert trio.lowlevel.current_statistics().tasks_living == before
    assert (now.alive, now.resting, world.alive) == (1000, 1000, 1000)
    await trio.sleep(10)
    now = rooms.statistics()
    assert trio.lowlevel.current_statistics().tasks_living == before
    assert (now.alive, now.slept, now.processed, world.alive) == (0, 1000, 1000, 0)


async def test_messages_keep_it_awake(autojump_clock: MockClock, rooms: Directory[Any], world: World) -> None:
    for _ in range(10):
        await rooms.ask("r", "again")
        await trio.sleep(Room.idle * 0.9)
    assert world.wakes == 1


async def test_a_room_with_something_on_its_way_does_not_sleep(autojump_clock: MockClock, rooms: Directory[Any], world: World) -> None:
    await rooms.ask("r", "busy")
    rooms.send_nowait("s", "later")
    await trio.sleep(Room.idle * 5)
    assert rooms.keys() == ["r", "s"]
    world.laters[0].answer(1)
    await trio.sleep(Room.idle * 2)
    assert rooms.keys() == ["r"]


async def test_a_new_life_waits_until_the_old_one_has_let_go(autojump_clock: MockClock, rooms: Directory[Any], world: World) -> None:
    await rooms.ask("r", 1)
    world.slow = 1.0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rooms.stop, "r")
        await wait_all_tasks_blocked()
        assert rooms.find("r") is None
        assert await rooms.ask("r", 2) == 2
    assert world.most_alive == 1
    assert world.log == [1, 2]


async def test_a_life_that_never_began_does_not_hide_the_one_before_it(autojump_clock: MockClock, rooms: Directory[Any], world: World) -> None:
    await rooms.ask("r", 1)
    world.slow = 1.0
    first, second = rooms.find("r"), None
    assert first is not None
    first.stop()  # takes a second to let go
    rooms.send_nowait("r", "lost")
    second = rooms.find("r")
    assert second is not None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rooms.stop, "r")
        await second.wait_stopped()
        assert world.alive == 1
        assert await rooms.ask("r", 2) == 2
    assert world.most_alive == 1
    assert world.log == [1, 2]


async def test_a_refusal_to_start_is_an_answer_and_no_death(autojump_clock: MockClock, rooms: Directory[Any], world: World) -> None:
    world.refuse_start = True
    for _ in range(5):
        with pytest.raises(Unavailable):
            await rooms.ask("r", 1)
    world.refuse_start = False
    assert await rooms.ask("r", 1) == 1
    assert rooms.statistics().died == 0


async def test_poison_kills_once_and_is_then_refused_for_a_while(
    autojump_clock: MockClock, rooms: Directory[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ActorStopped) as death:
        await rooms.ask("r", "poison")
    assert death.value.begun
    with pytest.raises(Quarantined) as refused:
        await rooms.ask("r", "poison")
    assert refused.value.retry_after == pytest.approx(60, abs=1)
    assert await rooms.ask("r", "harmless") == "harmless"
    with pytest.raises(Quarantined):
        rooms.send_nowait("r", "poison")
    assert rooms.statistics().died == 1
    assert "room/r died of 'poison'" in caplog.text


async def test_a_relapse_is_refused_for_twice_as_long(autojump_clock: MockClock, rooms: Directory[Any]) -> None:
    for span in (60, 120, 240):
        with pytest.raises(ActorStopped):
            await rooms.ask("r", "poison")
        with pytest.raises(Quarantined) as refused:
            await rooms.ask("r", "poison")
        assert refused.value.retry_after == pytest.approx(span, abs=1)
        await trio.sleep(span)


async def test_a_key_that_dies_again_and_again_is_refused_whole(autojump_clock: MockClock, supervisor: Supervisor, world: World) -> None:
    rooms: Directory[Any] = Directory(supervisor, "room", lambda key: Room(world, key))
    for _ in range(3):
        with pytest.raises(ActorStopped):
            await rooms.ask("r", "poison")
    with pytest.raises(Quarantined):
        rooms.post("r", "harmless", lambda value, error: None)
    assert await rooms.ask("s", "another key") == "another key"
    assert rooms.statistics().quarantined == 1
    await trio.sleep(61)
    assert await rooms.ask("r", "harmless") == "harmless"


async def test_a_message_without_a_fingerprint_kills_and_everybody_hears(autojump_clock: MockClock, supervisor: Supervisor, world: World) -> None:
    rooms: Directory[Any] = Directory(supervisor, "room", lambda key: Room(world, key), fingerprint=lambda message: message.id)
    heard: list[Exception | None] = []
    rooms.post("r", "poison", lambda value, error: heard.append(error))
    rooms.post("r", "behind it", lambda value, error: heard.append(error))
    await wait_all_tasks_blocked()
    assert [type(error) for error in heard] == [ActorStopped, ActorStopped]
    assert await rooms.ask("r", "next") == "next"


async def test_deaths_far_apart_are_only_deaths(autojump_clock: MockClock, supervisor: Supervisor, world: World) -> None:
    rooms: Directory[Any] = Directory(supervisor, "room", lambda key: Room(world, key))
    for _ in range(6):
        with pytest.raises(ActorStopped):
            await rooms.ask("r", "poison")
        await trio.sleep(3)
    assert rooms.statistics().died == 6


async def test_a_full_mailbox_refuses_whoever_does_not_wait(autojump_clock: MockClock, rooms: Directory[Any]) -> None:
    for number in range(Room.mailbox):
        rooms.send_nowait("r", number)
    with pytest.raises(MailboxFull):
        rooms.send_nowait("r", "more")
    assert await rooms.ask("r", "waits for room") == "waits for room"


async def test_a_post_to_one_that_sleeps_wakes_it(autojump_clock: MockClock, rooms: Directory[Any]) -> None:
    heard: list[Any] = []
    rooms.post("r", 1, lambda value, error: heard.append((value, error)))
    await wait_all_tasks_blocked()
    assert heard == [(1, None)]


async def test_a_zero_linger_rests_at_once(autojump_clock: MockClock, supervisor: Supervisor, world: World) -> None:
    class Brief(Room):
        linger: ClassVar[float] = 0.0

    rooms: Directory[Any] = Directory(supervisor, "brief", lambda key: Brief(world, key))
    for number in range(100):
        assert await rooms.ask("r", number) == number
        await wait_all_tasks_blocked()
        assert rooms.statistics().resting == 1
    assert world.wakes == 1
    await trio.sleep(11)
    assert len(rooms) == 0


def test_the_books_of_the_quarantine_are_bounded() -> None:
    quarantine = Quarantine()
    for number in range(5_000):
        quarantine.died(f"key{number}", number, float(number))
        quarantine.died("one", number, float(number) * 10)
    assert quarantine.refusal("key0", 0.0) is None
    assert quarantine.refusal("one", 0.0) is not None
    assert quarantine.refusal_of("one", 4_999, 49_990.0) == 60.0
    assert quarantine.refusal_of("one", 1, 10.0) == 0.0
