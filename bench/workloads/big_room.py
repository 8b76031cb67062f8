"""One big room: one member writes, all have it.

First each message waits until all have the one before, alone and eight at a time: deliveries for each second of the server's processor.
Then messages come at a fixed rate, parts of the rate that one at a time reached, and half of the slowest one's for all: how late each
delivery is, and the last of the room.
"""

from collections.abc import Iterator
from typing import NamedTuple

from bench.generate import Pace, merged
from bench.lab import ROOM, Lab, Measured, Row, Stage, ceiling, median, merge_faults, percentiles, quietly, ratio_to, users
from bench.servers.kinds import KINDS

BURSTS = (1, 8)
SAME = 0.5
"""Part of the slowest server's own rate at which all are compared."""


class Plan(NamedTuple):
    """How much."""

    rooms: tuple[int, ...]
    rounds: int
    seconds: float
    loads: tuple[float, ...]
    """Parts of a server's own highest rate."""


TINY = Plan((10,), 1, 0.3, (0.5,))
SHORT = Plan((1_000,), 3, 0.5, (0.5,))
FULL = Plan((100, 1_000, 10_000), 3, 1.0, (0.1, 0.5, 0.9))


def measure(lab: Lab, plan: Plan) -> Iterator[Row]:
    """Room by room."""
    for members in plan.rooms:
        with lab.stages(list(KINDS)) as stages:
            for stage in stages:
                lab.tell(f"big_room: {members} members enter {stage.target.name}")
                stage.generator.open(stage.join(ROOM, users(members)))
                quietly(stage, {0: Pace()})
            singles: dict[str, list[Measured]] = {}
            for burst in BURSTS:
                taken = turns(lab, stages, plan, burst)
                singles = singles or taken
                yield from _rows(f"room of {members:,}, {'one' if burst == 1 else burst} at a time", stages, taken)
            own = {name: median(one.sends_per_s for one in measured) for name, measured in singles.items()}
            for load in plan.loads:
                yield from at_rates(lab, f"room of {members:,}, at {load:.0%} of the server's own rate", stages, plan,
                                    {name: load * rate for name, rate in own.items()})
            same = max(1.0, SAME * min(own.values(), default=0.0))
            yield from at_rates(lab, f"room of {members:,}, all at the same rate", stages, plan, dict.fromkeys(own, same))


def turns(lab: Lab, stages: list[Stage], plan: Plan, burst: int) -> dict[str, list[Measured]]:
    """Round by round, one server after the other."""
    taken: dict[str, list[Measured]] = {stage.target.name: [] for stage in stages}
    for number in range(plan.rounds):
        lab.tell(f"big_room: bursts of {burst}, round {number + 1} of {plan.rounds}")
        for stage in stages:
            taken[stage.target.name].append(stage.measure(plan.seconds, {0: Pace(burst=burst)}))
    return taken


def _rows(case: str, stages: list[Stage], taken: dict[str, list[Measured]]) -> Iterator[Row]:
    rounds = {name: [one.deliveries_per_cpu_s for one in measured] for name, measured in taken.items()}
    for stage in stages:
        name, measured = stage.target.name, taken[stage.target.name]
        figures = {"deliveries per CPU-s": median(rounds[name]), "of the C loop": ratio_to(ceiling(rounds), rounds[name]),
                   "deliveries per frame": _per_frame(measured)}
        times = {"the last of the room has it": merged(one.ran.flows[0].last for one in measured)}
        yield Row("big_room", case, name, stage.target.durability, {**figures, **percentiles(times["the last of the room has it"], "last ")}, times,
                  merge_faults(measured))


def at_rates(lab: Lab, case: str, stages: list[Stage], plan: Plan, rates: dict[str, float]) -> Iterator[Row]:
    """Each server at a rate that is fixed, whatever it makes of it."""
    taken: dict[str, Measured] = {}
    for stage in stages:
        lab.tell(f"big_room: {stage.target.name} at {rates[stage.target.name]:.0f} messages a second")
        taken[stage.target.name] = stage.measure(2 * plan.seconds, {0: Pace(rate=rates[stage.target.name])})
    per_cpu = {name: [one.deliveries_per_cpu_s] for name, one in taken.items()}
    for stage in stages:
        name, flow = stage.target.name, taken[stage.target.name].ran.flows[0]
        figures = {"messages/s": rates[name], "deliveries per CPU-s": per_cpu[name][0], "of the C loop": ratio_to(ceiling(per_cpu), per_cpu[name]),
                   **percentiles(flow.latency), **percentiles(flow.last, "last "), "generator late ms": flow.behind_us / 1000}
        yield Row("big_room", case, name, stage.target.durability, figures, {"delivery": flow.latency, "the last of the room has it": flow.last},
                  taken[name].faults)


def _per_frame(measured: list[Measured]) -> float:
    frames = sum(one.ran.totals["frames"] for one in measured)
    return sum(one.delivered for one in measured) / frames if frames else 0.0
