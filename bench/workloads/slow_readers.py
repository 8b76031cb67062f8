"""Slow readers: some in a room stop reading. What do the others notice?

The same rate twice, first while all read, then while some do not. Each server has its own answer to a full socket: ours closes it with
4408 and lets it resume; `ws` and Socket.IO keep everything in memory; who awaits each send waits, and so do all. The C loop takes no part.
"""

from collections.abc import Iterator
from typing import NamedTuple

from bench.generate import Pace
from bench.lab import ROOM, Lab, Row, Stage, percentiles, quietly, users
from bench.servers.kinds import KINDS, LOOP

SMALL = 4_096
"""Bytes that a slow reader's socket takes in: it is full soon."""


AFTER_S = 0.5


class Plan(NamedTuple):
    """How much."""

    members: int
    slow: int
    """Of these. What they miss in the time must be more than the kernel keeps for them, some 4 MB."""
    rate: float
    size: int
    seconds: float


TINY = Plan(6, 1, 50, 1_000, 0.3)
SHORT = Plan(40, 2, 100, 16_000, 2.5)
FULL = Plan(200, 5, 40, 16_000, 20.0)


def measure(lab: Lab, plan: Plan) -> Iterator[Row]:
    """One server after the other: how full they get must not touch the next."""
    for label in lab.present([label for label in KINDS if label != LOOP]):
        with lab.stages([label]) as stages:
            for stage in stages:
                lab.tell(f"slow_readers: {plan.slow} of {plan.members} at {label}")
                yield from _rows(stage, plan)


def _closed(stage: Stage, slow: range) -> int:
    """Let them read what is still there, and see how many find that they were closed."""
    stage.generator.stall(slow, on=False)
    return int(stage.generator.run(AFTER_S, {}).totals["closed_by_server"])


def _rows(stage: Stage, plan: Plan) -> Iterator[Row]:
    target, generator, names = stage.target, stage.generator, users(plan.members)
    conns = stage.join(ROOM, names, size=plan.size)
    slow, quick = conns[plan.members - plan.slow:], conns[:plan.members - plan.slow]
    generator.stream(conns.start, len(quick), target.publish(ROOM, plan.size), flow=1)
    generator.expect(conns, range(2))
    generator.open(quick)
    generator.open(slow, receive_buffer=SMALL)
    quietly(stage, {0: Pace()}, 0.2)
    for flow, case, stalled in ((0, "all read", range(0)), (1, f"{plan.slow} of {plan.members} do not", slow)):
        if stalled:
            generator.stall(stalled)
        before_kb = target.rss_kb()
        measured = stage.measure(plan.seconds, {flow: Pace(rate=plan.rate)})
        latency, grew = measured.ran.flows[flow].latency, (target.rss_kb() - before_kb) / 1024
        figures = {**percentiles(latency), "deliveries per CPU-s": measured.deliveries_per_cpu_s, "memory grew by MiB": grew}
        if stalled:
            figures["slow ones closed"] = measured.ran.totals["closed_by_server"] + _closed(stage, stalled)
        yield Row("slow_readers", f"{plan.rate:g} messages/s of {plan.size:,} bytes, {case}", target.name, target.durability, figures,
                  {f"delivery, {case}": latency}, measured.faults)
