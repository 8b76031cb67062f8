"""Slow readers: some in a room stop reading. What do the others notice?

The same rate twice, first while all read, then while some do not. Each server has its own answer to a full socket: ours closes it with
4408 and lets it resume; `ws` and Socket.IO keep everything in memory; who awaits each send waits, and so do all. The C loop takes no part.
Ours does so in several rooms, one after the other, and its verdict is the median over these pairs: the others' p99 is at most a tenth, or
5 ms, later than when all read (docs/guarantees.md).
"""

from collections.abc import Iterator
from typing import NamedTuple

from bench.generate import Pace, merged
from bench.lab import ROOM, Lab, Measured, Paired, Row, Stage, broken, merge_faults, percentiles, quietly, users
from bench.servers.kinds import KINDS, LOOP, OURS

SMALL = 4_096
"""Bytes that a slow reader's socket takes in: it is full soon."""


AFTER_S = 0.5
TIMES, LATER_MS = 1.1, 5.0
"""The others' p99 may be by so much later."""


class Plan(NamedTuple):
    """How much."""

    members: int
    slow: int
    """Of these. What they miss in the time must be more than the kernel keeps for them, some 4 MB."""
    rate: float
    size: int
    seconds: float
    pairs: int = 1
    """Of ours; of others one is shown."""


TINY = Plan(6, 1, 50, 1_000, 0.3)
SHORT = Plan(40, 4, 100, 16_000, 2.0, pairs=3)
FULL = Plan(200, 20, 40, 16_000, 4.0, pairs=3)


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
    target = stage.target
    pairs = [_pair(stage, plan, f"{ROOM}-{number}") for number in range(plan.pairs if target.name == OURS else 1)]
    paired = Paired([pair.all_read.ran.flows[pair.flow].latency for pair in pairs], [pair.stalled.ran.flows[pair.flow + 1].latency for pair in pairs])
    verdict = broken({"% of the others' p99 when all read": (target.name == OURS and paired.slower_than(TIMES, LATER_MS), 100 * paired.times)})
    what = f"{plan.rate:g} messages/s of {plan.size:,} bytes"
    for case, times, measured, faults, more in (
            ("all read", paired.alone, [pair.all_read for pair in pairs], {}, {}),
            (f"{plan.slow} of {plan.members} do not", paired.beside, [pair.stalled for pair in pairs], verdict,
             {"memory grew by MiB": max(pair.grew_mib for pair in pairs), "slow ones closed": sum(pair.closed for pair in pairs) / len(pairs),
              "p99, times that when all read": paired.times})):
        figures = {**percentiles(latency := merged(times)), "deliveries per CPU-s": _per_cpu_s(measured), **more}
        yield Row("slow_readers", f"{what}, {case}", target.name, target.durability, figures, {f"delivery, {case}": latency},
                  {**merge_faults(measured), **faults})


class _Pair(NamedTuple):
    """One room, while all read and while some do not."""

    flow: int
    all_read: Measured
    stalled: Measured
    grew_mib: float
    closed: int


def _pair(stage: Stage, plan: Plan, room: str) -> _Pair:
    target, generator = stage.target, stage.generator
    first = generator.streams
    conns = stage.join(room, users(plan.members, room), flow=first, size=plan.size)
    slow, quick = conns[plan.members - plan.slow:], conns[:plan.members - plan.slow]
    generator.stream(conns.start, len(quick), target.publish(room, plan.size), flow=first + 1)
    generator.expect(conns, range(first, first + 2))
    generator.open(quick)
    generator.open(slow, receive_buffer=SMALL)
    quietly(stage, {first: Pace()}, 0.2)
    all_read = stage.measure(plan.seconds, {first: Pace(rate=plan.rate)})
    generator.stall(slow)
    before_kb = target.rss_kb()
    stalled = stage.measure(plan.seconds, {first + 1: Pace(rate=plan.rate)})
    grew = (target.rss_kb() - before_kb) / 1024
    pair = _Pair(first, all_read, stalled, grew, stalled.ran.totals["closed_by_server"] + _closed(stage, slow))
    generator.shut(conns)
    return pair


def _per_cpu_s(measured: list[Measured]) -> float:
    used = sum(one.cpu_s for one in measured)
    return sum(one.delivered for one in measured) / used if used else 0.0
