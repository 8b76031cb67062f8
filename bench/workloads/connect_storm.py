"""A storm of connections: they come at a fixed rate, and each is timed from when it was to come until it is greeted.

Greeted means the server knows who it is (ours: a token verified, the personal room watched) or, of servers that know nobody, that the
WebSocket is open and the room entered.
"""

from collections.abc import Iterator
from typing import NamedTuple

from bench.lab import ROOM, Lab, Row, Stage, median, percentiles, users
from bench.servers.kinds import KINDS


class Plan(NamedTuple):
    """How much."""

    conns: int
    rounds: int
    load: float
    """Part of the rate at which they came as fast as could be."""


TINY = Plan(10, 1, 0.5)
SHORT = Plan(500, 2, 0.5)
FULL = Plan(5_000, 2, 0.5)


def measure(lab: Lab, plan: Plan) -> Iterator[Row]:
    """As fast as can be, then at a rate."""
    with lab.stages(list(KINDS)) as stages:
        conns = {}
        for stage in stages:
            stage.target.room(ROOM, users(plan.conns))
            conns[stage.target.name] = stage.add([stage.target.script(user, [ROOM]) for user in users(plan.conns)])
        fast: dict[str, list[tuple[float, float]]] = {stage.target.name: [] for stage in stages}
        for number in range(plan.rounds):
            lab.tell(f"connect_storm: round {number + 1} of {plan.rounds}")
            for stage in stages:
                fast[stage.target.name].append(_storm(stage, conns[stage.target.name]))
        for stage in stages:
            name, found = stage.target.name, fast[stage.target.name]
            rate = plan.load * median(count for count, _ in found)
            opened = stage.generator.open(conns[name], rate=rate)["opened"]
            figures = {"opened per CPU-s": median(each for _, each in found), "opened per s": rate / plan.load, **percentiles(opened, "half load ")}
            yield Row("connect_storm", f"{plan.conns:,} connections that enter a room", name, stage.target.durability, figures,
                      {"opening at half load": opened})


def _storm(stage: Stage, conns: range) -> tuple[float, float]:
    """Opened each second, and for each second of processor. They are shut afterwards."""
    before = stage.target.cpu_s()
    opened = stage.generator.open(conns)
    used = stage.target.cpu_s() - before
    stage.generator.shut(conns)
    stage.generator.run(0.3, {})
    return len(conns) / opened["seconds"], len(conns) / used if used else 0.0
