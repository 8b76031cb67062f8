"""Across workers: the same with two workers as with one, on the same core.

Connections come to either worker and a room lives in one of them, so about half of what goes in and out takes one hop more.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

from bench.generate import Pace, cores, merged
from bench.lab import ROOM, Lab, Measured, Row, Stage, median, merge_faults, percentiles, quietly, ratio_to, users
from bench.servers.kinds import OURS
from bench.servers.ours import OwnChild

FAN, PAIRS = 0, 1


class Plan(NamedTuple):
    """How much."""

    members: int
    pairs: int
    rounds: int
    seconds: float


TINY = Plan(6, 2, 1, 0.3)
SHORT = Plan(500, 100, 2, 0.7)
FULL = Plan(1_000, 200, 3, 3.0)


def measure(lab: Lab, plan: Plan) -> Iterator[Row]:
    """One worker and two, in turns."""
    if not lab.present([OURS]):
        return
    with ExitStack() as stack:
        stages = {f"{OURS}, {workers} worker{'s' * (workers > 1)}": stack.enter_context(lab.stage(OwnChild(lab.fresh(), cores()[0], workers)))
                  for workers in (1, 2)}
        for name, stage in stages.items():
            lab.tell(f"cross_worker: all enter {name}")
            _enter(stage, plan)
        for flow, case, pace in ((FAN, f"room of {plan.members:,}, one at a time", Pace()),
                                 (PAIRS, f"{plan.pairs} rooms of 2, one under way in each", Pace(until="answer"))):
            taken: dict[str, list[Measured]] = {name: [] for name in stages}
            for _ in range(plan.rounds):
                for name, stage in stages.items():
                    taken[name].append(stage.measure(plan.seconds, {flow: pace}))
            yield from _rows(case, flow, stages, taken)


def _enter(stage: Stage, plan: Plan) -> None:
    stage.generator.open(stage.join(ROOM, users(plan.members), flow=FAN))
    for number in range(plan.pairs):
        stage.generator.open(stage.join(f"pair-{number}", users(2, f"pair-{number}"), flow=PAIRS))
    quietly(stage, {FAN: Pace(), PAIRS: Pace(until="answer")})


def _rows(case: str, flow: int, stages: dict[str, Stage], taken: dict[str, list[Measured]]) -> Iterator[Row]:
    per_cpu = {name: [one.deliveries_per_cpu_s for one in measured] for name, measured in taken.items()}
    alone = next(iter(per_cpu.values()))
    for name, stage in stages.items():
        latency = merged(one.ran.flows[flow].latency for one in taken[name])
        figures = {"deliveries per CPU-s": median(per_cpu[name]), "of one worker's": ratio_to(alone, per_cpu[name]), **percentiles(latency)}
        yield Row("cross_worker", case, name, stage.target.durability, figures, {"delivery": latency}, merge_faults(taken[name]))
