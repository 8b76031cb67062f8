"""A storm of reconnects: everybody in a room is cut off at once, misses some messages, and comes back with the last `seq` they had.

Each is timed from when it was to come back until the greeting is answered; then all that was missed must arrive, each once and in order.
Ours alone: the others, as they are set up here, keep nothing to come back to. Its verdict: 99% of them are back within 5 s
(docs/guarantees.md).
"""

import time
from collections.abc import Iterator
from typing import NamedTuple

from hdrh.histogram import HdrHistogram

from bench.generate import Pace
from bench.lab import ROOM, Lab, Row, Stage, broken, ours, p99_ms, percentiles, quietly, users
from bench.servers.kinds import OURS

WITHIN_S = 30.0
BACK_WITHIN_S = 5.0


class Plan(NamedTuple):
    """How much."""

    members: int
    missed: int
    rounds: int


TINY = Plan(8, 3, 1)
SHORT = Plan(500, 20, 1)
FULL = Plan(5_000, 50, 3)


def measure(lab: Lab, plan: Plan) -> Iterator[Row]:
    """Cut off, write, come back."""
    with lab.stages([OURS]) as stages:
        for stage in stages:
            names, target, generator = users(plan.members), ours(stage), stage.generator
            conns = stage.join(ROOM, names)
            others = range(conns.start + 1, conns.stop)
            generator.open(conns)
            quietly(stage, {0: Pace(until="answer")})
            for number in range(plan.rounds):
                lab.tell(f"reconnect_storm: {plan.members:,} members, round {number + 1} of {plan.rounds}")
                head, epoch = target.position(ROOM, names[0])
                generator.shut(others, reset=True)
                missed = generator.run(plan.missed * 0.01, {0: Pace(rate=100, until="answer")}, drain_s=0.5).flows[0].sent
                for conn, name in zip(others, names[1:], strict=True):
                    generator.rewrite(conn, target.resume(name, {ROOM: head}, epoch))
                before = target.cpu_s()
                opened = generator.open(others, at_once=plan.members)
                faults, waited_s = _catch_up(stage, missed * plan.members)
                used = target.cpu_s() - before
                figures = {"came back per s": len(others) / opened["seconds"], "came back per CPU-s": len(others) / used if used else 0.0,
                           "missed messages each": missed, "all had them after s": opened["seconds"] + waited_s, **percentiles(opened["opened"])}
                yield Row("reconnect_storm", f"{plan.members:,} members of a room come back at once, round {number + 1}", target.name,
                          target.durability, figures, {"coming back": opened["opened"]}, {**faults, **late(opened["opened"])})


def late(times: HdrHistogram) -> dict[str, int]:
    """The verdict: nothing, if nearly all were back soon."""
    back_ms = p99_ms(times)
    return broken({"ms until 99% were back": (back_ms > BACK_WITHIN_S * 1000, back_ms)})


def _catch_up(stage: Stage, deliveries: int) -> tuple[dict[str, int], float]:
    """Wait until so many have come since the writing began. What is wrong with them, and how long it took."""
    began = time.monotonic()
    while (told := stage.generator.state())["deliveries"] < deliveries and time.monotonic() < began + WITHIN_S:
        time.sleep(0.01)
    faults = {**{name: told[name] for name in ("gaps", "doubles", "disorder", "strays")}, "missing": deliveries - told["deliveries"]}
    return {name: count for name, count in faults.items() if count}, time.monotonic() - began
