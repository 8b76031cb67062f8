"""All timers of a worker in one task."""

import trio

from actors.alarms import Alarms


async def test_alarms_ring_in_the_order_of_their_moments(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    alarms, rung = Alarms(), list[tuple[str, float]]()
    nursery.start_soon(alarms.run)
    await trio.sleep(1)
    alarms.after(5, lambda: rung.append(("late", trio.current_time())))
    alarms.after(2, lambda: rung.append(("early", trio.current_time())))
    never = alarms.after(3, lambda: rung.append(("never", 0)))
    never.cancel()
    await trio.sleep(10)
    assert rung == [("early", 3.0), ("late", 6.0)]
    assert not never.pending


async def test_an_alarm_may_set_the_next(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    alarms, rung = Alarms(), list[float]()
    nursery.start_soon(alarms.run)

    def again() -> None:
        rung.append(trio.current_time())
        if len(rung) < 3:
            alarms.after(1, again)

    alarms.after(1, again)
    await trio.sleep(10)
    assert rung == [1.0, 2.0, 3.0]
