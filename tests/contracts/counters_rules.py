"""The rules of the port Counters, each a function named after it."""

import trio

from tests.contracts.data import ONE, OTHER, Data


async def counts_begin_at_nothing_and_add_up(data: Data) -> None:
    async with data() as node:
        assert await node.counters.read(ONE, ["a", "b"]) == [0, 0]
        assert await node.counters.add(ONE, "a") == 1
        assert await node.counters.add(ONE, "a", 5) == 6
        assert await node.counters.add(ONE, "a", -2) == 4
        assert await node.counters.read(ONE, ["b", "a"]) == [0, 4]
        assert await node.counters.read(ONE, []) == []


async def many_may_count_at_once(data: Data) -> None:
    async with data() as one, data() as other:
        async with trio.open_nursery() as nursery:
            for _ in range(25):
                nursery.start_soon(one.counters.add, ONE, "a")
                nursery.start_soon(other.counters.add, ONE, "a", 2)
        assert await one.counters.read(ONE, ["a"]) == [75]


async def an_allowance_is_never_exceeded(data: Data) -> None:
    async with data() as one, data() as other:
        had: list[int] = []

        async def take(number: int) -> None:
            node = (one, other)[number % 2]
            had.append(await node.counters.take(ONE, "sends", 3, 20, 1_000, 5_500))

        async with trio.open_nursery() as nursery:
            for number in range(12):
                nursery.start_soon(take, number)
        assert sorted(had) == [0] * 5 + [2] + [3] * 6


async def an_allowance_is_new_in_each_window(data: Data) -> None:
    async with data() as node:
        async def take(amount: int, now_ms: int) -> int:
            return await node.counters.take(ONE, "sends", amount, 10, 1_000, now_ms)

        assert await take(8, 1_000) == 8
        assert await take(8, 1_999) == 2
        assert await take(1, 1_999) == 0
        assert await take(8, 2_000) == 8
        assert await take(8, 1_500) == 2, "a clock that steps back opens no window again"
        assert await take(4, 3_000) == 4


async def a_lease_has_one_holder(data: Data) -> None:
    async with data() as one, data() as other:
        assert await one.counters.lease(ONE, "job", "ann", 1_000, 10_000)
        assert not await other.counters.lease(ONE, "job", "bob", 1_000, 10_500)
        assert await one.counters.lease(ONE, "job", "ann", 1_000, 10_900)
        assert not await other.counters.lease(ONE, "job", "bob", 1_000, 11_500)
        assert await other.counters.lease(ONE, "job", "bob", 1_000, 11_900)
        assert not await one.counters.lease(ONE, "job", "ann", 1_000, 12_000)


async def tenants_count_apart(data: Data) -> None:
    async with data() as node:
        await node.counters.add(OTHER, "a", 7)
        assert await node.counters.read(ONE, ["a"]) == [0]
        assert await node.counters.take(OTHER, "s", 5, 5, 1_000, 1) == 5
        assert await node.counters.take(ONE, "s", 5, 5, 1_000, 1) == 5
        assert await node.counters.lease(OTHER, "l", "ann", 1_000, 1)
        assert await node.counters.lease(ONE, "l", "bob", 1_000, 1)


async def marks_hold_while_their_holder_lives(data: Data) -> None:
    async with data() as one, data() as other:
        assert not await one.counters.renew("n1", 1_000, 10_000), "it is new"
        assert not await other.counters.renew("n2", 1_000, 10_000)
        await one.counters.mark(ONE, "n1", {"ann": 2})
        await other.counters.mark(ONE, "n2", {"ann": 3, "bob": 1})
        await one.counters.mark(ONE, "never", {"carl": 1})
        assert await one.counters.marks(ONE, ["bob", "ann", "nobody", "carl"], 10_500) == [{"n2": 1}, {"n1": 2, "n2": 3}, {}, {}]
        assert await one.counters.renew("n1", 1_000, 10_900)
        assert await one.counters.marks(ONE, ["ann"], 11_500) == [{"n1": 2}], "the other's time is over"
        assert await one.counters.marks(ONE, [], 11_500) == []


async def a_mark_is_the_last_that_was_made(data: Data) -> None:
    async with data() as node:
        await node.counters.renew("n1", 1_000, 10_000)
        await node.counters.mark(ONE, "n1", {"ann": 2})
        await node.counters.mark(ONE, "n1", {"ann": 5})
        assert await node.counters.marks(ONE, ["ann"], 10_001) == [{"n1": 5}]
        await node.counters.mark(ONE, "n1", {"ann": 0})
        await node.counters.mark(ONE, "n1", {"ann": 0})
        assert await node.counters.marks(ONE, ["ann"], 10_001) == [{}]


async def whose_time_was_over_is_told_when_it_comes_back(data: Data) -> None:
    async with data() as node:
        assert not await node.counters.renew("n1", 1_000, 10_000)
        assert await node.counters.renew("n1", 1_000, 10_999)
        assert not await node.counters.renew("n1", 1_000, 11_999), "its marks may be gone"
        assert await node.counters.renew("n1", 1_000, 12_000)


async def marks_of_tenants_are_apart(data: Data) -> None:
    async with data() as node:
        await node.counters.renew("n1", 1_000, 10_000)
        await node.counters.mark(OTHER, "n1", {"ann": 2})
        assert await node.counters.marks(ONE, ["ann"], 10_001) == [{}]
