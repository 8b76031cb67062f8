"""The rules of the port Bus, each a function named after it."""

import trio

from tests.contracts.data import WITHIN_S, Data


async def everybody_who_listens_hears_in_order(data: Data) -> None:
    async with data() as node:
        heard: tuple[list[bytes], list[bytes]] = ([], [])
        for ear in heard:
            node.bus.subscribe("t", ear.append)
        for number in range(100):
            node.bus.publish("t", b"%d" % number)
        await _until(lambda: len(heard[1]) == 100)
        assert heard[0] == heard[1] == [b"%d" % number for number in range(100)]


async def publishing_never_runs_a_listener_itself(data: Data) -> None:
    async with data() as node:
        heard: list[bytes] = []
        node.bus.subscribe("t", heard.append)
        node.bus.publish("t", b"m")
        assert heard == []
        await _until(lambda: heard == [b"m"])


async def topics_are_apart(data: Data) -> None:
    async with data() as node:
        heard: list[bytes] = []
        node.bus.subscribe("t", heard.append)
        node.bus.publish("other", b"no")
        node.bus.publish("t", b"yes")
        await _until(lambda: bool(heard))
        assert heard == [b"yes"]


async def who_has_ended_hears_no_more(data: Data) -> None:
    async with data() as node:
        ended: list[bytes] = []
        heard: list[bytes] = []
        end = node.bus.subscribe("t", ended.append)
        node.bus.subscribe("t", heard.append)
        end()
        end()
        node.bus.publish("t", b"m")
        await _until(lambda: heard == [b"m"])
        assert ended == []


async def a_full_buffer_drops_and_does_not_wait(data: Data) -> None:
    async with data() as node:
        heard: list[bytes] = []
        node.bus.subscribe("t", heard.append)
        for _ in range(200_000):
            node.bus.publish("t", b"m")
        await _until(lambda: bool(heard))
        assert 0 < len(heard) < 200_000
        before = len(heard)
        node.bus.publish("t", b"after")
        await _until(lambda: len(heard) > before)
        assert heard[-1] == b"after"


async def _until(condition: object) -> None:
    assert callable(condition)
    with trio.fail_after(WITHIN_S):
        while not condition():
            await trio.sleep(0.001)
