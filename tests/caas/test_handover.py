"""Partitions change hands when all go by the same ring. On a virtual clock."""

from typing import Any

import pytest
import trio

from caas.handover import Handover, RingChangedMeanwhile
from protocol.errors import Refused

BOTH = ("w1", "w2")


class Together:
    """Workers' links, each to each; a worker that is not here cannot be reached."""

    def __init__(self) -> None:
        self.handovers: dict[str, Handover] = {}

    def add(self, name: str) -> Handover:
        made = self.handovers[name] = Handover(name, Linked(name, self))  # type: ignore[arg-type]
        return made


class Linked:
    def __init__(self, me: str, together: Together) -> None:
        self._me, self._together = me, together

    async def ask(self, worker: str, message: list[Any], within: float) -> object:
        if worker not in self._together.handovers:
            raise Refused("unavailable")
        done, came = trio.Event(), list[object]()

        def answer(value: object, error: Exception | None) -> None:
            came.append(value)
            done.set()

        self._together.handovers[worker].asked(self._me, message[1:], answer)
        await done.wait()
        return came[0]


async def test_who_gains_waits_until_the_others_go_by_the_same_ring(autojump_clock: object, nursery: trio.Nursery) -> None:
    together, order, looked = Together(), list[str](), list[str]()
    first, second = together.add("w1"), together.add("w2")
    first.look = lambda: looked.append("w1")

    async def agree(handover: Handover, name: str) -> None:
        await handover.agreed(BOTH, trio.Event())
        order.append(name)

    await first.agreed(("w1",), trio.Event())  # alone: nobody to ask
    nursery.start_soon(agree, second, "w2")
    await trio.sleep(1)
    assert (order, looked) == ([], ["w1"]), "who is asked looks at once"
    nursery.start_soon(agree, first, "w1")
    await trio.sleep(0.1)
    assert sorted(order) == ["w1", "w2"]


async def test_who_is_not_linked_yet_is_asked_again(autojump_clock: object, nursery: trio.Nursery) -> None:
    together = Together()
    first = together.add("w1")
    nursery.start_soon(first.agreed, BOTH, trio.Event())
    await trio.sleep(0.5)
    began = trio.current_time()
    await together.add("w2").agreed(BOTH, trio.Event())
    assert trio.current_time() - began < 0.1


@pytest.mark.parametrize(("news", "within"), [(True, 1.0), (False, 6.0)])
async def test_nobody_waits_for_ever(autojump_clock: object, nursery: trio.Nursery, news: bool, within: float) -> None:
    together, changed = Together(), trio.Event()
    first = together.add("w1")
    began = trio.current_time()

    async def change() -> None:
        await trio.sleep(0.5)
        changed.set()

    if news:
        nursery.start_soon(change)
        with pytest.raises(RingChangedMeanwhile):
            await first.agreed(BOTH, changed)
    else:
        await first.agreed(BOTH, changed)
    assert trio.current_time() - began < within
