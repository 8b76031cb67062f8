"""Durable sends: rooms of two, one of them writes, the next when the one before is answered.

Ours answers when the message is on disk. The others answer, or send one's own copy, when they have it in memory; their rows say so, and
say what a promise costs, not who is better.
"""

from collections.abc import Iterator
from typing import NamedTuple

from bench.generate import Pace, merged
from bench.lab import Lab, Measured, Row, median, merge_faults, percentiles, quietly
from bench.servers.kinds import KINDS
from bench.workloads.small_rooms import enter


class Plan(NamedTuple):
    """How much."""

    rooms: int
    outstanding: tuple[int, ...]
    rounds: int
    seconds: float
    loads: tuple[float, ...]


TINY = Plan(3, (1,), 1, 0.3, (0.5,))
SHORT = Plan(100, (1,), 3, 0.7, (0.5,))
FULL = Plan(200, (1, 8), 3, 1.5, (0.1, 0.5, 0.9))


def measure(lab: Lab, plan: Plan) -> Iterator[Row]:
    """Closed loop, then at a rate."""
    where = f"{plan.rooms} rooms of 2"
    with lab.stages(list(KINDS)) as stages:
        for stage in stages:
            lab.tell(f"durable_send: {where} on {stage.target.name}")
            enter(stage, plan.rooms, 2, 1, "pair")
            quietly(stage, {0: Pace(until="answer")})
        first: dict[str, list[Measured]] = {}
        for outstanding in plan.outstanding:
            taken: dict[str, list[Measured]] = {stage.target.name: [] for stage in stages}
            for number in range(plan.rounds):
                lab.tell(f"durable_send: {outstanding} under way in each room, round {number + 1} of {plan.rounds}")
                for stage in stages:
                    taken[stage.target.name].append(stage.measure(plan.seconds, {0: Pace(outstanding=outstanding, until="answer")}))
            first = first or taken
            for stage in stages:
                measured = taken[stage.target.name]
                answer = merged(one.ran.flows[0].answer for one in measured)
                figures = {"sends per CPU-s": median(one.sends_per_cpu_s for one in measured),
                           "sends/s": median(one.sends_per_s for one in measured), **percentiles(answer)}
                yield Row("durable_send", f"{where}, {outstanding} under way in each", stage.target.name, stage.target.durability, figures,
                          {"answer": answer}, merge_faults(measured))
        for load in plan.loads:
            for stage in stages:
                rate = load * median(one.sends_per_s for one in first[stage.target.name])
                measured_once = stage.measure(2 * plan.seconds, {0: Pace(rate=rate)})
                flow = measured_once.ran.flows[0]
                yield Row("durable_send", f"{where}, at {load:.0%} of the server's own rate", stage.target.name, stage.target.durability,
                          {"sends/s": rate, **percentiles(flow.answer), "refused": measured_once.refused},
                          {"answer": flow.answer, "delivery": flow.latency}, measured_once.faults_at_a_rate)
