"""Slow readers: some in a room stop reading. What do the others notice?

The same rate twice, first while all read, then while some do not. Each server has its own answer to a full socket: ours closes it with
4408 and lets it resume; `ws`, Socket.IO keep everything in memory; who awaits each send waits.
"""

from collections.abc import Iterator
from typing import NamedTuple

from bench.generate import Pace
from bench.lab import ROOM, Lab, Row, Stage, percentiles, quietly, users
from bench.servers.kinds import KINDS

SMALL = 4_096
"""Bytes that a slow reader's socket takes in: it is full soon."""


class Plan(NamedTuple):
    """How much."""

    members: int
    slow: int
    rate: float
    size: int
    seconds: float


TINY = Plan(6, 1, 50, 1_000, 0.3)
SHORT = Plan(100, 2, 100, 4_000, 4.0)
FULL = Plan(1_000, 10, 50, 4_000, 15.0)


def measure(lab: Lab, plan: Plan) -> Iterator[Row]:
    """One server after the other: how full they get must not touch the next."""
    for label in lab.present(list(KINDS)):
        with lab.stages([label]) as stages:
            for stage in stages:
                lab.tell(f"slow_readers: {plan.slow} of {plan.members} at {label}")
                yield from _rows(stage, plan)


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
        latency, closed = measured.ran.flows[flow].latency, measured.ran.totals["closed_by_server"]
        figures = {**percentiles(latency), "deliveries per CPU-s": measured.deliveries_per_cpu_s, "slow ones closed": closed,
                   "memory grew by MiB": (target.rss_kb() - before_kb) / 1024}
        yield Row("slow_readers", f"{plan.rate:g} messages/s of {plan.size:,} bytes, {case}", target.name, target.durability, figures,
                  {f"delivery, {case}": latency}, measured.faults)
