"""Many small rooms: everybody in them writes, and has what the others write.

More comes in for each thing that goes out than in a big room. First one message of each room is under way at a time, then they come at
half the rate that showed.
"""

from collections.abc import Iterator
from typing import NamedTuple

from bench.generate import Pace
from bench.lab import Lab, Measured, Row, Stage, ceiling, median, merge_faults, percentiles, quietly, ratio_to, users
from bench.servers.kinds import KINDS


class Plan(NamedTuple):
    """How much. With more than 512 members in all, a worker of ours that is still cold refuses some: it takes on what it answers in half a second."""

    rooms: int
    members: int
    rounds: int
    seconds: float
    loads: tuple[float, ...]


TINY = Plan(3, 4, 1, 0.3, (0.5,))
SHORT = Plan(50, 10, 3, 0.5, (0.5,))
FULL = Plan(50, 10, 3, 1.0, (0.1, 0.5, 0.9))


def measure(lab: Lab, plan: Plan) -> Iterator[Row]:
    """Closed loop, then at a rate."""
    case = f"{plan.rooms} rooms of {plan.members}"
    with lab.stages(list(KINDS)) as stages:
        for stage in stages:
            lab.tell(f"small_rooms: {case} on {stage.target.name}")
            enter(stage, plan.rooms, plan.members, plan.members)
            quietly(stage, {0: Pace()})
        taken: dict[str, list[Measured]] = {stage.target.name: [] for stage in stages}
        for number in range(plan.rounds):
            lab.tell(f"small_rooms: round {number + 1} of {plan.rounds}")
            for stage in stages:
                taken[stage.target.name].append(stage.measure(plan.seconds, {0: Pace()}))
        yield from _rows(f"{case}, every member's next when all have the one before", stages, taken)
        for load in plan.loads:
            for stage in stages:
                rate = load * median(one.sends_per_s for one in taken[stage.target.name])
                measured = stage.measure(2 * plan.seconds, {0: Pace(rate=rate)})
                flow = measured.ran.flows[0]
                yield Row("small_rooms", f"{case}, at {load:.0%} of the server's own rate", stage.target.name, stage.target.durability,
                          {"messages/s": rate, **percentiles(flow.latency), "refused": measured.refused}, {"delivery": flow.latency},
                          measured.faults_at_a_rate)


def enter(stage: Stage, rooms: int, members: int, senders: int, prefix: str = "room") -> range:
    """Make the rooms, and open all that are in them. The connections."""
    first = last = None
    for number in range(rooms):
        conns = stage.join(f"{prefix}-{number}", users(members, f"{prefix}-{number}-user"), senders=senders)
        first, last = conns if first is None else first, conns
    assert first is not None
    assert last is not None
    everybody = range(first.start, last.stop)
    stage.generator.open(everybody)
    return everybody


def _rows(case: str, stages: list[Stage], taken: dict[str, list[Measured]]) -> Iterator[Row]:
    rounds = {name: [one.deliveries_per_cpu_s for one in measured] for name, measured in taken.items()}
    for stage in stages:
        name, measured = stage.target.name, taken[stage.target.name]
        figures = {"sends per CPU-s": median(one.sends_per_cpu_s for one in measured), "deliveries per CPU-s": median(rounds[name]),
                   "of the C loop": ratio_to(ceiling(rounds), rounds[name])}
        yield Row("small_rooms", case, name, stage.target.durability, figures, {}, merge_faults(measured))
