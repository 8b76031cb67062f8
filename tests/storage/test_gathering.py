"""Gathering: what comes while trips are under way goes together, in as many lanes as there are, and each is told its own."""

from collections.abc import Sequence

import pytest
import trio

from storage.cluster.gathering import Gathering
from storage.ports.errors import StorageAway, StorageError


async def test_what_waits_goes_together_and_each_hears_its_own(autojump_clock: trio.abc.Clock) -> None:
    trips: list[list[int]] = []

    async def double(numbers: Sequence[int]) -> Sequence[int | StorageError]:
        trips.append(list(numbers))
        await trio.sleep(1)
        return [StorageAway("seven") if number == 7 else number * 2 for number in numbers]

    gathering: Gathering[int, int] = Gathering(double, most=4, lanes=2)
    told: dict[int, int | str] = {}

    async def ask(number: int) -> None:
        try:
            told[number] = await gathering.ask(number)
        except StorageAway as error:
            told[number] = str(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(gathering.run)
        for _ in range(3):  # lanes that have rested wake again, all of them
            began = trio.current_time()
            async with trio.open_nursery() as asking:
                for number in range(16):
                    asking.start_soon(ask, number)
            assert trio.current_time() - began == pytest.approx(2), "four trips in two lanes"
            await trio.sleep(5)
        nursery.cancel_scope.cancel()
    assert told == {number: "seven" if number == 7 else number * 2 for number in range(16)}
    assert all(len(trip) <= 4 for trip in trips)


async def test_what_nobody_foresaw_fails_for_whoever_asked_for_it(autojump_clock: trio.abc.Clock) -> None:
    async def invert(numbers: Sequence[int]) -> Sequence[float]:
        await trio.sleep(1)
        return [1 / number for number in numbers]

    gathering: Gathering[int, float] = Gathering(invert, most=10, lanes=1)
    told: dict[int, float | None] = {}

    async def ask(number: int) -> None:
        try:
            told[number] = await gathering.ask(number)
        except ZeroDivisionError:
            told[number] = None

    async with trio.open_nursery() as nursery:
        nursery.start_soon(gathering.run)
        async with trio.open_nursery() as asking:
            for number in (1, 0, 2, 4):
                asking.start_soon(ask, number)
        nursery.cancel_scope.cancel()
    assert told == {1: 1.0, 0: None, 2: 0.5, 4: 0.25}


async def test_who_goes_away_while_waiting_is_not_asked_for(autojump_clock: trio.abc.Clock) -> None:
    asked: list[int] = []

    async def work(numbers: Sequence[int]) -> Sequence[int]:
        asked.extend(numbers)
        return list(numbers)

    gathering: Gathering[int, int] = Gathering(work, most=10)
    with trio.move_on_after(1):
        await gathering.ask(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gathering.run)
        assert await gathering.ask(2) == 2
        nursery.cancel_scope.cancel()
    assert asked == [2]
